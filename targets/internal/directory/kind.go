// Package directory writes accounts to directories that speak LDAP version 3: what the kinds of target share that do.
package directory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sources/arguments"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A Dialect is what the kinds that write to directories differ in.
type Dialect struct {
	Kind   string // the first label of its block
	Sample string
	Domain bool // its servers are domain controllers
}

// Of makes a kind of a dialect.
func Of(d Dialect) targets.Kind {
	return targets.Kind{Name: d.Kind, Sample: d.Sample, Decode: d.decode}
}

// container is the path that stands for the DN of the entry that an account is directly below.
const container = "container"

// A spec is a decoded block.
type spec struct {
	ldapclient.Access
	name    string
	domain  bool
	bases   []string // below which accounts are; the first is where they are made
	filter  string   // what an account is
	classes []string // object classes of a new one
	id      identifier
	login   string // the attribute of userName
	mark    string // the attribute of externalId; "" where the directory keeps none
	naming  string // the attribute of a new entry's RDN
	doors   []door // each of which lets somebody sign in
	groups  *groupsBlock
	closing closing
	passwords
	recreate bool     // somebody whose account was deleted by others gets a new one
	children []string // classes of entries below an account that are deleted with it
	pageSize int
	most     int // entries of one listing
}

// passwords say what becomes of them.
type passwords struct {
	initial bool // a new account gets a random one
	change  bool // which has to be changed at the first sign-in
}

// groupsBlock says which groups are entitlements.
type groupsBlock struct {
	bases       []string // nil for the whole domain
	filter      string
	name        string // the attribute of an entitlement's name
	placeholder string // a DN that stands for nobody in groups that may not be empty; "" for none
}

// The defaults.
const (
	ldapFilter    = "(objectClass=person)"
	domainFilter  = "(&(objectCategory=person)(objectClass=user))" // computers are users, too
	groupsFilter  = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
	domainGroups  = "(objectClass=group)"
	ldapPage      = 500
	domainPage    = 1000 // the most that a domain controller gives (MS-ADTS 3.1.1.3.4.6, MaxPageSize)
	mostEntries   = 10_000_000
	closedBlock   = "closing"
	groupsSection = "groups"
)

func schema(domain bool) []hcl.AttributeSchema {
	list := []string{
		"url", "starttls", "ca_file", "cert_file", "key_file", "tls_insecure", "bind", "bind_dn", "bind_password",
		"principal", "keytab", "credential_cache", "krb5_conf", "timeout", "base_dn", "filter", "object_classes", "id",
		"user_name", "external_id", "rdn", "profile", "page_size", "max_entries", "initial_password", "delete_children",
	}
	if domain {
		list = append(list, "domain", "site", "must_change_password", "recreate_deleted")
	}
	schemas := make([]hcl.AttributeSchema, len(list))
	for i, name := range list {
		schemas[i] = hcl.AttributeSchema{Name: name, Required: name == "base_dn" || name == "url" && !domain}
	}
	return schemas
}

func (dialect Dialect) decode(body hcl.Body, env targets.Env) (targets.Spec, hcl.Diagnostics) {
	read, blocks := arguments.Read(body, &hcl.BodySchema{
		Attributes: schema(dialect.Domain),
		Blocks:     []hcl.BlockHeaderSchema{{Type: groupsSection}, {Type: closedBlock}},
	}, env.Eval, env.Dir)
	d := &decoder{ldapclient.Decoder{Reader: read}}
	s := &spec{name: env.Name, domain: dialect.Domain, Access: d.Access()}
	s.bases = d.DNs("base_dn")
	for i, base := range s.bases {
		for _, other := range s.bases[:i] {
			if ldapclient.Within(base, other) || ldapclient.Within(other, base) {
				d.Fail("base_dn", "Read twice",
					fmt.Sprintf("One of %q and %q is below the other: name the upper one alone.", other, base))
			}
		}
	}
	if s.domain {
		d.Controllers(&s.Access)
		d.domainSpec(s)
	} else {
		d.ldapSpec(s)
	}
	s.most = d.Count("max_entries", mostEntries, 1, 1_000_000_000)
	s.children = d.Texts("delete_children")
	s.groups = d.groups(blocks, s.domain)
	s.closing = d.closing(blocks, s.domain)
	if len(s.doors) > 0 && !s.closing.password && !s.heeds() {
		d.Fail("profile", "The directory lets them in", "What the profiles change is looked at by other programs: with the "+
			"password of before somebody who left signs in to the directory itself. Leave reset_password = false out, or add "+
			"a profile of the directory.")
	}
	return s, d.Diagnostics
}

