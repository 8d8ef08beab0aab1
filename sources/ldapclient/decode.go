package ldapclient

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dirsweep/dirsweep/sources/internal/kerberos"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// defaultTimeout is how long one request may take with its whole answer.
const defaultTimeout = time.Minute

// Access reads how to connect and sign in, and refuses what would send a password in the clear (R15).
func (d *Decoder) Access() Access {
	a := Access{
		URLs: d.Texts("url"), startTLS: d.Flag("starttls", false), Insecure: d.Flag("tls_insecure", false),
		CAFile: d.path("ca_file"), certFile: d.path("cert_file"), keyFile: d.path("key_file"),
		BindDN: d.Text("bind_dn", ""), Password: d.secret("bind_password"), Timeout: d.duration("timeout", defaultTimeout),
	}
	if d.Arguments["url"] != nil && len(a.URLs) == 0 {
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
	if a.Insecure && d.Arguments["domain"] != nil {
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
		d.Fail(d.either("cert_file", "key_file"), "Half a client certificate", "cert_file and key_file go together.")
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
func (d *Decoder) Controllers(a *Access) {
	a.domain, a.site = d.Text("domain", ""), d.Text("site", "")
	switch named := d.Arguments["url"] != nil; {
	case named && d.Arguments["domain"] != nil:
		d.Fail("domain", "Two ways to find the controllers",
			"url names them, and domain has them looked up in DNS: take one of the two away.")
	case !named && d.Arguments["domain"] == nil:
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
func (d *Decoder) bind(a *Access) {
	a.kerberos = kerberos.Account{
		Principal: d.Text("principal", ""), Keytab: d.path("keytab"),
		Cache: d.path("credential_cache"), Config: d.path("krb5_conf"),
	}
	preset := ""
	switch {
	case d.Arguments["bind_dn"] != nil:
		preset = BindSimple
	case d.Arguments["keytab"] != nil || d.Arguments["credential_cache"] != nil:
		preset = BindKerberos
	}
	a.Bind = d.Text("bind", preset)
	for _, name := range []string{"principal", "keytab", "credential_cache", "krb5_conf"} {
		if a.Bind != BindKerberos && d.Arguments[name] != nil {
			d.Fail(name, "Unused argument", name+` is for bind = "kerberos": take it away, or bind_dn and bind_password.`)
			return
		}
	}
	switch a.Bind {
	case BindSimple:
		if a.BindDN == "" {
			d.Fail(d.either("bind_dn", "bind"), "Nobody to sign in as", `Write bind_dn = "cn=dirsweep,dc=example,dc=org".`)
		}
		if a.Password.IsZero() && !d.Bad["bind_password"] {
			d.Fail(
				d.either("bind_password", "bind_dn"),
				"Empty bind_password",
				"A server may take a bind without a password for an anonymous one "+
					`and then show nobody. Write bind_password = env("LDAP_PASSWORD"), and check that the variable or file is not empty.`,
			)
		}
	case BindExternal, BindAnonymous:
		if d.Arguments["bind_dn"] != nil || d.Arguments["bind_password"] != nil {
			d.Fail(
				d.either("bind_dn", "bind_password"),
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
func (d *Decoder) kerberos(a *Access) {
	k := a.kerberos
	_, _, trouble := kerberos.SplitPrincipal(k.Principal)
	switch {
	case d.Arguments["bind_dn"] != nil || d.Arguments["bind_password"] != nil:
		d.Fail(d.either("bind_dn", "bind_password"), "Unused credentials",
			`bind = "kerberos" sends neither bind_dn nor bind_password: take them away.`)
	case k.Keytab == "" && k.Cache == "":
		d.Fail("bind", "No key and no ticket", `Write principal = "dirsweep@AD.EXAMPLE.ORG" and keytab = "dirsweep.keytab", or `+
			`credential_cache = "/run/dirsweep/krb5cc".`)
	case k.Keytab != "" && k.Cache != "":
		d.Fail("credential_cache", "A key and a ticket", "keytab is a key of the account, and credential_cache tickets that were got "+
			"with one: take one of the two away.")
	case k.Keytab != "" && trouble != nil:
		d.Fail(d.either("principal", "keytab"), "Not a principal",
			`Write principal = "dirsweep@AD.EXAMPLE.ORG": whose key the keytab has.`)
	}
	for _, address := range a.URLs {
		if u, _, _, err := parseURL(address); err == nil && u.Scheme == "ldapi" {
			d.Fail("bind", "Kerberos over a socket", address+` is on this machine: write bind = "external".`)
		}
	}
}

// A Decoder reads arguments and keeps every mistake, each at its line.
type Decoder struct {
	Arguments   hcl.Attributes
	Eval        *hcl.EvalContext
	Dir         string // the config's folder: relative paths start here
	Diagnostics hcl.Diagnostics
	Missing     hcl.Range
	Bad         map[string]bool // arguments that have been complained about
}

func (d *Decoder) Fail(name, summary, detail string) { d.say(hcl.DiagError, name, summary, detail) }

func (d *Decoder) Warn(name, summary, detail string) { d.say(hcl.DiagWarning, name, summary, detail) }

func (d *Decoder) say(severity hcl.DiagnosticSeverity, name, summary, detail string) {
	diag := &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: d.Missing.Ptr()}
	if attr := d.Arguments[name]; attr != nil {
		diag.Subject, diag.Context = attr.Expr.Range().Ptr(), attr.Range.Ptr()
	}
	if severity == hcl.DiagError {
		if d.Bad == nil {
			d.Bad = make(map[string]bool)
		}
		d.Bad[name] = true
	}
	d.Diagnostics = d.Diagnostics.Append(diag)
}

// either is the first of names that the block has, for a place to complain at.
func (d *Decoder) either(names ...string) string {
	for _, name := range names {
		if d.Arguments[name] != nil {
			return name
		}
	}
	return names[0]
}

// value evaluates an argument; ok is false where it is absent, null or wrong.
func (d *Decoder) value(name string, want cty.Type) (v cty.Value, ok bool) {
	attr := d.Arguments[name]
	if attr == nil {
		return cty.NilVal, false
	}
	v, diags := attr.Expr.Value(d.Eval)
	d.Diagnostics = d.Diagnostics.Extend(diags)
	if diags.HasErrors() {
		if d.Bad == nil {
			d.Bad = make(map[string]bool)
		}
		d.Bad[name] = true
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() || !v.IsWhollyKnown() {
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		d.Fail(name, "Wrong type", fmt.Sprintf("%s: %s.", name, err))
		return cty.NilVal, false
	}
	return v, true
}

func (d *Decoder) Text(name, preset string) string {
	if v, ok := d.value(name, cty.String); ok {
		return strings.TrimSpace(v.AsString())
	}
	return preset
}

// Texts reads a list, or one text that stands for a list of one.
func (d *Decoder) Texts(name string) []string {
	attr := d.Arguments[name]
	if attr == nil {
		return nil
	}
	if v, diags := attr.Expr.Value(d.Eval); !diags.HasErrors() && v.Type() == cty.String {
		if one := d.Text(name, ""); one != "" {
			return []string{one}
		}
		return nil
	}
	v, ok := d.value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	var list []string
	for _, item := range v.AsValueSlice() {
		if !item.IsNull() && item.AsString() != "" {
			list = append(list, item.AsString())
		}
	}
	return list
}

// Flag reads true or false.
func (d *Decoder) Flag(name string, preset bool) bool {
	v, ok := d.value(name, cty.Bool)
	if !ok {
		return preset
	}
	return v.True()
}

func (d *Decoder) Count(name string, preset, least, most int) int {
	v, ok := d.value(name, cty.Number)
	if !ok {
		return preset
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < int64(least) || n > int64(most) {
		d.Fail(name, "Number out of range", fmt.Sprintf("%s is a whole number from %d to %d.", name, least, most))
		return preset
	}
	return int(n)
}

func (d *Decoder) duration(name string, preset time.Duration) time.Duration {
	text := d.Text(name, "")
	if text == "" {
		return preset
	}
	span, err := time.ParseDuration(text)
	if err != nil || span < time.Millisecond {
		d.Fail(name, "Not a duration", fmt.Sprintf(`%s is a time span such as "30s" or "2m".`, name))
		return preset
	}
	return span
}

// path reads a file name; relative ones start at the config's folder.
func (d *Decoder) path(name string) string {
	file := d.Text(name, "")
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(d.Dir, file)
}

// secret reads a secret, and warns of one that is written into the config itself.
func (d *Decoder) secret(name string) identity.Secret {
	v, ok := d.value(name, cty.String)
	if !ok {
		return identity.Secret{}
	}
	if _, diags := hcl.ExprCall(d.Arguments[name].Expr); diags.HasErrors() && len(d.Arguments[name].Expr.Variables()) == 0 &&
		v.AsString() != "" {
		d.Warn(
			name,
			"A secret in the config",
			fmt.Sprintf(
				`Whoever may read the config can read it. Write %s = env("NAME"), file("path") or credential("name").`,
				name,
			),
		)
	}
	return identity.NewSecret(v.AsString())
}

func (d *Decoder) DNs(name string) []string {
	list := d.Texts(name)
	if d.Arguments[name] != nil && len(list) == 0 && !d.Bad[name] {
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
func (d *Decoder) Filter(name, preset string) string {
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
func (d *Decoder) Attribute(name, attribute string) {
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
