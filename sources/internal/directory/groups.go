package directory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// groupsBlock is the `groups` block.
type groupsBlock struct {
	bases  []string
	filter string
	member []string // attributes that hold members: DNs, or logins in memberUid
	name   string   // the attribute that people call a group by
}

// A member is what a group may list a person by; "" where the entry does not show it.
type member struct {
	dn       string
	logins   []string
	number   string // gidNumber: the number of the primary group (RFC 2307)
	relative string // primaryGroupID: the last part of the primary group's objectSid (MS-ADA3 2.111)
	sid      string // the person's own objectSid, whose domain is the primary group's as well
}

// primary are the keys of the person's primary groups, which list nobody.
func (m member) primary() []ldapclient.MemberKey {
	var keys []ldapclient.MemberKey
	if m.number != "" {
		keys = append(keys, ldapclient.NewMemberKey('g', m.number))
	}
	if sid := m.primarySID(); sid != "" {
		keys = append(keys, ldapclient.NewMemberKey('s', sid), ldapclient.NewMemberKey('r', m.relative))
	}
	return keys
}

func (m member) primarySID() string {
	cut := strings.LastIndexByte(m.sid, '-')
	if m.relative == "" || cut < 0 || strings.Trim(m.relative, "0123456789") != "" {
		return ""
	}
	return m.sid[:cut+1] + m.relative
}

// names are the keys of the person's DN and logins.
func (m member) names() []ldapclient.MemberKey {
	keys := []ldapclient.MemberKey{ldapclient.DNKey(m.dn)}
	for _, login := range m.logins {
		keys = append(keys, ldapclient.LoginKey(login))
	}
	return keys
}

// A membership answers which groups a person is in, directly or through other groups. It costs 20 bytes a member
// value.
type membership struct {
	ids     anchor                            // by what entries are told apart where they are followed; zero where they are not
	groups  []group                           // sorted by DN
	edges   []edge                            // sorted
	parents [][]uint32                        // by group: the groups that hold it directly
	primary map[ldapclient.MemberKey][]uint32 // the groups that a number names as primary
	met     []uint64                          // a bit an edge: its member has been read
	nested  []uint64                          // of those: the ones whose member is a group
	samples []listed                          // of the first member values
}

// A group is what one read has of a group.
type group struct {
	identity.Group
	id     string
	uuid   uuid // where the directory is followed
	values int
	people int
	hidden bool
}

// A listed member is a value as it is written.
type listed struct {
	group uint32
	login bool
	value string
}

// maxSamples bounds the member values that are kept as text, so that those which name nobody can be told.
const maxSamples = 50_000

type edge struct {
	member ldapclient.MemberKey
	group  uint32
}

func (e edge) compare(f edge) int {
	if n := bytes.Compare(e.member[:], f.member[:]); n != 0 {
		return n
	}
	return int(e.group) - int(f.group)
}

// bounds are those of a search for groups.
func (g *groupsBlock) bounds(b ldapclient.Bounds) ldapclient.Bounds {
	b.PageSize = min(b.PageSize, ldapclient.GroupsPage)
	return b
}

// readGroups reads every group, or fails.
func readGroups(ctx context.Context, s *ldapclient.Session, g *groupsBlock, b ldapclient.Bounds) (*membership, error) {
	x := newMembership()
	seen := make(map[ldapclient.MemberKey]bool) // bases may overlap
	for _, base := range g.bases {
		for entries, err := range s.Pages(ctx, g.query(base), g.bounds(b)) {
			if err != nil {
				return nil, fmt.Errorf("groups: %w", err)
			}
			for _, entry := range entries {
				own := ldapclient.DNKey(entry.DN)
				if seen[own] {
					continue
				}
				seen[own] = true
				if err := addGroup(ctx, s, x, g, entry); err != nil {
					return nil, err
				}
			}
		}
	}
	x.sort()
	return x, nil
}

func newMembership() *membership {
	return &membership{primary: make(map[ldapclient.MemberKey][]uint32)}
}

// unmet is the same membership before anybody was read.
func (x *membership) unmet() *membership {
	fresh := *x
	fresh.met, fresh.groups = slices.Clone(x.nested), slices.Clone(x.groups)
	for i := range fresh.groups {
		fresh.groups[i].people = 0
	}
	return &fresh
}

