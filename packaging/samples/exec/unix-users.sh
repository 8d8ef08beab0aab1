#!/bin/sh
# An exec target for local Unix accounts with a numeric id from 1000 to 59999; runs as root, needs jq and procps.
# Values are read by jq and given as arguments after --, never pasted into a command. The protocol: docs/targets/exec.md.
# Closing: lock the password and expire the account, end its processes, then look whether any is left. Deleting is not
# closing: what a deleted user runs goes on, with the rights of the number.
say() { jq -cn --argjson id "$id" "$@"; }
fail() { say --arg class "$1" --arg text "$2" '{id: $id, error: $class, message: $text}'; }
entry() { # the passwd line of a number in range, nothing for another
  case $1 in '' | *[!0-9]* | ??????*) return 1 ;; esac
  [ "$1" -ge 1000 ] && [ "$1" -lt 60000 ] && getent passwd "$1"
}
show() { # a passwd line as an account
  name=$(printf '%s\n' "$1" | cut -d: -f1)
  shadow=$(getent shadow "$name") || shadow=
  printf '%s\n' "$1" | jq -cR --argjson id "$id" --arg shadow "$shadow" 'split(":") as $p | ($shadow | split(":")) as $s |
    {id: $id, account: {id: $p[2], userName: $p[0], attributes: {displayName: ($p[4] | split(",")[0])},
     active: (($s[1] // "" | startswith("!")) and $s[7] == "1" | not)}}'
}
run() { # a command's code and words as an answer
  text=$("$@" 2>&1 </dev/null)
  case $? in
    0) say '{id: $id}' ;;
    6) fail not_found "$text" ;;
    8) fail busy "$text" ;; # userdel: a process of the user is alive
    9) fail conflict "$text" ;;
    *) fail rejected "$text" ;;
  esac
}
while IFS= read -r line; do
  field() { printf '%s\n' "$line" | jq -r "$1 // empty"; }
  id=$(field .id) op=$(field .op) number=$(field .account.id)
  case $op in
    hello) say '{id: $id, hello: {version: 1, name: "Unix users", attributes: ["displayName"],
      operations: ["accounts", "account", "create", "update", "enable", "disable", "delete"],
      steps: [{name: "sessions", revokes: true, readable: true}]}}'; continue ;;
    accounts)
      getent passwd | { n=0
        while IFS= read -r user; do
          uid=$(printf '%s\n' "$user" | cut -d: -f3)
          if entry "$uid" >/dev/null; then show "$user"; n=$((n + 1)); fi
        done
        say --argjson n "$n" '{id: $id, end: true, count: $n}'; }
      continue ;;
    create)
      login=$(field .account.userName) full=$(field .account.attributes.displayName)
      case $login in -*) fail rejected "a login does not begin with -"; continue ;; esac
      case $full in *[:,]* | *"
"*) say '{id: $id, error: "rejected", attribute: "displayName", message: "no colon, comma or line break"}'; continue ;; esac
      made=$(run useradd --create-home --comment "$full" -- "$login")
      case $made in *'"error"'*) printf '%s\n' "$made" ;; *) show "$(getent passwd "$login")" ;; esac
      continue ;;
  esac
  user=$(entry "$number") || { fail not_found "no account $number"; continue; }
  login=$(printf '%s\n' "$user" | cut -d: -f1)
  case $op in
    account) show "$user" ;;
    update)
      full=$(field .set.displayName)
      case $full in *[:,]* | *"
"*) say '{id: $id, error: "rejected", attribute: "displayName", message: "no colon, comma or line break"}' ;;
      *) run usermod --comment "$full" -- "$login" ;; esac ;;
    disable) run usermod --lock --expiredate 1 -- "$login" ;;
    enable) run usermod --unlock --expiredate '' -- "$login" ;;
    delete) run userdel -- "$login" ;;
    step) pkill -KILL -U "$number"; say '{id: $id}' ;; # code 1: it has none
    left) n=$(pgrep -c -U "$number") || n=0
      say --argjson n "$n" --arg login "$login" '{id: $id, left: (if $n > 0 then "\($n) processes of \($login)" else "" end)}' ;;
    *) fail rejected "no operation $op" ;;
  esac
done
