package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// A leaver is one account that has to be closed, with what the pass knows of it.
type leaver struct {
	identity.Leaver
	link  state.Link
	known *state.Step // of an earlier pass; nil for none
	again bool        // closed by dirsweep before, and enabled again by somebody else (R11)
}

// accepted reports whether an earlier pass let it go: it is not judged a second time.
func (l leaver) accepted() bool {
	return l.known != nil && slices.Contains([]state.StepStatus{state.StepOpen, state.StepDisputed, state.StepUnprovable}, l.known.Status)
}

// judgeLeavers goes through every link: who stays in scope, and whose account has to be closed. No target has to be asked for that, so the
// guard sees the leavers of all targets before any of them is touched, and a target that cannot be read delays nobody's closing.
func (r *run) judgeLeavers(ctx context.Context) error {
	if r.write {
		if err := r.rememberPeople(ctx); err != nil {
			return err
		}
		if err := r.forgive(ctx); err != nil {
			return err
		}
	}
	var all []leaver
	for _, l := range r.lanes {
		leavers, err := r.linkedLeavers(ctx, l)
		if err != nil {
			return err
		}
		if !l.skip {
			all = append(all, leavers...)
		}
	}
	if err := r.guard(ctx, all, nil); err != nil {
		return err
	}
	if err := r.unconfigured(ctx); err != nil {
		return err
	}
	return r.holdAnomalies(ctx)
}

