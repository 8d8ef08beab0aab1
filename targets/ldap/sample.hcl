target "ldap" "unix" {
  url           = "ldaps://ldap.example.org"      # the server that takes writes
  ca_file       = "ca.pem"
  bind_dn       = "cn=dirsweep-write,dc=example,dc=org"
  bind_password = env("UNIX_PASSWORD")
  base_dn       = "ou=accounts,dc=example,dc=org" # accounts are below it, and new ones directly in it
  profile       = "openldap"                      # 389, edirectory, freeipa, openldap, samba, shadow, or a list of them
  # object_classes   = ["inetOrgPerson", "posixAccount"]
  # id               = "entryUUID"                # never changes; nsUniqueId, ipaUniqueID elsewhere
  # user_name        = "uid"
  # external_id      = "employeeNumber"           # holds the person's anchor, where an attribute is free for it
  # initial_password = "random"                   # default: "none"
  groups {
    base_dn = "ou=groups,dc=example,dc=org"
    # placeholder_member = "cn=nobody"            # stands in for the last member of a group that may not be empty
  }
  closing {
    # move_to      = "ou=former,dc=example,dc=org"
    # stamp        = "description"
    # clear        = ["sshPublicKey", "userCertificate"]
    # reset_password = false                        # default: a random one, and a look whether it opens anything
  }

  account = {
    userName  = lower(person.uid)
    cn        = person.cn
    sn        = person.sn
    mail      = values("mail")
    # container = "ou=${person.departmentNumber},ou=accounts,dc=example,dc=org"
  }
  entitlements = [for g in person.groups : g if startswith(g, "unix-")]
}
