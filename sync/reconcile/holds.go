package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// guard decides which leavers go ahead (R6) and writes that down before any of them is closed: holds, steps, and what counts for the window. It
// is called once for the leavers of all targets that are known from links, and then for each target with those that only its listing shows.
func (r *run) guard(ctx context.Context, leavers []leaver, late *lane) error {
	r.e.guarding.Lock()
	defer r.e.guarding.Unlock()
	facts, err := r.facts(ctx, late)
	if err != nil {
		return err
	}
	facts.Anomalies = r.suspect(leavers)
	var enforced, observed []leaver
	for _, out := range leavers {
		switch l := r.lane(out.Target); {
		case out.accepted() && !l.Observe:
			l.accepted = append(l.accepted, out)
		case l.Observe:
			observed = append(observed, out)
		default:
			enforced = append(enforced, out)
		}
	}
	watched := facts
	watched.Leavers, watched.Ended = judged(observed), nil
	for _, out := range match(observed, guard.Decide(watched), watched.Holds) {
		if l := r.lane(out.Target); out.status == state.StepOpen {
			l.watched = append(l.watched, out.leaver)
		} else if !r.write && out.hold.Digest != "" {
			r.noteHold(out.hold)
		}
	}
	facts.Leavers = judged(enforced)
	d := guard.Decide(facts)
	decided := match(enforced, d, facts.Holds)
	r.tell(decided)
	if r.write {
		return r.keep(ctx, d, decided)
	}
	r.books.take(d, decided, r.now)
	return nil
}

func (r *run) lane(target string) *lane {
	return r.lanes[slices.IndexFunc(r.lanes, func(l *lane) bool { return l.Name == target })]
}

// judged are leavers as the guard sees them: what dirsweep closed before and somebody enabled again is no new departure.
func judged(leavers []leaver) []identity.Leaver {
	out := make([]identity.Leaver, len(leavers))
	for i, l := range leavers {
		if out[i] = l.Leaver; l.again && l.Cause != identity.Emergency {
			out[i].Cause = identity.Reactivated
		}
	}
	return out
}

// A decided leaver has the status that its step gets, and what its hold loses by that.
type decided struct {
	leaver
	status state.StepStatus
	why    string        // for the step: what it waits for
	counts bool          // for the guard's window
	leaves []guard.Place // holds that it is taken out of
	hold   identity.Hold // in which it waits or is kept; the zero one for none
	stood  bool          // since an earlier pass
}

// match brings a decision and its leavers together.
func match(leavers []leaver, d guard.Decision, standing []identity.Hold) []decided {
	at := map[guard.Account]int{}
	list := make([]decided, len(leavers))
	for i, out := range leavers {
		at[guard.Account{Target: out.Target, ID: out.Account}] = i
		list[i].leaver = out
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
		out.hold = holds[l.Digest]
		out.status, out.why = state.StepHeld, "held by "+l.Digest+": "+out.hold.Reason
		out.stood = slices.ContainsFunc(standing, func(h identity.Hold) bool { return h.Digest == l.Digest })
	}
	for _, l := range d.Kept {
		out := find(l.Leaver)
		out.status, out.hold, out.stood = state.StepKept, holds[l.Digest], true
		out.why = kept(l.Digest, identity.Ruling{By: l.By, At: l.At})
	}
	for _, l := range d.Protected {
		out := find(l.Leaver)
		out.status, out.why = state.StepProtected, fmt.Sprintf("guard { protect } names it: %q", l.Glob)
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

// noteHold puts a hold into the pass's report.
func (r *run) noteHold(h identity.Hold) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.report.Held, func(old identity.Hold) bool { return old.Digest == h.Digest }) {
		r.report.Held = append(r.report.Held, h)
	}
}

// noteHoldOf puts the hold of a digest into the pass's report: a new one, or one that stands.
func (r *run) noteHoldOf(digest string, fresh []identity.Hold) {
	for _, h := range slices.Concat(fresh, r.books.holds) {
		if h.Digest == digest {
			r.noteHold(h)
			return
		}
	}
}

// tell hands what was decided to the targets, and notes findings about accounts that stay open without being held.
func (r *run) tell(list []decided) {
	for _, out := range list {
		l := r.lane(out.Target)
		f := identity.Finding{
			Kind: "protected", Subject: l.Name + ": " + out.UserName, Target: l.Name, Person: out.Person, Account: out.Account,
			Detail: fmt.Sprintf("would be closed (%s), but %s: close it by hand, or take the glob out", out.Cause, out.why),
		}
		switch out.status {
		case state.StepHeld, state.StepKept:
			r.noteHold(out.hold)
		case state.StepOpen:
			l.accepted = append(l.accepted, out.leaver)
		case state.StepReported:
			f.Kind = "leaver"
			f.Detail = fmt.Sprintf("left (%s) and still has an account; leaver { action = \"report\" } leaves it to you", out.Cause)
			r.find(f)
		case state.StepProtected:
			r.find(f)
		}
	}
}

