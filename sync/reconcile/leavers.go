package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// A leaver is one account that has to be closed.
type leaver struct {
	guard.Leaver
	link  state.Link
	rule  string
	proof string
	group string // that they left, where a scope names it

	strength identity.Strength
	left     time.Time // by the directory's own clock; zero where it does not say
	noticed  time.Time

	owed  bool // accepted by an earlier pass and not yet closed
	again bool // closed by an earlier pass, and enabled again behind our back (R11)
	freed bool // an operator let it go past the guard
}

func (l leaver) change(target string) identity.Change {
	return identity.Change{
		Cause: l.Cause, Rule: l.rule, Target: target, Person: l.Person, Name: l.Name, Account: l.Account, UserName: l.UserName, Container: l.Container,
	}
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
	for _, l := range r.lanes {
		if l.skip {
			continue
		}
		leavers, err := r.linkedLeavers(ctx, l)
		if err != nil {
			return err
		}
		leavers = r.suspects(l, leavers)
		if l.accepted, err = r.guard(ctx, l, leavers); err != nil {
			return err
		}
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
	return r.o.Ledger.Update(ctx, func(w *state.Writer) error {
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
				err = sweep.Return(w, g.person, g.step.Target, r.now)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
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
			out, leaving := r.departure(l, link)
			if !leaving {
				if r.stay(l, link); link.State == identity.LinkActive && !r.watches(l, link.Person.Directory) {
					unread[link.Person.Directory]++
				}
				continue
			}
			c, _, err := v.Case(link.Person)
			if err != nil {
				return err
			}
			step := sweep.StepOf(c, l.Name, link.Account)
			out.owed = step != nil && step.Status == state.StepOpen
			if out.owed {
				if out.left, out.noticed = c.Left, c.Noticed; out.Cause != identity.Emergency {
					out.Cause = c.Cause
				}
				if out.proof == "" {
					out.proof = c.Proof
				}
			}
			if link.State != identity.LinkActive && !out.owed && !r.urgent || !r.selected(link.Person) {
				continue
			}
			if p, ok, err := v.Person(link.Person); err != nil {
				return err
			} else if _, here := r.roster.Find(link.Person); ok && !here && !out.owed && !p.Noticed.IsZero() {
				out.noticed, out.left = p.Noticed, p.Left
			}
			leavers = append(leavers, out)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	if r.pass.Mode == Full && r.pass.Person == "" {
		r.unwatched(l, unread)
	}
	return leavers, nil
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
	return link.Person == id && link.State == identity.LinkActive && link.PersonPrint == print &&
		link.Mapping == l.Mapping.Print() && link.ScopePrint == scope && !l.Mapping.Timed()
}

// departure says whether, and why, a linked person may not keep the account. What is not known for sure is not a departure.
func (r *run) departure(l *lane, link state.Link) (out leaver, leaving bool) {
	asked := judge.Link{
		Target: l.Name, Person: link.Person, Name: link.Name, Account: link.Account, UserName: link.UserName, Container: link.Container,
	}
	f := r.facts(l, link)
	judged, leaving := judge.Departure(asked, f)
	if i, here := r.roster.Find(link.Person); leaving && here && f.Present {
		r.because(l, i, &f)
		judged, leaving = judge.Departure(asked, f)
	}
	return leaver{
		link: link, rule: judged.Rule, proof: judged.Proof, left: judged.Left, noticed: judged.Noticed, strength: judged.Strength, group: judged.Group,
		Leaver: guard.Leaver{
			Person: link.Person, Name: link.Name, Account: link.Account, UserName: link.UserName, Container: link.Container, Cause: judged.Cause,
		},
	}, leaving
}

// facts are what is known of a link's person without reading anything.
func (r *run) facts(l *lane, link state.Link) judge.Facts {
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
	return mix(l.Mapping.ScopePrint(), r.o.Sources[n].Mapping.Print(), r.o.Sources[n].Print)
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
	return g != nil && g.record.Anchor != "" && r.o.Sources[n].Anchor != "" && g.record.Anchor != r.o.Sources[n].Anchor
}

// watches reports whether a target reads a source of a directory.
func (r *run) watches(l *lane, directory string) bool {
	return slices.ContainsFunc(r.readersOf(directory), func(n int) bool { return slices.Contains(l.Sources, r.o.Sources[n].Name) })
}

// guard decides which of a target's leavers go ahead (R6), puts the others on hold, and opens cases. It may be called twice in a pass: for the
// leavers known from links, and for those that only reading the target shows.
func (r *run) guard(ctx context.Context, l *lane, leavers []leaver) (accepted []leaver, err error) {
	var judged, owed, again []leaver // what an earlier pass accepted is not judged a second time
	for _, out := range leavers {
		switch glob, protected := l.Guard.Protected(out.UserName); {
		case protected:
			r.find(identity.Finding{
				Kind: "protected", Subject: l.Name + ": " + out.UserName, Target: l.Name, Person: out.Person, Account: out.Account,
				Detail: fmt.Sprintf("would be closed (%s), but %q protects it: close it by hand, or take the glob out of guard { protect }", out.Cause, glob),
			})
			l.reported = append(l.reported, out)
		case l.Leaver.Action == sweep.ActionReport && out.Cause != identity.Emergency && !out.Person.IsZero():
			r.find(identity.Finding{
				Kind: "leaver", Subject: l.Name + ": " + out.UserName, Target: l.Name, Person: out.Person, Account: out.Account,
				Detail: fmt.Sprintf("left (%s) and still has an account; leaver { action = \"report\" } leaves it to you", out.Cause),
			})
			l.reported = append(l.reported, out)
		case out.again:
			again = append(again, out)
		case out.owed:
			owed = append(owed, out)
		default:
			judged = append(judged, out)
		}
	}
	l.counted += len(owed)
	v, released, err := r.verdict(ctx, l, judged)
	if err != nil {
		return nil, err
	}
	byAccount := map[identity.AccountID]leaver{}
	for _, out := range judged {
		byAccount[out.Account] = out
	}
	accepted = append(owed, again...)
	for _, pass := range v.Go {
		out := byAccount[pass.Account]
		out.freed = released[pass.Account]
		accepted = append(accepted, out)
		if pass.Cause != identity.Emergency && !released[pass.Account] {
			l.counted++
		}
	}
	for _, cohort := range v.Held {
		l.holds = append(l.holds, heldCohort(l, cohort, r.now))
	}
	if l.Observe {
		l.watched = append(l.watched, accepted...)
		accepted = nil
	}
	if !r.write {
		return accepted, r.agree(ctx, l)
	}
	return accepted, r.open(ctx, l, accepted, v.Held, byAccount)
}

// verdict asks the guard, with the numbers it needs: those of the pass's beginning, since what this pass closes is counted by itself.
func (r *run) verdict(ctx context.Context, l *lane, judged []leaver) (v guard.Verdict, released map[identity.AccountID]bool, err error) {
	released = map[identity.AccountID]bool{}
	err = r.o.Ledger.View(ctx, func(view *state.Reader) (err error) {
		if !l.weighed {
			if l.active, err = view.CountActive(l.Name); err != nil {
				return err
			}
			if l.swept, err = view.SweptSince(l.Name, r.now.Add(-l.Guard.Window)); err != nil {
				return err
			}
			l.weighed = true
		}
		for h, err := range view.Holds() {
			if err != nil {
				return err
			}
			if h.Kind != "cohort" || h.Target != l.Name || h.Approved.IsZero() {
				continue
			}
			for _, p := range h.People {
				released[p.Account] = true
			}
		}
		return nil
	})
	if err != nil {
		return v, nil, fmt.Errorf("read the state: %w", err)
	}
	leavers := make([]guard.Leaver, len(judged))
	for i, out := range judged {
		leavers[i] = out.Leaver
	}
	// Accounts closed within the window are no longer active, but the limit is a share of what there was before them.
	return guard.Judge(l.Guard, l.Name, l.active+l.swept, l.swept+l.counted, leavers, func(g guard.Leaver) bool { return released[g.Account] }), released, nil
}

func heldCohort(l *lane, cohort guard.Cohort, now time.Time) state.Hold {
	h := state.Hold{
		Digest: cohort.Digest, Kind: "cohort", Target: l.Name, Cause: cohort.Cause, Container: cohort.Container, Reason: cohort.Reason, Since: now,
	}
	for _, out := range cohort.Leavers {
		h.People = append(h.People, state.HeldPerson{Person: out.Person, Name: out.Name, Account: out.Account, UserName: out.UserName})
	}
	return h
}

// open writes holds and cases before anything is closed.
func (r *run) open(ctx context.Context, l *lane, accepted []leaver, held []guard.Cohort, byAccount map[identity.AccountID]leaver) error {
	if err := r.agree(ctx, l); err != nil {
		return err
	}
	if err := r.supersede(ctx, l); err != nil {
		return err
	}
	if err := r.tellHolds(ctx, l.holds); err != nil {
		return err
	}
	owe := func(list []leaver, status state.StepStatus) error {
		for batch := range slices.Chunk(list, chunk) {
			if err := r.o.Ledger.Update(ctx, func(w *state.Writer) error { return r.owe(w, l, batch, status) }); err != nil {
				return fmt.Errorf("write the state: %w", err)
			}
		}
		return nil
	}
	if err := owe(accepted, state.StepOpen); err != nil {
		return err
	}
	for _, cohort := range held {
		var list []leaver
		for _, out := range cohort.Leavers {
			list = append(list, byAccount[out.Account])
		}
		if err := owe(list, state.StepHeld); err != nil {
			return err
		}
	}
	return owe(l.reported, state.StepReported)
}

func (r *run) owe(w *state.Writer, l *lane, batch []leaver, status state.StepStatus) error {
	spent := map[identity.AccountID]bool{}
	for _, out := range batch {
		if out.Person.IsZero() {
			continue
		}
		spent[out.Account] = out.freed
		c := state.Case{Person: out.Person, Name: out.Name, Cause: out.Cause, Proof: out.proof, Left: out.left, Noticed: out.noticed}
		if c.Noticed.IsZero() {
			c.Noticed = r.now
		}
		if c.Left.IsZero() {
			c.Left = c.Noticed
		}
		if out.Cause == identity.Emergency {
			c.Reason = r.closure[out.Person]
		}
		if p, ok, err := w.Person(out.Person); err != nil {
			return err
		} else if ok {
			c.DN = p.DN
		}
		step := state.Step{
			Target: l.Name, Account: out.Account, UserName: out.UserName, Status: status, At: r.now, Rule: out.rule,
			Uncounted: out.freed || out.again,
		}
		if err := sweep.Owe(w, c, step); err != nil {
			return err
		}
	}
	return spend(w, l.Name, spent)
}

// spend takes accounts out of the approved holds that let them go: an approval is for once.
func spend(w *state.Writer, target string, accounts map[identity.AccountID]bool) error {
	var less []state.Hold
	for h, err := range w.Holds() {
		if err != nil {
			return err
		}
		if h.Kind != "cohort" || h.Target != target || h.Approved.IsZero() {
			continue
		}
		before := len(h.People)
		h.People = slices.DeleteFunc(h.People, func(p state.HeldPerson) bool { return accounts[p.Account] })
		if len(h.People) < before {
			less = append(less, h)
		}
	}
	for _, h := range less {
		write := func() error { return w.PutHold(h) }
		if len(h.People) == 0 {
			write = func() error { return w.DeleteHold(h.Digest) }
		}
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// agree gives holds that were there before their age, and leaves out what an operator rejected from what is shown as waiting.
func (r *run) agree(ctx context.Context, l *lane) error {
	return r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for i, h := range l.holds {
			known, ok, err := v.Hold(h.Digest)
			if err != nil {
				return err
			}
			if ok {
				l.holds[i].Since, l.holds[i].Rejected = known.Since, known.Rejected
			}
		}
		return nil
	})
}

// tellHolds writes holds down, and tells the audit trail of new ones.
func (r *run) tellHolds(ctx context.Context, holds []state.Hold) error {
	var told []audit.Record
	fresh := map[string]bool{}
	err := r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		clear(fresh)
		for _, h := range holds {
			known, ok, err := w.Hold(h.Digest)
			if err != nil {
				return err
			}
			if fresh[h.Digest] = !ok; ok { // an operator may have decided meanwhile
				h.Since, h.Approved, h.Rejected = known.Since, known.Approved, known.Rejected
			}
			if err := w.PutHold(h); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	for _, h := range holds {
		if fresh[h.Digest] {
			r.o.Log.Warn("held", "target", h.Target, "cause", h.Cause, "people", len(h.People), "reason", h.Reason, "release", "dirsweep approve "+h.Digest)
			told = append(told, audit.Record{
				At: r.now, Pass: r.id, Kind: audit.Hold, Target: h.Target, Cause: string(h.Cause), Outcome: "held",
				Note: fmt.Sprintf("%s: %d people of %s%s: %s", h.Digest, len(h.People), h.Container, h.Source, h.Reason),
			})
		}
	}
	return apply.Told(ctx, r.o.Ledger, r.o.Trail, told...)
}

// supersede forgets the undecided holds whose people now wait in another: one more of them has left, or one is back.
func (r *run) supersede(ctx context.Context, l *lane) error {
	in := map[identity.AccountID]string{}
	for _, h := range l.holds {
		for _, p := range h.People {
			in[p.Account] = h.Digest
		}
	}
	if len(in) == 0 {
		return nil
	}
	return r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		return dropHoldsWhere(w, func(h state.Hold) bool {
			return h.Kind == "cohort" && h.Target == l.Name && h.Approved.IsZero() && h.Rejected.IsZero() &&
				slices.ContainsFunc(h.People, func(p state.HeldPerson) bool { return in[p.Account] != "" && in[p.Account] != h.Digest })
		})
	})
}

// dropHolds forgets a target's holds that no longer stand for anybody. Without one of its sources nobody can tell.
func (r *run) dropHolds(ctx context.Context, l *lane) error {
	for _, name := range l.Sources {
		if !r.sourceWhole(name) {
			return nil
		}
	}
	stand := map[string]bool{}
	for _, h := range l.holds {
		stand[h.Digest] = true
	}
	return r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		return dropHoldsWhere(w, func(h state.Hold) bool { return h.Kind == "cohort" && h.Target == l.Name && !stand[h.Digest] })
	})
}
