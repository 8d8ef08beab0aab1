package people

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// A Leaver is one account that has to be closed, with what the pass knows of it.
type Leaver struct {
	identity.Leaver
	Link  state.Link
	Known *state.Step // of an earlier pass; nil for none
	Again bool        // closed by dirsweep before, and enabled again by somebody else (R11)
}

// Accepted reports whether an earlier pass let it go: it is not judged a second time.
func (l Leaver) Accepted() bool {
	return l.Known != nil && slices.Contains([]state.StepStatus{state.StepOpen, state.StepDisputed, state.StepUnprovable}, l.Known.Status)
}

// Remember writes down what changed about the people of whole sources, and forgets whom nobody has to know any more.
func (r *Read) Remember(ctx context.Context) error {
	records := r.records
	for n := range r.o.Sources {
		if !r.whole[n] {
			continue
		}
		for i := range r.Roster.Of(n) {
			if !r.Roster.Row(i).Dirty {
				continue
			}
			e, err := r.Roster.Entry(i)
			if err != nil {
				return err
			}
			if records = append(records, e.Record); len(records) >= bulk {
				if err := r.putPeople(ctx, records); err != nil {
					return err
				}
				records = records[:0]
			}
		}
	}
	if err := r.putPeople(ctx, records); err != nil {
		return err
	}
	return r.forget(ctx)
}

// Back reports whether a person, or who they are now, is in a target's scope.
func (r *Read) Back(id identity.PersonID, target string) bool {
	at := slices.IndexFunc(r.Views, func(l *View) bool { return l.Name == target })
	if at < 0 {
		return false
	}
	i, here := r.Roster.Find(r.Views[at].Heir(id))
	return here && (r.Views[at].Scope.Has(i) || r.Views[at].Stays.Has(i))
}

// active reports whether somebody was read and is active.
func (r *Read) active(id identity.PersonID) bool {
	i, here := r.Roster.Find(id)
	return here && r.Roster.Row(i).Active
}

