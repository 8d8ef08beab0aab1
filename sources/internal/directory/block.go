package directory

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/internal/kerberos"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Dialect is what the kinds that read directories differ in.
type Dialect struct {
	Kind   string // the first label of its block
	Sample string
	Anchor string // the default
	Domain bool   // its servers are domain controllers
}

// Of makes a kind of a dialect.
func Of(d Dialect) sources.Kind {
	return sources.Kind{Name: d.Kind, Sample: d.Sample, Decode: d.decode}
}

// block is a decoded source block.
type block struct {
	access
	bases      []string
	scope      int
	filter     string
	anchor     anchor
	name       string // the attribute of Person.Name
	pageSize   uint32
	maxEntries int
	findBases  []string
	excluded   []string // DNs below which nobody is read
	ignored    []string
	attributes []string // declared beyond the known ones
	groups     *groupsBlock
}

// spec is a block with its name.
type spec struct {
	block
	source string
}

// Attributes implements sources.Spec.
func (s spec) Attributes() []string {
	return vocabulary(append([]string{s.anchor.name, s.name}, s.attributes...)...)
}

// CaseSensitive implements sources.Spec: attribute names of LDAP are not (RFC 4512, 2.5).
func (s spec) CaseSensitive() bool { return false }

// Exact implements sources.Spec.
func (s spec) Exact() []string { return exact() }

// Open implements sources.Spec.
func (s spec) Open(need sources.Need) (sources.Source, error) { return s.open(s.source, need) }

// The defaults.
const (
	defaultFilter       = "(objectClass=person)"
	directoryFilter     = "(&(objectCategory=person)(objectClass=user))" // on Active Directory computers are persons, too
	defaultGroupsFilter = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=groupOfEntries)" +
		"(objectClass=posixGroup)(objectClass=group))"
	defaultPageSize   = 500
	defaultMaxEntries = 10_000_000
	defaultTimeout    = time.Minute
)

func names(list ...string) []hcl.AttributeSchema {
	schemas := make([]hcl.AttributeSchema, len(list))
	for i, name := range list {
		schemas[i] = hcl.AttributeSchema{Name: name, Required: name == "base_dn"}
	}
	return schemas
}

// arguments are those of a block.
func (dialect Dialect) arguments() []hcl.AttributeSchema {
	list := names(
		"starttls", "ca_file", "cert_file", "key_file", "tls_insecure", "bind", "bind_dn", "bind_password", "principal",
		"keytab", "credential_cache", "krb5_conf", "base_dn", "scope_depth", "filter", "anchor", "name", "page_size",
		"max_entries", "timeout", "find_base", "exclude_dn", "ignore_referrals", "attributes",
	)
	if dialect.Domain {
		return append(list, names("url", "domain", "site")...)
	}
	return append(list, hcl.AttributeSchema{Name: "url", Required: true})
}

func (dialect Dialect) decode(body hcl.Body, env sources.Env) (sources.Spec, hcl.Diagnostics) {
	content, diags := body.Content(&hcl.BodySchema{
		Attributes: dialect.arguments(),
		Blocks:     []hcl.BlockHeaderSchema{{Type: "groups"}},
	})
	d := &decoder{attrs: content.Attributes, env: env, diags: diags, missing: body.MissingItemRange()}
	s := spec{source: env.Name}
	s.access = d.access()
	if dialect.Domain {
		d.controllers(&s.access)
	}
	s.bases = d.dns("base_dn")
	s.anchor = newAnchor(d.text("anchor", dialect.Anchor))
	d.attribute("anchor", s.anchor.name)
	switch strings.ToLower(s.anchor.name) {
	case "uid", "cn", "mail", "samaccountname", "userprincipalname", "displayname", "dn", "entrydn":
		d.warn(
			"anchor",
			"An anchor that can change",
			fmt.Sprintf("Whoever gets another %s would read as a leaver and a joiner. "+
				"Anchors never change: entryUUID, nsUniqueId, objectGUID, or a number that is never given twice.", s.anchor.name),
		)
	}
	filter, name := defaultFilter, "uid"
	if s.anchor.directory() {
		filter, name = directoryFilter, "sAMAccountName"
	}
	s.filter = d.filter("filter", filter)
	s.name = d.text("name", name)
	d.attribute("name", s.name)
	s.scope = d.scope()
	pageSize := defaultPageSize
	if dialect.Domain {
		pageSize = updatesPage
	}
	s.pageSize = uint32(d.count("page_size", pageSize, 0, 100_000))
	s.maxEntries = d.count("max_entries", defaultMaxEntries, 1, 1_000_000_000)
	s.findBases = d.dns("find_base")
	s.excluded = d.dns("exclude_dn")
	if !d.bad["exclude_dn"] {
		d.exclusions(s.bases, s.excluded)
	}
	s.ignored = d.texts("ignore_referrals")
	s.attributes = d.texts("attributes")
	for _, attribute := range s.attributes {
		d.attribute("attributes", attribute)
	}
	s.groups = d.groups(content.Blocks)
	return s, d.diags
}

