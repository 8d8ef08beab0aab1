target "active_directory" "partner" {
  domain    = "ad.example.org"                    # or url = ["ldaps://dc1.ad.example.org"]
  ca_file   = "ca.pem"
  principal = "dirsweep-write@AD.EXAMPLE.ORG"     # or bind_dn and bind_password
  keytab    = "dirsweep-write.keytab"
  base_dn   = "OU=Staff,DC=ad,DC=example,DC=org"  # accounts are below it, and new ones directly in it
  # external_id = "employeeID"                    # holds the person's anchor, where an attribute is free for it
  # initial_password     = "none"                 # default: "random", to be changed at the first sign-in
  # must_change_password = false
  # delete_children      = ["msExchActiveSyncDevices", "msExchActiveSyncDevice"]
  # groups { base_dn = "OU=Groups,DC=ad,DC=example,DC=org" } # default: the whole domain
  closing {
    move_to = "OU=Leavers,DC=ad,DC=example,DC=org"
    # reset_password = false
    # expire = true
    # stamp  = "description"
    # hide   = true                               # from Exchange's address lists
    # clear  = ["userCertificate"]
  }

  account = {
    userName          = lower(person.uid)         # sAMAccountName
    userPrincipalName = "${lower(person.uid)}@ad.example.org"
    cn                = person.cn
    displayName       = person.cn
    givenName         = person.givenName
    sn                = person.sn
    mail              = person.mail
    # container       = "OU=${person.departmentNumber},OU=Staff,DC=ad,DC=example,DC=org"
  }
  entitlements = [for g in person.groups : g if startswith(g, "ad-")]
}
