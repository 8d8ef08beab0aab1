package apply

import (
	"cmp"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// grounds are what the state says now of the person and the account of a change.
type grounds struct {
	person  *state.Person // nil where nothing is remembered
	ordered bool          // an operator has them swept
	link    *state.Link   // of the account that was linked or, where none was, of the person; nil for none
	step    *state.Step   // of the person at the target, to be closed or held; nil for none
}

// overtaken reports whether what a change rests on is over: passes overlap, and people are judged anew while a target
// is still being listed.
func overtaken(r *state.Reader, job Job) (bool, error) {
	if job.Change.Person.IsZero() {
		return false, nil
	}
	now, err := groundsOf(r, job)
	return err == nil && now.overtake(job), err
}

// overtake says whether a change is dropped and planned anew.
//
// An account is closed for whom it is linked to, if to anybody, and not for somebody who is in scope again while nothing
// of theirs is to be closed. What is linked was not closed since it was read. Ordinary work is given to whoever is in
// scope, as the link was when it was planned, while nothing of theirs is to be closed or waits for a decision.
func (now grounds) overtake(job Job) bool {
	c := job.Change
	inScope := now.person != nil && now.person.InScope(c.Target)
	switch {
	case c.Op.Sweeps():
		another := now.link != nil && now.link.Account == c.Account && now.link.Person != c.Person
		return another || inScope && !now.ordered && now.step == nil
	case c.Op == identity.Link:
		return job.Link.Account == job.Have.ID && now.linkedOtherwise(job)
	case now.ordered, now.person != nil && !inScope, now.step != nil:
		return true
	case job.Link.Account == "":
		return now.link != nil
	}
	return now.linkedOtherwise(job)
}

// linkedOtherwise says whether the account that was linked when a change was planned is linked otherwise now.
func (now grounds) linkedOtherwise(job Job) bool {
	return now.link == nil || now.link.Account != job.Link.Account || now.link.State != job.Link.State || now.link.Person != job.Link.Person
}

func groundsOf(r *state.Reader, job Job) (now grounds, err error) {
	c := job.Change
	if _, now.ordered, err = r.Closure(c.Person); err != nil {
		return now, err
	}
	p, known, err := r.Person(c.Person)
	if err != nil {
		return now, err
	}
	if known {
		now.person = &p
	}
	account := job.Link.Account
	if c.Op.Sweeps() {
		account = cmp.Or(c.Account, account)
	}
	link, linked, err := r.Link(c.Target, c.Person)
	if err == nil && account != "" {
		link, linked, err = r.LinkByAccount(c.Target, account)
	}
	if err != nil {
		return now, err
	}
	if linked {
		now.link = &link
	}
	kase, _, err := r.Case(c.Person)
	now.step = undecided(kase, c.Target)
	return now, err
}

// undecided is a step of a case at a target that is to be closed or waits for a decision, whichever account it is about;
// nil for none.
func undecided(kase state.Case, target string) *state.Step {
	for i, s := range kase.Steps {
		if s.Target == target && (s.Status == state.StepOpen || s.Status == state.StepHeld) {
			return &kase.Steps[i]
		}
	}
	return nil
}
