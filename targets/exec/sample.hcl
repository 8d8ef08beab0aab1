target "exec" "badges" {
  command = ["./badges.py"]                       # a list: the program and its arguments. No shell; relative to this file
  # directory     = "badges"                      # where it runs; default: this file's folder
  # environment   = {                             # beside PATH, LANG, LC_ALL, LC_CTYPE and TZ it sees these alone
  #   BADGES_TOKEN = env("BADGES_TOKEN")
  # }
  # timeout       = "30s"                         # of an answer, and of each line of a list
  # start_timeout = "10s"                         # until it has said hello
  # processes     = 2                             # how many run at once, beside one more that lists accounts

  account = {
    userName    = lower(person.uid)
    displayName = person.cn
  }
}
