package people

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// names are what the bits and numbers in people's records mean: one list for all sources, since a person may be read
// by several. They are only ever added to. Sources are read side by side.
type names struct {
	mu         sync.RWMutex
	list       state.Names
	attributes map[string]int
	groups     map[string]int
}

func newNames(list state.Names) *names {
	n := &names{list: list, attributes: map[string]int{}, groups: map[string]int{}}
	for i, name := range list.Attributes {
		n.attributes[name] = i
	}
	for i, name := range list.Groups {
		n.groups[name] = i
	}
	return n
}

// number is where a name is in one of the lists, at its end where it was not in it.
func (n *names) number(in map[string]int, list *[]string, name string) int {
	n.mu.RLock()
	i, ok := in[name]
	n.mu.RUnlock()
	if ok {
		return i
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if i, ok = in[name]; !ok {
		i = len(*list)
		in[name], *list = i, append(*list, name)
	}
	return i
}

func (n *names) attribute(name string) int { return n.number(n.attributes, &n.list.Attributes, name) }

func (n *names) group(name string) uint32 { return uint32(n.number(n.groups, &n.list.Groups, name)) }

// all is the lists as they are now. What is in them does not change.
func (n *names) all() state.Names {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.list
}

// A vocabulary is what the config asks of one source's people, and how it is written down.
type vocabulary struct {
	*names
	watched mapping.Groups // those on which the config depends now
	sets    map[string][]string
}

func (r *Read) newVocabulary(n int) vocabulary {
	v := vocabulary{names: r.names, sets: map[string][]string{}}
	v.watched = r.o.Sources[n].Mapping.Groups()
	for _, li := range r.readers(n) {
		g := r.Views[li].Mapping.Groups()
		v.watched.Names, v.watched.All = append(v.watched.Names, g.Names...), v.watched.All || g.All
	}
	slices.Sort(v.watched.Names)
	v.watched.Names = slices.Compact(v.watched.Names)
	return v
}

// describe notes in a record what the entry shows.
func (v *vocabulary) describe(rec *state.Person, p identity.Person) {
	if !p.Changed.IsZero() {
		rec.Changed = p.Changed.UnixMicro()
	}
	rec.Inactive = !p.Active
	for name := range p.Attributes {
		rec.Attributes = setBit(rec.Attributes, v.attribute(name))
	}
	for _, name := range p.Unreadable { // it is there
		rec.Attributes = setBit(rec.Attributes, v.attribute(name))
	}
	for _, name := range v.groupNames(p.Groups) {
		rec.Groups = append(rec.Groups, v.group(name))
	}
	slices.Sort(rec.Groups)
	rec.Groups = slices.Compact(rec.Groups)
}

// groupNames are the names by which the config knows groups.
func (v *vocabulary) groupNames(groups []identity.Group) (names []string) {
	p := identity.Person{Groups: groups}
	for _, name := range v.watched.Names {
		if mapping.MemberOf(&p, name) {
			names = append(names, name)
		}
	}
	if v.watched.All {
		for _, g := range groups {
			names = append(names, g.Name)
		}
	}
	return names
}

// traits are what a record says that its person had.
func (v *vocabulary) traits(rec state.Person) judge.Traits {
	return judge.Traits{
		Container: identity.ParentDN(rec.DN), Attributes: v.attributeSet(rec.Attributes), Groups: v.groupSet(rec.Groups),
		Inactive: rec.Inactive, Changed: unix(rec.Changed),
	}
}

// attributeSet names the bits of a set. Most people have one of a few.
func (v *vocabulary) attributeSet(bits []byte) []string {
	set, ok := v.sets[string(bits)]
	if !ok {
		for i, name := range v.all().Attributes {
			if hasBit(bits, i) {
				set = append(set, name)
			}
		}
		v.sets[string(bits)] = set
	}
	return set
}

func (v *vocabulary) groupSet(numbers []uint32) (set []string) {
	groups := v.all().Groups
	for _, n := range numbers {
		if int(n) < len(groups) {
			set = append(set, groups[n])
		}
	}
	return set
}

func setBit(bits []byte, n int) []byte {
	for len(bits) <= n/8 {
		bits = append(bits, 0)
	}
	bits[n/8] |= 1 << (n % 8)
	return bits
}

func hasBit(bits []byte, n int) bool { return n/8 < len(bits) && bits[n/8]&(1<<(n%8)) != 0 }

// alike are people who have the same traits, and had them before.
type alike struct {
	traits judge.Traits
	people int
}

// mostAlike bounds the sets of people who are alike that wait to be counted.
const mostAlike = 4096

// note counts what somebody has and had. It reports whether they lack something that they had: that is counted once
// it is clear why.
func (g *reading) note(known state.Person, old bool, rec state.Person) (lacks bool) {
	switch {
	case !old:
		g.survey.New(g.traits(rec))
		return false
	case less(known, rec):
		return true
	}
	// Who is as before, or has more than before, is counted with all those who are alike.
	k := identity.ParentDN(rec.DN) + "\x00" + string(rec.Attributes) + "\x00"
	for _, n := range rec.Groups {
		k += string(binary.AppendUvarint(nil, uint64(n)))
	}
	if rec.Inactive {
		k += "\x00"
	}
	a := g.alike[k]
	if a == nil {
		if len(g.alike) >= mostAlike {
			g.countAlike()
		}
		a = &alike{traits: g.traits(rec)}
		a.traits.Changed = unix(0)
		g.alike[k] = a
	}
	a.people++
	return false
}

func (g *reading) countAlike() {
	for _, a := range g.alike {
		g.survey.NoteMany(a.traits, a.traits, a.people)
	}
	clear(g.alike)
}

// less reports whether somebody lacks something that they had.
func less(known, rec state.Person) bool {
	for i, b := range known.Attributes {
		if i >= len(rec.Attributes) && b != 0 || i < len(rec.Attributes) && b&^rec.Attributes[i] != 0 {
			return true
		}
	}
	for _, n := range known.Groups {
		if _, has := slices.BinarySearch(rec.Groups, n); !has {
			return true
		}
	}
	return known.Inactive && !rec.Inactive
}

// weighLosses looks at everybody who lacks something that they had: who was only renamed keeps their groups, and what
// many lost at once, or lost without a change of their entry, makes nobody a leaver and changes nobody (R1).
func (r *Read) weighLosses(ctx context.Context, n int) error {
	g := r.readings[n]
	g.countAlike()
	var err error
	if g.approved, err = r.approvedAnomalies(ctx, n); err != nil || len(g.lacking) == 0 {
		return err
	}
	each := func(fn func(v *state.Reader, i int, known state.Person, e roster.Entry) error) error {
		return r.o.Ledger.View(ctx, func(v *state.Reader) error {
			for _, i := range g.lacking {
				if r.Roster.Source(i) != n {
					continue
				}
				e, err := r.Roster.Entry(i)
				if err != nil {
					return err
				}
				known, _, err := v.Person(e.Person.ID)
				if err != nil {
					return fmt.Errorf("read the state: %w", err)
				}
				if err := fn(v, i, known, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = each(func(_ *state.Reader, i int, known state.Person, e roster.Entry) error {
		e, err := r.keepGroups(n, i, known, e)
		g.survey.Note(g.before(known, r.programs[n]), g.traits(e.Record))
		return err
	})
	if err != nil {
		return err
	}
	g.survey.Faded = judge.Fades(g.record.Counts, g.judging(r.o.Sources[n].Mapping), g.record.Accepted, r.Roster.Count(n))
	for _, a := range g.survey.Anomalies(g.groupsSeen()) {
		if !g.approved[a.What()] {
			g.suspicions = append(g.suspicions, r.suspect(n, a))
		}
	}
	if len(g.suspicions) == 0 {
		return nil
	}
	return each(func(v *state.Reader, i int, known state.Person, e roster.Entry) error {
		return r.bind(v, n, i, known, e)
	})
}

// judging counts the attributes by which the kind itself judges who is active: those that no expression names.
func (g *reading) judging(src *mapping.Source) map[string]int {
	if !src.Judged() {
		return nil
	}
	counts := map[string]int{}
	for name, n := range g.facts.Attributes {
		if _, named := g.attributes[name]; !named {
			counts[name] = n
		}
	}
	return counts
}

// counts are the numbers of attributes as they are to be remembered: what has faded stays as it was until an operator
// takes that as it is.
func (g *reading) counts() map[string]int {
	counts := maps.Clone(g.facts.Attributes)
	for _, s := range g.suspicions {
		if s.anomaly.Trait == judge.Mark && s.people > 0 {
			for _, f := range g.survey.Faded {
				counts[f.Name] = g.record.Counts[f.Name]
			}
		}
	}
	return counts
}

// before are the traits that somebody had, as far as the config still asks for them.
func (g *reading) before(known state.Person, program uint64) judge.Traits {
	t := g.traits(known)
	t.Fresh = judge.Fresh(t.Changed, g.record.At)
	edited := known.Program != program
	t.Attributes = slices.DeleteFunc(slices.Clone(t.Attributes), func(name string) bool {
		if g.facts.Attributes == nil {
			return edited
		}
		_, asked := g.facts.Attributes[name]
		return !asked
	})
	t.Groups = slices.DeleteFunc(t.Groups, func(name string) bool {
		return !g.watched.All && !slices.Contains(g.watched.Names, name)
	})
	return t
}

// keepGroups gives somebody who is called otherwise than before the groups back that still list them by their old name.
func (r *Read) keepGroups(n, i int, known state.Person, e roster.Entry) (roster.Entry, error) {
	g := r.readings[n]
	names := append(slices.Clone(known.Former), state.Former{DN: known.DN, Name: known.Name})
	names = slices.DeleteFunc(names, func(f state.Former) bool { return f.DN == e.Person.DN && f.Name == e.Person.Name })
	by := map[string]string{} // a group's DN to the name that it lists
	for _, f := range names {
		for _, dn := range g.facts.GroupsOfFormer(f.DN, f.Name) {
			by[dn] = f.DN
		}
	}
	if len(by) == 0 {
		return e, nil
	}
	var kept []identity.Group
	before, now := g.groupSet(known.Groups), g.groupSet(e.Record.Groups)
	for _, fact := range g.facts.Groups {
		group := identity.Group{Name: fact.Name, DN: fact.DN}
		if old, listed := by[fact.DN]; listed && len(judge.Kept(before, now, g.groupNames([]identity.Group{group}))) > 0 {
			kept = append(kept, group)
			r.o.Find(identity.Finding{
				Kind: "dangling", Subject: r.o.Sources[n].Name + ": " + fact.Name, Source: r.o.Sources[n].Name, Person: e.Person.ID,
				Detail: fmt.Sprintf("group %s still lists %s, who is %s now: they stay in it; put their new name into the group", fact.Name, old, e.Person.DN),
			})
		}
	}
	if len(kept) == 0 {
		return e, nil
	}
	print := e.Record.Print
	e.Person = withGroups(e.Person, kept)
	e.Person.Active = !e.Record.Inactive // the kind's own judgement, which the record's Active has overruled
	anew := known
	anew.Print, anew.Program = 0, 0 // what was evaluated without these groups does not count
	rec, unsure := r.weigh(n, anew, present{e.Person, false}, e.Person.Fingerprint())
	if rec.Print != 0 {
		rec.Print = print // of what was read: it is the same as long as nothing of that changes
	}
	if rec.Former = names; len(rec.Former) > mostFormer {
		rec.Former = rec.Former[len(rec.Former)-mostFormer:]
	}
	fingerprint := e.Person.Fingerprint()
	e.Record, e.Person.Active = rec, rec.Active
	r.unmark(n, i)
	r.mark(n, i, rec, unsure)
	return e, r.Roster.Replace(i, e, fingerprint, differs(known, rec))
}

// mostFormer bounds the names that are remembered of one person.
const mostFormer = 4

func (r *Read) unmark(n, i int) {
	for _, li := range r.readers(n) {
		r.Views[li].Scope.Clear(i)
		r.Views[li].Unsure.Clear(i)
	}
}

// withGroups is a person with more groups.
func withGroups(p identity.Person, more []identity.Group) identity.Person {
	p.Groups = append(slices.Clone(p.Groups), more...)
	slices.SortFunc(p.Groups, func(a, b identity.Group) int { return strings.Compare(a.DN+"\x00"+a.Name, b.DN+"\x00"+b.Name) })
	p.Groups = slices.Compact(p.Groups)
	return p
}

// groupsSeen is what the read showed of the groups on which the config depends, by the names that it gives them.
func (g *reading) groupsSeen() map[string]judge.GroupSeen {
	if !g.tells || g.facts.Groups == nil {
		return nil
	}
	seen := map[string]judge.GroupSeen{}
	for _, before := range g.record.Groups {
		seen[before.Name] = judge.GroupSeen{Name: before.Name, DN: before.DN, Missing: true}
	}
	renamed := map[string]string{} // by ID
	for _, fact := range g.facts.Groups {
		if fact.ID != "" {
			renamed[fact.ID] = fact.Name
		}
		for _, name := range g.groupNames([]identity.Group{{Name: fact.Name, DN: fact.DN}}) {
			s := seen[name]
			s.Name, s.DN, s.Missing, s.Hidden = name, fact.DN, false, s.Hidden || fact.Hidden
			seen[name] = s
		}
	}
	for _, before := range g.record.Groups {
		if s := seen[before.Name]; s.Missing && before.ID != "" {
			s.Renamed = renamed[before.ID]
			seen[before.Name] = s
		}
	}
	return seen
}

// groupRecords are the groups as they are to be remembered of this read.
func (g *reading) groupRecords() []state.GroupRecord {
	records := map[string]state.GroupRecord{}
	for _, before := range g.record.Groups {
		before.Count = 0
		records[before.Name] = before
	}
	for _, name := range g.survey.Names(judge.Group) {
		known := records[name]
		known.Name, known.Count = name, g.survey.Members(judge.Group, name)
		records[name] = known
	}
	for _, fact := range g.facts.Groups {
		for _, name := range g.groupNames([]identity.Group{{Name: fact.Name, DN: fact.DN}}) {
			known, ok := records[name]
			if !ok {
				continue
			}
			known.DN = fact.DN
			if fact.ID != "" {
				known.ID = fact.ID
			}
			records[name] = known
		}
	}
	var list []state.GroupRecord
	for _, name := range sortedKeys(records) {
		if g.watched.All || slices.Contains(g.watched.Names, name) {
			list = append(list, records[name])
		}
	}
	return list
}

// bind keeps somebody as they are at every target that anomalies touch: where they are in scope nothing is changed,
// and where they no longer are they wait for an operator: also those who were put out before, and still have an open
// account.
func (r *Read) bind(v *state.Reader, n, i int, known state.Person, e roster.Entry) error {
	g := r.readings[n]
	before, now := g.before(known, r.programs[n]), g.traits(e.Record)
	effect := effects{person: e.Person, now: r.o.Now}
	effect.person.Active = !e.Record.Inactive
	var by []*suspicion
	for _, s := range g.suspicions {
		if s.anomaly.Binds(before, now) {
			by = append(by, s)
			effect.add(s.anomaly, g)
		}
	}
	if len(by) == 0 {
		return nil
	}
	var bound, doubted []string // doubted: of those, where they may be out of scope
	src := r.o.Sources[n].Mapping
	if !e.Record.Active && effect.leaves(src.Unmet(e.Person, r.o.Now)) {
		return nil
	}
	for _, li := range r.readers(n) {
		l := r.Views[li]
		scope, account := effect.at(src, l.Mapping, e.Record.Active)
		if scope {
			doubted = append(doubted, l.Name)
		}
		out := !l.Scope.Has(i) && !l.Unsure.Has(i) && scope
		keeps := out && slices.Contains(known.Scope, l.Name)
		if out && !keeps {
			link, linked, err := v.Link(l.Name, e.Person.ID)
			if err != nil {
				return fmt.Errorf("read the state: %w", err)
			}
			keeps = linked && link.State == identity.LinkActive
		}
		switch {
		case l.Scope.Has(i) && account:
			if !scope {
				l.Stays.Set(i)
			}
			l.Scope.Clear(i)
			l.Unsure.Set(i)
			bound = append(bound, l.Name)
		case keeps:
			l.bound[i] = strongest(by)
			bound = append(bound, l.Name)
		case out: // whether they would be let in cannot be told
			l.Unsure.Set(i)
			bound = append(bound, l.Name)
		}
	}
	if len(bound) == 0 {
		return r.keepTraits(i, known, e, by)
	}
	for _, s := range by {
		s.people++
	}
	bound = slices.DeleteFunc(bound, func(target string) bool { return !slices.Contains(doubted, target) })
	return r.keep(i, known, e, bound, by)
}

// keepTraits remembers of somebody whom anomalies concern nowhere that they had what many have lost: the next read is
// to see as many who lost it.
func (r *Read) keepTraits(i int, known state.Person, e roster.Entry, by []*suspicion) error {
	e.Record = r.readings[r.Roster.Source(i)].withTraits(known, e.Record, by)
	return r.Roster.Replace(i, e, r.Roster.Row(i).Fingerprint, differs(known, e.Record))
}

// withTraits is a record with what its person has lost by anomalies. Whatever else they lost, and what an operator
// takes as it is, is lost.
func (g *reading) withTraits(known, rec state.Person, by []*suspicion) state.Person {
	for _, s := range by {
		switch s.anomaly.Trait {
		case judge.Attribute:
			rec.Attributes = setBit(slices.Clone(rec.Attributes), g.attribute(s.anomaly.Name))
		case judge.Group:
			rec.Groups = withNumber(rec.Groups, g.group(s.anomaly.Name))
		}
	}
	rec.Lost = lost(known, rec)
	return rec
}

// withNumber is a sorted list with one more number.
func withNumber(list []uint32, n uint32) []uint32 {
	list = append(slices.Clone(list), n)
	slices.Sort(list)
	return slices.Compact(list)
}

// bindNewcomers takes people who are read for the first time for such as have lost what many others have lost: nothing
// is decided of them by their lacking it (F4).
func (r *Read) bindNewcomers(ctx context.Context, n int) error {
	g := r.readings[n]
	var lost []*suspicion
	for _, s := range g.suspicions {
		if s.anomaly.Trait != judge.Mark {
			lost = append(lost, s)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for i := range r.Roster.Of(n) {
			e, err := r.Roster.Entry(i)
			if err != nil {
				return err
			}
			if _, old, err := v.Person(e.Person.ID); err != nil {
				return fmt.Errorf("read the state: %w", err)
			} else if old {
				continue
			}
			if err := r.bindNewcomer(n, i, e, lost); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Read) bindNewcomer(n, i int, e roster.Entry, lost []*suspicion) error {
	g, now := r.readings[n], r.readings[n].traits(e.Record)
	effect := effects{person: e.Person}
	effect.person.Active = !e.Record.Inactive
	rec := e.Record
	var by []*suspicion
	for _, s := range lost {
		had := judge.Traits{Container: now.Container, Attributes: []string{s.anomaly.Name}, Groups: []string{s.anomaly.Name}}
		if !s.anomaly.Binds(had, now) {
			continue
		}
		by = append(by, s)
		if effect.add(s.anomaly, g); s.anomaly.Trait == judge.Group {
			rec.Groups = withNumber(rec.Groups, g.group(s.anomaly.Name))
		} else {
			rec.Attributes = setBit(slices.Clone(rec.Attributes), g.attribute(s.anomaly.Name))
		}
	}
	bound := false
	for _, li := range r.readers(n) {
		l := r.Views[li]
		if scope, _ := effect.at(r.o.Sources[n].Mapping, l.Mapping, rec.Active); scope && !l.Unsure.Has(i) {
			l.Scope.Clear(i)
			l.Unsure.Set(i)
			rec.Scope = slices.DeleteFunc(slices.Clone(rec.Scope), func(target string) bool { return target == l.Name })
			bound = true
		}
	}
	if !bound {
		return nil
	}
	for _, s := range by {
		s.people++
	}
	rec.Print = 0 // to be evaluated again
	e.Record = rec
	return r.Roster.Replace(i, e, r.Roster.Row(i).Fingerprint, true)
}

// keep remembers of somebody what they had before an anomaly, and at the targets that it concerns whether they were in
// scope; that they are back, or are in scope elsewhere, is remembered all the same.
func (r *Read) keep(i int, known state.Person, e roster.Entry, bound []string, by []*suspicion) error {
	rec := r.readings[r.Roster.Source(i)].withTraits(known, e.Record, by)
	rec.Print = 0
	rec.Scope = slices.DeleteFunc(slices.Clone(rec.Scope), func(target string) bool { return slices.Contains(bound, target) })
	for _, target := range known.Scope {
		if slices.Contains(bound, target) {
			rec.Scope = append(rec.Scope, target)
		}
	}
	slices.Sort(rec.Scope)
	same := bytes.Equal(rec.Attributes, known.Attributes) && slices.Equal(rec.Groups, known.Groups) && sameTurn(known, rec)
	if same && rec.Active == known.Active && rec.Noticed.Equal(known.Noticed) && slices.Equal(rec.Scope, known.Scope) {
		r.Roster.Keep(i)
		return nil
	}
	e.Record = rec
	return r.Roster.Replace(i, e, r.Roster.Row(i).Fingerprint, true)
}

// strongest is the suspicion that may feign most.
func strongest(by []*suspicion) *suspicion {
	return slices.MaxFunc(by, func(a, b *suspicion) int { return cmp.Compare(a.strength, b.strength) })
}

// effects are what of one person anomalies may have changed.
type effects struct {
	person     identity.Person // as read, the kind's own judgement included
	now        time.Time
	attributes []string
	groups     []identity.Group
	mark       bool
}

func (x *effects) add(a judge.Anomaly, g *reading) {
	switch a.Trait {
	case judge.Attribute:
		x.attributes = append(x.attributes, a.Name)
	case judge.Group:
		x.groups = append(x.groups, g.groupCalled(a.Name))
	case judge.Mark:
		x.mark = true
	}
}

// leaves reports whether somebody is not active, whatever the anomalies mean, by the conditions that they do not meet.
func (x *effects) leaves(unmet []mapping.Condition) bool {
	names := make([][]string, len(unmet))
	for i, c := range unmet {
		names[i] = c.Names()
	}
	return judge.Certain(names, x.attributes)
}

// groupCalled makes a group that the config knows by a name.
func (g *reading) groupCalled(name string) identity.Group {
	for _, fact := range g.facts.Groups {
		group := identity.Group{Name: fact.Name, DN: fact.DN}
		if slices.Contains(g.groupNames([]identity.Group{group}), name) {
			return group
		}
	}
	if strings.Contains(name, "=") {
		return identity.Group{Name: name, DN: name}
	}
	return identity.Group{Name: name}
}

// at reports whether a target's scope, and what it wants of the account, may be other than they seem.
func (x *effects) at(src *mapping.Source, target *mapping.Target, active bool) (scope, account bool) {
	names := func(list []string) bool {
		return slices.ContainsFunc(x.attributes, func(a string) bool { return slices.Contains(list, a) })
	}
	if x.mark && src.Judged() || names(src.Names()) {
		return true, true
	}
	if names(target.ScopeNames()) {
		return true, true
	}
	account = names(target.Names())
	if len(x.groups) == 0 {
		return false, account
	}
	now, was := x.person, withGroups(x.person, x.groups)
	then, err := src.Presence(was, x.now)
	if err != nil || then.Active != active {
		return true, true
	}
	now.Active, was.Active = active, active
	inNow, err := target.InScope(now, x.now)
	inWas, wasErr := target.InScope(was, x.now)
	if err != nil || wasErr != nil || inNow != inWas {
		return true, true
	}
	return false, account || !sameAccount(target, now, was)
}

// sameAccount reports whether a target wants the same account of two states of a person, logins apart.
func sameAccount(target *mapping.Target, a, b identity.Person) bool {
	first, err := target.Account(a, mapping.Logins{Current: a.Name})
	second, secondErr := target.Account(b, mapping.Logins{Current: a.Name})
	paths := target.Paths()
	return err == nil && secondErr == nil && first.Fingerprint(paths) == second.Fingerprint(paths)
}

// approvedAnomalies are those of a source that an operator takes as they are.
func (r *Read) approvedAnomalies(ctx context.Context, n int) (map[string]bool, error) {
	approved := map[string]bool{}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for h, err := range v.Holds() {
			if err != nil {
				return err
			}
			if h.Kind == identity.HoldAnomaly && h.Directory == r.o.Sources[n].Name && h.Ruling.What == identity.Approved {
				approved[h.Anomaly] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return approved, nil
}

// sortedKeys are a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
