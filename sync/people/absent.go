package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// order compares how current two answers of a directory are.
func order(answer, accepted sources.Currency) judge.Order {
	switch {
	case len(answer) == 0 || len(accepted) == 0:
		return judge.Undated
	case answer.Covers(accepted):
		return judge.Current
	case accepted.Covers(answer):
		return judge.Older
	}
	return judge.Incomparable
}

// believe judges a read as a whole: by how current its server is (R1), and whether it has anybody.
func (r *Read) believe(ctx context.Context, n int) error {
	g, name := r.readings[n], r.o.Sources[n].Name
	r.Parts[n].Count = r.Roster.Count(n)
	last := judge.Accepted{Server: g.record.Server, Rival: g.record.Rival, Since: g.record.RivalSince}
	read := judge.Read{Server: g.facts.Server, Order: order(g.facts.From, g.record.Currency)}
	if read.Order == judge.Incomparable && read.Server == last.Server { // several servers answer under one address
		read.Server += " " + strings.Join(sortedKeys(g.facts.From), " ")
	}
	b := judge.Believe(last, read, r.o.Now)
	if b.Backwards {
		_, released, err := r.o.Keeper.Hold(ctx, identity.Hold{
			Kind: identity.HoldShrink, Directory: name, Anomaly: "server " + g.facts.Server, Count: g.record.Accepted,
			Reason: b.Why + "; approve it to take the directory as it is now",
		})
		if err != nil || !released {
			return err
		}
		b = judge.Belief{Whole: true, Accepted: judge.Accepted{Server: g.facts.Server}}
	}
	if !b.Whole {
		if r.o.Write {
			record := g.record
			record.Rival, record.RivalSince = b.Rival, b.Since
			if err := r.o.Ledger.Update(ctx, func(w *state.Writer) error { return r.putRival(w, record) }); err != nil {
				return fmt.Errorf("write the state: %w", err)
			}
		}
		return fmt.Errorf("%w: %s", sources.ErrIncomplete, b.Why)
	}
	if r.Roster.Count(n) == 0 {
		return r.nobody(ctx, n)
	}
	believed, err := r.anchored(ctx, n)
	g.complete = believed
	return err
}

// putRival remembers which server answered, and nothing else of its read.
func (r *Read) putRival(w *state.Writer, record state.SourceRecord) error {
	now, _, err := w.Source(record.Name)
	if err != nil {
		return err
	}
	now.Name, now.Rival, now.RivalSince = record.Name, record.Rival, record.RivalSince
	return w.PutSource(now)
}

// nobody holds a read without people, unless an operator says that this is so.
func (r *Read) nobody(ctx context.Context, n int) error {
	g, name := r.readings[n], r.o.Sources[n].Name
	if g.record.Accepted == 0 {
		return fmt.Errorf("%w: %s returned nobody: check base_dn, filter and the bind DN's rights", sources.ErrIncomplete, name)
	}
	belief, err := r.o.Keeper.Size(ctx, guard.Read{Now: r.o.Now, Limits: r.o.Limits, Source: name, Before: g.record.Accepted, Missing: g.record.Accepted})
	g.complete = belief.Believed
	return err
}