// access reads how to connect and sign in, and refuses what would send a password in the clear (R15).
func (d *decoder) access() access {
	a := access{
		urls: d.texts("url"), startTLS: d.flag("starttls"), insecure: d.flag("tls_insecure"),
		caFile: d.path("ca_file"), certFile: d.path("cert_file"), keyFile: d.path("key_file"),
		bindDN: d.text("bind_dn", ""), Password: d.secret("bind_password"), timeout: d.duration("timeout", defaultTimeout),
	}
	if d.attrs["url"] != nil && len(a.urls) == 0 {
		d.fail("url", "No server", `Write url = "ldaps://ldap.example.org".`)
	}
	for _, address := range a.urls {
		u, _, _, err := parseURL(address)
		switch {
		case err != nil:
			d.fail("url", "Not an LDAP URL", err.Error()+".")
		case u.Scheme == "ldap" && !a.startTLS && !loopback(u):
			d.fail(
				"url",
				"Unencrypted connection",
				fmt.Sprintf("%s would send the password in the clear. Write ldaps://, or add starttls = true.", address),
			)
		case u.Scheme != "ldap" && a.startTLS:
			d.fail("starttls", "StartTLS without ldap://", fmt.Sprintf("%s needs no StartTLS: take the argument away.", address))
		case a.insecure && !loopback(u):
			d.fail(
				"tls_insecure",
				"Unverified certificate",
				fmt.Sprintf("%s is not on this machine. Name the authority in ca_file instead.", address),
			)
		}
	}
	if a.insecure && d.attrs["domain"] != nil {
		d.fail("tls_insecure", "Unverified certificate",
			"A domain's controllers are not on this machine. Name their authority in ca_file instead.")
	}
	if a.insecure && !d.bad["tls_insecure"] {
		d.warn(
			"tls_insecure",
			"Unverified certificate",
			"Whoever can listen on this machine can read the directory. Name the authority in ca_file instead.",
		)
	}
	if (a.certFile == "") != (a.keyFile == "") {
		d.fail(d.either("cert_file", "key_file"), "Half a client certificate", "cert_file and key_file go together.")
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

// controllers reads where a domain's controllers are: named, or found in DNS.
func (d *decoder) controllers(a *access) {
	a.domain, a.site = d.text("domain", ""), d.text("site", "")
	switch named := d.attrs["url"] != nil; {
	case named && d.attrs["domain"] != nil:
		d.fail("domain", "Two ways to find the controllers",
			"url names them, and domain has them looked up in DNS: take one of the two away.")
	case !named && d.attrs["domain"] == nil:
		d.fail("url", "No domain controller", `Write domain = "ad.example.org", to have its controllers looked up in DNS, `+
			`or url = ["ldaps://dc1.ad.example.org"].`)
	case !named && !dnsName.MatchString(a.domain):
		d.fail("domain", "Not a domain",
			fmt.Sprintf(`%q is not the DNS name of a domain, such as "ad.example.org".`, a.domain))
	case slices.ContainsFunc(a.urls, catalog):
		d.fail("url", "A Global Catalog", "It holds a part of each object's attributes and members, so that much would seem to be missing. "+
			"Write the URL without its port, ldaps://dc1.ad.example.org: a controller of the domain knows everything of its people.")
	case a.domain == "" && a.site != "":
		d.fail("site", "A site without a domain",
			"The controllers that url names are tried in its order: take site away.")
	case a.site != "" && !siteName.MatchString(a.site):
		d.fail("site", "Not a site",
			fmt.Sprintf(`%q is not the name of a site, such as "Default-First-Site-Name".`, a.site))
	}
}

// bind settles how to sign in. Without a password many servers take a simple bind for an anonymous one and show
// nobody: refused here.
func (d *decoder) bind(a *access) {
	a.kerberos = kerberos.Account{
		Principal: d.text("principal", ""), Keytab: d.path("keytab"),
		Cache: d.path("credential_cache"), Config: d.path("krb5_conf"),
	}
	preset := ""
	switch {
	case d.attrs["bind_dn"] != nil:
		preset = bindSimple
	case d.attrs["keytab"] != nil || d.attrs["credential_cache"] != nil:
		preset = bindKerberos
	}
	a.bind = d.text("bind", preset)
	for _, name := range []string{"principal", "keytab", "credential_cache", "krb5_conf"} {
		if a.bind != bindKerberos && d.attrs[name] != nil {
			d.fail(name, "Unused argument", name+` is for bind = "kerberos": take it away, or bind_dn and bind_password.`)
			return
		}
	}
	switch a.bind {
	case bindSimple:
		if a.bindDN == "" {
			d.fail(d.either("bind_dn", "bind"), "Nobody to sign in as", `Write bind_dn = "cn=dirsweep,dc=example,dc=org".`)
		}
		if a.Password.IsZero() && !d.bad["bind_password"] {
			d.fail(
				d.either("bind_password", "bind_dn"),
				"Empty bind_password",
				"A server may take a bind without a password for an anonymous one "+
					`and then show nobody. Write bind_password = env("LDAP_PASSWORD"), and check that the variable or file is not empty.`,
			)
		}
	case bindExternal, bindAnonymous:
		if d.attrs["bind_dn"] != nil || d.attrs["bind_password"] != nil {
			d.fail(
				d.either("bind_dn", "bind_password"),
				"Unused credentials",
				fmt.Sprintf("bind = %q sends neither bind_dn nor bind_password: take them away.", a.bind),
			)
		}
	case bindKerberos:
		d.kerberos(a)
	case "":
		d.fail(
			"bind_dn",
			"No way to sign in",
			`Write bind_dn and bind_password, bind = "kerberos", or bind = "external" (client certificate, or ldapi://), or, if you mean it, bind = "anonymous".`,
		)
	default:
		d.fail("bind", "Unknown way to sign in", fmt.Sprintf(`%q is none of "simple", "kerberos", "external" and "anonymous".`, a.bind))
	}
}

// kerberos settles by what to get a ticket.
func (d *decoder) kerberos(a *access) {
	k := a.kerberos
	_, _, trouble := kerberos.SplitPrincipal(k.Principal)
	switch {
	case d.attrs["bind_dn"] != nil || d.attrs["bind_password"] != nil:
		d.fail(d.either("bind_dn", "bind_password"), "Unused credentials",
			`bind = "kerberos" sends neither bind_dn nor bind_password: take them away.`)
	case k.Keytab == "" && k.Cache == "":
		d.fail("bind", "No key and no ticket", `Write principal = "dirsweep@AD.EXAMPLE.ORG" and keytab = "dirsweep.keytab", or `+
			`credential_cache = "/run/dirsweep/krb5cc".`)
	case k.Keytab != "" && k.Cache != "":
		d.fail("credential_cache", "A key and a ticket", "keytab is a key of the account, and credential_cache tickets that were got "+
			"with one: take one of the two away.")
	case k.Keytab != "" && trouble != nil:
		d.fail(d.either("principal", "keytab"), "Not a principal",
			`Write principal = "dirsweep@AD.EXAMPLE.ORG": whose key the keytab has.`)
	}
	for _, address := range a.urls {
		if u, _, _, err := parseURL(address); err == nil && u.Scheme == "ldapi" {
			d.fail("bind", "Kerberos over a socket", address+` is on this machine: write bind = "external".`)
		}
	}
}

func (d *decoder) scope() int {
	switch depth := d.text("scope_depth", "subtree"); depth {
	case "subtree":
		return ldap.ScopeWholeSubtree
	case "one":
		return ldap.ScopeSingleLevel
	default:
		d.fail(
			"scope_depth",
			"Unknown depth",
			fmt.Sprintf(`%q is neither "subtree" nor "one" (only what is directly below base_dn).`, depth),
		)
		return ldap.ScopeWholeSubtree
	}
}

func (d *decoder) groups(blocks hcl.Blocks) *groupsBlock {
	if len(blocks) == 0 {
		return nil
	}
	if len(blocks) > 1 {
		d.diags = d.diags.Append(&hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "A second groups block",
			Detail: "base_dn may be a list: one block is enough.", Subject: blocks[1].DefRange.Ptr(),
		})
	}
	content, diags := blocks[0].Body.Content(&hcl.BodySchema{Attributes: names("base_dn", "filter", "member", "name")})
	inner := &decoder{attrs: content.Attributes, env: d.env, missing: blocks[0].Body.MissingItemRange()}
	g := &groupsBlock{
		bases: inner.dns("base_dn"), filter: inner.filter("filter", defaultGroupsFilter),
		member: inner.texts("member"), name: inner.text("name", "cn"),
	}
	if len(g.member) == 0 {
		g.member = []string{"member", "uniqueMember", "memberUid"}
	}
	for _, attribute := range g.member {
		inner.attribute("member", attribute)
	}
	inner.attribute("name", g.name)
	d.diags = d.diags.Extend(diags).Extend(inner.diags)
	return g
}

// byLogin tells that members may be listed by login.
func (g *groupsBlock) byLogin() bool {
	return slices.ContainsFunc(g.member, func(name string) bool { return strings.EqualFold(name, "memberUid") })
}

// A decoder reads arguments and keeps every mistake, each at its line.
type decoder struct {
	attrs   hcl.Attributes
	env     sources.Env
	diags   hcl.Diagnostics
	missing hcl.Range
	bad     map[string]bool // arguments that have been complained about
}

func (d *decoder) fail(name, summary, detail string) { d.say(hcl.DiagError, name, summary, detail) }

func (d *decoder) warn(name, summary, detail string) { d.say(hcl.DiagWarning, name, summary, detail) }

func (d *decoder) say(severity hcl.DiagnosticSeverity, name, summary, detail string) {
	diag := &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: d.missing.Ptr()}
	if attr := d.attrs[name]; attr != nil {
		diag.Subject, diag.Context = attr.Expr.Range().Ptr(), attr.Range.Ptr()
	}
	if severity == hcl.DiagError {
		if d.bad == nil {
			d.bad = make(map[string]bool)
		}
		d.bad[name] = true
	}
	d.diags = d.diags.Append(diag)
}