// query is the search for the groups below a DN.
func (g *groupsBlock) query(base string) ldapclient.Query {
	return ldapclient.Query{Base: base, Scope: ldap.ScopeWholeSubtree, Filter: g.filter, Attributes: g.ask()}
}

// ask are the attributes to ask for of a group.
func (g *groupsBlock) ask() []string {
	ask := append([]string{g.name}, g.member...)
	return append(ask, "objectClass", "gidNumber", "objectSid", "primaryGroupToken",
		"entryUUID", "nsUniqueId", "objectGUID")
}

func addGroup(ctx context.Context, s *ldapclient.Session, x *membership, g *groupsBlock, entry *ldap.Entry) error {
	number := uint32(len(x.groups))
	found := group{Group: g.group(entry), id: groupID(entry)}
	for _, attr := range entry.Attributes {
		d := ldapclient.ParseDescription(attr.Name)
		if !slices.ContainsFunc(g.member, func(name string) bool { return strings.EqualFold(name, d.Base) }) {
			continue
		}
		if d.Partial {
			return &ldapclient.IncompleteError{Reason: "groups: members of " + entry.DN + ": " + attr.Name + " are not all"}
		}
		found.values += len(attr.Values)
		for _, value := range attr.Values {
			x.edges = append(x.edges, edge{ldapclient.KeyOfMember(d.Base, value), number})
			if len(x.samples) < maxSamples {
				x.samples = append(x.samples, listed{number, strings.EqualFold(d.Base, "memberUid"), value})
			}
		}
	}
	keys, numbered := primaryKeys(entry)
	for _, k := range keys {
		x.primary[k] = append(x.primary[k], number)
	}
	hidden, err := hidesMembers(ctx, s, entry, found.values)
	if err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	found.hidden = hidden || !numbered
	if x.ids.name != "" {
		found.uuid, _ = x.ids.uuidOf(entry)
	}
	x.groups = append(x.groups, found)
	return nil
}

// primaryKeys are the keys by which a group is somebody's primary one. numbered is false where it must have a
// number and shows none.
func primaryKeys(entry *ldap.Entry) (keys []ldapclient.MemberKey, numbered bool) {
	numbered = true
	if hasClass(entry, "posixGroup") { // elsewhere a gidNumber is the group's own business
		number := entry.GetEqualFoldAttributeValue("gidNumber")
		if numbered = number != ""; numbered {
			keys = append(keys, ldapclient.NewMemberKey('g', number))
		}
	}
	if sid, err := ldapclient.SIDText(entry.GetEqualFoldRawAttributeValue("objectSid")); err == nil {
		keys = append(keys, ldapclient.NewMemberKey('s', sid))
	} else if token := entry.GetEqualFoldAttributeValue("primaryGroupToken"); token != "" {
		keys = append(keys, ldapclient.NewMemberKey('r', token))
	}
	return keys, numbered
}

func hasClass(entry *ldap.Entry, class string) bool {
	return slices.ContainsFunc(
		entry.GetEqualFoldAttributeValues("objectClass"),
		func(c string) bool { return strings.EqualFold(c, class) },
	)
}

// groupID is a group's own immutable identifier, "" where it shows none.
func groupID(entry *ldap.Entry) string {
	for _, name := range []string{"entryUUID", "nsUniqueId", "objectGUID"} {
		if raw := entry.GetEqualFoldRawAttributeValue(name); len(raw) > 0 {
			if id, err := newAnchor(name).render(raw); err == nil {
				return id
			}
		}
	}
	return ""
}

// hidesMembers reports whether a group shows no member though its class must have one. Servers differ (RFC 4519,
// 3.5 and 3.6; 389 Directory Server lets them be empty), and their own schema says which; where it cannot be read
// the standard holds.
func hidesMembers(ctx context.Context, s *ldapclient.Session, entry *ldap.Entry, values int) (bool, error) {
	if values > 0 {
		return false, nil
	}
	for class, attribute := range map[string]string{"groupOfNames": "member", "groupOfUniqueNames": "uniqueMember"} {
		if !hasClass(entry, class) {
			continue
		}
		required, err := s.Requires(ctx, class, attribute)
		if required || err != nil {
			return required, err
		}
	}
	return false, nil
}

