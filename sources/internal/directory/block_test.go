package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

const sound = `
url           = "ldaps://ldap.example.org"
bind_dn       = "cn=dirsweep,dc=example,dc=org"
bind_password = env("PASSWORD")
base_dn       = "ou=people,dc=example,dc=org"
`

// decoding decodes a block with an env() that knows PASSWORD alone.
func decoding(t testing.TB, text string) (spec, hcl.Diagnostics) {
	t.Helper()
	return decodingAs(t, plain(), text)
}

func decodingAs(t testing.TB, dialect Dialect, text string) (spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	env := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[0].AsString() == "PASSWORD" {
				return cty.StringVal("hunter2").Mark("secret"), nil
			}
			return cty.StringVal(""), nil
		},
	})
	s, diags := dialect.decode(file.Body, sources.Env{
		Name: "corp", Dir: "/etc/dirsweep", Eval: &hcl.EvalContext{Functions: map[string]function.Function{"env": env}},
	})
	return s.(spec), diags
}

func TestDecode(t *testing.T) {
	s, diags := decoding(t, sound+`
url2 = "x"
`)
	if got := fmt.Sprint(diags); !strings.Contains(got, "config.hcl:7") {
		t.Error(got)
	}
	s, diags = decoding(t, `
url           = ["ldap://a.example.org", "ldap://b.example.org:3389"]
starttls      = true
ca_file       = "ca.pem"
bind_dn       = "cn=dirsweep,dc=example,dc=org"
bind_password = env("PASSWORD")
base_dn       = ["ou=people,dc=example,dc=org", "ou=guests,dc=example,dc=org"]
filter        = "objectClass=inetOrgPerson"
anchor        = "objectGUID"
attributes    = ["acmeBadge", "GIVENNAME"]
page_size     = 0
timeout       = "5s"
groups { base_dn = "ou=groups,dc=example,dc=org" }
`)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if s.CAFile != "/etc/dirsweep/ca.pem" || s.filter != "(objectClass=inetOrgPerson)" || s.pageSize != 0 || s.Timeout != 5*time.Second ||
		len(s.URLs) != 2 || len(s.bases) != 2 || s.Password.Reveal() != "hunter2" ||
		s.name != "sAMAccountName" ||
		!s.groups.byLogin() {
		t.Errorf("%+v", s)
	}
	names := s.Attributes()
	for _, want := range []string{"acmeBadge", "GIVENNAME", "mail", "nsAccountLock", "eduPersonPrincipalName", "userAccountControl", "entryUUID"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not known", want)
		}
	}
	if slices.Contains(names, "givenName") || !slices.IsSorted(names) {
		t.Error("the block's spelling does not prevail, or the names are not sorted")
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", s, s), "hunter2") {
		t.Error("the password is printed")
	}
}

