package ldapclient

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sources/arguments"
	"github.com/dirsweep/dirsweep/sources/internal/kerberos"
)

// defaultTimeout is how long one request may take with its whole answer.
const defaultTimeout = time.Minute

// A Decoder reads the arguments of a block that names a directory.
type Decoder struct{ *arguments.Reader }

// Access reads how to connect and sign in, and refuses what would send a password in the clear (R15).
func (d Decoder) Access() Access {
	a := Access{
		URLs: d.Texts("url"), startTLS: d.Flag("starttls", false), Insecure: d.Flag("tls_insecure", false),
		CAFile: d.Path("ca_file"), certFile: d.Path("cert_file"), keyFile: d.Path("key_file"),
		BindDN: d.Text("bind_dn", ""), Password: d.Secret("bind_password"), Timeout: d.Duration("timeout", defaultTimeout),
	}
	if d.Has("url") && len(a.URLs) == 0 {
		d.Fail("url", "No server", `Write url = "ldaps://ldap.example.org".`)
	}
	for _, address := range a.URLs {
		u, _, _, err := parseURL(address)
		switch {
		case err != nil:
			d.Fail("url", "Not an LDAP URL", err.Error()+".")
		case u.Scheme == "ldap" && !a.startTLS && !loopback(u):
			d.Fail(
				"url",
				"Unencrypted connection",
				fmt.Sprintf("%s would send the password in the clear. Write ldaps://, or add starttls = true.", address),
			)
		case u.Scheme != "ldap" && a.startTLS:
			d.Fail("starttls", "StartTLS without ldap://", fmt.Sprintf("%s needs no StartTLS: take the argument away.", address))
		case a.Insecure && !loopback(u):
			d.Fail(
				"tls_insecure",
				"Unverified certificate",
				fmt.Sprintf("%s is not on this machine. Name the authority in ca_file instead.", address),
			)
		}
	}
	if a.Insecure && d.Has("domain") {
		d.Fail("tls_insecure", "Unverified certificate",
			"A domain's controllers are not on this machine. Name their authority in ca_file instead.")
	}
	if a.Insecure && !d.Bad["tls_insecure"] {
		d.Warn(
			"tls_insecure",
			"Unverified certificate",
			"Whoever can listen on this machine can read the directory. Name the authority in ca_file instead.",
		)
	}
	if (a.certFile == "") != (a.keyFile == "") {
		d.Fail(d.Either("cert_file", "key_file"), "Half a client certificate", "cert_file and key_file go together.")
	}
	d.bind(&a)
	return a
}

// catalog reports whether a URL is of a Global Catalog (MS-ADTS 3.1.1.3.1.10).
func catalog(address string) bool {
	u, _, _, err := parseURL(address)
	return err == nil && (u.Port() == "3268" || u.Port() == "3269")
}

// dnsName is a name in DNS (RFC 1123, 2.1), of more than one label.
var dnsName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// siteName is the name of a site, as it is in the names of its controllers' records.
var siteName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// Controllers reads where a domain's controllers are: named, or found in DNS.
func (d Decoder) Controllers(a *Access) {
	a.domain, a.site = d.Text("domain", ""), d.Text("site", "")
	switch named := d.Has("url"); {
	case named && d.Has("domain"):
		d.Fail("domain", "Two ways to find the controllers",
			"url names them, and domain has them looked up in DNS: take one of the two away.")
	case !named && !d.Has("domain"):
		d.Fail("url", "No domain controller", `Write domain = "ad.example.org", to have its controllers looked up in DNS, `+
			`or url = ["ldaps://dc1.ad.example.org"].`)
	case !named && !dnsName.MatchString(a.domain):
		d.Fail("domain", "Not a domain",
			fmt.Sprintf(`%q is not the DNS name of a domain, such as "ad.example.org".`, a.domain))
	case slices.ContainsFunc(a.URLs, catalog):
		d.Fail("url", "A Global Catalog", "It holds a part of each object's attributes and members, so that much would seem to be missing. "+
			"Write the URL without its port, ldaps://dc1.ad.example.org: a controller of the domain knows everything of its people.")
	case a.domain == "" && a.site != "":
		d.Fail("site", "A site without a domain",
			"The controllers that url names are tried in its order: take site away.")
	case a.site != "" && !siteName.MatchString(a.site):
		d.Fail("site", "Not a site",
			fmt.Sprintf(`%q is not the name of a site, such as "Default-First-Site-Name".`, a.site))
	}
}