// group makes a Group of its entry.
func (g *groupsBlock) group(entry *ldap.Entry) identity.Group {
	group := identity.Group{
		Name: strings.ToValidUTF8(entry.GetEqualFoldAttributeValue(g.name), "\uFFFD"),
		DN:   ldapclient.Readable(entry.DN),
	}
	if group.Name == "" {
		group.Name = firstValue(group.DN)
	}
	return group
}

// sort brings groups into the order of their DNs and makes the edges searchable.
func (x *membership) sort() {
	order := make([]uint32, len(x.groups)) // new number -> old
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(x.groups[a].DN, x.groups[b].DN) })
	renumbered := make([]uint32, len(order))
	sorted := make([]group, len(order))
	for now, before := range order {
		renumbered[before] = uint32(now)
		sorted[now] = x.groups[before]
	}
	x.groups = sorted
	for i := range x.edges {
		x.edges[i].group = renumbered[x.edges[i].group]
	}
	for _, numbers := range x.primary {
		for i, before := range numbers {
			numbers[i] = renumbered[before]
		}
	}
	for i := range x.samples {
		x.samples[i].group = renumbered[x.samples[i].group]
	}
	slices.SortFunc(x.edges, edge.compare)
	x.edges = slices.Clip(slices.Compact(x.edges))
	x.met = make([]uint64, (len(x.edges)+63)/64)
	x.parents = make([][]uint32, len(sorted))
	for i, g := range sorted {
		x.parents[i] = x.direct(ldapclient.DNKey(g.DN), nil)
		x.meet(ldapclient.DNKey(g.DN))
	}
	x.nested = slices.Clone(x.met)
}

// each calls f with the number of every edge of member.
func (x *membership) each(member ldapclient.MemberKey, f func(i int)) {
	i, _ := slices.BinarySearchFunc(x.edges, edge{member: member}, edge.compare)
	for ; i < len(x.edges) && x.edges[i].member == member; i++ {
		f(i)
	}
}

// direct appends the numbers of the groups that list member.
func (x *membership) direct(member ldapclient.MemberKey, to []uint32) []uint32 {
	x.each(member, func(i int) { to = append(to, x.edges[i].group) })
	return to
}

// meet notes that somebody, or a group, has that name.
func (x *membership) meet(member ldapclient.MemberKey) {
	x.each(member, func(i int) { x.met[i/64] |= 1 << (i % 64) })
}

func (x *membership) isMet(i int) bool { return x.met[i/64]&(1<<(i%64)) != 0 }

// of returns the groups of a person, nested ones included, sorted by DN, and counts the person in.
func (x *membership) of(m member) []identity.Group {
	var reached []uint32
	for _, name := range m.names() {
		reached = x.direct(name, reached)
		x.meet(name)
	}
	for _, primary := range m.primary() {
		reached = append(reached, x.primary[primary]...)
	}
	if len(reached) == 0 {
		return nil
	}
	slices.Sort(reached)
	reached = slices.Compact(reached)
	for _, g := range reached {
		x.groups[g].people++
	}
	reached = x.expand(reached)
	groups := make([]identity.Group, len(reached))
	for i, g := range reached {
		groups[i] = x.groups[g].Group
	}
	return groups
}

// expand adds the groups that hold those reached, and sorts. Cycles end where they began.
func (x *membership) expand(reached []uint32) []uint32 {
	known := make(map[uint32]bool, 2*len(reached))
	for _, g := range reached {
		known[g] = true
	}
	for i := 0; i < len(reached); i++ {
		for _, parent := range x.parents[reached[i]] {
			if !known[parent] {
				known[parent] = true
				reached = append(reached, parent)
			}
		}
	}
	slices.Sort(reached)
	return reached
}

