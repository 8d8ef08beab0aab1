package ldap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// groupsPage bounds the pages of groups, whose entries may hold ten thousand members each where a person's holds ten values.
const groupsPage = 20

// groupsBlock is the `groups` block.
type groupsBlock struct {
	bases  []string
	filter string
	member []string // attributes that hold members: DNs, or logins in memberUid
	name   string   // the attribute that people call a group by
}

// A key stands for one member. It is a cut SHA-256 and not a quick hash: who can choose a DN must not be able to choose a membership.
type key [16]byte

func digest(kind byte, text string) key {
	sum := sha256.Sum256(append([]byte{kind}, text...))
	return key(sum[:16])
}

// memberKey is the key of a value of a member attribute.
func memberKey(attribute, value string) key {
	if strings.EqualFold(attribute, "memberUid") {
		return loginKey(value)
	}
	if i := strings.LastIndex(value, "#'"); i > 0 && strings.HasSuffix(value, "'B") {
		value = value[:i] // Name and Optional UID (RFC 4517, 3.3.21)
	}
	return dnKey(value)
}

func dnKey(dn string) key {
	normal, err := normalDN(dn)
	if err != nil {
		return digest('?', dn)
	}
	return digest('d', normal)
}

func loginKey(uid string) key { return digest('u', uid) }

// An index answers which groups a person is in, directly or through other groups. It costs 20 bytes a membership.
type membership struct {
	groups  []identity.Group // sorted by DN
	edges   []edge           // sorted
	parents [][]uint32       // by group: the groups that hold it directly
}

type edge struct {
	member key
	group  uint32
}

func (e edge) compare(f edge) int {
	if n := bytes.Compare(e.member[:], f.member[:]); n != 0 {
		return n
	}
	return int(e.group) - int(f.group)
}

// readGroups reads every group, or fails.
func (s *session) readGroups(ctx context.Context, g *groupsBlock, b bounds) (*membership, error) {
	var x membership
	b.pageSize = min(b.pageSize, groupsPage)
	seen := make(map[key]bool) // bases may overlap
	for _, base := range g.bases {
		q := query{base, ldap.ScopeWholeSubtree, g.filter, append([]string{g.name}, g.member...)}
		for entries, err := range s.pages(ctx, q, b) {
			if err != nil {
				return nil, fmt.Errorf("groups: %w", err)
			}
			for _, entry := range entries {
				own := dnKey(entry.DN)
				if seen[own] {
					continue
				}
				seen[own] = true
				if err := s.addGroup(ctx, &x, g, entry); err != nil {
					return nil, err
				}
			}
		}
	}
	x.sort()
	return &x, nil
}

func (s *session) addGroup(ctx context.Context, x *membership, g *groupsBlock, entry *ldap.Entry) error {
	number := uint32(len(x.groups))
	x.groups = append(x.groups, g.group(entry))
	for _, attr := range entry.Attributes {
		d := parseDescription(attr.Name)
		if !slices.ContainsFunc(g.member, func(name string) bool { return strings.EqualFold(name, d.base) }) {
			continue
		}
		values := attr.Values
		if d.partial {
			rest, err := s.rest(ctx, entry.DN, d)
			if err != nil {
				return fmt.Errorf("groups: %w", err)
			}
			values = append(values, rest.Values...)
		}
		for _, value := range values {
			x.edges = append(x.edges, edge{memberKey(d.base, value), number})
		}
	}
	return nil
}

// group makes a Group of its entry.
func (g *groupsBlock) group(entry *ldap.Entry) identity.Group {
	group := identity.Group{Name: strings.ToValidUTF8(entry.GetEqualFoldAttributeValue(g.name), "\uFFFD"), DN: readable(entry.DN)}
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
	sorted := make([]identity.Group, len(order))
	for now, before := range order {
		renumbered[before] = uint32(now)
		sorted[now] = x.groups[before]
	}
	x.groups = sorted
	for i := range x.edges {
		x.edges[i].group = renumbered[x.edges[i].group]
	}
	slices.SortFunc(x.edges, edge.compare)
	x.edges = slices.Clip(slices.Compact(x.edges))
	x.parents = make([][]uint32, len(sorted))
	for i, g := range sorted {
		x.parents[i] = x.direct(dnKey(g.DN), nil)
	}
}

// direct appends the numbers of the groups that name member.
func (x *membership) direct(member key, to []uint32) []uint32 {
	i, _ := slices.BinarySearchFunc(x.edges, edge{member: member}, edge.compare)
	for ; i < len(x.edges) && x.edges[i].member == member; i++ {
		to = append(to, x.edges[i].group)
	}
	return to
}

// of returns the groups of a person, nested ones included, sorted by DN. Cycles end where they began.
func (x *membership) of(dn string, logins []string) []identity.Group {
	reached := x.direct(dnKey(dn), nil)
	for _, login := range logins {
		reached = x.direct(loginKey(login), reached)
	}
	if len(reached) == 0 {
		return nil
	}
	slices.Sort(reached)
	reached = slices.Compact(reached)
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
	groups := make([]identity.Group, len(reached))
	for i, g := range reached {
		groups[i] = x.groups[g]
	}
	return groups
}

// groupsOf asks the directory for the groups of one person, level by level: for a single look-up, reading all of them would take too long.
func (s *session) groupsOf(ctx context.Context, g *groupsBlock, b bounds, dn string, logins []string) ([]identity.Group, error) {
	found := make(map[key]identity.Group)
	next := []string{g.holds(dn, logins)}
	for len(next) > 0 {
		wanted := next[0]
		next = next[1:]
		for _, base := range g.bases {
			q := query{base, ldap.ScopeWholeSubtree, "(&" + g.filter + wanted + ")", []string{g.name}}
			for entries, err := range s.pages(ctx, q, b) {
				if err != nil {
					return nil, fmt.Errorf("groups: %w", err)
				}
				for _, entry := range entries {
					own := dnKey(entry.DN)
					if _, again := found[own]; !again {
						found[own] = g.group(entry)
						next = append(next, g.holds(entry.DN, nil))
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

// holds is the filter of the groups that name dn, or one of logins where the group lists those.
func (g *groupsBlock) holds(dn string, logins []string) string {
	var b strings.Builder
	b.WriteString("(|(!(objectClass=*))") // so that it is a filter even where there is nothing to compare
	for _, attribute := range g.member {
		values := []string{dn}
		if strings.EqualFold(attribute, "memberUid") {
			values = logins
		}
		for _, value := range values {
			b.WriteString("(" + attribute + "=" + ldap.EscapeFilter(value) + ")")
		}
	}
	b.WriteString(")")
	return b.String()
}