// bind settles how to sign in. Without a password many servers take a simple bind for an anonymous one and show
// nobody: refused here.
func (d Decoder) bind(a *Access) {
	a.kerberos = kerberos.Account{
		Principal: d.Text("principal", ""), Keytab: d.Path("keytab"),
		Cache: d.Path("credential_cache"), Config: d.Path("krb5_conf"),
	}
	preset := ""
	switch {
	case d.Has("bind_dn"):
		preset = BindSimple
	case d.Has("keytab") || d.Has("credential_cache"):
		preset = BindKerberos
	}
	a.Bind = d.Text("bind", preset)
	for _, name := range []string{"principal", "keytab", "credential_cache", "krb5_conf"} {
		if a.Bind != BindKerberos && d.Has(name) {
			d.Fail(name, "Unused argument", name+` is for bind = "kerberos": take it away, or bind_dn and bind_password.`)
			return
		}
	}
	switch a.Bind {
	case BindSimple:
		if a.BindDN == "" {
			d.Fail(d.Either("bind_dn", "bind"), "Nobody to sign in as", `Write bind_dn = "cn=dirsweep,dc=example,dc=org".`)
		}
		if a.Password.IsZero() && !d.Bad["bind_password"] {
			d.Fail(
				d.Either("bind_password", "bind_dn"),
				"Empty bind_password",
				"A server may take a bind without a password for an anonymous one "+
					`and then show nobody. Write bind_password = env("LDAP_PASSWORD"), and check that the variable or file is not empty.`,
			)
		}
	case BindExternal, BindAnonymous:
		if d.Has("bind_dn") || d.Has("bind_password") {
			d.Fail(
				d.Either("bind_dn", "bind_password"),
				"Unused credentials",
				fmt.Sprintf("bind = %q sends neither bind_dn nor bind_password: take them away.", a.Bind),
			)
		}
	case BindKerberos:
		d.kerberos(a)
	case "":
		d.Fail(
			"bind_dn",
			"No way to sign in",
			`Write bind_dn and bind_password, bind = "kerberos", or bind = "external" (client certificate, or ldapi://), or, if you mean it, bind = "anonymous".`,
		)
	default:
		d.Fail("bind", "Unknown way to sign in", fmt.Sprintf(`%q is none of "simple", "kerberos", "external" and "anonymous".`, a.Bind))
	}
}

// kerberos settles by what to get a ticket.
func (d Decoder) kerberos(a *Access) {
	k := a.kerberos
	_, _, trouble := kerberos.SplitPrincipal(k.Principal)
	switch {
	case d.Has("bind_dn") || d.Has("bind_password"):
		d.Fail(d.Either("bind_dn", "bind_password"), "Unused credentials",
			`bind = "kerberos" sends neither bind_dn nor bind_password: take them away.`)
	case k.Keytab == "" && k.Cache == "":
		d.Fail("bind", "No key and no ticket", `Write principal = "dirsweep@AD.EXAMPLE.ORG" and keytab = "dirsweep.keytab", or `+
			`credential_cache = "/run/dirsweep/krb5cc".`)
	case k.Keytab != "" && k.Cache != "":
		d.Fail("credential_cache", "A key and a ticket", "keytab is a key of the account, and credential_cache tickets that were got "+
			"with one: take one of the two away.")
	case k.Keytab != "" && trouble != nil:
		d.Fail(d.Either("principal", "keytab"), "Not a principal",
			`Write principal = "dirsweep@AD.EXAMPLE.ORG": whose key the keytab has.`)
	}
	for _, address := range a.URLs {
		if u, _, _, err := parseURL(address); err == nil && u.Scheme == "ldapi" {
			d.Fail("bind", "Kerberos over a socket", address+` is on this machine: write bind = "external".`)
		}
	}
}

// DNs reads a list of distinguished names.
func (d Decoder) DNs(name string) []string {
	list := d.Texts(name)
	if d.Has(name) && len(list) == 0 && !d.Bad[name] {
		d.Fail(name, "Empty "+name, fmt.Sprintf(`Write %s = "ou=people,dc=example,dc=org".`, name))
	}
	for _, dn := range list {
		if normal, err := NormalDN(dn); err != nil || normal == "" {
			d.Fail(
				name,
				"Not a distinguished name",
				fmt.Sprintf(`%q is not a distinguished name such as "ou=people,dc=example,dc=org".`, dn),
			)
		}
	}
	return list
}

// Filter reads a search filter (RFC 4515); the outer parentheses may be left out.
func (d Decoder) Filter(name, preset string) string {
	text := d.Text(name, preset)
	if text != "" && !strings.HasPrefix(text, "(") {
		text = "(" + text + ")"
	}
	if err := compile(text); err != nil {
		d.Fail(
			name,
			"Not a search filter",
			fmt.Sprintf(`%s: %v. A filter reads like "(&(objectClass=inetOrgPerson)(employeeType=staff))".`, text, err),
		)
		return preset
	}
	return text
}

// Attribute refuses what cannot be the name of an attribute (RFC 4512, 2.5): it would change the filters that it
// becomes part of.
func (d Decoder) Attribute(name, attribute string) {
	if err := CheckAttribute(attribute); err != nil {
		d.Fail(name, "Not an attribute name", err.Error()+".")
	}
}

// CheckAttribute says why a text cannot be the name of an attribute (RFC 4512, 2.5).
func CheckAttribute(name string) error {
	if name == "" || strings.ContainsFunc(strings.ToLower(name), func(r rune) bool { return notInName(r) && r != ';' }) {
		return fmt.Errorf("%q cannot be the name of an attribute", name)
	}
	return nil
}