// former returns the DNs of the groups that list somebody under a name that nobody who was read has, and of the
// groups which hold those.
func (x *membership) former(dn string, logins []string) []string {
	var reached []uint32
	for _, name := range (member{dn: dn, logins: logins}).names() {
		x.each(name, func(i int) {
			if !x.isMet(i) {
				reached = append(reached, x.edges[i].group)
			}
		})
	}
	slices.Sort(reached)
	var dns []string
	for _, g := range x.expand(slices.Compact(reached)) {
		dns = append(dns, x.groups[g].DN)
	}
	return dns
}

// facts says of each group what this read showed of it.
func (x *membership) facts() []sources.GroupFact {
	facts := make([]sources.GroupFact, len(x.groups))
	for i, g := range x.groups {
		facts[i] = sources.GroupFact{ID: g.id, DN: g.DN, Name: g.Name, Values: g.values, People: g.people, Hidden: g.hidden}
	}
	for i := range x.groups {
		for _, parent := range x.parents[i] {
			facts[parent].Nested++
		}
	}
	for i, e := range x.edges {
		if !x.isMet(i) {
			facts[e.group].Unknown++
		}
	}
	return facts
}

// foreign counts the sampled members of each group that are from other domains (MS-ADTS 3.1.1.1.6 has them as objects of
// class foreignSecurityPrincipal, named by their SID, in a container of their own).
func (x *membership) foreign() map[string]int {
	counts := map[string]int{}
	for _, s := range x.samples {
		lower := strings.ToLower(s.value)
		if !s.login && strings.HasPrefix(lower, "cn=s-1-") && strings.Contains(lower, ",cn=foreignsecurityprincipals,") {
			counts[x.groups[s.group].Name]++
		}
	}
	return counts
}

// unknown goes through the sampled member values that name nobody who was read.
func (x *membership) unknown() iter.Seq[listed] {
	return func(yield func(listed) bool) {
		for _, s := range x.samples {
			attribute := "member"
			if s.login {
				attribute = "memberUid"
			}
			met := true
			x.each(ldapclient.KeyOfMember(attribute, s.value), func(i int) { met = met && (x.edges[i].group != s.group || x.isMet(i)) })
			if !met && !yield(s) {
				return
			}
		}
	}
}

// groupsOf asks the directory for the groups of one person, level by level: for a single look-up, reading all of
// them would take too long.
func groupsOf(ctx context.Context, s *ldapclient.Session, g *groupsBlock, b ldapclient.Bounds, m member) ([]identity.Group, error) {
	found := make(map[ldapclient.MemberKey]identity.Group)
	next := []string{g.holds(m)}
	for len(next) > 0 {
		wanted := next[0]
		next = next[1:]
		for _, base := range g.bases {
			q := g.query(base).And(wanted)
			q.Attributes = []string{g.name}
			for entries, err := range s.Pages(ctx, q, b) {
				if err != nil {
					return nil, fmt.Errorf("groups: %w", err)
				}
				for _, entry := range entries {
					own := ldapclient.DNKey(entry.DN)
					if _, again := found[own]; !again {
						found[own] = g.group(entry)
						next = append(next, g.holds(member{dn: entry.DN}))
					}
				}
			}
		}
	}
	groups := make([]identity.Group, 0, len(found))
	for _, group := range found {
		groups = append(groups, group)
	}
	slices.SortFunc(groups, func(a, b identity.Group) int { return strings.Compare(a.DN, b.DN) })
	return groups, nil
}

// holds is the filter of the groups that list m, or are its primary group.
func (g *groupsBlock) holds(m member) string {
	var b strings.Builder
	b.WriteString("(|(!(objectClass=*))") // so that it is a filter even where there is nothing to compare
	for _, attribute := range g.member {
		values := []string{m.dn}
		if strings.EqualFold(attribute, "memberUid") {
			values = m.logins
		}
		for _, value := range values {
			b.WriteString("(" + attribute + "=" + ldap.EscapeFilter(value) + ")")
		}
	}
	if m.number != "" {
		b.WriteString("(&(objectClass=posixGroup)(gidNumber=" + ldap.EscapeFilter(m.number) + "))")
	}
	if sid, err := (anchor{name: "objectSid", form: sidForm}).filter(m.primarySID()); err == nil {
		b.WriteString(sid)
	}
	b.WriteString(")")
	return b.String()
}
