// Package holds keeps what waits for an operator: it asks the guard what goes ahead, writes the answer down before
// anything is done, and carries out what the operator says. It is the writer of holds, but for those over deletes, which
// arise in a target's sweeper.
package holds

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// batchSize is how many records share one transaction.
const batchSize = 256

// A Book is what one pass knows of holds and of what was spent of limits. Its methods may be called from several
// goroutines.
type Book struct {
	Ledger *state.Ledger
	Trail  *audit.Trail
	Log    hclog.Logger
	Now    time.Time
	Pass   string // its id, for the trail
	Write  bool   // write down what is decided; else it is kept for what is decided next
	// Turn is the passes' own: one decision at a time, since each has to know the holds and what was spent of the one
	// before.
	Turn *sync.Mutex

	read     bool
	standing []identity.Hold
	spent    []identity.Spent
	restored state.Restored

	mu    sync.Mutex
	noted []identity.Hold
	out   map[guard.Place]bool // members whom the pass took out of their holds, whatever was ruled of them
}

// Noted are the holds that the pass met or made, each once, with those who are still in them.
func (b *Book) Noted() (list []identity.Hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.noted {
		all := len(h.Members)
		out := func(m identity.Member) bool {
			m.Ruling = identity.Ruling{}
			return b.out[guard.Place{Digest: h.Digest, Member: m}]
		}
		h.Members = slices.DeleteFunc(slices.Clone(h.Members), out)
		if all == 0 || len(h.Members) > 0 {
			list = append(list, h)
		}
	}
	return list
}

// takeOut notes who is in their holds no more.
func (b *Book) takeOut(places []guard.Place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out == nil {
		b.out = map[guard.Place]bool{}
	}
	for _, p := range places {
		p.Ruling = identity.Ruling{}
		b.out[p] = true
	}
}

// Over returns the hold that the pass noted over an anomaly of a source.
func (b *Book) Over(source, anomaly string) (identity.Hold, bool) {
	for _, h := range b.Noted() {
		if h.Directory == source && h.Anomaly == anomaly {
			return h, true
		}
	}
	return identity.Hold{}, false
}

// Facts are asked for what a decision rests on, but for the leavers, the holds and what was spent.
type Facts func(standing []identity.Hold, spent []identity.Spent) (guard.Facts, error)

// A Verdict is what becomes of leavers.
type Verdict struct {
	Accepted []people.Leaver // to be closed
	Observed []people.Leaver // would be closed, were their target not in observe mode
	Findings []identity.Finding
}

// Leavers decides which leavers go ahead (R6) and writes that down before any of them is closed: holds, steps, and what
// counts for the window.
func (b *Book) Leavers(
	ctx context.Context, leavers []people.Leaver, observes func(target string) bool, ask Facts,
) (v Verdict, err error) {
	b.Turn.Lock()
	defer b.Turn.Unlock()
	facts, err := b.facts(ctx, ask)
	if err != nil {
		return v, err
	}
	var enforced, observed []people.Leaver
	for _, out := range leavers {
		switch {
		case observes(out.Target):
			observed = append(observed, out)
		case out.Accepted():
			v.Accepted = append(v.Accepted, out)
		default:
			enforced = append(enforced, out)
		}
	}
	watched := facts
	watched.Leavers, watched.Ended = judged(observed), nil
	for _, out := range match(observed, guard.Decide(watched), watched.Holds) {
		if out.status == state.StepOpen {
			v.Observed = append(v.Observed, out.Leaver)
		} else if !b.Write && out.hold.Digest != "" {
			b.note(out.hold)
		}
	}
	facts.Leavers = judged(enforced)
	d := guard.Decide(facts)
	decided := match(enforced, d, facts.Holds)
	b.takeOut(slices.Concat(d.Dropped, d.Consumed))
	b.tell(decided, &v)
	if b.Write {
		if err := b.keep(ctx, d, decided); err != nil {
			return v, err
		}
		return v, b.level(ctx, enforced)
	}
	b.take(d, decided)
	return v, nil
}

// facts are what a decision rests on, but for the leavers.
func (b *Book) facts(ctx context.Context, ask Facts) (f guard.Facts, err error) {
	if err := b.refresh(ctx); err != nil {
		return f, err
	}
	if f, err = ask(b.standing, b.spent); err != nil {
		return f, err
	}
	f.Now, f.Holds, f.Spent, f.Restored = b.Now, b.standing, b.spent, b.restored.Why(b.Now, f.Limits.Window)
	return f, nil
}

// refresh reads what other passes have written since; where nothing is written down, what was decided here stands.
func (b *Book) refresh(ctx context.Context) error {
	if !b.Write && b.read {
		return nil
	}
	return b.load(ctx)
}

