package sql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A membership is who is in which group. A group is known by its name alone.
type membership struct {
	names   []string
	number  map[string]int32 // of a name, among names
	members map[string][]int32
	values  []int // by group: its members
	people  []int // by group: those of them who were read
}

func newMembership() *membership {
	return &membership{number: map[string]int32{}, members: map[string][]int32{}}
}

func (m *membership) add(anchor, name string) {
	n, known := m.number[name]
	if !known {
		n = int32(len(m.names))
		m.number[name], m.names = n, append(m.names, name)
		m.values, m.people = append(m.values, 0), append(m.people, 0)
	}
	if anchor == "" || slices.Contains(m.members[anchor], n) {
		return
	}
	m.members[anchor] = append(m.members[anchor], n)
	m.values[n]++
}

// of are the groups of one person, sorted, and counts them as read.
func (m *membership) of(anchor string) []identity.Group {
	numbers := m.members[anchor]
	if len(numbers) == 0 {
		return nil
	}
	list := make([]identity.Group, len(numbers))
	for i, n := range numbers {
		m.people[n]++
		list[i] = identity.Group{Name: m.names[n], DN: m.names[n]}
	}
	slices.SortFunc(list, func(a, b identity.Group) int { return strings.Compare(a.DN, b.DN) })
	return list
}

// unmet is the same membership with nobody read yet.
func (m *membership) unmet() *membership {
	if m == nil {
		return nil
	}
	fresh := *m
	fresh.people = make([]int, len(m.names))
	return &fresh
}

// facts are what is to be told of each group when everybody was asked for.
func (m *membership) facts() []sources.GroupFact {
	list := make([]sources.GroupFact, len(m.names))
	for n, name := range m.names {
		list[n] = sources.GroupFact{
			DN: name, Name: name, Values: m.values[n], People: m.people[n], Unknown: m.values[n] - m.people[n],
		}
	}
	slices.SortFunc(list, func(a, b sources.GroupFact) int { return strings.Compare(a.DN, b.DN) })
	return list
}

// groupColumns finds the two columns of the result of groups: the anchor, and the other one.
func (b *block) groupColumns(names []string) (anchor, group int, err error) {
	if len(names) != 2 {
		return 0, 0, fmt.Errorf("it returns %d columns, and has to return two: %s and the name of a group", len(names), b.anchor)
	}
	if anchor, err = columnAt(names, b.anchor); err != nil {
		return 0, 0, err
	}
	return anchor, 1 - anchor, nil
}

// readGroups reads who is in which group; nil where that is not asked for.
func (s *source) readGroups(ctx context.Context, tx *sql.Tx, alive func()) (*membership, error) {
	if !s.block.groups.given() {
		return nil, nil
	}
	m := newMembership()
	text, _ := s.block.groups.bind(s.block.Driver, nil)
	err := s.eachMember(ctx, tx, text, nil, func(anchor, name string) {
		alive()
		m.add(anchor, name)
	})
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	return m, nil
}

// groupsOf asks for the groups of one person.
func (s *source) groupsOf(ctx context.Context, tx *sql.Tx, anchor string) ([]identity.Group, error) {
	if !s.block.groups.given() {
		return nil, nil
	}
	m := newMembership()
	text, args, err := s.only(ctx, tx, s.block.groups, s.block.anchor, anchor)
	if err == nil {
		err = s.eachMember(ctx, tx, text, args, m.add)
	}
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	return m.of(anchor), nil
}

func (s *source) eachMember(ctx context.Context, tx *sql.Tx, text string, args []any, each func(anchor, name string)) error {
	var kinds []string
	var anchor, group int
	return s.run(ctx, tx, text, args, func(r result) (err error) {
		kinds = r.kinds
		anchor, group, err = s.block.groupColumns(r.names)
		return err
	}, func(values []any) error {
		who, _ := anchorOf(s.block.anchor, render(kinds[anchor], values[anchor]))
		name := render(kinds[group], values[group])
		if name.unreadable || len(name.values) > 1 {
			return fmt.Errorf("the name of a group of %s is not text", who)
		}
		if text := name.text(); text != "" {
			each(who, text)
		}
		return nil
	})
}
