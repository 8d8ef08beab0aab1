# dirsweep's config, complete: everything that can be set. Where a comment does not say what holds when it is left out, it is the value here.
# `dirsweep check` reads it, tries every connection and changes nothing. Relative paths start at the folder of this file; instead
# of one file, a folder of *.hcl files will do.
#
# Secrets come from env("NAME"), file("path") or credential("name") (systemd's LoadCredential); never write them here.

state {
  path = "/var/lib/dirsweep/state.db" # the platform's data folder
}

schedule {
  full = "0 2 * * *" # cron: minute, hour, day, month, weekday. Reads every source and every target whole
  # A directory that says when something changes (OpenLDAP, Active Directory) is followed at once, whatever the clock says.
  delta = "@every 1m" # every source, and of the targets only the accounts of people who changed
}

# What is more than this waits for an operator: `dirsweep holds`, `dirsweep approve DIGEST`. The first limit that is reached counts; 0 lets
# nothing go. Up to three people a window who were deleted or whose own entry is inactive always go, so that a small company never waits.
guard {
  max_sweep_percent  = 5     # of a source's people, and of a target's linked active accounts, per window; of returns too
  max_sweep_count    = 50    # of each, per window
  window             = "24h" # 90m, 24h, 30d, 1w
  max_shrink_percent = 10    # of a source's last accepted read that may be missing unexplained; of a target's linked active accounts too
  max_change_percent = 30    # of a target's linked accounts that an edited mapping may change, by attribute; 20 always may
  max_delete_count   = 50    # accounts deleted when their grace is over, per target and window

  # Accounts that are never written, by userName; case does not count, * stands for anything. None where it is left out.
  protect = ["administrator", "svc-*"]
}

# How long the audit trail and leavers' evidence are kept: 30d, 26w, 7y. The trail goes by whole files, which begin anew each month.
audit {
  keep = "7y"
}

# Reserved: there is no console yet, and the block is accepted with a warning that says so.
# console { listen = "127.0.0.1:8686" }

# A source is an authoritative directory. Its second label names it.
source "ldap" "corp" {
  url           = "ldaps://ldap.example.org" # or a list, tried in order. ldap:// asks for starttls = true, or loopback
  ca_file       = "ca.pem"                   # left out: the system's authorities
  bind_dn       = "cn=dirsweep,dc=example,dc=org"
  bind_password = env("LDAP_PASSWORD")
  base_dn       = "ou=people,dc=example,dc=org"
  filter        = "(objectClass=inetOrgPerson)" # left out: "(objectClass=person)"; for Active Directory, its users

  anchor      = "entryUUID" # what names a person for life. 389 DS: "nsUniqueId"; Active Directory: "objectGUID"
  name        = "uid"       # what messages call a person by
  scope_depth = "subtree"   # or "one": only what is directly below base_dn
  page_size   = 500         # no more than the server allows; 0 reads without pages
  max_entries = 10000000    # a read that exceeds it is refused
  timeout     = "60s"       # of one page
  attributes  = ["leaveDate", "enterDate"] # attributes of your own schema that expressions name; none where it is left out

  # Who still works here. Left out, the kind knows how directories lock accounts and end them (accountExpires, shadowExpire, …). An
  # attribute that a person lacks is null; a date that is absent or means "never" is neither before nor after anything.
  active = !is_true(person.nsAccountLock)

  # When somebody's time is over, and when it begins; beside `active`, and none where it is left out. Whoever it concerns is closed, or gets the
  # account, at that very second, not at the next pass. A date alone, "2026-12-31", is a last or first day: the time ends when the next
  # day begins, and begins when the day does, by the calendar of time_zone. "2026-12-31 18:00" is what the clocks there show; of an hour that
  # they show twice in autumn the last ends and the first begins something, and one that they leave out in spring is when they leave it out.
  # RFC 3339 with an offset, generalized time and FILETIME name an instant by themselves. Of a person whose date cannot be read nothing is done.
  leave_date = person.leaveDate
  enter_date = person.enterDate
  time_zone  = "Europe/Berlin" # left out: UTC

  # Who returns under a new anchor is known by this key, and gets the old account back. Left out, only the anchor counts.
  rehire = person.employeeNumber

  # Absence is "proven" by asking for that very person. "leaves" is for a kind of source that cannot be asked: whoever two complete reads of
  # it lack, one after the other, has left. LDAP can be asked, and always is.
  absence = "proven"

  groups {
    base_dn = "ou=groups,dc=example,dc=org" # makes member_of() and person.groups work, nested groups included
  }
}

