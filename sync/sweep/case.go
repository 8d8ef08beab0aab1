package sweep

import (
	"cmp"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

const (
	soonest = 30 * time.Second // the first retry of a step: within a minute (R8)
	latest  = time.Hour        // between later ones, for ever
)

// reactivated is the rule behind a step for an account that was closed and is active again.
const reactivated = "R11"

// Retry is when a step that failed attempts times is tried again.
func Retry(attempts int, now time.Time) time.Time {
	wait := soonest
	for range min(attempts-1, 10) {
		wait = min(2*wait, latest)
	}
	return now.Add(wait)
}

// Owe opens the leaver's case, or adds to it, with one step for an account that has to be closed. A step that is there
// already keeps its clock and its attempts, unless it was proven and the account has come back (R11).
func Owe(w *state.Writer, c state.Case, step state.Step) error {
	known, ok, err := w.Case(c.Person)
	if err != nil {
		return err
	}
	step.Left, step.Noticed = c.Left, cmp.Or(c.Noticed, step.At)
	if ok {
		if known.Closed.IsZero() { // its instants are those of its first account
			c.Left, c.Noticed = known.Left, known.Noticed
		}
		if c.Proof == "" {
			c.Proof = known.Proof
		}
		c.Steps = known.Steps
		if c.Opened = known.Opened; !known.Closed.IsZero() && step.Status.Open() {
			c.Opened = step.At
		}
	} else {
		c.Opened = step.At
	}
	if c.Noticed.IsZero() {
		c.Noticed = step.At
	}
	i := find(c.Steps, step.Target, step.Account)
	switch {
	case i < 0:
		c.Steps = append(c.Steps, step)
		slices.SortFunc(c.Steps, func(a, b state.Step) int {
			return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Account, b.Account))
		})
	case c.Steps[i].Status == step.Status:
		if known.Cause == c.Cause || c.Cause != identity.Emergency {
			return nil // an operator's order is noted on a case that was open for another cause
		}
	default:
		if c.Steps[i].Status != state.StepProven {
			step.Left, step.Noticed = c.Steps[i].Left, c.Steps[i].Noticed // released from a hold: the clock goes on
		}
		if err := openAgain(w, c.Person, step); err != nil {
			return err
		}
		c.Steps[i] = step
	}
	return w.PutCase(settled(c, step.At))
}

// openAgain notes at the link of an account that was closed that its person leaves again, which who is held does not
// yet, and of one that somebody enabled that it is active: its grace counts from when it is closed the next time (R10).
func openAgain(w *state.Writer, person identity.PersonID, step state.Step) error {
	link, known, err := w.Link(step.Target, person)
	again := step.Rule == reactivated
	if err != nil || !known || link.Account != step.Account || link.State == identity.LinkActive {
		return err
	}
	if leaves := step.Status == state.StepOpen; !again && !(leaves && link.Returned) {
		return nil
	}
	if link.Returned = false; again {
		link.Enabled()
	}
	return w.PutLink(link)
}

// Open opens a leaver's case, or adds to it, with one step for an account that has to be closed or decided about; why
// says what of it waits.
func Open(w *state.Writer, l identity.Leaver, a identity.Account, status state.StepStatus, why string, now time.Time) error {
	c := state.Case{
		Person: l.Person, Name: l.Name, DN: l.DN, Cause: l.Cause, Reason: l.Reason, Proof: l.Proof, Left: l.Left,
		Noticed: cmp.Or(l.Noticed, now),
	}
	if c.Left.IsZero() || c.Left.After(c.Noticed) { // the directory does not say, or its clock is ahead of ours
		c.Left = c.Noticed
	}
	if status != state.StepDisputed {
		if err := noteFits(w, l, a, now); err != nil {
			return err
		}
	}
	return Owe(w, c, state.Step{
		Target: l.Target, Account: a.ID, UserName: a.UserName, ExternalID: a.ExternalID, Status: status, Error: why, At: now, Rule: l.Rule,
	})
}

// noteFits remembers whose an account is that nobody is linked to, at once: the listing that shows it may never come to
// its end, the step may be taken back, and whoever is given its userName meanwhile is not the one whose it was (R3).
func noteFits(w *state.Writer, l identity.Leaver, a identity.Account, now time.Time) error {
	if _, linked, err := w.LinkByAccount(l.Target, a.ID); err != nil || linked || a.ID == "" || l.Person.IsZero() {
		return err
	}
	return w.PutUnlinked(state.Unlinked{
		Target: l.Target, Account: a.ID, UserName: a.UserName, Active: true, First: now, Fits: l.Person,
	})
}

