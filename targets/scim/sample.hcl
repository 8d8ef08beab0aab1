target "scim" "wiki" {
  url          = "https://wiki.example.org/scim/v2"
  bearer_token = file("wiki.token")               # or env("WIKI_TOKEN"), credential("wiki")
  # basic { username = "dirsweep", password = env("WIKI_PASSWORD") }
  # oauth {
  #   token_url     = "https://login.example.org/oauth2/token"
  #   client_id     = "dirsweep"
  #   client_secret = env("WIKI_SECRET")
  #   scopes        = ["scim"]
  # }
  # cert_file = "client.pem"                      # mutual TLS, with key_file
  # key_file  = "client.key"
  # ca_file   = "ca.pem"                          # default: the system's roots
  # profile   = "okta"                            # aws, entra, github, gitlab, miro, okta, okta-put, salesforce, slack, snowflake
  # page_size = 500
  # timeout   = "30s"                             # of one request

  correlate = ["externalId", "userName"]
  account = {
    userName          = lower(person.uid)
    displayName       = person.cn
    "name.givenName"  = person.givenName
    "name.familyName" = person.sn
    emails            = values("mail")
  }
}
