package modeltest

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// This file plays times that end and begin: what nobody says when it happens.

// terms are how far ahead somebody's time ends, or begins.
var terms = [...]time.Duration{10 * time.Minute, 3 * time.Hour, 26 * time.Hour, 80 * time.Hour}

// What a Step.Term sets of somebody, one more than a number of terms for each.
const (
	noTerm     = 0
	endTerm    = 1                      // when their time ends
	beginTerm  = endTerm + len(terms)   // when it begins
	pastTerm   = beginTerm + len(terms) // that it has ended
	clearTerm  = pastTerm + 1           // that it does neither
	termsCount = clearTerm + 1
)

// Date gives people of the history of a seed times that end, by their own entries or by dates that the config names, and
// begin, where the config does.
func (h *History) Date(seed int) {
	r := rand.New(rand.NewPCG(uint64(seed), 0x6461746573))
	if r.IntN(3) != 0 {
		return
	}
	h.Dated = r.IntN(2) == 0
	for i := range h.Steps {
		if r.IntN(4) == 0 {
			h.Steps[i].Term = endTerm + r.IntN(termsCount-endTerm)
		}
	}
}

// term sets when somebody's time ends or begins.
func (w *world) term(s Step) {
	n, ok := w.somebody(s.Who[1], func(n int) bool { return w.model.humans[n].entry != nil })
	if s.Term == noTerm || !ok {
		return
	}
	h, now := w.model.humans[n], w.now().UTC().Truncate(time.Second)
	e := h.entry
	switch {
	case s.Term == clearTerm:
		e.ends, e.begins = time.Time{}, time.Time{}
	case s.Term == pastTerm:
		e.ends = now.Add(-time.Hour)
	case s.Term >= beginTerm && w.dated:
		e.begins = now.Add(terms[s.Term-beginTerm])
	default:
		e.ends = now.Add(terms[(s.Term-endTerm)%len(terms)])
	}
	for _, at := range []time.Time{e.ends, e.begins} {
		if !at.IsZero() {
			w.dates, h.told = append(w.dates, at), append(h.told, at)
		}
	}
	h.stamp(w.clock(e.source))
}

// on reports whether an entry's person works at an instant, wherever they are.
func (e *entry) on(now time.Time) bool {
	return e.active && (e.ends.IsZero() || now.Before(e.ends)) && !now.Before(e.begins)
}

// still is how long before a date nothing is done: what is true when a step begins is true until it ends.
const still = 6 * time.Hour

// elapse waits until no date is near.
func (w *world) elapse() {
	slices.SortFunc(w.dates, time.Time.Compare)
	for _, at := range w.dates {
		if wait := at.Sub(w.now()); wait > 0 && wait <= still {
			time.Sleep(wait)
		}
	}
}

// outlast waits until no date is to come.
func (w *world) outlast() {
	for _, at := range w.dates {
		if wait := at.Sub(w.now()); wait > 0 {
			time.Sleep(wait)
		}
	}
}

// dates adds to a person what their entry says of when their time ends and begins.
func (s source) dates(e entry, p *identity.Person) {
	switch {
	case s.world.dated:
		for name, at := range map[string]time.Time{"leaveDate": e.ends, "enterDate": e.begins} {
			if !at.IsZero() {
				p.Attributes[name] = []string{at.Format(time.RFC3339)}
			}
		}
	case e.active && !e.ends.IsZero():
		p.Ends, p.EndsBy = e.ends, "accountExpires"
		if !s.world.now().Before(e.ends) {
			p.Active, p.Inactive = false, "accountExpires has passed"
		}
	}
}

// turns is when the clock alone changes next whether somebody works; zero for never.
func (e *entry) turns(now time.Time) (next time.Time) {
	for _, at := range []time.Time{e.ends, e.begins} {
		if at.After(now) && e.on(at) != e.on(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// checkTurns looks at whether the state tells of everybody who was read when the clock alone changes what they are: that
// is when a pass begins (R13).
func (w *world) checkTurns(l look) error {
	if w.fault.Fault != NoFault || w.anchorEdited() || w.doubted(l) {
		return nil
	}
	told := map[identity.PersonID]time.Time{}
	err := w.ledger.View(context.Background(), func(r *state.Reader) error {
		for turn, err := range r.Turns() {
			if err != nil {
				return err
			}
			told[turn.Person] = turn.At
		}
		return nil
	})
	if err != nil {
		return err
	}
	late := map[int]bool{}
	for n, h := range w.model.humans {
		if h.entry == nil || h.entry.place == outside || !w.honest(h) {
			continue
		}
		id := identity.PersonID{Directory: w.directory(h.entry.source), Anchor: w.model.config.anchor(h.entry)}
		if want := h.entry.turns(w.now()); !told[id].Equal(want) {
			if late[n] = true; w.late[n] {
				w.broken(OnTime, "%s turns at %s, and the state says %s", w.who(n), want, told[id])
			}
		}
	}
	w.late = late
	return nil
}
