target "sql" "payroll" {
  driver   = "postgresql"                  # or "mariadb", "mysql"
  address  = "db.example.org:5432"         # or the path of a Unix socket
  database = "payroll"
  user     = "dirsweep"
  password = env("PAYROLL_PASSWORD")
  # ca_file = "ca.pem"                     # TLS is verified; tls = false on this machine alone

  table   = "users"                        # or a SELECT that shows the accounts, with statements to write them
  key     = "id"                           # names a row for life
  columns = {
    userName    = "login"
    externalId  = "employee_number"
    displayName = "full_name"
  }
  active {
    column = "status"
    on     = "active"
    off    = "left"
  }
  entitlements {
    table       = "user_roles"             # a row for each role that a user has
    account     = "user_id"
    entitlement = "role_id"
    of          = "roles"                  # the roles there are
    key         = "id"
    name        = "title"
  }
  closing "sessions" {
    sql  = "DELETE FROM sessions WHERE user_id = :id"
    rows = "0-100"
    left = "SELECT count(*) FROM sessions WHERE user_id = :id"
  }
  # statement "disable" {                  # instead of the statement that dirsweep makes of table, key and active
  #   sql  = "UPDATE users SET status = 'left', left_on = current_date WHERE id = :id"
  #   rows = 1                             # any other number is rolled back
  # }

  scope = member_of("payroll-users")
  account = {
    userName    = lower(person.uid)
    displayName = person.cn
  }
  entitlements = [for g in person.groups : g if startswith(g, "payroll-")]
}