// facts are what the guard has to know, but for the leavers. Populations are those of the pass's beginning.
func (r *run) facts(ctx context.Context, late *lane) (f guard.Facts, err error) {
	if r.write || !r.books.read {
		if err := r.books.load(ctx, r.o.Ledger); err != nil {
			return f, err
		}
	}
	if r.populations.people == nil {
		if err := r.count(ctx); err != nil {
			return f, err
		}
	}
	f = guard.Facts{
		Now: r.now, Limits: r.o.Guard, Targets: map[string]guard.Limits{}, Reports: map[string]bool{}, People: r.populations.people,
		Accounts: r.populations.accounts, Spent: r.books.spent, Holds: r.books.holds, FirstNames: r.populations.names,
	}
	for _, l := range r.lanes {
		f.Targets[l.Name] = l.Guard
		f.Reports[l.Name] = l.Leaver.Action == sweep.ActionReport
	}
	f.Ended, err = r.ended(ctx, late)
	return f, err
}

// ended tells of the members of holds whose accounts have nothing to be closed any more. Of those whose source was not read, or whom the pass is
// not about, it says nothing; nor, before the target is listed, of accounts that nobody is linked to.
func (r *run) ended(ctx context.Context, late *lane) (map[guard.Ref]guard.End, error) {
	ended := map[guard.Ref]guard.End{}
	listed := late != nil && late.listed && r.allWhole(late)
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, h := range r.books.holds {
			if h.Kind != identity.HoldCohort && h.Kind != identity.HoldAnomaly {
				continue
			}
			for _, m := range h.Members {
				if !r.judges(m, late) {
					continue
				}
				link, linked, err := v.Link(m.Target, m.Person)
				if err != nil {
					return err
				}
				ref := guard.RefOf(m.Person, m.Target, m.Account)
				switch {
				case !m.Person.IsZero() && r.back(m.Person, m.Target):
					ended[ref] = guard.Returned
				case linked && link.State != identity.LinkActive, !linked && listed:
					ended[ref] = guard.NoAccount
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return ended, nil
}

// judges reports whether the pass can tell what became of a member.
func (r *run) judges(m identity.Member, late *lane) bool {
	at := slices.IndexFunc(r.lanes, func(l *lane) bool { return l.Name == m.Target })
	switch {
	case at < 0 || r.lanes[at].skip || late != nil && late.Name != m.Target:
		return false
	case m.Person.IsZero():
		return late != nil
	}
	return r.selected(m.Person) && r.sourceWhole(m.Person.Directory)
}

// allWhole reports whether every source of a target was read and believed.
func (r *run) allWhole(l *lane) bool {
	return !slices.ContainsFunc(l.Sources, func(name string) bool { return !r.sourceWhole(name) })
}

// populations are what limits are shares of, as they were when the pass began.
type populations struct {
	people   map[string]guard.Population
	linked   map[string]guard.Population // people with an account in any state
	accounts map[string]guard.Population
	names    map[guard.Account]string // userNames that accounts had first, where they have others now
}

// count takes the populations: those who are linked now, and those of them who were when the window began.
func (r *run) count(ctx context.Context) error {
	p := populations{
		people: map[string]guard.Population{}, linked: map[string]guard.Population{}, accounts: map[string]guard.Population{}, names: map[guard.Account]string{},
	}
	for directory, n := range r.holders.count {
		p.people[directory] = guard.Population{Start: n, Now: n}
	}
	for directory, n := range r.holders.linked {
		p.linked[directory] = guard.Population{Start: n, Now: n}
	}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, l := range r.lanes {
			n, err := v.CountActive(l.Name)
			if err != nil {
				return err
			}
			p.accounts[l.Name] = guard.Population{Start: n, Now: n}
		}
		gone := map[identity.PersonID]bool{}
		for _, s := range r.books.spent {
			if s.Kind != identity.HoldCohort || s.At.Before(r.now.Add(-r.window(s.Target))) {
				continue
			}
			link, ok, err := v.LinkByAccount(s.Target, s.Account)
			if err != nil {
				return err
			}
			if !ok || link.State != identity.LinkActive {
				p.accounts[s.Target] = guard.Population{Start: p.accounts[s.Target].Start + 1, Now: p.accounts[s.Target].Now}
			}
			if !s.Person.IsZero() && !gone[s.Person] && !r.holders.active.has(r.roster, s.Person) {
				gone[s.Person] = true
				was := p.people[s.Person.Directory]
				p.people[s.Person.Directory] = guard.Population{Start: was.Start + 1, Now: was.Now}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	for account, name := range r.holders.renamed {
		p.names[account] = name
	}
	r.populations = p
	return nil
}

// window is the time over which a target's limits count.
func (r *run) window(target string) time.Duration {
	if at := slices.IndexFunc(r.lanes, func(l *lane) bool { return l.Name == target }); at >= 0 {
		return r.lanes[at].Guard.Window
	}
	return r.o.Guard.Window
}

// holders counts the people of each directory who have a linked account, and those who have an active one.
type holders struct {
	active, any   crowd
	count, linked map[string]int
	renamed       map[guard.Account]string // names that accounts had first
}

func (h *holders) add(people *roster.Roster, link state.Link) {
	if h.count == nil {
		h.count, h.linked, h.renamed = map[string]int{}, map[string]int{}, map[guard.Account]string{}
	}
	if link.FirstName != link.UserName {
		h.renamed[guard.Account{Target: link.Target, ID: link.Account}] = link.FirstName
	}
	if h.any.add(people, link.Person) {
		h.linked[link.Person.Directory]++
	}
	if link.State == identity.LinkActive && h.active.add(people, link.Person) {
		h.count[link.Person.Directory]++
	}
}

// A crowd is a set of people: one bit for each who was read.
type crowd struct {
	rows   roster.Bits
	others map[identity.PersonID]bool // those whom no source returned
}

// add reports whether somebody is new to the crowd.
func (c *crowd) add(people *roster.Roster, id identity.PersonID) bool {
	if c.has(people, id) {
		return false
	}
	if i, here := people.Find(id); here {
		c.rows.Set(i)
		return true
	}
	if c.others == nil {
		c.others = map[identity.PersonID]bool{}
	}
	c.others[id] = true
	return true
}

func (c *crowd) has(people *roster.Roster, id identity.PersonID) bool {
	if i, here := people.Find(id); here {
		return c.rows.Has(i)
	}
	return c.others[id]
}

// books are the holds and what counts for windows, as the guard has to know them.
type books struct {
	read  bool
	holds []identity.Hold
	spent []identity.Spent
}

func (b *books) load(ctx context.Context, ledger *state.Ledger) error {
	*b = books{read: true}
	err := ledger.View(ctx, func(v *state.Reader) (err error) {
		if b.holds, err = state.Collect(v.Holds()); err != nil {
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

// take notes a decision that is not written down, for those that follow it in the same plan.
func (b *books) take(d guard.Decision, list []decided, now time.Time) {
	for _, out := range list {
		if out.counts {
			b.spent = append(b.spent, out.spent(now))
		}
	}
	b.holds = append(b.holds, d.Holds...)
}

func (d decided) spent(now time.Time) identity.Spent {
	return identity.Spent{
		Kind: identity.HoldCohort, Target: d.Target, Account: d.Account, Person: d.Person, Name: d.Name, Cause: d.Cause, Group: d.Group,
		Strength: d.Strength, At: now,
	}
}

// keep writes a decision down. A hold is there when all of it is: its members and the steps that wait for it come before it.
func (r *run) keep(ctx context.Context, d guard.Decision, list []decided) error {
	if err := r.putMembers(ctx, d.Holds); err != nil {
		return err
	}
	taken := map[guard.Place]bool{}
	for batch := range slices.Chunk(list, chunk) {
		if err := r.update(ctx, func(w *state.Writer) error { return r.keepLeavers(w, batch) }); err != nil {
			return err
		}
		for _, out := range batch {
			for _, p := range out.leaves {
				taken[p] = true
			}
		}
	}
	if err := r.putHolds(ctx, d.Holds, nil); err != nil {
		return err
	}
	return r.dropMembers(ctx, slices.DeleteFunc(d.Dropped, func(p guard.Place) bool { return taken[p] }))
}

func (r *run) putMembers(ctx context.Context, holds []identity.Hold) error {
	for _, h := range holds {
		for members := range slices.Chunk(h.Members, chunk) {
			if err := r.update(ctx, func(w *state.Writer) error { return w.PutMembers(h.Digest, members...) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// putHolds writes new holds down, whose members are, tells of them, and forgets others.
func (r *run) putHolds(ctx context.Context, holds []identity.Hold, over []string) error {
	if len(holds)+len(over) == 0 {
		return nil
	}
	err := r.update(ctx, func(w *state.Writer) error {
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
	return r.tellHolds(ctx, holds)
}

func (r *run) dropMembers(ctx context.Context, places []guard.Place) error {
	for batch := range slices.Chunk(places, chunk) {
		err := r.update(ctx, func(w *state.Writer) error {
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

func (r *run) update(ctx context.Context, fn func(*state.Writer) error) error {
	if err := r.o.Ledger.Update(ctx, fn); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

// keepLeavers writes the steps of some leavers, with what they take out of holds and what counts for the window.
func (r *run) keepLeavers(w *state.Writer, batch []decided) error {
	for _, out := range batch {
		for _, p := range out.leaves {
			if err := w.DeleteMember(p.Digest, p.Member); err != nil {
				return err
			}
		}
		if out.counts {
			if err := w.PutSpent(out.spent(r.now)); err != nil {
				return err
			}
		}
		if out.Person.IsZero() {
			continue
		}
		if out.stood { // an operator may have ruled since the hold was read
			if still, err := w.IsMember(out.hold.Digest, out.Leaver); err != nil {
				return err
			} else if !still {
				continue
			}
		}
		if err := sweep.Open(w, out.Leaver, identity.Account{ID: out.Account, UserName: out.UserName}, out.status, out.why, r.now); err != nil {
			return err
		}
	}
	return nil
}

// size judges the size of a read (R2), and writes down what becomes of the holds over it.
func (r *run) size(ctx context.Context, read guard.Read) (b guard.Belief, err error) {
	r.e.guarding.Lock()
	defer r.e.guarding.Unlock()
	if err := r.books.load(ctx, r.o.Ledger); err != nil {
		return b, err
	}
	read.Holds = r.books.holds
	b = guard.Believe(read)
	for _, h := range read.Holds {
		if h.Digest == b.Digest {
			r.noteHold(h)
		}
	}
	if b.Hold != nil {
		r.noteHold(*b.Hold)
	}
	if !r.write {
		return b, nil
	}
	err = r.update(ctx, func(w *state.Writer) error {
		for _, digest := range append(slices.Clone(b.Over), b.Consumed) {
			if err := w.DeleteHold(digest); err != nil {
				return err
			}
		}
		if b.Hold != nil {
			return w.PutHold(*b.Hold)
		}
		return nil
	})
	if err == nil && b.Hold != nil {
		err = r.tellHolds(ctx, []identity.Hold{*b.Hold})
	}
	return b, err
}

// hold puts something on hold that is no matter of numbers, unless an operator has approved it: of its kind, source, target and anomaly there is
// one. An approval is used up by it.
func (r *run) hold(ctx context.Context, h identity.Hold) (released bool, err error) {
	r.e.guarding.Lock()
	defer r.e.guarding.Unlock()
	if err := r.books.load(ctx, r.o.Ledger); err != nil {
		return false, err
	}
	i := slices.IndexFunc(r.books.holds, func(old identity.Hold) bool {
		return old.Kind == h.Kind && old.Directory == h.Directory && old.Target == h.Target && old.Anomaly == h.Anomaly
	})
	switch {
	case i < 0:
		h.Since = r.now
		h.Digest = guard.Digest(h)
		r.noteHold(h)
		if !r.write {
			return false, nil
		}
		if err := r.update(ctx, func(w *state.Writer) error { return w.PutHold(h) }); err != nil {
			return false, err
		}
		return false, r.tellHolds(ctx, []identity.Hold{h})
	case r.books.holds[i].Ruling.What != identity.Approved:
		r.noteHold(r.books.holds[i])
		return false, nil
	case !r.write:
		return true, nil
	}
	return true, r.update(ctx, func(w *state.Writer) error { return w.DeleteHold(r.books.holds[i].Digest) })
}

// dropHolds forgets the holds that are over.
func (r *run) dropHolds(ctx context.Context, over func(identity.Hold) bool) error {
	if !r.write {
		return nil
	}
	return r.update(ctx, func(w *state.Writer) error {
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
func (r *run) tellHolds(ctx context.Context, holds []identity.Hold) error {
	told := make([]audit.Record, 0, len(holds))
	for _, h := range holds {
		r.o.Log.Warn("held", "source", h.Directory, "target", h.Target, "cause", h.Cause, "accounts", h.Count, "reason", h.Reason,
			"release", "dirsweep approve "+h.Digest)
		told = append(told, audit.Record{
			At: r.now, Pass: r.id, Kind: audit.Hold, Target: h.Target, Cause: string(h.Cause), Outcome: "held",
			Note: fmt.Sprintf("%s: %d accounts: %s", h.Digest, h.Count, h.Reason),
		})
	}
	return apply.Told(ctx, r.o.Ledger, r.o.Trail, told...)
}
