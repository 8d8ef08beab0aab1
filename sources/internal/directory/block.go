package directory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/arguments"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
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
	ldapclient.Access
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
	return ldapclient.Vocabulary(append([]string{s.anchor.name, s.name}, s.attributes...)...)
}

// CaseSensitive implements sources.Spec: attribute names of LDAP are not (RFC 4512, 2.5).
func (s spec) CaseSensitive() bool { return false }

// Grouped implements sources.Grouped.
func (s spec) Grouped() bool { return s.groups != nil }

// Exact implements sources.Spec.
func (s spec) Exact() []string { return ldapclient.Exact() }

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
	read, blocks := arguments.Read(body, &hcl.BodySchema{
		Attributes: dialect.arguments(),
		Blocks:     []hcl.BlockHeaderSchema{{Type: "groups"}},
	}, env.Eval, env.Dir)
	d := ldapclient.Decoder{Reader: read}
	s := spec{source: env.Name}
	s.Access = d.Access()
	if dialect.Domain {
		d.Controllers(&s.Access)
	}
	s.bases = d.DNs("base_dn")
	s.anchor = newAnchor(d.Text("anchor", dialect.Anchor))
	d.Attribute("anchor", s.anchor.name)
	switch strings.ToLower(s.anchor.name) {
	case "uid", "cn", "mail", "samaccountname", "userprincipalname", "displayname", "dn", "entrydn":
		d.Warn(
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
	s.filter = d.Filter("filter", filter)
	s.name = d.Text("name", name)
	d.Attribute("name", s.name)
	s.scope = scope(d)
	pageSize := defaultPageSize
	if dialect.Domain {
		pageSize = updatesPage
	}
	s.pageSize = uint32(d.Count("page_size", pageSize, 0, 100_000))
	s.maxEntries = d.Count("max_entries", defaultMaxEntries, 1, 1_000_000_000)
	s.findBases = d.DNs("find_base")
	s.excluded = d.DNs("exclude_dn")
	if !d.Bad["exclude_dn"] {
		exclusions(d, s.bases, s.excluded)
	}
	s.ignored = d.Texts("ignore_referrals")
	s.attributes = d.Texts("attributes")
	for _, attribute := range s.attributes {
		d.Attribute("attributes", attribute)
	}
	s.groups = groups(d, blocks)
	return s, d.Diagnostics
}

func scope(d ldapclient.Decoder) int {
	switch depth := d.Text("scope_depth", "subtree"); depth {
	case "subtree":
		return ldap.ScopeWholeSubtree
	case "one":
		return ldap.ScopeSingleLevel
	default:
		d.Fail(
			"scope_depth",
			"Unknown depth",
			fmt.Sprintf(`%q is neither "subtree" nor "one" (only what is directly below base_dn).`, depth),
		)
		return ldap.ScopeWholeSubtree
	}
}

func groups(d ldapclient.Decoder, blocks hcl.Blocks) *groupsBlock {
	if len(blocks) == 0 {
		return nil
	}
	if len(blocks) > 1 {
		d.Diagnostics = d.Diagnostics.Append(&hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "A second groups block",
			Detail: "base_dn may be a list: one block is enough.", Subject: blocks[1].DefRange.Ptr(),
		})
	}
	schema := &hcl.BodySchema{Attributes: names("base_dn", "filter", "member", "name")}
	inner := ldapclient.Decoder{Reader: d.Inner(blocks[0].Body, schema)}
	g := &groupsBlock{
		bases: inner.DNs("base_dn"), filter: inner.Filter("filter", defaultGroupsFilter),
		member: inner.Texts("member"), name: inner.Text("name", "cn"),
	}
	if len(g.member) == 0 {
		g.member = []string{"member", "uniqueMember", "memberUid"}
	}
	for _, attribute := range g.member {
		inner.Attribute("member", attribute)
	}
	inner.Attribute("name", g.name)
	d.Diagnostics = d.Diagnostics.Extend(inner.Diagnostics)
	return g
}

// byLogin tells that members may be listed by login.
func (g *groupsBlock) byLogin() bool {
	return slices.ContainsFunc(g.member, func(name string) bool { return strings.EqualFold(name, "memberUid") })
}

// exclusions refuses what would leave nobody, or does nothing.
func exclusions(d ldapclient.Decoder, bases, excluded []string) {
	for _, dn := range excluded {
		switch {
		case slices.ContainsFunc(bases, func(base string) bool { return ldapclient.Within(base, dn) }):
			d.Fail("exclude_dn", "A base_dn that is excluded", fmt.Sprintf("A base_dn is below %q: take that base_dn away.", dn))
		case !slices.ContainsFunc(bases, func(base string) bool { return ldapclient.Within(dn, base) }):
			d.Fail("exclude_dn", "Nothing to exclude", fmt.Sprintf("%q is below none of base_dn.", dn))
		}
	}
}