func (r *Read) putPeople(ctx context.Context, records []state.Person) error {
	if len(records) == 0 {
		return nil
	}
	err := r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		for _, p := range records {
			if err := w.PutPerson(p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// Heir is who a person is now: another than before where they were rehired.
func (l *View) Heir(id identity.PersonID) identity.PersonID {
	if now, back := l.rehired[id]; back {
		return now
	}
	return id
}

// unwatched tells of accounts that nobody looks after: their people's source is not, or no longer, read by the target.
func (r *Read) unwatched(l *View, accounts map[string]int) {
	for source, n := range accounts {
		r.o.Find(identity.Finding{
			Kind: "unwatched", Subject: l.Name + ": " + source, Target: l.Name,
			Detail: fmt.Sprintf("%d active accounts are of people of source %q, which this target does not read now: nobody sees them leave. "+
				"Give the source back under its old name, or close the accounts", n, source),
		})
	}
}

// Leavers sorts a target's links into those who stay (their bits are set) and the leavers.
func (r *Read) Leavers(ctx context.Context, l *View) (leavers []Leaver, err error) {
	unread := map[string]int{}
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		enabling, err := enabling(v, l.Name)
		if err != nil {
			return err
		}
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			if i, here := r.Roster.Find(link.Person); here {
				l.Linked.Set(i)
			}
			if r.populations == nil {
				r.holders.add(r.Roster, link)
			}
			out, leaving := r.Departure(l, link)
			if !leaving {
				if r.stay(l, link); link.State == identity.LinkActive && !r.watches(l, link.Person.Directory) {
					unread[link.Person.Directory]++
				}
				continue
			}
			if err := r.Recall(v, &out); err != nil {
				return err
			}
			closed := link.State != identity.LinkActive && !enabling[link.Account]
			if closed && !out.Accepted() || !r.Selected(link.Person) {
				continue
			}
			leavers = append(leavers, out)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	if r.o.Full && r.o.Person == "" && !l.Skip {
		r.unwatched(l, unread)
	}
	return leavers, nil
}

// enabling are the accounts of a target that dirsweep began to enable, and does not know yet to be active or not.
func enabling(v *state.Reader, target string) (map[identity.AccountID]bool, error) {
	accounts := map[identity.AccountID]bool{}
	for intent, err := range v.Intents() {
		if err != nil {
			return nil, err
		}
		if c := intent.Change; c.Op == identity.Enable && c.Target == target {
			accounts[c.Account] = true
		}
	}
	return accounts, nil
}

// Recall fills in what the state knows of a leaver: what became of the account in earlier passes, and when the person
// left.
func (r *Read) Recall(v *state.Reader, out *Leaver) error {
	c, _, err := v.Case(out.Person)
	if err != nil {
		return err
	}
	if out.Known = sweep.StepOf(c, out.Target, out.Account); out.Accepted() && judge.Lapsed(c.Cause, out.Cause, r.active(out.Person)) {
		out.Known = nil // they were back, and leave by the edit alone: that was accepted by nobody
	}
	if out.Accepted() {
		if out.Left, out.Noticed = c.Left, c.Noticed; out.Cause != identity.Emergency {
			out.Cause = c.Cause
		}
		out.Proof = cmp.Or(out.Proof, c.Proof)
	}
	p, ok, err := v.Person(out.Person)
	if err != nil || !ok {
		return err
	}
	out.DN = p.DN
	if _, here := r.Roster.Find(out.Person); !here && !out.Accepted() && !p.Noticed.IsZero() {
		out.Noticed, out.Left = p.Noticed, p.Left
	}
	return nil
}

// stay notes of a link whose person is in scope that it is there, and whether anything about the person or the config
// changed since.
func (r *Read) stay(l *View, link state.Link) {
	id := l.Heir(link.Person)
	i, ok := r.Roster.Find(id)
	if !ok {
		return
	}
	l.Linked.Set(i)
	if l.Scope.Has(i) && !Current(l, link, r.Roster.Row(i).Fingerprint, r.ScopePrint(l, r.Roster.Source(i)), id) {
		l.Stale.Set(i)
	}
}

// Current reports whether nothing that a link's account was made from has changed.
func Current(l *View, link state.Link, print, scope uint64, id identity.PersonID) bool {
	settled := link.State == identity.LinkActive || link.State == identity.LinkDisabled && link.Disabled.IsZero() // by somebody else: it stays so
	return link.Person == id && settled && link.PersonPrint == print &&
		link.Mapping == l.Mapping.Print() && link.ScopePrint == scope && !l.Mapping.Timed()
}

// Departure says whether, and why, a linked person may not keep the account. What is not known for sure is not a
// departure.
func (r *Read) Departure(l *View, link state.Link) (out Leaver, leaving bool) {
	asked := judge.Link{
		Target: l.Name, Person: link.Person, Name: link.Name, Account: link.Account, UserName: link.UserName, Container: link.Container,
	}
	f := r.departureFacts(l, link)
	judged, leaving := judge.Departure(asked, f)
	doubted := r.unseen[r.keyOf(link.Person)] || r.anew(link.Person) && !r.directoryWhole(link.Person.Directory)
	if leaving && f.Absent != nil && f.Ordered == "" && doubted {
		return Leaver{Link: link, Leaver: judged}, false
	}
	if i, here := r.Roster.Find(link.Person); leaving && here && f.Present {
		r.because(l, link, i, &f)
		judged, leaving = judge.Departure(asked, f)
	}
	return Leaver{Link: link, Leaver: judged}, leaving
}

// departureFacts are what is known of a link's person without reading anything.
func (r *Read) departureFacts(l *View, link state.Link) judge.Facts {
	f := judge.Facts{Rule: l.LeaverAt, Scope: l.Mapping.ScopeAt(), Now: r.o.Now}
	f.Ordered = r.OrderedAt(l, link.Person)
	_, f.Returned = l.rehired[link.Person]
	mine := slices.DeleteFunc(r.readersOf(link.Person.Directory), func(n int) bool {
		return !slices.Contains(l.Sources, r.o.Sources[n].Name)
	})
	f.Edited = len(mine) > 0 && !slices.ContainsFunc(mine, func(n int) bool { return link.ScopePrint == r.ScopePrint(l, n) })
	if f.Edited {
		f.Edit = r.edits(l, link, mine)
	}
	i, here := r.Roster.Find(link.Person)
	if !here {
		if a, asked := r.absentOf(link.Person); asked && len(mine) > 0 {
			f.Absent, f.Anew = &a, f.Edited && r.anew(link.Person)
		}
		return f
	}
	f.Present = slices.ContainsFunc(mine, func(n int) bool { return r.Roster.In(i, n) })
	f.Watched = slices.ContainsFunc(mine, func(n int) bool {
		return r.Roster.In(i, n) && (r.whole[n] || r.half[n] && !r.Roster.Row(i).Active)
	})
	if !f.Present && len(mine) > 0 && r.completely(link.Person.Directory) {
		by := r.o.Sources[r.Roster.Source(i)].Name
		f.Absent = &judge.Absent{
			Outcome: judge.Left, Cause: identity.Moved, Strength: identity.ByScope, At: r.o.Now,
			Proof: fmt.Sprintf("source %s has them now, which %s does not read", by, l.Name),
		}
	}
	f.Unsure, f.Active, f.InScope = l.Unsure.Has(i), r.Roster.Row(i).Active, l.Scope.Has(i)
	return f
}

// because adds what is known of somebody who was read and leaves.
func (r *Read) because(l *View, link state.Link, i int, f *judge.Facts) {
	e, err := r.Roster.Entry(i)
	if err != nil {
		r.o.Log.Error("read the temporary file", "error", err)
		return // it is a leaver all the same, without the particulars
	}
	n := r.Roster.Source(i)
	f.Left, f.Noticed = e.Record.Left, e.Record.Noticed
	if r.o.Sources[n].Mapping.Judged() {
		f.Why = e.Person.Inactive
	}
	if !f.Active {
		f.Over = r.over(n, e)
	}
	if f.Edited && !f.Active {
		f.Condition = r.unmet(n, e.Person, r.conditionsOf(n, link))
	}
	scope := l.Mapping.ScopeGroups()
	for _, name := range r.readings[n].groupSet(e.Record.Lost) {
		if f.Group == "" && (scope.All || slices.Contains(scope.Names, name)) {
			f.Group = name
		}
	}
}

// over is the date that has somebody who was read not active; "" for none.
func (r *Read) over(n int, e roster.Entry) string {
	p := e.Person
	p.Active = !e.Record.Inactive // the kind's word, not the config's
	now, err := r.o.Sources[n].Mapping.Presence(p, r.o.Now)
	if err != nil {
		return ""
	}
	return now.Why
}

// ScopePrint fingerprints everything in the config that makes people of a source stay at a target (R14).
func (r *Read) ScopePrint(l *View, n int) uint64 {
	return mix(l.Mapping.ScopePrint(), r.o.Sources[n].Mapping.Print(), r.selected[n])
}

// FittingPrint fingerprints everything in the config by which accounts of a target are fitted to people: by what
// accounts are correlated, what the mapping makes of it, and whom the target's sources read.
func (r *Read) FittingPrint(l *View, correlate []string) uint64 {
	prints := []uint64{l.Mapping.PrintOf(correlate), xxhash.Sum64String(strings.Join(correlate, "\x00"))}
	for n, source := range r.o.Sources {
		if slices.Contains(l.Sources, source.Name) {
			prints = append(prints, xxhash.Sum64String(source.Name), r.selected[n])
		}
	}
	return mix(prints...)
}

// Own are the people as whom sources sign in, of those who were read.
func (r *Read) Own() []identity.Own { return slices.Clone(r.own) }

// Anew reports whether somebody whom the reads lack is there and active under another anchor.
func (r *Read) Anew(id identity.PersonID) bool { return r.anew(id) }

// anchorEdited reports whether a source knows people by another attribute than in its last accepted read.
func (r *Read) anchorEdited(n int) bool {
	g := r.readings[n]
	return g != nil && g.record.Anchor != "" && g.anchor != "" && g.record.Anchor != g.anchor
}

// selection is by what a source selects people; nothing where the kind does not tell.
func (s Source) selection() (anchor string, settings map[string]uint64) {
	if known, ok := s.Source.(sources.Selective); ok {
		return known.Selection()
	}
	return "", nil
}

// selectionPrint fingerprints all the settings by which a source selects people.
func (s Source) selectionPrint() uint64 {
	_, settings := s.selection()
	var prints []uint64
	for _, name := range sortedKeys(settings) {
		prints = append(prints, xxhash.Sum64String(name), settings[name])
	}
	return mix(prints...)
}

// line is where an argument of the source's block is, or where the block is that leaves it out.
func (s Source) line(name string) string {
	at, there := s.Lines[name]
	if !there {
		at = s.At
	}
	if at == "" {
		return name
	}
	return name + " at " + at
}

// watches reports whether a target reads a source of a directory.
func (r *Read) watches(l *View, directory string) bool {
	return slices.ContainsFunc(r.readersOf(directory), func(n int) bool { return slices.Contains(l.Sources, r.o.Sources[n].Name) })
}

// Unconfigured tells of targets that are not in the config any more and still have accounts of people, or steps of
// leavers.
func (r *Read) Unconfigured(ctx context.Context) error {
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for t, err := range v.Targets() {
			if err != nil {
				return err
			}
			if slices.ContainsFunc(r.Views, func(own *View) bool { return own.Name == t.Name }) {
				continue
			}
			active, err := v.CountActive(t.Name)
			if err != nil {
				return err
			}
			due := 0
			for _, err := range v.Due(t.Name) {
				if err != nil {
					return err
				}
				due++
			}
			if active+due == 0 {
				continue
			}
			r.o.Find(identity.Finding{
				Kind: "unwatched", Subject: t.Name, Target: t.Name,
				Detail: fmt.Sprintf("the target is not in the config any more, and nobody looks after its %d active accounts and the %d accounts "+
					"of people who left that are to be closed or watched. Give the target back under its old name, or close them by hand",
					active, due),
			})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return r.forgetOwn(ctx)
}

// forgetOwn forgets as whom sources signed in that are not in the config any more.
func (r *Read) forgetOwn(ctx context.Context) error {
	if !r.o.Write {
		return nil
	}
	return r.update(ctx, func(w *state.Writer) error {
		for s, err := range w.Sources() {
			if err != nil {
				return err
			}
			if s.Own == "" || slices.ContainsFunc(r.o.Sources, func(here Source) bool { return here.Name == s.Name }) {
				continue
			}
			s.Own = ""
			if err := w.PutSource(s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Relink looks again at who is linked, where somebody has been at work on the target since that was judged.
func (r *Read) Relink(ctx context.Context, l *View) error {
	l.Linked, l.Stale = nil, nil
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			if i, here := r.Roster.Find(link.Person); here {
				l.Linked.Set(i)
			}
			r.stay(l, link)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}