func TestMistakes(t *testing.T) {
	without := func(name string) string {
		var kept []string
		for line := range strings.Lines(sound) {
			if !strings.HasPrefix(line, name+" ") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	tests := []struct {
		name, config, want string
	}{
		{
			"unknown argument",
			sound + `page_siz = 1`,
			`config.hcl:6,1-9: Unsupported argument; An argument named "page_siz" is not expected here. Did you mean "page_size"?`,
		},
		{"missing argument", without("base_dn"), `Missing required argument; The argument "base_dn" is required`},
		{
			"plain ldap",
			without("url") + `url = "ldap://ldap.example.org"`,
			`config.hcl:5,7-32: Unencrypted connection; ldap://ldap.example.org would send the password in the clear`,
		},
		{
			"not a URL",
			without("url") + `url = "ldap.example.org"`,
			`"ldap.example.org" is not an ldaps://, ldap:// or ldapi:// URL`,
		},
		{
			"URL with a base",
			without("url") + `url = "ldaps://ldap.example.org/dc=example"`,
			"a url holds only scheme, host and port",
		},
		{"no server", without("url") + `url = []`, "No server"},
		{
			"unverified",
			sound + `tls_insecure = true`,
			"config.hcl:6,16-20: Unverified certificate; ldaps://ldap.example.org is not on this machine",
		},
		{"StartTLS over ldaps", sound + `starttls = true`, "StartTLS without ldap://"},
		{
			"empty password",
			without("bind_password") + `bind_password = env("NONE")`,
			"config.hcl:5,17-28: Empty bind_password",
		},
		{"no password", without("bind_password"), "Empty bind_password"},
		{"no way to sign in", `
url = "ldaps://ldap.example.org"
base_dn = "dc=example,dc=org"`, "No way to sign in"},
		{"unused credentials", sound + `bind = "external"`, "Unused credentials"},
		{"unknown way to sign in", sound + `bind = "ntlm"`, `"ntlm" is none of`},
		{"half a certificate", sound + `cert_file = "a.pem"`, "config.hcl:6,13-20: Half a client certificate"},
		{
			"an excluded base", sound + `exclude_dn = "dc=example,dc=org"`,
			`config.hcl:6,14-33: A base_dn that is excluded; A base_dn is below "dc=example,dc=org"`,
		},
		{"nothing to exclude", sound + `exclude_dn = "ou=x,dc=example,dc=com"`, "Nothing to exclude"},
		{"no DN to exclude", sound + `exclude_dn = "service accounts"`, "Not a distinguished name"},
		{"bad filter", sound + `filter = "(&(a=b)"`, "config.hcl:6,10-19: Not a search filter; (&(a=b):"},
		{"two filters", sound + `filter = "(a=b)(c=d)"`, "Not a search filter"},
		{"bad base", without("base_dn") + `base_dn = "people"`, "Not a distinguished name"},
		{"anchor that is no name", sound + `anchor = "uid)(x"`, "Not an attribute name"},
		{"anchor that changes", sound + `anchor = "uid"`, "An anchor that can change"},
		{"page size", sound + `page_size = 1.5`, "config.hcl:6,13-16: Number out of range"},
		{"page size, negative", sound + `page_size = -1`, "Number out of range"},
		{"timeout", sound + `timeout = "5"`, "Not a duration"},
		{"wrong type", sound + `starttls = "maybe"`, "config.hcl:6,12-19: Wrong type"},
		{
			"two groups blocks",
			sound + "groups { base_dn = \"ou=a\" }\ngroups { base_dn = \"ou=b\" }",
			"A second groups block",
		},
		{"groups without a base", sound + "groups {}", `The argument "base_dn" is required`},
		{
			"groups filter",
			sound + "groups {\n base_dn = \"ou=a\"\n filter = \"(\"\n}",
			"config.hcl:8,11-14: Not a search filter",
		},
		{"depth", sound + `scope_depth = "base"`, "Unknown depth"},
		{"literal password", without("bind_password") + `bind_password = "hunter2"`, `A secret in the config`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := decoding(t, tt.config)
			var all []string
			for _, diag := range diags {
				all = append(all, diag.Error())
			}
			got := strings.Join(all, "\n")
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			if len(diags) > 1 {
				t.Errorf("more than one complaint:\n%s", got)
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the password is shown: %s", got)
			}
		})
	}
}

// TestControllers: a domain's controllers are named, or found in DNS.
func TestControllers(t *testing.T) {
	const sound = `bind_dn = "svc@ad.example.org"
bind_password = env("PASSWORD")
base_dn = "dc=ad,dc=example,dc=org"
`
	domain := Dialect{Kind: "active_directory", Anchor: "objectGUID", Domain: true}
	for name, c := range map[string]struct {
		dialect Dialect
		lines   string
		want    string
	}{
		"named":               {domain, `url = "ldaps://dc1.ad.example.org"`, ""},
		"in DNS":              {domain, `domain = "ad.example.org"`, ""},
		"in DNS, of a site":   {domain, "domain = \"ad.example.org\"\nsite = \"Default-First-Site-Name\"", ""},
		"neither":             {domain, ``, `No domain controller; Write domain = "ad.example.org"`},
		"both":                {domain, "url = \"ldaps://dc1.ad.example.org\"\ndomain = \"ad.example.org\"", "config.hcl:5,10-26: Two ways to find the controllers"},
		"a NetBIOS name":      {domain, `domain = "EXAMPLE"`, `"EXAMPLE" is not the DNS name of a domain`},
		"a URL":               {domain, `domain = "ldaps://ad.example.org"`, "is not the DNS name of a domain"},
		"empty":               {domain, `domain = ""`, "is not the DNS name of a domain"},
		"a site that is none": {domain, "domain = \"ad.example.org\"\nsite = \"a.b\"", "Not a site"},
		"a key": {
			domain, "url = \"ldaps://dc1.ad.example.org\"\nprincipal = \"svc@AD.EXAMPLE.ORG\"\nkeytab = \"svc.keytab\"",
			"Unused argument; principal is for",
		},
		"a Global Catalog":     {domain, `url = ["ldaps://dc1.ad.example.org", "ldaps://dc2.ad.example.org:3269"]`, "A Global Catalog; It holds a part"},
		"a site, and named":    {domain, "url = \"ldaps://dc1.ad.example.org\"\nsite = \"Berlin\"", "A site without a domain"},
		"unverified":           {domain, "domain = \"ad.example.org\"\ntls_insecure = true", "A domain's controllers are not on this machine"},
		"LDAP has no domain":   {Dialect{Kind: "ldap", Anchor: "entryUUID"}, "url = \"ldaps://a.example.org\"\ndomain = \"ad.example.org\"", "Unsupported argument"},
		"LDAP has to be named": {Dialect{Kind: "ldap", Anchor: "entryUUID"}, ``, `The argument "url" is required`},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := decodingAs(t, c.dialect, sound+c.lines)
			if got := diags.Error(); diags.HasErrors() != (c.want != "") || !strings.Contains(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// TestKerberosArguments: a key or a ticket, of a principal.
func TestKerberosArguments(t *testing.T) {
	for lines, want := range map[string]string{
		`principal = "svc@AD.EXAMPLE.ORG" keytab = "svc.keytab"`:                      "",
		`bind = "kerberos" credential_cache = "/run/cc" krb5_conf = "/etc/krb5.conf"`: "",
		`bind = "kerberos" principal = "svc@AD.EXAMPLE.ORG"`:                          "No key and no ticket",
		`principal = "svc" keytab = "svc.keytab"`:                                     "Not a principal",
		`keytab = "svc.keytab"`:                                                       "Not a principal",
		`principal = "svc@X" keytab = "svc.keytab" credential_cache = "cc"`:           "A key and a ticket",
		`bind = "kerberos" keytab = "k" principal = "a@X" bind_dn = "cn=x"`:           "Unused credentials",
		`bind = "external" keytab = "svc.keytab"`:                                     "Unused argument",
	} {
		text := "url = \"ldaps://dc1.ad.example.org\"\nbase_dn = \"dc=ad,dc=example,dc=org\"\n" + strings.ReplaceAll(lines, "\" ", "\"\n")
		s, diags := decoding(t, text)
		if got := diags.Error(); diags.HasErrors() != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %s", lines, got, want)
		}
		if want == "" && s.Bind != ldapclient.BindKerberos {
			t.Errorf("%s: %s", lines, s.Bind)
		}
	}
}

func TestGroupsNeedABlock(t *testing.T) {
	s, _ := decoding(t, sound)
	if _, err := s.Open(sources.Need{Groups: true}); err == nil ||
		!strings.Contains(err.Error(), `groups { base_dn = "ou=groups,…" }`) {
		t.Error(err)
	}
}
