source "active_directory" "corp" {
  url           = ["ldaps://dc1.ad.example.org", "ldaps://dc2.ad.example.org"] # tried in order
  ca_file       = "ca.pem"                                                     # default: the system's authorities
  bind_dn       = "dirsweep@ad.example.org"
  bind_password = env("AD_PASSWORD") # or file("…"), credential("…")
  base_dn       = "OU=people,DC=ad,DC=example,DC=org"
  filter        = "(&(objectCategory=person)(objectClass=user))"
  name          = "sAMAccountName" # what messages call a person by
  page_size     = 1000             # no more than the domain allows (MaxPageSize)
  timeout       = "60s"            # of one page
  attributes    = []               # attributes of your own schema that expressions name
  groups {
    base_dn = "OU=groups,DC=ad,DC=example,DC=org" # makes member_of() and person.groups work, nested groups included
  }
}