# Files of people are a source as well, as personnel systems export them.
# source "csv" "hr" {
#   files = ["hr/people-*.csv"] # each file that fits is a part of one list, and each entry has to find one
#   newest = false              # true: of the files that an entry finds, the one that was written last is the whole list
#   columns = {                 # what expressions call a column, and what the header calls it
#     employeeNumber = "Personnel No."
#     uid            = "Login"
#     mail           = "E-mail"
#     status         = "Status"
#     leaveDate      = "Last day"
#   }
#   anchor    = "employeeNumber" # what names a person for life; text, so that 00123 is not 123
#   name      = "uid"            # what messages call a person by; left out: the anchor
#   encoding  = "windows-1252"   # left out: a byte order mark tells, or it is UTF-8
#   delimiter = ";"              # left out: the header tells, among , ; tab and |
#   max_age   = "36h"            # an older file is a finding in each pass; left out: "8d"
#   settle    = "5s"             # how long a file has to be left alone before it is read, where complete is left out
#   status {                     # who still works here; any other value is a finding, and nothing is done for that person
#     column = "status"
#     active = ["active", "on leave"]
#     left   = ["terminated", "retired"]
#   }
#   complete {                   # how the export says that a file is whole; one of them is enough
#     trailer = "END;{rows}"     # its last line, with the number of rows
#     done    = "{stem}.done"    # a file that is written after it: {file} is its path, {stem} that without .csv
#     sha256  = "{file}.sha256"  # its checksum, as sha256sum writes it
#   }
#   leave_date = person.leaveDate
#   absence    = "leaves"        # whoever two versions of the list lack has left; left out: nobody leaves for being missing
# }

# A database of people is a source as well: PostgreSQL, MariaDB, MySQL.
# source "sql" "payroll" {
#   driver   = "postgresql"          # or "mariadb", "mysql"
#   address  = "db.example.org:5432" # or a Unix socket
#   database = "hr"
#   user     = "dirsweep"         # may read, and no more
#   password = env("HR_PASSWORD")
#   ca_file  = "ca.pem"           # left out: the system's authorities
#   query    = "SELECT id, login, mail, department, status, last_day FROM people WHERE status <> 'external'" # one row a person
#   columns  = ["id", "login", "mail", "department", "status", "last_day"]                                   # what expressions may name
#   anchor    = "id"         # what names a person for life
#   name      = "login"      # what messages call a person by; left out: the anchor
#   container = "department" # one that loses everybody at once is held; left out: none
#   status {                 # who still works here; any other value is a finding, and nothing is done for that person
#     column = "status"
#     active = ["active", "on leave"]
#     left   = ["terminated", "retired"]
#   }
#   # One person, wherever they are: proves that somebody has left. Without it nobody leaves for being missing.
#   find = "SELECT id, login, mail, department, status, last_day FROM people WHERE id = :anchor"
#   complete = "SELECT finished_at IS NOT NULL FROM loads ORDER BY started_at DESC LIMIT 1" # of a table that is loaded in steps: has to say true
#   groups   = "SELECT id, role FROM roles"                                                 # makes member_of() and person.groups work
#   # Who has changed since an instant in UTC; left out: everybody is read in each pass.
#   changes = "SELECT id, login, mail, department, status, last_day FROM people WHERE changed_at >= :since"
#   overlap = "10m"          # longer than any transaction of those who write
#   max_people = 10000000    # a read that exceeds it is refused
#   timeout    = "30s"       # of one look-up, and of each wait for a row
#   leave_date = person.last_day
# }

# Several sources about the same people, joined: one person for each human. Targets read the join instead of its sources.
# join "staff" {
#   source "hr" {                     # in the order of precedence
#     key     = person.employeeNumber # by which entries find each other
#     human   = person.born           # tells two humans apart who are given one key; left out: nothing does
#     several = true                  # one human may have several entries (contracts); left out: they are disputed
#   }
#   source "corp" {
#     key   = person.employeeNumber
#     first = ["mail"]                # about these attributes it has the first word
#   }
#   leaves = ["hr", "corp"]           # whose word ends; left out: all
#   need   = ["hr"]                   # who has no entry there is not active; left out: none
# }