// domainSpec reads what a block of a domain may change.
func (d *decoder) domainSpec(s *spec) {
	s.filter = d.Filter("filter", domainFilter)
	s.classes = d.list("object_classes", "top", "person", "organizationalPerson", "user")
	s.id = newIdentifier(d.Text("id", "objectGUID"))
	s.login = d.name("user_name", "sAMAccountName")
	s.mark = d.name("external_id", "")
	s.naming = d.name("rdn", "cn")
	s.doors = []door{domainDoor()}
	s.pageSize = d.Count("page_size", domainPage, 0, 100_000)
	s.initial = d.initialPassword(true)
	s.change = s.initial && d.Flag("must_change_password", true)
	s.recreate = d.Flag("recreate_deleted", false)
	if d.Arguments["profile"] != nil {
		d.Fail("profile", "Unused argument", "A domain disables accounts by userAccountControl: take profile away.")
	}
}

// ldapSpec reads what a block of another directory may change.
func (d *decoder) ldapSpec(s *spec) {
	s.filter = d.Filter("filter", ldapFilter)
	s.classes = d.list("object_classes", "inetOrgPerson")
	s.id = newIdentifier(d.Text("id", "entryUUID"))
	s.login = d.name("user_name", "uid")
	s.mark = d.name("external_id", "")
	s.naming = d.name("rdn", s.login)
	s.doors = d.profiles()
	s.pageSize = d.Count("page_size", ldapPage, 0, 100_000)
	s.initial = d.initialPassword(false)
}

// inPlace tells that accounts are the people themselves, in the directory that they are read from.
func (s *spec) inPlace() bool { return s.mark != "" && strings.EqualFold(s.mark, s.id.name) }

// Accepts implements targets.Spec.
func (s *spec) Accepts(path string) error {
	lower := strings.ToLower(path)
	switch {
	case path == container || path == "userName" || path == "externalId" && s.mark != "" && !s.inPlace():
		return nil
	case path == "externalId":
		return fmt.Errorf("this directory keeps no externalId: name the attribute that is to hold it in external_id")
	case strings.EqualFold(path, "userName") || strings.EqualFold(path, "externalId"):
		return fmt.Errorf("write userName and externalId in these letters")
	case lower == strings.ToLower(s.login):
		return fmt.Errorf("it is the login: map userName")
	case s.mark != "" && lower == strings.ToLower(s.mark):
		return fmt.Errorf("it holds externalId: map that")
	case ldapclient.CheckAttribute(path) != nil:
		return fmt.Errorf("it cannot be the name of an attribute")
	case ldapclient.Binaries()[lower]:
		return fmt.Errorf("its values are bytes, which are not mapped")
	}
	if why := reserved()[lower]; why != "" {
		return fmt.Errorf("%s", why)
	}
	for _, door := range s.doors {
		if lower == strings.ToLower(door.attribute) {
			return fmt.Errorf("dirsweep itself writes it, to close accounts and to open them")
		}
	}
	return nil
}

