source "ldap" "corp" {
  url           = "ldaps://ldap.example.org" # or a list, tried in order; ldap:// asks for starttls = true, or loopback
  ca_file       = "ca.pem"                   # default: the system's authorities
  bind_dn       = "cn=dirsweep,dc=example,dc=org"
  bind_password = env("LDAP_PASSWORD") # or file("…"), credential("…")
  base_dn       = "ou=people,dc=example,dc=org"
  filter        = "(objectClass=inetOrgPerson)"
  anchor        = "entryUUID" # 389 DS: "nsUniqueId"; Active Directory: "objectGUID"
  name          = "uid"       # what messages call a person by
  page_size     = 500         # no more than the server allows; 0 reads without pages
  timeout       = "60s"       # of one page
  attributes    = []          # attributes of your own schema that expressions name
  groups {
    base_dn = "ou=groups,dc=example,dc=org" # makes member_of() and person.groups work, nested groups included
  }
}
