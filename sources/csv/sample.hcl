source "csv" "hr" {
  files = ["hr/people-*.csv"] # relative to this file; every file that fits is a part of one list, and each entry has to find one
  newest = false              # true: of the files that an entry finds, the one that was written last is the whole list
  columns = {                 # what expressions call a column, and what the header calls it
    employeeNumber = "Personnel No."
    uid            = "Login"
    cn             = "Full name"
    givenName      = "First name"
    sn             = "Last name"
    mail           = "E-mail"
    status         = "Status"
    leaveDate      = "Last day"
  }
  anchor    = "employeeNumber" # what names a person for life; text, so that 00123 is not 123
  name      = "uid"            # what messages call a person by
  encoding  = "windows-1252"   # left out: a byte order mark tells, or it is UTF-8
  delimiter = ";"              # left out: the header tells, among , ; tab and |
  max_age   = "36h"            # a file that is older is a finding in each pass: the export may have stopped; left out: 8d
  settle    = "5s"             # how long a file has to be left alone before it is read, where complete tells nothing
  status {                     # who still works here; a value that is in neither list is a finding, and nothing is done for that person
    column = "status"
    active = ["active", "on leave"]
    left   = ["terminated", "retired"]
  }
  complete {                      # how the export says that a file is whole; any of these three
    trailer = "END;{rows}"        # the last line, with the number of rows
    done    = "{stem}.done"       # a file that is written after it: {file} is its path, {stem} that without .csv
    sha256  = "{file}.sha256"     # a file with its checksum, as sha256sum writes it
  }
}