func (b *Book) load(ctx context.Context) error {
	b.read = true
	err := b.Ledger.View(ctx, func(v *state.Reader) (err error) {
		if b.standing, err = state.Collect(v.Holds()); err != nil {
			return err
		}
		if b.restored, err = v.Restored(); err != nil {
			return err
		}
		b.spent, err = state.Collect(v.Spent())
		return err
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// judged are leavers as the guard sees them: what dirsweep closed before and somebody enabled again is no new
// departure.
func judged(leavers []people.Leaver) []identity.Leaver {
	out := make([]identity.Leaver, len(leavers))
	for i, l := range leavers {
		if out[i] = l.Leaver; l.Again && l.Cause != identity.Emergency {
			out[i].Cause = identity.Reactivated
		}
	}
	return out
}

// A decided leaver has the status that its step gets, and what its hold loses by that.
type decided struct {
	people.Leaver
	status state.StepStatus
	own    bool            // dirsweep itself signs in as it
	why    string          // for the step: what it waits for
	counts bool            // for the guard's window
	leaves []guard.Place   // holds that it is taken out of
	hold   identity.Hold   // in which it waits or is kept; the zero one for none
	member identity.Member // by which that hold binds it
	stood  bool            // since an earlier pass
}

// match brings a decision and its leavers together.
func match(leavers []people.Leaver, d guard.Decision, standing []identity.Hold) []decided {
	at := map[guard.Account]int{}
	list := make([]decided, len(leavers))
	for i, out := range leavers {
		at[guard.Account{Target: out.Target, ID: out.Account}] = i
		list[i].Leaver = out
	}
	find := func(l identity.Leaver) *decided { return &list[at[guard.Account{Target: l.Target, ID: l.Account}]] }
	for _, l := range d.Go {
		out := find(l.Leaver)
		out.status, out.counts = state.StepOpen, l.Counts
	}
	holds := map[string]identity.Hold{}
	for _, h := range slices.Concat(standing, d.Holds) {
		holds[h.Digest] = h
	}
	for _, l := range d.Held {
		out := find(l.Leaver)
		out.hold, out.member = holds[l.Digest], l.Member
		out.status, out.why = state.StepHeld, "held by "+l.Digest+": "+out.hold.Reason
		out.stood = slices.ContainsFunc(standing, func(h identity.Hold) bool { return h.Digest == l.Digest })
	}
	for _, l := range d.Kept {
		out := find(l.Leaver)
		out.status, out.hold, out.member, out.stood = state.StepKept, holds[l.Digest], l.Member, true
		out.why = kept(l.Digest, identity.Ruling{By: l.By, At: l.At})
	}
	for _, l := range d.Protected {
		out := find(l.Leaver)
		out.status, out.why, out.own = state.StepProtected, l.Why(), !l.Own.IsZero()
	}
	for _, l := range d.Reported {
		find(l).status = state.StepReported
	}
	for _, p := range slices.Concat(d.Dropped, d.Consumed) {
		if i, here := at[guard.Account{Target: p.Target, ID: p.Account}]; here {
			list[i].leaves = append(list[i].leaves, p)
		}
	}
	return list
}

// note puts a hold among those that the pass met.
func (b *Book) note(h identity.Hold) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.noted, func(old identity.Hold) bool { return old.Digest == h.Digest }) {
		b.noted = append(b.noted, h)
	}
}

// noteDigest notes the hold of a digest: a new one, or one that stands.
func (b *Book) noteDigest(digest string, fresh []identity.Hold) {
	for _, h := range slices.Concat(fresh, b.standing) {
		if h.Digest == digest {
			b.note(h)
			return
		}
	}
}

// tell sorts what was decided, and adds findings about accounts that stay open without being held.
func (b *Book) tell(list []decided, v *Verdict) {
	for _, out := range list {
		f := identity.Finding{
			Kind: "protected", Subject: out.Target + ": " + out.UserName, Target: out.Target, Person: out.Person, Account: out.Account,
			Detail: fmt.Sprintf("would be closed (%s), but %s: close it by hand, or take the glob out", out.Cause, out.why),
		}
		switch out.status {
		case state.StepHeld, state.StepKept:
			b.note(out.hold)
		case state.StepOpen:
			v.Accepted = append(v.Accepted, out.Leaver)
		case state.StepReported:
			f.Kind = "leaver"
			f.Detail = fmt.Sprintf("left (%s) and still has an account; leaver { action = \"report\" } leaves it to you", out.Cause)
			v.Findings = append(v.Findings, f)
		case state.StepProtected:
			if out.own {
				f = sweep.OwnFinding(out.Leaver.Leaver, out.why)
			}
			v.Findings = append(v.Findings, f)
		}
	}
}

// take notes a decision that is not written down, for those that follow it in the same plan.
func (b *Book) take(d guard.Decision, list []decided) {
	for _, out := range list {
		if out.counts {
			b.spent = append(b.spent, out.spent(b.Now))
		}
	}
	b.standing = append(b.standing, d.Holds...)
}

func (d decided) spent(now time.Time) identity.Spent {
	return identity.Spent{
		Kind: identity.HoldCohort, Target: d.Target, Account: d.Account, Person: d.Person, Name: d.Name, Cause: d.Cause, Group: d.Group,
		Strength: d.Strength, At: now,
	}
}

// keep writes a decision down. A hold is there when all of it is: its members and the steps that wait for it come
// before it.
func (b *Book) keep(ctx context.Context, d guard.Decision, list []decided) error {
	if err := b.putMembers(ctx, d.Holds); err != nil {
		return err
	}
	taken := map[guard.Place]bool{}
	for batch := range slices.Chunk(list, batchSize) {
		if err := b.update(ctx, func(w *state.Writer) error { return b.keepLeavers(w, batch) }); err != nil {
			return err
		}
		for _, out := range batch {
			for _, p := range out.leaves {
				taken[p] = true
			}
		}
	}
	if err := b.putHolds(ctx, d.Holds, nil); err != nil {
		return err
	}
	return b.dropMembers(ctx, slices.DeleteFunc(d.Dropped, func(p guard.Place) bool { return taken[p] }))
}

func (b *Book) putMembers(ctx context.Context, holds []identity.Hold) error {
	for _, h := range holds {
		for members := range slices.Chunk(h.Members, batchSize) {
			if err := b.update(ctx, func(w *state.Writer) error { return w.PutMembers(h.Digest, members...) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// putHolds writes new holds down, whose members are, tells of them, and forgets others.
func (b *Book) putHolds(ctx context.Context, holds []identity.Hold, over []string) error {
	if len(holds)+len(over) == 0 {
		return nil
	}
	err := b.update(ctx, func(w *state.Writer) error {
		for _, digest := range over {
			if err := w.DeleteHold(digest); err != nil {
				return err
			}
		}
		for _, h := range holds {
			if err := w.PutHold(h); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.tellHolds(ctx, holds)
}

func (b *Book) dropMembers(ctx context.Context, places []guard.Place) error {
	for batch := range slices.Chunk(places, batchSize) {
		err := b.update(ctx, func(w *state.Writer) error {
			for _, p := range batch {
				if err := w.DeleteMember(p.Digest, p.Member); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Book) update(ctx context.Context, fn func(*state.Writer) error) error {
	if err := b.Ledger.Update(ctx, fn); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// keepLeavers writes the steps of some leavers, with what they take out of holds and what counts for the window.
func (b *Book) keepLeavers(w *state.Writer, batch []decided) error {
	for _, out := range batch {
		for _, p := range out.leaves {
			if err := w.DeleteMember(p.Digest, p.Member); err != nil {
				return err
			}
		}
		if out.counts {
			if err := w.PutSpent(out.spent(b.Now)); err != nil {
				return err
			}
		}
		if out.Person.IsZero() {
			continue
		}
		if out.stood { // an operator may have ruled since the hold was read
			if still, err := w.IsMember(out.hold.Digest, out.member); err != nil {
				return err
			} else if !still {
				continue
			}
		}
		if err := sweep.Open(w, out.Leaver.Leaver, identity.Account{
			ID: out.Account, UserName: out.UserName, ExternalID: out.Link.ExternalID,
		}, out.status, out.why, b.Now); err != nil {
			return err
		}
	}
	return nil
}

// level puts those into the books who left, have their account still, and of whom nothing was written down: an operator
// may have ruled on their hold while it was read. They wait for the next pass, which judges them again (R8).
func (b *Book) level(ctx context.Context, left []people.Leaver) error {
	for batch := range slices.Chunk(judged(left), batchSize) {
		var missed []identity.Leaver
		err := b.Ledger.View(ctx, func(v *state.Reader) (err error) {
			missed, err = unbooked(v, batch)
			return err
		})
		if err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
		if len(missed) == 0 {
			continue
		}
		if err := b.update(ctx, func(w *state.Writer) error { return b.book(w, missed) }); err != nil {
			return err
		}
	}
	return nil
}

// book holds the steps of those who are in no books still.
func (b *Book) book(w *state.Writer, missed []identity.Leaver) error {
	missed, err := unbooked(&w.Reader, missed)
	if err != nil {
		return err
	}
	for _, l := range missed {
		b.Log.Warn("left, and in no books: held until the next pass", "target", l.Target, "account", l.UserName, "person", l.Name, "cause", l.Cause)
		a := identity.Account{ID: l.Account, UserName: l.UserName}
		why := "nothing was decided about it: the next pass judges it again"
		if err := sweep.Open(w, l, a, state.StepHeld, why, b.Now); err != nil {
			return err
		}
	}
	return nil
}

// unbooked are those of some leavers who are in no books.
func unbooked(v *state.Reader, left []identity.Leaver) ([]identity.Leaver, error) {
	books := map[guard.Account]guard.Booked{}
	for _, l := range left {
		link, linked, err := v.LinkByAccount(l.Target, l.Account)
		if err != nil {
			return nil, err
		}
		c, _, err := v.Case(l.Person)
		if err != nil {
			return nil, err
		}
		step := sweep.StepOf(c, l.Target, l.Account)
		books[guard.Account{Target: l.Target, ID: l.Account}] = guard.Booked{
			Active: linked && link.Person == l.Person && link.State == identity.LinkActive,
			Step:   step != nil && (step.Status.Open() || step.Status == state.StepReported),
		}
	}
	return guard.Unbooked(left, books), nil
}

// Size judges the size of a read (R2), and writes down what becomes of the holds over it.
func (b *Book) Size(ctx context.Context, read guard.Read) (belief guard.Belief, err error) {
	b.Turn.Lock()
	defer b.Turn.Unlock()
	if err := b.load(ctx); err != nil {
		return belief, err
	}
	read.Holds = b.standing
	belief = guard.Believe(read)
	for _, h := range read.Holds {
		if h.Digest == belief.Digest {
			b.note(h)
		}
	}
	if belief.Hold != nil {
		b.note(*belief.Hold)
	}
	over := slices.Clone(belief.Over)
	if belief.Consumed != "" {
		over = append(over, belief.Consumed)
	}
	if !b.Write || len(over) == 0 && belief.Hold == nil {
		return belief, nil
	}
	err = b.update(ctx, func(w *state.Writer) error {
		for _, digest := range over {
			if err := w.DeleteHold(digest); err != nil {
				return err
			}
		}
		if belief.Hold != nil {
			return w.PutHold(*belief.Hold)
		}
		return nil
	})
	if err == nil && belief.Hold != nil {
		err = b.tellHolds(ctx, []identity.Hold{*belief.Hold})
	}
	return belief, err
}

// Hold puts something on hold that is no matter of numbers, unless an operator has approved it: of its kind, source,
// target and anomaly there is one. An approval is used up by it. It returns the hold as it stands.
func (b *Book) Hold(ctx context.Context, h identity.Hold) (standing identity.Hold, released bool, err error) {
	b.Turn.Lock()
	defer b.Turn.Unlock()
	if err := b.load(ctx); err != nil {
		return h, false, err
	}
	i := slices.IndexFunc(b.standing, func(old identity.Hold) bool {
		return old.Kind == h.Kind && old.Directory == h.Directory && old.Target == h.Target && old.Anomaly == h.Anomaly
	})
	switch {
	case i < 0:
		h.Since = b.Now
		h.Digest = guard.Digest(h)
		b.note(h)
		if !b.Write {
			return h, false, nil
		}
		if err := b.update(ctx, func(w *state.Writer) error { return w.PutHold(h) }); err != nil {
			return h, false, err
		}
		return h, false, b.tellHolds(ctx, []identity.Hold{h})
	case b.standing[i].Ruling.What != identity.Approved:
		b.note(b.standing[i])
		return b.standing[i], false, nil
	case !b.Write:
		return b.standing[i], true, nil
	}
	return b.standing[i], true, b.update(ctx, func(w *state.Writer) error { return w.DeleteHold(b.standing[i].Digest) })
}

// Drop forgets the holds that are over.
func (b *Book) Drop(ctx context.Context, over func(identity.Hold) bool) error {
	if !b.Write {
		return nil
	}
	return b.update(ctx, func(w *state.Writer) error {
		var digests []string
		for h, err := range w.Holds() {
			if err != nil {
				return err
			}
			if over(h) {
				digests = append(digests, h.Digest)
			}
		}
		for _, digest := range digests {
			if err := w.DeleteHold(digest); err != nil {
				return err
			}
		}
		return nil
	})
}

// tellHolds tells the log and the audit trail of new holds.
func (b *Book) tellHolds(ctx context.Context, holds []identity.Hold) error {
	for _, h := range holds {
		b.Log.Warn("held", "source", h.Directory, "target", h.Target, "cause", h.Cause, "accounts", h.Count, "reason", h.Reason,
			"release", "dirsweep approve "+h.Digest)
	}
	return apply.Told(ctx, b.Ledger, b.Trail, apply.HoldsTold(holds, b.Now, b.Pass)...)
}