// judgePeople finds out about everybody who has an account somewhere and is missing from what was read, whether so
// many may be missing, and who of those that left came back under another anchor. It changes nothing but memory.
func (r *Read) JudgePeople(ctx context.Context) error {
	absent, err := r.absent(ctx)
	if err != nil {
		return err
	}
	if err := r.askAll(ctx, absent); err != nil {
		return err
	}
	if err := r.askHeirs(ctx); err != nil {
		return err
	}
	if err := r.renameLate(ctx); err != nil {
		return err
	}
	for n := range r.o.Sources {
		if r.readings[n] != nil && r.readings[n].complete {
			if err := r.accept(ctx, n); err != nil {
				r.withdraw(n, err)
			}
		}
		if !r.whole[n] {
			r.disbelieve(n)
		}
	}
	r.tellStranded()
	for _, l := range r.Views {
		if err := r.returns(ctx, l); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// readersOf are the sources of a directory.
func (r *Read) readersOf(directory string) (list []int) {
	for n, d := range r.directories {
		if d.name == directory {
			list = append(list, n)
		}
	}
	return list
}

// completely reports whether every source of a directory was read to its end and is believed: nobody is missing from
// half of them.
func (r *Read) completely(directory string) bool {
	return r.every(directory, func(n int) bool { return r.readings[n] != nil && r.readings[n].complete })
}

// every reports whether something is so of every source of a directory, and there is one.
func (r *Read) every(directory string, is func(n int) bool) bool {
	list := r.readersOf(directory)
	return len(list) > 0 && !slices.ContainsFunc(list, func(n int) bool { return !is(n) })
}

// A missing person has, or had, an account somewhere, and is not among those who were read.
type missing struct {
	state.Person
	open bool // an account of theirs is not closed
}

// absent lists the linked people whom the reads lack and who have not been proven gone before.
func (r *Read) absent(ctx context.Context) (absent []missing, err error) {
	seen := map[identity.PersonID]int{} // where in absent
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, l := range r.Views {
			for link, err := range v.Links(l.Name) {
				if err != nil {
					return err
				}
				if i, here := r.Roster.Find(link.Person); here {
					l.Linked.Set(i)
					continue
				}
				if link.State == identity.LinkActive {
					r.open[link.Person] = true
				}
				if !r.completely(link.Person.Directory) && !r.renamed(link.Person.Directory) {
					continue
				}
				if at, twice := seen[link.Person]; twice {
					if at >= 0 {
						absent[at].open = absent[at].open || link.State == identity.LinkActive
					}
					continue
				}
				if !r.o.Full && link.State != identity.LinkActive {
					continue // closed already: a full pass asks about them again
				}
				p, ok, err := v.Person(link.Person)
				if err != nil {
					return err
				}
				if !ok {
					p = state.Person{ID: link.Person, Name: link.Name}
				}
				seen[p.ID] = -1
				r.keys[p.ID] = roster.HashOf(p.Rehire)
				if r.heir(p.ID) && !r.inactiveHeir(p.ID, link) {
					r.stranded[p.ID.Directory]++
					continue
				}
				if p.Proven {
					r.gone[p.ID] = provenBefore(p)
					continue
				}
				seen[p.ID] = len(absent)
				absent = append(absent, missing{p, link.State == identity.LinkActive})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return absent, nil
}

// askHeirs asks for those who are remembered under another anchor than somebody who left and has an account open, by the
// rehire key, and whom the reads lack: as long as nobody knows that they have left, what they had is not closed.
func (r *Read) askHeirs(ctx context.Context) error {
	left := map[uint64]identity.PersonID{}
	for id := range r.open {
		if a, asked := r.absentOf(id); asked && a.Outcome == judge.Left && r.keys[id] != 0 {
			left[r.keys[id]] = id
		}
	}
	if len(left) == 0 {
		return nil
	}
	var heirs []missing
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, d := range slices.Compact(slices.Sorted(maps.Values(r.directoryNames()))) {
			for p, err := range v.People(d) {
				if err != nil {
					return err
				}
				former, wanted := left[roster.HashOf(p.Rehire)]
				if _, here := r.Roster.Find(p.ID); here || !wanted || former == p.ID || !p.Active || p.Proven {
					continue
				}
				heirs = append(heirs, missing{p, true})
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	unasked := slices.DeleteFunc(slices.Clone(heirs), func(m missing) bool { // who has an account linked was asked for
		_, asked := r.absentOf(m.ID)
		return asked
	})
	if err := r.askAll(ctx, unasked); err != nil {
		return err
	}
	for _, m := range heirs {
		if a, _ := r.absentOf(m.ID); a.Outcome != judge.Left {
			r.unseen[roster.HashOf(m.Rehire)] = true
		}
	}
	return nil
}

// directoryNames are the names of the directories that the sources read, by source.
func (r *Read) directoryNames() map[int]string {
	names := map[int]string{}
	for n, d := range r.directories {
		names[n] = d.name
	}
	return names
}

// anew reports whether somebody whom the reads lack is there and active under another anchor, by the rehire key.
func (r *Read) anew(id identity.PersonID) bool {
	key := r.keyOf(id)
	return key != 0 && r.activeKeys()[key]
}

// keyOf is the rehire key of somebody whom the reads lack; 0 for none.
func (r *Read) keyOf(id identity.PersonID) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[id]
}

// keysOfActive are the rehire keys of everybody who was read and is active.
func (r *Read) keysOfActive() map[uint64]bool {
	keys := map[uint64]bool{}
	for i := range r.Roster.Len() {
		if row := r.Roster.Row(i); row.Key != 0 && row.Active {
			keys[row.Key] = true
		}
	}
	return keys
}

// heir reports whether a source knows somebody by another anchor by now, and an operator has yet to say so.
func (r *Read) heir(id identity.PersonID) bool {
	return slices.ContainsFunc(r.readersOf(id.Directory), func(n int) bool {
		return r.readings[n] != nil && r.readings[n].heirs[id] != identity.PersonID{}
	})
}

// renamed reports whether every source of a directory was read to its end, and some know people by another attribute
// than before: who is known to none of them can be asked for by the old one.
func (r *Read) renamed(directory string) bool {
	return r.every(directory, func(n int) bool {
		g := r.readings[n]
		return g != nil && (g.complete || g.heirs != nil)
	})
}

// knownBy are the attributes by which somebody may have been known, other than the one by which a source knows people
// now: sources of one directory may differ in it.
func (r *Read) knownBy(n int, p state.Person) (list []string) {
	own, _ := r.o.Sources[n].selection()
	add := func(by string) {
		if by != "" && by != own && !slices.Contains(list, by) {
			list = append(list, by)
		}
	}
	add(p.KnownBy)
	for _, other := range r.readersOf(p.ID.Directory) {
		if r.anchorEdited(other) {
			add(r.readings[other].record.Anchor)
		}
	}
	return list
}

// tellStranded says which sources have people whom nobody can ask for, and makes no accounts for anybody new of
// theirs: they may be the same.
func (r *Read) tellStranded() {
	for n, s := range r.o.Sources {
		count := r.stranded[r.directories[n].name]
		if count == 0 {
			continue
		}
		anchor, _ := s.selection()
		remedy := "or link the accounts anew with `dirsweep link PERSON TARGET ACCOUNT`"
		if g := r.readings[n]; g != nil && g.relink != "" {
			remedy = "or `dirsweep approve " + g.relink + "` has them known by the new one"
		}
		r.o.Find(identity.Finding{
			Kind: "anchor edited", Subject: s.Name, Source: s.Name,
			Detail: fmt.Sprintf("%d people with accounts are known by another anchor than %s, by which the source reads now: "+
				"none of them leaves by that, and no account is made for anybody new of it. "+
				"Give the source its old anchor back (%s), %s",
				count, anchor, s.line("anchor"), remedy),
		})
		for _, li := range r.readers(n) {
			for i := range r.Roster.Of(n) {
				if l := r.Views[li]; l.Scope.Has(i) && !l.Linked.Has(i) {
					l.Scope.Clear(i)
					l.Unsure.Set(i)
				}
			}
		}
	}
}

// lookups is how many people are asked about at once.
const lookups = 8

// askAll asks about absent people.
func (r *Read) askAll(ctx context.Context, absent []missing) error {
	work := make(chan missing)
	var wg sync.WaitGroup
	for range min(lookups, len(absent)) {
		wg.Go(func() {
			for p := range work {
				r.prove(ctx, p)
			}
		})
	}
	for _, p := range absent {
		work <- p
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// prove asks every source of their directory about one absent person (R1). Of those whose accounts are closed nothing
// has to be told.
func (r *Read) prove(ctx context.Context, m missing) {
	p := m.Person
	a := r.ask(ctx, p)
	f := identity.Finding{Subject: p.ID.Directory + ": " + p.Name, Source: r.o.Sources[r.readersOf(p.ID.Directory)[0]].Name, Person: p.ID}
	switch {
	case !m.open:
	case a.Outcome == judge.Unproven:
		f.Kind, f.Detail = "unproven", "missing from what was read, but their absence is not proven, so nothing is closed: "+a.Why
		r.o.Find(f)
	case a.Outcome == judge.Missed && r.heir(p.ID): // they were read, by their new anchor
	case a.Outcome == judge.Missed:
		f.Kind, f.Detail = "missed", "missing from what was read, so nothing is closed: "+a.Why
		r.o.Find(f)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone[p.ID] = a
	if a.Outcome != judge.Left {
		if slices.ContainsFunc(r.readersOf(p.ID.Directory), func(n int) bool { return len(r.knownBy(n, p)) > 0 }) {
			r.stranded[p.ID.Directory]++
		}
		return
	}
	if p.Noticed.IsZero() {
		p.Noticed, p.Left = r.o.Now, a.Left
	}
	p.Proven, p.Active, p.Scope, p.Print = a.Cause == identity.Deleted && !a.Emptied && !a.Unlisted, false, nil, 0
	r.records = append(r.records, p)
}

// ask looks one person up in every source of their directory.
func (r *Read) ask(ctx context.Context, p state.Person) judge.Absent {
	return r.askAs(ctx, p, judge.Read{})
}

// askAs is ask, of a read as it is known to be beforehand.
func (r *Read) askAs(ctx context.Context, p state.Person, read judge.Read) judge.Absent {
	var asked []judge.Sighting
	for _, n := range r.readersOf(p.ID.Directory) {
		g := r.readings[n]
		if g == nil {
			return judge.Absence(read, nil)
		}
		read.Unnamed += r.nameless(n)
		asked = append(asked, r.sighting(ctx, n, p))
	}
	return judge.Absence(read, asked)
}

// nameless is how many entries a source showed without an anchor that could be read.
func (r *Read) nameless(n int) int {
	return max(r.readings[n].unnamed, r.readings[n].facts.Nameless.Count)
}

// sighting is what one source says of a person. A kind that tells nothing of its reads vouches for its answers itself.
func (r *Read) sighting(ctx context.Context, n int, p state.Person) judge.Sighting {
	s, g := r.o.Sources[n], r.readings[n]
	finder, ok := s.Source.(sources.Finder)
	others := r.knownBy(n, p)
	if !ok && len(others) > 0 {
		return judge.Sighting{
			Source: s.Name,
			Trouble: fmt.Sprintf("the source knows people by another attribute than %s by now, and cannot look one person up",
				strings.Join(others, " or ")),
		}
	}
	if !ok && s.AbsenceLeaves {
		return judge.Sighting{
			Source: s.Name, Where: judge.Unlisted, Order: judge.Current, Same: true, At: r.o.Now,
			Proof: fmt.Sprintf("a complete read of source %s, with %d people, lacks them; it cannot be asked for one "+
				"person, and absence = \"leaves\" takes that for leaving", s.Name, r.Roster.Count(n)),
		}
	}
	if !ok {
		return judge.Sighting{
			Source:  s.Name,
			Trouble: "the source cannot look one person up; absence = \"leaves\" takes absence for leaving",
		}
	}
	seen, err := finder.Find(ctx, sources.Lookup{Anchor: p.ID.Anchor, DN: p.DN})
	late := false
	for _, by := range others {
		if err != nil || seen.Where != sources.Gone {
			break
		}
		seen, err = finder.Find(ctx, sources.Lookup{Anchor: p.ID.Anchor, By: by, DN: p.DN})
		late = err == nil && seen.Where == sources.InScope
	}
	if err != nil {
		return judge.Sighting{Source: s.Name, Trouble: err.Error()}
	}
	r.mu.Lock()
	if seen.Person.Own {
		r.noteOwn(n, p.ID)
	}
	if late {
		r.late[p.ID] = identity.PersonID{Directory: p.ID.Directory, Anchor: seen.Person.ID.Anchor}
	}
	r.mu.Unlock()
	out := judge.Sighting{
		Source: s.Name, Where: judge.Where(seen.Where), Now: seen.Person.DN, Proof: seen.Proof, Changed: seen.Changed, At: seen.At,
		Order: order(seen.Currency, g.facts.Until), Same: seen.Server == g.facts.Server, Witness: seen.Witness != "",
	}
	if late {
		out.Inactive = r.inactive(n, seen.Person, r.asked[p.ID])
	}
	switch seen.Place {
	case sources.PlacePeopled:
		out.Place = judge.PlacePeopled
	case sources.PlaceEmpty:
		out.Place = judge.PlaceEmpty
	case sources.PlaceHidden:
		out.Place = judge.PlaceHidden
	}
	if answer := order(seen.Currency, g.record.Currency); !g.complete && answer != judge.Current && answer != judge.Undated {
		out.Order = judge.Older // the server whose read was not believed is not asked for proof
	}
	if !g.tells {
		out.Order, out.Witness, out.Place = judge.Current, true, judge.PlacePeopled
	}
	for _, other := range r.readersOf(p.ID.Directory) {
		// Sources of one directory are one sequence of changes: what one has seen, the answer of another has to have seen.
		if order(seen.Currency, r.readings[other].facts.Until) == judge.Older {
			out.Order = judge.Older
		}
	}
	if out.Changed.After(r.o.Now) {
		out.Changed = r.o.Now
	}
	return out
}

// listAgain makes nobody a leaver whom nothing but a read proves to have left that is not believed.
func (r *Read) listAgain(n int) {
	for id, a := range r.gone {
		if !a.Unlisted || id.Directory != r.directories[n].name {
			continue
		}
		r.gone[id] = judge.Absent{Outcome: judge.Unproven, Why: "the read that lacks them is not believed"}
		r.records = slices.DeleteFunc(r.records, func(p state.Person) bool { return p.ID == id })
	}
}

// accept believes a read of which not more is missing, and not explained one by one, than may be (R2). Who is
// explained goes on all the same.
func (r *Read) accept(ctx context.Context, n int) error {
	g, name := r.readings[n], r.o.Sources[n].Name
	count := r.Roster.Count(n)
	explained, words := r.explained(n)
	before := g.record.Accepted - explained
	if count > 0 { // what nobody being there means was said before
		belief, err := r.o.Keeper.Size(ctx, guard.Read{
			Now: r.o.Now, Limits: r.o.Limits, Source: name, Before: before, Count: count, Missing: max(0, before-count), Words: words,
		})
		if err != nil || !belief.Believed {
			r.listAgain(n)
			return err
		}
	}
	if !r.o.Write {
		r.whole[n] = true
		return nil
	}
	record := g.record
	record.Name, record.Accepted, record.At = name, count, r.o.Now
	record.Server, record.Currency, record.Rival, record.RivalSince = g.facts.Server, g.facts.Until, "", unix(0)
	record.Groups, record.Counts = g.groupRecords(), g.counts()
	if anchor, _ := r.o.Sources[n].selection(); anchor != "" {
		record.Anchor = anchor
	}
	record.Directory, record.DirectoryID = r.directories[n].name, r.directories[n].id
	record.Own = r.ownOf(n)
	record.Stays = r.stays(n)
	err := r.update(ctx, func(w *state.Writer) error {
		return errors.Join(w.PutNames(r.names.all()), w.PutSource(record))
	})
	r.whole[n] = err == nil
	return err
}

// explained counts those who have left a source's directory since its last accepted read, each proven, and says what
// became of all who are missing.
func (r *Read) explained(n int) (count int, words string) {
	since, directory := r.readings[n].record.At, r.directories[n].name
	noticed := map[identity.PersonID]bool{}
	for _, p := range r.records {
		noticed[p.ID] = p.Noticed.After(since) || p.Noticed.Equal(r.o.Now)
	}
	moved, why := map[string]int{}, map[string]int{}
	for id, a := range r.gone {
		switch {
		case id.Directory != directory:
		case a.Outcome != judge.Left:
			why[a.Why]++
		case a.Unlisted:
			why["the source cannot be asked for them"]++
		default:
			if noticed[id] || a.At.After(since) {
				count++
			}
			if a.Cause == identity.Moved {
				moved["moved to "+identity.ParentDN(a.Now)]++
			} else {
				moved["deleted"]++
			}
		}
	}
	var list []string
	for _, what := range sortedKeys(moved) {
		list = append(list, fmt.Sprintf("%d of them %s", moved[what], what))
	}
	for _, what := range sortedKeys(why)[:min(3, len(why))] {
		list = append(list, fmt.Sprintf("%d of them not proven to have left: %s", why[what], what))
	}
	if len(list) == 0 {
		return count, "nobody of them has an account"
	}
	return count, strings.Join(list, ", ")
}

// returns finds the people who left and are back under another anchor, by the declared key (R3): before anybody is
// taken for a leaver. Where they have an account of their own by now, because both entries were there for a while,
// the old one stays a leaver's.
func (r *Read) returns(ctx context.Context, l *View) error {
	return r.o.Ledger.View(ctx, func(v *state.Reader) error {
		if err := r.misplaced(v, l); err != nil {
			return err
		}
		claims := r.claims(l)
		if len(claims) == 0 {
			return nil
		}
		var left []judge.Former
		var present []judge.Claimant
		wanted := map[uint64]bool{}
		former := func(id identity.PersonID, known bool) error { // known to have left
			p, _, err := v.Person(id)
			if err != nil {
				return err
			}
			hash := roster.HashOf(p.Rehire)
			if claims[hash] == nil || !known && r.gone[id].Outcome != judge.Left && p.Noticed.IsZero() {
				return nil
			}
			wanted[hash] = true
			left = append(left, judge.Former{Person: id, Key: key(hash)})
			return nil
		}
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			i, here := r.Roster.Find(link.Person)
			if here {
				if claims[r.Roster.Row(i).Key] == nil || l.Unsure.Has(i) {
					continue
				}
				if r.Roster.Row(i).Active {
					if err := r.onePerson(l, i, claims[r.Roster.Row(i).Key]); err != nil {
						return err
					}
					present = append(present, judge.Claimant{Person: link.Person, Key: key(r.Roster.Row(i).Key), Account: true})
					continue
				}
			}
			if err := former(link.Person, here); err != nil {
				return err
			}
		}
		for a, err := range v.AllUnlinked(l.Name) { // one that is to be closed is theirs before it is linked to them
			if err != nil {
				return err
			}
			if _, here := r.Roster.Find(a.Fits); here || a.Fits.IsZero() {
				continue
			}
			c, booked, err := v.Case(a.Fits)
			if err != nil {
				return err
			}
			if err := former(a.Fits, booked && c.Cause != identity.Emergency); err != nil {
				return err
			}
		}
		if len(left) == 0 {
			return nil
		}
		by := map[identity.PersonID]int{}
		for hash := range wanted {
			for _, i := range claims[hash] {
				e, err := r.Roster.Entry(i)
				if err != nil {
					return err
				}
				by[e.Person.ID] = i
				present = append(present, judge.Claimant{Person: e.Person.ID, Key: key(hash)})
			}
		}
		back, disputes := judge.Returns(left, present)
		maps.Copy(l.rehired, back)
		for _, d := range disputes {
			if err := r.disputeReturn(v, l, "rehire key", d, by); err != nil {
				return err
			}
		}
		return nil
	})
}

// key is a rehire key as far as it is kept: a hash of it.
func key(hash uint64) string { return fmt.Sprintf("%016x", hash) }

// claims are the rows of people in scope without an account, by their rehire key. Of whom nobody can tell whether they
// are in scope, nobody can tell either that they are not back.
func (r *Read) claims(l *View) map[uint64][]int {
	keyed := func(i int) bool {
		row := r.Roster.Row(i)
		return row.Key != 0 && row.Active && (l.Scope.Has(i) || l.Unsure.Has(i)) && r.reads(l, r.Roster.Source(i))
	}
	claims := map[uint64][]int{}
	for i := range r.Roster.Len() {
		if keyed(i) && !l.Linked.Has(i) {
			claims[r.Roster.Row(i).Key] = append(claims[r.Roster.Row(i).Key], i)
		}
	}
	return claims
}

// onePerson says that somebody new is, by their key, somebody who has an account already: while both are there
// nothing is made for the new one.
func (r *Read) onePerson(l *View, owner int, rows []int) error {
	has, err := r.Roster.Entry(owner)
	if err != nil {
		return err
	}
	for _, i := range rows {
		e, err := r.Roster.Entry(i)
		if err != nil {
			return err
		}
		l.Unsure.Set(i)
		l.Scope.Clear(i)
		r.o.Find(identity.Finding{
			Kind: "one person", Subject: l.Name + ": " + e.Person.Name, Target: l.Name, Person: e.Person.ID,
			Detail: fmt.Sprintf("%s and %s are one person by the rehire key: the account of the first becomes the second's once the first entry is gone",
				has.Person.DN, e.Person.DN),
		})
	}
	return nil
}

// disputeReturn leaves everybody alone who might be back.
func (r *Read) disputeReturn(
	v *state.Reader, l *View, by string, d judge.Dispute, rows map[identity.PersonID]int,
) error {
	var names []string
	called := map[identity.PersonID]string{}
	for _, id := range slices.Concat(d.Left, d.Present) {
		called[id] = id.String()
		if i, here := r.Roster.Find(id); here {
			e, err := r.Roster.Entry(i)
			if err != nil {
				return err
			}
			called[id] = cmp.Or(e.Person.Name, e.Person.DN)
		} else if p, known, err := v.Person(id); err != nil {
			return err
		} else if known {
			called[id] = cmp.Or(p.Name, p.DN)
		}
		names = append(names, called[id])
	}
	for _, id := range d.Present {
		i, claims := rows[id]
		if !claims {
			continue
		}
		l.Unsure.Set(i)
		l.Scope.Clear(i)
		r.o.Find(identity.Finding{
			Kind: "disputed", Subject: l.Name + ": " + called[id], Target: l.Name, Person: id,
			Detail: "one " + by + " names several people (" + strings.Join(names, ", ") +
				"): nobody takes an account over, and none is made, until it names one of those that left and one of those that are here",
		})
	}
	return nil
}