// reserved are attributes that no mapping may write, in lower case, and why.
func reserved() map[string]string {
	const password, link, own, other = "passwords are not mapped", "memberships are mapped by entitlements",
		"the directory itself writes it", "it belongs to another program that keeps accounts (Entra Connect)"
	return map[string]string{
		"userpassword": password, "unicodepwd": password, "dbcspwd": password, "sambantpassword": password,
		"sambalmpassword": password, "krbprincipalkey": password, "memberof": link, "member": link, "primarygroupid": link,
		"objectclass": own, "objectguid": own, "objectsid": own, "entryuuid": own, "entrydn": own, "distinguishedname": own,
		"name": own, "whencreated": own, "whenchanged": own, "nsuniqueid": own, "createtimestamp": own,
		"modifytimestamp": own, "admincount": own, "ntsecuritydescriptor": own,
		"ms-ds-consistencyguid": other, "admindescription": other,
	}
}

// Required implements targets.Spec.
func (s *spec) Required() []string {
	if s.inPlace() {
		return nil
	}
	if strings.EqualFold(s.naming, s.login) {
		return []string{"userName"}
	}
	return []string{"userName", s.naming}
}

// Correlate implements targets.Spec.
func (s *spec) Correlate() []string {
	if s.mark == "" {
		return []string{"userName"}
	}
	return []string{"externalId", "userName"}
}

// Normal implements targets.Normaliser: names of entries in one spelling.
func (s *spec) Normal(path string, v identity.Value) identity.Value {
	if path != container {
		return v
	}
	if normal, err := ldapclient.NormalDN(v.Text()); err == nil {
		return identity.Text(normal)
	}
	return v
}

var _ targets.Normaliser = (*spec)(nil)

// Open implements targets.Spec.
func (s *spec) Open(need targets.Need) (targets.Target, error) {
	if need.Entitlements && s.groups == nil {
		return nil, fmt.Errorf(`%s: entitlements need a groups block: groups { base_dn = "ou=groups,…" }`, s.name)
	}
	if _, err := s.TLSConfig(""); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	for _, path := range need.Paths {
		if name := s.closing.writes(path); name != "" {
			return nil, fmt.Errorf("%s: %s is mapped, and closing { %s } writes it: take one of the two away",
				s.name, path, name)
		}
	}
	if need.Log == nil {
		need.Log = hclog.NewNullLogger()
	}
	if s.Insecure {
		need.Log.Warn("the directory's certificate is NOT verified", "target", s.name, "argument", "tls_insecure")
	}
	t := &target{spec: s, need: need, pool: ldapclient.NewPool(s.Access, s.name, need.Log)}
	t.pool.Pace = need.Pace
	t.ask = t.attributes()
	return t, nil
}

// attributes are those to ask for of an account, each once.
func (t *target) attributes() []string {
	list := []string{t.id.name, t.login}
	add := func(name string) {
		if name != "" && !ldapclient.ContainsFold(list, name) {
			list = append(list, name)
		}
	}
	add(t.mark)
	for _, door := range t.doors {
		add(door.attribute)
	}
	if t.domain {
		for _, name := range append(judgedBy(), "primaryGroupID") {
			add(name)
		}
	}
	for _, path := range t.need.Paths {
		if path != container && path != "userName" && path != "externalId" {
			add(path)
		}
	}
	return list
}

// bounds limit a listing.
func (t *target) bounds() ldapclient.Bounds {
	return ldapclient.Bounds{PageSize: uint32(t.pageSize), MaxEntries: t.most}
}

// places are the DNs below which accounts may be: where they are made, and where leavers are kept.
func (s *spec) places() []string {
	places := slices.Clone(s.bases)
	to := s.closing.moveTo
	if to != "" && !slices.ContainsFunc(places, func(base string) bool { return ldapclient.Within(to, base) }) {
		places = append(places, to)
	}
	return places
}

func subtree(base, filter string, attributes ...string) ldapclient.Query {
	return ldapclient.Query{Base: base, Scope: ldap.ScopeWholeSubtree, Filter: filter, Attributes: attributes}
}
