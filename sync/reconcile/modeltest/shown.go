package modeltest

import (
	"context"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// asShown is a full pass of an operator who looks at the plan, twice, and lets nothing else be done than what it shows
// (R17). The second time, everything is read in another order.
func (w *world) asShown(ctx context.Context, s Step) error {
	if s.Shown > 1 {
		w.edit(Retitle, s.Who[0], s.To)
		w.learn()
	}
	w.feed.batch = AtOnce // what the directory tells in between is another state
	shown, err := w.engine.Plan(ctx, reconcile.Pass{})
	if err != nil {
		return err
	}
	w.backwards = true
	again, err := w.engine.Plan(ctx, reconcile.Pass{})
	w.backwards = false
	if err != nil {
		return err
	}
	if len(w.writes) > 0 {
		w.broken(SamePlan, "%d writes", len(w.writes))
	}
	if first, second := planned(shown), planned(again); !slices.Equal(first, second) {
		w.broken(SamePlan, "%q, and then %q", first, second)
	}
	if s.Shown > 1 {
		w.edit(Retitle, s.Who[0], s.To+1)
		w.learn()
	}
	err = w.run(ctx, reconcile.Pass{Expect: plan.Digests(shown.Plan.Changes)})
	for t, name := range targetNames {
		w.judgeShown(t, slices.DeleteFunc(slices.Clone(shown.Plan.Changes), func(c identity.Change) bool {
			return c.Target != name || c.Op.Sweeps() || c.Op == identity.Link
		}))
	}
	return err
}

// planned is everything that a plan says of what is done and of what waits, but for when that was.
func planned(r reconcile.Report) (lines []string) {
	lines = append(lines, r.Plan.Digest)
	for _, c := range r.Plan.Changes {
		lines = append(lines, fmt.Sprint(c))
	}
	for _, h := range r.Held {
		lines = append(lines, fmt.Sprint(h.Kind, h.Target, h.Cause, h.Members)) // its digest names also when it was made
	}
	for _, f := range r.Findings {
		if f.Kind == missedByPush {
			continue // it is said once
		}
		lines = append(lines, fmt.Sprint(f.Kind, f.Subject, f.Account)) // its text may name such a digest
	}
	slices.Sort(lines)
	return lines
}

// judgeShown compares what a pass has written in one application with the changes that were shown. What closes an account
// waits for nobody.
func (w *world) judgeShown(t int, shown []identity.Change) {
	done := make([]bool, len(shown))
	ordinary := 0
	for _, one := range w.writes {
		if one.target != t || one.closes() {
			continue
		}
		ordinary++
		at := slices.IndexFunc(shown, one.is)
		if at < 0 {
			w.broken(AsShown, "%s: %s of %s, %s, was not shown: %v", targetNames[t], one.op, w.who(one.owner), one.id, one.delta)
			continue
		}
		done[at] = true
	}
	converged := w.worked[len(w.worked)-1].outcome == reconcile.Converged
	if at := slices.Index(done, false); at >= 0 && ordinary > 0 && converged {
		w.broken(AsShown, "%s: %s of %s was shown, and is not done", targetNames[t], shown[at].Op, shown[at].UserName)
	}
}

// closes reports whether a write is a part of closing an account: an update that only takes away may be.
func (one write) closes() bool {
	switch one.op {
	case identity.Disable, identity.Finish, identity.Delete:
		return true
	case identity.Update:
		return len(one.delta.Attributes)+len(one.delta.Grant) == 0
	}
	return false
}

// is reports whether a write is what a change says. An account that is made may be granted what it is to have only once it
// is there.
func (one write) is(c identity.Change) bool {
	switch {
	case c.Op == identity.Create && one.op == identity.Update:
		return c.UserName == one.before.UserName && len(one.delta.Attributes)+len(one.delta.Withdraw) == 0 &&
			len(identity.WithoutEntitlements(one.delta.Grant, c.Delta.Grant)) == 0
	case c.Op != one.op:
		return false
	case c.Op == identity.Create:
		return c.UserName == one.want.UserName && !slices.ContainsFunc(c.Delta.Attributes, func(a identity.AttributeChange) bool {
			return one.want.Attributes[a.Path] != a.After
		})
	}
	return c.Account == one.id && slices.Equal(c.Delta.Attributes, one.delta.Attributes) &&
		slices.Equal(c.Delta.Grant, one.delta.Grant) && slices.Equal(c.Delta.Withdraw, one.delta.Withdraw)
}
