package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/join"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// joinKind is what Source.Kind says of a join block.
const joinKind = "join"

// joins reads the join blocks. The sources that one joins are its own from there on: what is left in the config's list,
// and in blocks beside it, is the join.
func (l *loader) joins(joins, blocks []*hcl.Block) []*hcl.Block {
	for _, b := range joins {
		name := b.Labels[0]
		if i := slices.IndexFunc(blocks, func(other *hcl.Block) bool { return other.Labels[len(other.Labels)-1] == name }); i >= 0 {
			l.fail(b.LabelRanges[0], "Duplicate name", fmt.Sprintf("There is a %s %q already, at %s.", blocks[i].Type, name, place(blocks[i].DefRange)))
			continue
		}
		blocks = l.join(b, blocks)
	}
	return blocks
}

func (l *loader) join(b *hcl.Block, blocks []*hcl.Block) []*hcl.Block {
	content, diags := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "leaves"}, {Name: "need"}, {Name: "active"}, {Name: "rehire"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "source", LabelNames: []string{"name"}}},
	})
	l.diags = append(l.diags, diags...)
	r := reader{l, content.Attributes}
	spec := &joinSpec{name: b.Labels[0], clock: l.clock}
	for _, inner := range content.Blocks {
		if m, ok := l.member(inner, spec); ok {
			spec.members = append(spec.members, m)
		}
	}
	if len(content.Blocks) < 2 && !diags.HasErrors() {
		l.fail(b.DefRange, "Nothing to join", "A join has two source blocks or more, in the order of precedence.")
	}
	var names []string
	for _, m := range spec.members {
		names = append(names, m.Name)
	}
	leaves, need := l.members(r, "leaves", names), l.members(r, "need", names)
	for i := range spec.members {
		m := &spec.members[i]
		m.rule.Leaves = r.attrs["leaves"] == nil || slices.Contains(leaves, m.Name)
		m.rule.Needed = slices.Contains(need, m.Name)
	}
	spec.spell()
	spec.checkFirst(l)
	schema := mapping.Schema{Attributes: spec.Attributes(), Exact: spec.Exact()}
	l.schemas[spec.name] = schema
	s := Source{Kind: joinKind, Name: spec.name, At: place(b.DefRange), Spec: spec, Lines: lines(b.Body, "")}
	s.Mapping, diags = mapping.CompileSource(mapping.SourceExpressions{Active: r.expr("active"), Rehire: r.expr("rehire")}, schema, l.env())
	l.diags = append(l.diags, diags...)
	l.untold(b, s.Mapping.Untold())
	var rest []*hcl.Block
	var others []Source
	for _, name := range names {
		l.joined[name] = spec.name
	}
	for i, own := range l.config.Sources {
		if !slices.Contains(names, own.Name) {
			rest, others = append(rest, blocks[i]), append(others, own)
		}
	}
	l.config.Sources = append(others, s)
	return append(rest, b)
}

// member reads one source block of a join.
func (l *loader) member(b *hcl.Block, spec *joinSpec) (m joinMember, ok bool) {
	name := b.Labels[0]
	r := l.open(b, "key", "human", "several", "first")
	at := slices.IndexFunc(l.config.Sources, func(s Source) bool { return s.Name == name })
	if at < 0 || l.config.Sources[at].Kind == joinKind {
		var all []string
		for _, s := range l.config.Sources {
			all = append(all, s.Name)
		}
		l.fail(b.LabelRanges[0], "Unknown source", fmt.Sprintf("There is no source named %q, or another join has it.%s", name, didYouMean(name, all)))
		return m, false
	}
	if slices.ContainsFunc(spec.members, func(other joinMember) bool { return other.Name == name }) {
		l.fail(b.LabelRanges[0], "Named twice", fmt.Sprintf("%q is joined twice.", name))
		return m, false
	}
	m.Source, m.schema, m.at = l.config.Sources[at], l.schemas[name], b.DefRange
	for _, argument := range []string{"rehire", "directory"} {
		if line, there := m.Lines[argument]; there {
			l.fail(b.DefRange, "Not of a joined source", fmt.Sprintf("%s (%s) is about people, and who they are the join says: write it there.", argument, line))
		}
	}
	m.rule = judge.Member{Name: name, Several: r.flag("several", false)}
	m.first = r.texts("first")
	if m.first != nil {
		m.firstAt = r.attrs["first"].Expr.Range()
	}
	key := r.expr("key")
	if key == nil {
		l.fail(b.DefRange, "No key", fmt.Sprintf("Say by what entries of %s are brought together with those of the others: key = person.employeeNumber.", name))
		return m, false
	}
	var diags hcl.Diagnostics
	m.key, diags = mapping.CompileText("key", key, m.schema, l.env())
	l.diags = append(l.diags, diags...)
	if human := r.expr("human"); human != nil {
		text, diags := mapping.CompileText("human", human, m.schema, l.env())
		l.diags = append(l.diags, diags...)
		m.human = &text
	}
	return m, true
}

