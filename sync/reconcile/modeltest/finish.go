package modeltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// rounds is how often, at the end of a history, everything is done that there is to do.
const rounds = 5

// finish ends a history: nothing is wrong any more, every anchor is what it was, and an operator approves whatever
// waits. What should be is then to be so, and stay so.
func (w *world) finish() error {
	ctx := context.Background()
	w.fault.Fault = NoFault
	w.feed.begin(Step{}, Full)
	if w.anchorEdited() {
		w.model.edit(func(c *config) { c.number = [sourceCount]bool{} })
	}
	w.outlast()
	w.snap()
	w.model.changed()
	w.reload()
	for round, quiet := 0, 0; ; round++ {
		w.step++
		time.Sleep(window + time.Hour)
		w.writes = nil
		w.begins()
		if w.tell != nil {
			fmt.Fprintf(w.tell, "end, round %d\n", round+1)
		}
		if err := w.run(ctx, reconcile.Pass{}); err != nil {
			w.broken(Works, "%s", err)
			return nil
		}
		if _, err := w.engine.Retry(ctx); err != nil {
			w.broken(Works, "%s", err)
		}
		w.ends()
		if err := w.check(Full, true); err != nil {
			return err
		}
		waiting := w.undecided()
		if quiet++; len(w.writes)+len(waiting) > 0 {
			quiet = 0
		}
		if quiet == 2 || round == rounds { // the first may have settled whose an account is
			break
		}
		for _, digest := range waiting {
			if err := w.decide(ctx, digest, true); err != nil {
				w.broken(Works, "approve: %s", err)
			}
		}
		w.ends()
	}
	for _, one := range w.writes {
		if one.op != identity.Delete {
			w.broken(EndsQuiet, "%s: %s of %s, %s", targetNames[one.target], one.op, w.who(one.owner), one.id)
		}
	}
	return w.judgeEnd(ctx)
}

// judgeEnd compares what every application holds with what it should.
func (w *world) judgeEnd(ctx context.Context) error {
	l, err := w.look()
	if err != nil {
		return err
	}
	for _, c := range l.unsettled {
		p := place{target: slices.Index(targetNames[:], c.Target)}
		p.human, _ = w.model.human(c.Person.Anchor)
		if !w.found(l, "unsettled", p) || !w.alone(l, p) && !w.muddled(p) {
			w.broken(NothingOpen, "%s: %s of %s", c.Target, c.Op, w.who(p.human))
		}
	}
	if w.tell != nil {
		for _, f := range l.findings {
			fmt.Fprintf(w.tell, "    finding %s: %s: %s\n", f.Kind, f.Subject, f.Detail)
		}
	}
	for t := range targetCount {
		for n := range w.model.humans {
			w.judgeShare(l, place{n, t})
		}
	}
	w.judgeTrail(ctx, l)
	return w.trail.Close()
}

func (w *world) judgeShare(l look, p place) {
	h, own := w.model.humans[p.human], w.own(p)
	where := fmt.Sprintf("%s: %s", targetNames[p.target], w.who(p.human))
	if w.doubts(l, h) && !w.model.ordered[p.human] {
		return // what of a source is not to be believed leaves everybody as they are
	}
	if w.unread(l, p) || w.model.keyless[p.human] {
		return
	}
	if !w.model.config.in(h, p.target) || w.model.ordered[p.human] {
		for _, acc := range own {
			step := w.stepOf(l, p, acc.ID)
			told := w.found(l, "unproven", p) || w.placeless(l, p, acc.ID)
			if acc.Active && !step.Status.Waits() && w.known[p.target][acc.ID] && w.provable(h) && !told {
				w.broken(LeaversClosed, "%s has %s (%s) open; the books say %q %s", where, acc.ID, acc.UserName, step.Status, step.Error)
			}
		}
		return
	}
	kept := func(h hold) bool {
		return h.rejected && (len(h.members) == 0 || slices.ContainsFunc(h.members, func(m member) bool {
			return m.place == p || h.enables && m.human == p.human // it is about people of a source
		}))
	}
	if slices.ContainsFunc(l.holds, kept) {
		return // what an operator takes for a fault, or does not want, leaves everybody as they are
	}
	if w.found(l, "refused", p) {
		return // that the application took nothing is told, and a matter for an operator
	}
	if w.disputed(own, h, p.target) || w.found(l, "disputed", p) {
		return
	}
	if w.alone(l, p) && (w.found(l, "unproven", p) || w.found(l, "unsettled", p)) {
		return
	}
	if len(own) == 0 {
		w.broken(EveryoneHas, "%s has no account", where)
		return
	}
	if !own[0].Active && own[0].cut && w.found(l, "disabled", p) {
		return // closed as one that nobody was linked to, and linked only once the order was over: who closed it is forgotten
	}
	w.judgeAccount(own[0], h, p.target, where)
}

// disputed reports whether somebody's account is a matter for an operator: another bears their login, they have two,
// somebody disabled it, or nothing says any more that it was us.
func (w *world) disputed(own []*account, h *human, target int) bool {
	for _, acc := range w.applications[target].accounts {
		if acc.UserName == h.entry.login && !slices.Contains(own, acc) {
			return true
		}
	}
	return len(own) > 1 ||
		len(own) == 1 && (own[0].closedBy == "hand" || (own[0].moved || own[0].made) && !own[0].Active ||
			own[0].ExternalID != w.model.config.anchor(h.entry) && !w.known[target][own[0].ID])
}

// muddled reports whether somebody has no account, several, one that is new, or one under another identifier than at
// first.
func (w *world) muddled(p place) bool {
	own := w.own(p)
	return len(own) != 1 || own[0].moved || !w.known[p.target][own[0].ID]
}

// own are somebody's accounts, by identifier.
func (w *world) own(p place) (own []*account) {
	accounts := w.applications[p.target].accounts
	for _, id := range slices.Sorted(maps.Keys(accounts)) {
		if accounts[id].owner == p.human {
			own = append(own, accounts[id])
		}
	}
	return own
}

// alone reports whether no account of anybody else, active when it was last seen, could show that a target answers
// truly.
func (w *world) alone(l look, p place) bool {
	return !slices.ContainsFunc(l.links[p.target], func(link state.Link) bool {
		acc := w.applications[p.target].accounts[link.Account]
		owner, _ := w.model.human(link.Person.Anchor)
		return acc != nil && acc.owner == owner && owner != p.human && link.State == identity.LinkActive
	})
}

// found reports whether there is a finding of a kind about somebody at a target.
func (w *world) found(l look, kind string, p place) bool {
	return slices.ContainsFunc(l.findings, func(f state.Finding) bool {
		return f.Kind == kind && f.Target == targetNames[p.target] && w.bears(f.Person.Anchor, p.human)
	})
}

func (w *world) judgeAccount(acc *account, h *human, target int, where string) {
	if !acc.Active {
		w.broken(EveryoneHas, "%s is not active (%s)", where, acc.ID)
		return
	}
	for path, value := range w.model.config.wants(h, target) {
		if got := acc.Attributes[path].Text(); got != value {
			w.broken(EveryoneHas, "%s has %s = %q, wants %q", where, path, got, value)
		}
	}
	want := w.model.config.granted(h, target)
	managed := identity.WithoutEntitlements(acc.Entitlements, []identity.Entitlement{{Name: guests}})
	if got := identity.EntitlementNames(managed); !slices.Equal(got, want) {
		w.broken(EveryoneHas, "%s is in %q, wants %q", where, got, want)
	}
}