// rememberPeople writes down what changed about the people of whole sources.
func (r *run) rememberPeople(ctx context.Context) error {
	records := r.records
	for n := range r.o.Sources {
		if !r.whole[n] {
			continue
		}
		for i := range r.roster.Of(n) {
			if !r.roster.Row(i).Dirty {
				continue
			}
			e, err := r.roster.Entry(i)
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
	return r.putPeople(ctx, records)
}

// forgive takes back what people still owe who are in scope again before it was closed, and the end of grace of what was closed.
func (r *run) forgive(ctx context.Context) error {
	var ended []*state.Case
	err := r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		ended = nil
		type grace struct {
			person identity.PersonID
			step   state.Step
		}
		var back []grace
		for c, err := range w.Cases() {
			if err != nil {
				return err
			}
			for _, s := range c.Steps {
				if r.closure[c.Person] == "" && r.back(c.Person, s.Target) && (s.Status != state.StepProven || !s.Delete.IsZero()) {
					back = append(back, grace{c.Person, s})
				}
			}
		}
		for _, g := range back {
			var err error
			if g.step.Status == state.StepProven {
				err = sweep.Note(w, g.person, g.step.Target, g.step.Account, func(s *state.Step) { s.Delete = time.Time{} }, r.now)
			} else {
				var c *state.Case
				c, err = sweep.Return(w, g.person, g.step.Target, "in scope of "+g.step.Target+" again", r.now)
				ended = append(ended, c)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.e.books.End(ctx, ended...)
	}
	return err
}

// back reports whether a person, or who they are now, is in a target's scope.
func (r *run) back(id identity.PersonID, target string) bool {
	at := slices.IndexFunc(r.lanes, func(l *lane) bool { return l.Name == target })
	if at < 0 {
		return false
	}
	i, here := r.roster.Find(r.lanes[at].heir(id))
	return here && r.lanes[at].scope.Has(i)
}

func (r *run) putPeople(ctx context.Context, records []state.Person) error {
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

// heir is who a person is now: another than before where they were rehired.
func (l *lane) heir(id identity.PersonID) identity.PersonID {
	if now, back := l.rehired[id]; back {
		return now
	}
	return id
}

// unwatched tells of accounts that nobody looks after: their people's source is not, or no longer, read by the target.
func (r *run) unwatched(l *lane, accounts map[string]int) {
	for source, n := range accounts {
		r.find(identity.Finding{
			Kind: "unwatched", Subject: l.Name + ": " + source, Target: l.Name,
			Detail: fmt.Sprintf("%d active accounts are of people of source %q, which this target does not read now: nobody sees them leave. "+
				"Give the source back under its old name, or close the accounts", n, source),
		})
	}
}

// unconfigured tells of targets that are not in the config any more and still have accounts of people, or steps of leavers.
func (r *run) unconfigured(ctx context.Context) error {
	if r.pass.Mode != Full || r.pass.Person != "" || len(r.pass.Targets) > 0 {
		return nil
	}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for t, err := range v.Targets() {
			if err != nil {
				return err
			}
			if slices.ContainsFunc(r.o.Targets, func(own Target) bool { return own.Name == t.Name }) {
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
			r.find(identity.Finding{
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
	return nil
}

// linkedLeavers sorts a target's links into those who stay (their bits are set) and the leavers.
func (r *run) linkedLeavers(ctx context.Context, l *lane) (leavers []leaver, err error) {
	unread := map[string]int{}
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			if i, here := r.roster.Find(link.Person); here {
				l.linked.Set(i)
			}
			if r.populations.people == nil { // before anything is decided
				r.holders.add(r.roster, link)
			}
			out, leaving := r.departure(l, link)
			if !leaving {
				if r.stay(l, link); link.State == identity.LinkActive && !r.watches(l, link.Person.Directory) {
					unread[link.Person.Directory]++
				}
				continue
			}
			if err := r.recall(v, &out); err != nil {
				return err
			}
			if link.State != identity.LinkActive && !out.accepted() || !r.selected(link.Person) {
				continue
			}
			leavers = append(leavers, out)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	if r.pass.Mode == Full && r.pass.Person == "" && !l.skip {
		r.unwatched(l, unread)
	}
	return leavers, nil
}

// recall fills in what the state knows of a leaver: what became of the account in earlier passes, and when the person left.
func (r *run) recall(v *state.Reader, out *leaver) error {
	c, _, err := v.Case(out.Person)
	if err != nil {
		return err
	}
	if out.known = sweep.StepOf(c, out.Target, out.Account); out.accepted() {
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
	if _, here := r.roster.Find(out.Person); !here && !out.accepted() && !p.Noticed.IsZero() {
		out.Noticed, out.Left = p.Noticed, p.Left
	}
	return nil
}

// stay notes of a link whose person is in scope that it is there, and whether anything about the person or the config changed since.
func (r *run) stay(l *lane, link state.Link) {
	id := l.heir(link.Person)
	i, ok := r.roster.Find(id)
	if !ok {
		return
	}
	l.linked.Set(i)
	if l.scope.Has(i) && !current(l, link, r.roster.Row(i).Fingerprint, r.scopePrint(l, r.roster.Source(i)), id) {
		l.stale.Set(i)
	}
}

// current reports whether nothing that a link's account was made from has changed.
func current(l *lane, link state.Link, print, scope uint64, id identity.PersonID) bool {
	settled := link.State == identity.LinkActive || link.State == identity.LinkDisabled && link.Disabled.IsZero() // by somebody else: it stays so
	return link.Person == id && settled && link.PersonPrint == print &&
		link.Mapping == l.Mapping.Print() && link.ScopePrint == scope && !l.Mapping.Timed()
}

// departure says whether, and why, a linked person may not keep the account. What is not known for sure is not a departure.
func (r *run) departure(l *lane, link state.Link) (out leaver, leaving bool) {
	asked := judge.Link{
		Target: l.Name, Person: link.Person, Name: link.Name, Account: link.Account, UserName: link.UserName, Container: link.Container,
	}
	f := r.departureFacts(l, link)
	judged, leaving := judge.Departure(asked, f)
	if i, here := r.roster.Find(link.Person); leaving && here && f.Present {
		r.because(l, i, &f)
		judged, leaving = judge.Departure(asked, f)
	}
	return leaver{link: link, Leaver: judged}, leaving
}

// departureFacts are what is known of a link's person without reading anything.
func (r *run) departureFacts(l *lane, link state.Link) judge.Facts {
	f := judge.Facts{Rule: l.LeaverAt, Scope: l.Mapping.ScopeAt(), Now: r.now}
	if reason, ordered := r.closure[link.Person]; ordered {
		f.Ordered = cmp.Or(reason, "an operator's order")
	}
	_, f.Returned = l.rehired[link.Person]
	mine := slices.DeleteFunc(r.readersOf(link.Person.Directory), func(n int) bool {
		return !slices.Contains(l.Sources, r.o.Sources[n].Name)
	})
	f.Edited = len(mine) > 0 && !slices.ContainsFunc(mine, func(n int) bool { return link.ScopePrint == r.scopePrint(l, n) })
	f.AnchorEdited = slices.ContainsFunc(mine, r.anchorEdited)
	i, here := r.roster.Find(link.Person)
	if !here {
		if a, asked := r.gone[link.Person]; asked && len(mine) > 0 {
			f.Absent = &a
		}
		return f
	}
	f.Present = slices.ContainsFunc(mine, func(n int) bool { return r.roster.In(i, n) })
	f.Watched = slices.ContainsFunc(mine, func(n int) bool { return r.roster.In(i, n) && r.whole[n] })
	if !f.Present && len(mine) > 0 && r.completely(link.Person.Directory) {
		by := r.o.Sources[r.roster.Source(i)].Name
		f.Absent = &judge.Absent{
			Outcome: judge.Left, Cause: identity.Moved, Strength: identity.ByScope, At: r.now,
			Proof: fmt.Sprintf("source %s has them now, which %s does not read", by, l.Name),
		}
	}
	f.Unsure, f.Active, f.InScope = l.unsure.Has(i), r.roster.Row(i).Active, l.scope.Has(i)
	return f
}

// because adds what is known of somebody who was read and leaves.
func (r *run) because(l *lane, i int, f *judge.Facts) {
	e, err := r.roster.Entry(i)
	if err != nil {
		r.o.Log.Error("read the temporary file", "error", err)
		return // it is a leaver all the same, without the particulars
	}
	n := r.roster.Source(i)
	f.Left, f.Noticed = e.Record.Left, e.Record.Noticed
	if r.o.Sources[n].Mapping.Judged() {
		f.Why = e.Person.Inactive
	}
	scope := l.Mapping.ScopeGroups()
	for _, name := range r.readings[n].groupSet(e.Record.Lost) {
		if f.Group == "" && (scope.All || slices.Contains(scope.Names, name)) {
			f.Group = name
		}
	}
}

// scopePrint fingerprints everything in the config that makes people of a source stay at a target (R14).
func (r *run) scopePrint(l *lane, n int) uint64 {
	_, selection := r.o.Sources[n].selection()
	return mix(l.Mapping.ScopePrint(), r.o.Sources[n].Mapping.Print(), selection)
}

// scopePrintOf is the scopePrint for a person, wherever they were read.
func (r *run) scopePrintOf(l *lane, id identity.PersonID) uint64 {
	if i, here := r.roster.Find(id); here {
		return r.scopePrint(l, r.roster.Source(i))
	}
	for _, n := range r.readersOf(id.Directory) {
		if slices.Contains(l.Sources, r.o.Sources[n].Name) {
			return r.scopePrint(l, n)
		}
	}
	return 0
}

// anchorEdited reports whether a source knows people by another attribute than in its last accepted read.
func (r *run) anchorEdited(n int) bool {
	g := r.readings[n]
	anchor, _ := r.o.Sources[n].selection()
	return g != nil && g.record.Anchor != "" && anchor != "" && g.record.Anchor != anchor
}

// selection is by what a source selects people; nothing where the kind does not tell.
func (s Source) selection() (anchor string, fingerprint uint64) {
	if known, ok := s.Source.(sources.Selective); ok {
		return known.Selection()
	}
	return "", 0
}

// watches reports whether a target reads a source of a directory.
func (r *run) watches(l *lane, directory string) bool {
	return slices.ContainsFunc(r.readersOf(directory), func(n int) bool { return slices.Contains(l.Sources, r.o.Sources[n].Name) })
}