// Searched takes the step off a case that stands for the accounts which a target could not be asked for.
func Searched(w *state.Writer, person identity.PersonID, target string, now time.Time) error {
	c, ok, err := w.Case(person)
	if err != nil || !ok || find(c.Steps, target, "") < 0 {
		return err
	}
	c.Steps = slices.DeleteFunc(c.Steps, func(s state.Step) bool { return s.Target == target && s.Account == "" })
	return w.PutCase(settled(c, now))
}

// Note records how far a step came.
func Note(w *state.Writer, person identity.PersonID, target string, account identity.AccountID, note func(*state.Step), now time.Time) error {
	c, ok, err := w.Case(person)
	if err != nil || !ok {
		return err
	}
	i := find(c.Steps, target, account)
	if i < 0 {
		return nil
	}
	note(&c.Steps[i])
	return w.PutCase(settled(c, now))
}

// Unwatch leaves the account of a step that was proven closed to whoever enables it: its person may have it. What was
// taken away with it stays on record.
func Unwatch(w *state.Writer, person identity.PersonID, step state.Step, now time.Time) error {
	link, known, err := w.Link(step.Target, person)
	if err != nil {
		return err
	}
	if known && link.Account == step.Account && link.State == identity.LinkDisabled {
		link.Returned = true
		if err := w.PutLink(link); err != nil {
			return err
		}
	}
	return Note(w, person, step.Target, step.Account, func(s *state.Step) { s.Next, s.Delete = time.Time{}, time.Time{} }, now)
}

// renumber takes the step of an account to the identifier that it has now. What the books say of that one already is
// over, but for what was taken away.
func renumber(
	w *state.Writer, person identity.PersonID, target string, from, to identity.AccountID, now time.Time,
) error {
	c, ok, err := w.Case(person)
	if err != nil || !ok {
		return err
	}
	i, j := find(c.Steps, target, from), find(c.Steps, target, to)
	if i < 0 || i == j {
		return nil
	}
	step := &c.Steps[i]
	step.Account, step.Finishes = to, nil
	if j >= 0 {
		old := c.Steps[j].Taken
		step.Taken = identity.SortedEntitlements(append(identity.WithoutEntitlements(old, step.Taken), step.Taken...))
		c.Steps = slices.Delete(c.Steps, j, j+1)
	}
	return w.PutCase(settled(c, now))
}

// Return takes back what a person owes on one target, and why says why: they are in scope of it again, or were
// released. A case without steps is forgotten; its history is in the audit trail. Where that ends a case that was open,
// it is returned as it ended, to be given to Books.End once the transaction is done; else nil.
func Return(w *state.Writer, person identity.PersonID, target, why string, now time.Time) (ended *state.Case, err error) {
	return withdraw(w, person, why, now, func(s state.Step) bool { return s.Target == target })
}

// ReturnOne is Return for one step alone.
func ReturnOne(w *state.Writer, person identity.PersonID, step state.Step, why string, now time.Time) (ended *state.Case, err error) {
	return withdraw(w, person, why, now, func(s state.Step) bool { return s.Target == step.Target && s.Account == step.Account })
}

// withdraw takes the steps that are over off a person's case, as Return does.
func withdraw(
	w *state.Writer, person identity.PersonID, why string, now time.Time, over func(state.Step) bool,
) (ended *state.Case, err error) {
	c, ok, err := w.Case(person)
	if err != nil || !ok {
		return nil, err
	}
	withdrawn := evidence.Withdraw(c, why, now)
	open := c.Closed.IsZero()
	c.Steps = slices.DeleteFunc(c.Steps, over)
	if len(c.Steps) == 0 {
		err = w.DeleteCase(person)
	} else {
		c = settled(c, now)
		err = w.PutCase(c)
	}
	if open && (len(c.Steps) == 0 || !c.Closed.IsZero()) {
		ended = &withdrawn
	}
	return ended, err
}

// settled closes a case whose steps are all done, and opens it again where one is not.
func settled(c state.Case, now time.Time) state.Case {
	owed := slices.ContainsFunc(c.Steps, func(s state.Step) bool { return s.Status.Open() })
	switch {
	case owed:
		c.Closed = time.Time{}
	case c.Closed.IsZero():
		c.Closed = now
	}
	return c
}

func find(steps []state.Step, target string, account identity.AccountID) int {
	return slices.IndexFunc(steps, func(s state.Step) bool { return s.Target == target && s.Account == account })
}
