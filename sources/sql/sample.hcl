source "sql" "hr" {
  driver   = "postgresql"          # or "mariadb", "mysql"
  address  = "db.example.org:5432" # or a Unix socket: for PostgreSQL its folder, for MariaDB its path
  database = "hr"
  user     = "dirsweep"         # may read, and no more
  password = env("HR_PASSWORD") # or file("…"), credential("…")
  ca_file  = "ca.pem"           # default: the system's authorities

  # Who works here, one row a person, read whole in each pass in one read-only transaction.
  query = "SELECT employeeNumber, uid, cn, givenName, sn, mail, department, status, last_day FROM people WHERE status <> 'external'"
  # The columns that expressions may name. A result that lacks one of them is refused.
  columns = ["employeeNumber", "uid", "cn", "givenName", "sn", "mail", "department", "status", "last_day"]

  anchor    = "employeeNumber" # what names a person for life, and is never given to another
  name      = "uid"            # what messages call a person by; default: the anchor
  container = "department"     # what groups people: one that loses everybody at once is held; default: none
  status { # who still works here; of somebody with another value nothing is done, and a finding names it. Left out, everybody does
    column = "status"
    active = ["active", "on leave"]
    left   = ["terminated", "retired"]
  }

  # One person by the anchor, wherever they are, from the table that keeps everybody: the same columns. Without it nobody's absence is proven.
  find = "SELECT employeeNumber, uid, cn, givenName, sn, mail, department, status, last_day FROM people WHERE employeeNumber = :anchor"
  # Has to say true, in the same transaction, or nothing of it is believed: for a table that is loaded in steps.
  complete = "SELECT finished_at IS NOT NULL FROM loads ORDER BY started_at DESC LIMIT 1"
  # Two columns, the anchor and a group's name: makes member_of() and person.groups work.
  groups = "SELECT employeeNumber, role FROM roles"
  # Between full passes: who has changed since :since, an instant in UTC. The same columns.
  changes = "SELECT employeeNumber, uid, cn, givenName, sn, mail, department, status, last_day FROM people WHERE status <> 'external' AND changed_at >= :since"
  overlap = "10m" # how far :since reaches back: longer than any transaction of those who write

  max_people = 10000000 # a read that exceeds it is refused
  timeout    = "30s"    # of one look-up, and of each wait for a row of a long answer
}