// members reads a list of names of joined sources.
func (l *loader) members(r reader, argument string, names []string) []string {
	list := r.texts(argument)
	for _, name := range list {
		if !slices.Contains(names, name) {
			r.fail(argument, "Unknown source", fmt.Sprintf("The join has no source named %q.%s", name, didYouMean(name, names)))
		}
	}
	if argument == "leaves" && list != nil && len(list) == 0 {
		r.fail(argument, "Nobody would leave", "Name the sources that say who leaves, or leave the argument out for all of them.")
	}
	return list
}

// A joinMember is one source of a join.
type joinMember struct {
	Source
	rule    judge.Member
	schema  mapping.Schema
	key     mapping.Text
	human   *mapping.Text
	first   []string
	firstAt hcl.Range
	at      hcl.Range
	spelled map[string]string // the join's spelling of an attribute, by the member's
}

// A joinSpec is a decoded join block.
type joinSpec struct {
	name    string
	members []joinMember // in the order of precedence
	clock   func() time.Time
	names   []string // of the join's attributes
	exact   []string
}

// spell gives the members' attributes one spelling: that of the first member that has them.
func (s *joinSpec) spell() {
	spelling, exact := map[string]string{}, map[string]bool{}
	for i := range s.members {
		m := &s.members[i]
		m.spelled = map[string]string{}
		for _, own := range m.schema.Attributes {
			folded := strings.ToLower(own)
			if _, known := spelling[folded]; !known {
				spelling[folded] = own
			}
			m.spelled[own] = spelling[folded]
		}
		for _, own := range m.schema.Exact {
			exact[spelling[strings.ToLower(own)]] = true
		}
	}
	s.names, s.exact = slices.Sorted(maps.Values(spelling)), slices.Sorted(maps.Keys(exact))
}

// checkFirst complains about attributes in `first` that their source does not have, and spells the others.
func (s *joinSpec) checkFirst(l *loader) {
	for i := range s.members {
		m := &s.members[i]
		for n, name := range m.first {
			at := slices.IndexFunc(m.schema.Attributes, func(own string) bool { return strings.EqualFold(own, name) })
			if at < 0 {
				l.fail(m.firstAt, "Unknown attribute", fmt.Sprintf("%s has no attribute %q.%s", m.Name, name, didYouMean(name, m.schema.Attributes)))
				continue
			}
			m.first[n] = m.spelled[m.schema.Attributes[at]]
		}
	}
}

// Attributes implements sources.Spec.
func (s *joinSpec) Attributes() []string { return s.names }

// CaseSensitive implements sources.Spec.
func (s *joinSpec) CaseSensitive() bool { return false }

// Exact implements sources.Spec.
func (s *joinSpec) Exact() []string { return s.exact }

// Open implements sources.Spec: every joined source is opened, for what the config wants of the join and for what the
// source's own block asks.
func (s *joinSpec) Open(need sources.Need) (sources.Source, error) {
	o := join.Options{Name: s.name, Scratch: need.Scratch, Clock: s.clock}
	closeAll := func() (errs []error) {
		for _, m := range o.Members {
			errs = append(errs, m.Source.Close())
		}
		return errs
	}
	grouped := false
	for _, m := range s.members {
		own := m.need(need)
		grouped = grouped || own.Groups
		opened, err := m.Spec.Open(own)
		if err != nil {
			return nil, errors.Join(append(closeAll(), fmt.Errorf("%s: %w", m.Name, err))...)
		}
		o.Members = append(o.Members, join.Member{
			Member: m.rule, Source: opened, Mapping: m.Mapping, Key: m.key, Human: m.human, Attributes: m.asked(need), First: m.first,
			AbsenceLeaves: m.AbsenceLeaves,
		})
	}
	if need.Groups && !grouped {
		return nil, errors.Join(append(closeAll(), errors.New("an expression asks for groups, and none of the joined sources has them"))...)
	}
	return join.New(o), nil
}

// asked are the attributes of the join that are wanted and that the member has.
func (m joinMember) asked(need sources.Need) map[string]string {
	asked := map[string]string{}
	for own, name := range m.spelled {
		if slices.Contains(need.Attributes, name) {
			asked[own] = name
		}
	}
	return asked
}

// need is what is wanted of the member.
func (m joinMember) need(of sources.Need) sources.Need {
	own := of
	own.Log = of.Log.Named(m.Name)
	names := slices.Concat(slices.Collect(maps.Keys(m.asked(of))), m.Mapping.Needs(m.schema), m.key.Needs(m.schema))
	own.Groups = m.Mapping.NeedsGroups() || m.key.NeedsGroups()
	if m.human != nil {
		names = append(names, m.human.Needs(m.schema)...)
		own.Groups = own.Groups || m.human.NeedsGroups()
	}
	if g, ok := m.Spec.(sources.Grouped); ok && of.Groups && g.Grouped() {
		own.Groups = true
	}
	slices.Sort(names)
	own.Attributes = slices.Compact(names)
	return own
}