// either is the first of names that the block has, for a place to complain at.
func (d *decoder) either(names ...string) string {
	for _, name := range names {
		if d.attrs[name] != nil {
			return name
		}
	}
	return names[0]
}

// value evaluates an argument; ok is false where it is absent, null or wrong.
func (d *decoder) value(name string, want cty.Type) (v cty.Value, ok bool) {
	attr := d.attrs[name]
	if attr == nil {
		return cty.NilVal, false
	}
	v, diags := attr.Expr.Value(d.env.Eval)
	d.diags = d.diags.Extend(diags)
	if diags.HasErrors() {
		if d.bad == nil {
			d.bad = make(map[string]bool)
		}
		d.bad[name] = true
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() || !v.IsWhollyKnown() {
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		d.fail(name, "Wrong type", fmt.Sprintf("%s: %s.", name, err))
		return cty.NilVal, false
	}
	return v, true
}

func (d *decoder) text(name, preset string) string {
	if v, ok := d.value(name, cty.String); ok {
		return strings.TrimSpace(v.AsString())
	}
	return preset
}

// texts reads a list, or one text that stands for a list of one.
func (d *decoder) texts(name string) []string {
	attr := d.attrs[name]
	if attr == nil {
		return nil
	}
	if v, diags := attr.Expr.Value(d.env.Eval); !diags.HasErrors() && v.Type() == cty.String {
		if one := d.text(name, ""); one != "" {
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

func (d *decoder) flag(name string) bool {
	v, ok := d.value(name, cty.Bool)
	return ok && v.True()
}

func (d *decoder) count(name string, preset, least, most int) int {
	v, ok := d.value(name, cty.Number)
	if !ok {
		return preset
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < int64(least) || n > int64(most) {
		d.fail(name, "Number out of range", fmt.Sprintf("%s is a whole number from %d to %d.", name, least, most))
		return preset
	}
	return int(n)
}

func (d *decoder) duration(name string, preset time.Duration) time.Duration {
	text := d.text(name, "")
	if text == "" {
		return preset
	}
	span, err := time.ParseDuration(text)
	if err != nil || span < time.Millisecond {
		d.fail(name, "Not a duration", fmt.Sprintf(`%s is a time span such as "30s" or "2m".`, name))
		return preset
	}
	return span
}

// path reads a file name; relative ones start at the config's folder.
func (d *decoder) path(name string) string {
	file := d.text(name, "")
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(d.env.Dir, file)
}

// secret reads a secret, and warns of one that is written into the config itself.
func (d *decoder) secret(name string) identity.Secret {
	v, ok := d.value(name, cty.String)
	if !ok {
		return identity.Secret{}
	}
	if _, diags := hcl.ExprCall(d.attrs[name].Expr); diags.HasErrors() && len(d.attrs[name].Expr.Variables()) == 0 &&
		v.AsString() != "" {
		d.warn(
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

func (d *decoder) dns(name string) []string {
	list := d.texts(name)
	if d.attrs[name] != nil && len(list) == 0 && !d.bad[name] {
		d.fail(name, "Empty "+name, fmt.Sprintf(`Write %s = "ou=people,dc=example,dc=org".`, name))
	}
	for _, dn := range list {
		if normal, err := normalDN(dn); err != nil || normal == "" {
			d.fail(
				name,
				"Not a distinguished name",
				fmt.Sprintf(`%q is not a distinguished name such as "ou=people,dc=example,dc=org".`, dn),
			)
		}
	}
	return list
}

// exclusions refuses what would leave nobody, or does nothing.
func (d *decoder) exclusions(bases, excluded []string) {
	for _, dn := range excluded {
		switch {
		case slices.ContainsFunc(bases, func(base string) bool { return within(base, dn) }):
			d.fail("exclude_dn", "A base_dn that is excluded", fmt.Sprintf("A base_dn is below %q: take that base_dn away.", dn))
		case !slices.ContainsFunc(bases, func(base string) bool { return within(dn, base) }):
			d.fail("exclude_dn", "Nothing to exclude", fmt.Sprintf("%q is below none of base_dn.", dn))
		}
	}
}

// filter reads a search filter (RFC 4515); the outer parentheses may be left out.
func (d *decoder) filter(name, preset string) string {
	text := d.text(name, preset)
	if text != "" && !strings.HasPrefix(text, "(") {
		text = "(" + text + ")"
	}
	if err := compile(text); err != nil {
		d.fail(
			name,
			"Not a search filter",
			fmt.Sprintf(`%s: %v. A filter reads like "(&(objectClass=inetOrgPerson)(employeeType=staff))".`, text, err),
		)
		return preset
	}
	return text
}

// attribute refuses what cannot be the name of an attribute (RFC 4512, 2.5): it would change the filters that it
// becomes part of.
func (d *decoder) attribute(name, attribute string) {
	if strings.ContainsFunc(strings.ToLower(attribute), func(r rune) bool { return notInName(r) && r != ';' }) {
		d.fail(name, "Not an attribute name", fmt.Sprintf("%q cannot be the name of an attribute.", attribute))
	}
	if attribute == "" {
		d.fail(name, "Not an attribute name", "The name is empty.")
	}
}