# A target is an application that holds accounts.
target "scim" "wiki" {
  url          = "https://wiki.example.org/scim/v2"
  bearer_token = file("wiki.token")

  mode    = "enforce"  # or "observe": plan and report, write nothing
  sources = ["corp"]   # left out: every source

  # Who should have an account, if they are active. Left out: everyone.
  scope = member_of("wiki-users")

  # How an account that is not linked yet finds its person: by the first of these that exactly one account has.
  correlate = ["externalId", "userName"]

  # Expressions over people (active, rehire, scope, account, entitlements) are HCL's own, with cty's standard functions and these:
  #   person.mail · values("mail") · person.groups · member_of("name or DN") · person.active, .dn, .anchor, .source
  #   is_true(x): TRUE, true, yes, 1 · texts compare without letter case, as the directory compares them
  #   default(x, fallback) · coalesce(x, y, …) · first(list) · concat_ws(separator, parts…) · try(x, y) · lookup(table, key, fallback)
  #   normalize(x): Strauß-Ørsted is Strauss-Orsted · startswith, endswith, strcontains · phone(number, "DE"): E.164, null where it is none
  #   now() · date_parse(x) · date_format(x, "YYYY-MM-DD") · date_add(x, "30d") · date_before(x, y) · date_after(x, y): of generalized
  #     time, FILETIME or ISO 8601 · dn_part(dn, "ou", index) · guid(x) · sid(x)
  #   unique_login("pattern", "pattern{n}"): for joiners, the first login that nobody has
  # An expression that fails holds back that one person, and says so; nobody else waits for them.

  # What accounts look like. Only what is named here is ever written. Paths with dots and extension URNs are quoted.
  account = {
    userName          = lower(person.uid)
    displayName       = person.cn
    "name.givenName"  = person.givenName
    "name.familyName" = person.sn
    emails            = values("mail") # a list; person.mail is the first value, null where absent
    title             = default(person.title, person.employeeType)
    phoneNumbers      = [for n in values("telephoneNumber") : phone(n, "DE")]

    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department" = dn_part(person.dn, "ou")
  }
  entitlements = [for g in person.groups : g if startswith(g, "wiki-")]
  # What of the application is the mapping's alone, by name, or "kind:name" of one kind: nothing else is granted or taken, and what the
  # mapping does not give is taken, whoever granted it. Left out: what dirsweep itself has granted is taken back, and nothing else.
  # manage = ["wiki-*"]

  leaver {
    action       = "disable" # or "delete", or "report": change nothing
    revoke       = true      # end what somebody who is signed in has: sessions, tokens, app passwords
    strip        = true      # take all entitlements away, managed or not; left out: only where `entitlements` are mapped
    delete_after = "30d"     # counted from the proven disable. Left out: never
  }
  on_orphan = "report" # accounts that are nobody's; or "disable", under the guard
  # What somebody changed in the application is put back; "report": left, and a finding. An account that somebody disabled there stays
  # disabled with either, and is a finding; "enforce" enables it, too.
  on_drift = "repair"
  rate     = { per_second = 20, parallel = 8 }

  # Limits of this target alone; whatever is left out is as in the general guard. What it protects is added.
  guard {
    max_sweep_count = 20
    protect         = ["wiki-bot"]
  }
}

# Home-grown applications take part through a program of yours: `dirsweep sample exec`, docs/targets/exec.md.
# Directories hold accounts as well: `dirsweep sample active_directory` and `dirsweep sample ldap` print everything that can be set.
# target "active_directory" "windows" {
#   domain        = "ad.example.org"                     # or url = ["ldaps://dc1.ad.example.org"]
#   bind_dn       = "dirsweep-write@ad.example.org"      # or principal and keytab
#   bind_password = env("AD_PASSWORD")
#   base_dn       = "OU=Staff,DC=ad,DC=example,DC=org"   # accounts are below it, and new ones directly in it
#   external_id   = "employeeID"                         # holds the anchor. "objectGUID": accounts are the people of the source themselves
#   closing { move_to = "OU=Leavers,DC=ad,DC=example,DC=org" } # beside disabling, and a random password
#   account = {
#     userName = lower(person.uid)
#     cn       = person.cn
#     sn       = person.sn
#   }
#   entitlements = [for g in person.groups : g if startswith(g, "ad-")]
# }
# target "ldap" "unix" {
#   url           = "ldaps://unix.example.org"
#   bind_dn       = "cn=dirsweep-write,dc=example,dc=org"
#   bind_password = env("UNIX_PASSWORD")
#   base_dn       = "ou=accounts,dc=example,dc=org"
#   profile       = "openldap"                           # 389, edirectory, freeipa, openldap, samba, shadow, or a list: how accounts are disabled
#   groups  { base_dn = "ou=groups,dc=example,dc=org" }
#   closing { clear = ["sshPublicKey"] }
#   account = {
#     userName = lower(person.uid)
#     cn       = person.cn
#     sn       = person.sn
#   }
# }
# target "sql" "payroll" {                               # an application's table of users: `dirsweep sample sql`
#   driver   = "postgresql"                              # or "mariadb", "mysql"
#   address  = "db.example.org:5432"
#   database = "payroll"
#   user     = "dirsweep"
#   password = env("PAYROLL_PASSWORD")
#   table    = "users"
#   key      = "id"
#   columns  = { userName = "login", displayName = "full_name" }
#   active { column = "enabled" }
#   account = {
#     userName    = lower(person.uid)
#     displayName = person.cn
#   }
# }
# target "sql" "warehouse" {
#   driver   = "postgresql"
#   address  = "warehouse.example.org"
#   database = "warehouse"
#   user     = "dirsweep"
#   password = env("WAREHOUSE_PASSWORD")
#   profile  = "postgresql_roles"                        # the server's own accounts; or "mariadb_accounts"
#   account  = { userName = lower(person.uid) }
#   entitlements = [for g in person.groups : g if startswith(g, "dw-")]
# }
