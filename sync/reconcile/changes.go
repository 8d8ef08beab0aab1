package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// limitChanges takes out of a target's work what has to wait for an operator: enabling many accounts (R6), what an edited mapping would change of
// many, and an entitlement that many would lose (R14).
func (r *run) limitChanges(ctx context.Context, l *lane) error {
	if l.Observe {
		return nil
	}
	r.e.guarding.Lock()
	defer r.e.guarding.Unlock()
	if r.write || !r.books.read {
		if err := r.books.load(ctx, r.o.Ledger); err != nil {
			return err
		}
	}
	waiting, err := r.limitEnables(ctx, l)
	if err != nil {
		return err
	}
	held, err := r.limitEdits(ctx, l)
	if err != nil {
		return err
	}
	if len(waiting)+len(held.Attributes)+len(held.Withdrawn) > 0 {
		l.leaveOut(waiting, held)
	}
	return nil
}

// limitEnables returns the accounts that may not be enabled.
func (r *run) limitEnables(ctx context.Context, l *lane) (waiting map[identity.AccountID]bool, err error) {
	var back []identity.Leaver
	here := map[guard.Ref]bool{}
	for _, w := range l.work {
		for _, c := range l.changes[w.first : w.first+w.steps] {
			if c.Op == identity.Enable {
				back = append(back, identity.Leaver{
					Person: c.Person, Name: c.Name, Target: l.Name, Account: c.Account, UserName: c.UserName, Container: c.Container,
					Cause: c.Cause, Strength: identity.ByState,
				})
				here[guard.RefOf(c.Person, l.Name, c.Account)] = true
			}
		}
	}
	facts := guard.Facts{
		Now: r.now, Limits: r.o.Guard, Targets: map[string]guard.Limits{l.Name: l.Guard}, People: r.populations.linked,
		Accounts: map[string]guard.Population{}, Spent: r.books.spent, Holds: r.books.holds, FirstNames: r.populations.names, Leavers: back,
	}
	if facts.Ended, err = r.enabled(ctx, l, here); err != nil || len(back)+len(facts.Ended) == 0 {
		return nil, err
	}
	if facts.Accounts[l.Name], err = r.linksOf(ctx, l); err != nil {
		return nil, err
	}
	d := guard.Enables(facts)
	waiting = map[identity.AccountID]bool{}
	for _, out := range d.Held {
		waiting[out.Account] = true
		r.noteHoldOf(out.Digest, d.Holds)
	}
	for _, out := range d.Kept {
		waiting[out.Account] = true
		r.noteHoldOf(out.Digest, nil)
	}
	return waiting, r.keepEnables(ctx, d)
}

// enabled tells of the members of holds over enabling, who are not to be enabled now: their account is active, or they have left again.
func (r *run) enabled(ctx context.Context, l *lane, here map[guard.Ref]bool) (map[guard.Ref]guard.End, error) {
	ended := map[guard.Ref]guard.End{}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, h := range r.books.holds {
			for _, m := range h.Members {
				ref := guard.RefOf(m.Person, m.Target, m.Account)
				if h.Kind != identity.HoldEnable || here[ref] || !r.judges(m, l) {
					continue
				}
				link, linked, err := v.Link(m.Target, m.Person)
				switch {
				case err != nil:
					return err
				case !r.back(m.Person, m.Target):
					ended[ref] = guard.Returned
				case !linked || link.State == identity.LinkActive:
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

func (r *run) linksOf(ctx context.Context, l *lane) (p guard.Population, err error) {
	err = r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		p.Now, err = v.CountLinks(l.Name)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("read the state: %w", err)
	}
	return p, nil
}

// keepEnables writes a decision down. An approval is used up when its account is seen active, not when that is tried.
func (r *run) keepEnables(ctx context.Context, d guard.Decision) error {
	var spent []identity.Spent
	for _, out := range d.Go {
		if out.Counts {
			spent = append(spent, identity.Spent{
				Kind: identity.HoldEnable, Target: out.Target, Account: out.Account, Person: out.Person, Name: out.Name, Cause: out.Cause,
				Strength: out.Strength, At: r.now,
			})
		}
	}
	if !r.write {
		r.books.spent, r.books.holds = append(r.books.spent, spent...), append(r.books.holds, d.Holds...)
		return nil
	}
	if err := r.putMembers(ctx, d.Holds); err != nil {
		return err
	}
	for batch := range slices.Chunk(spent, chunk) {
		err := r.update(ctx, func(w *state.Writer) error {
			for _, s := range batch {
				if err := w.PutSpent(s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := r.putHolds(ctx, d.Holds, nil); err != nil {
		return err
	}
	return r.dropMembers(ctx, d.Dropped)
}

// limitEdits returns what may not be sent.
func (r *run) limitEdits(ctx context.Context, l *lane) (held guard.EditDecision, err error) {
	edit := guard.Edit{
		Now: r.now, Limits: l.Guard, Target: l.Name, Mapping: l.Mapping.Print(), Attributes: map[string]int{}, Withdrawn: map[string]guard.Withdrawal{},
		Holds: r.books.holds,
	}
	for _, w := range l.work {
		for _, c := range l.changes[w.first : w.first+w.steps] {
			if c.Op == identity.Update {
				l.countEdit(&edit, w, c)
			}
		}
	}
	standing := slices.ContainsFunc(edit.Holds, func(h identity.Hold) bool { return h.Kind == identity.HoldChange && h.Target == l.Name })
	if len(edit.Attributes)+len(edit.Withdrawn) == 0 && (!standing || !l.listed) {
		return held, nil
	}
	linked, err := r.linksOf(ctx, l)
	if err != nil {
		return held, err
	}
	edit.Linked = linked.Now
	if err := r.countHolders(ctx, l, edit.Withdrawn); err != nil {
		return held, err
	}
	held = guard.Changes(edit)
	for _, digest := range slices.Concat(slices.Collect(maps.Values(held.Attributes)), slices.Collect(maps.Values(held.Withdrawn))) {
		r.noteHoldOf(digest, held.Holds)
	}
	if !l.listed {
		held.Over = nil // only a whole listing tells what is left
	}
	if !r.write {
		return held, nil
	}
	return held, r.putHolds(ctx, held.Holds, held.Over)
}

// countEdit counts what an update would change because the mapping was edited, and what it would take away.
func (l *lane) countEdit(edit *guard.Edit, w work, c identity.Change) {
	if l.edited(w) {
		for _, a := range c.Delta.Attributes {
			edit.Attributes[a.Path]++
		}
	}
	for _, e := range c.Delta.Withdraw {
		lost := edit.Withdrawn[e.String()]
		lost.Losers++
		edit.Withdrawn[e.String()] = lost
	}
}

// countHolders says how many have what somebody would lose, by what dirsweep granted.
func (r *run) countHolders(ctx context.Context, l *lane, lost map[string]guard.Withdrawal) error {
	if len(lost) == 0 {
		return nil
	}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			for _, e := range link.Entitlements {
				if w, ok := lost[e.String()]; ok {
					w.Holders++
					lost[e.String()] = w
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	for name, w := range lost {
		w.Holders = max(w.Holders, w.Losers)
		lost[name] = w
	}
	return nil
}

// edited reports whether an account was last made as another mapping wanted it.
func (l *lane) edited(w work) bool {
	return w.there != nil && w.there.link.Mapping != 0 && w.there.link.Mapping != l.Mapping.Print()
}

// leaveOut takes what waits out of the work: accounts that may not be enabled whole, of others the attributes and entitlements that may not be
// changed. Who is not made as is wanted by that keeps the old mapping on record, so that they are looked at again.
func (l *lane) leaveOut(waiting map[identity.AccountID]bool, held guard.EditDecision) {
	gone := make([]bool, len(l.changes))
	var rest []work
	for _, w := range l.work {
		left := 0
		for i := w.first; i < w.first+w.steps; i++ {
			c := &l.changes[i]
			if c.Account != "" && waiting[c.Account] {
				gone[i] = true
			} else if c.Op == identity.Update && w.there != nil && l.without(c, held, l.edited(w)) {
				w.partly, gone[i] = true, c.Delta.IsZero()
			}
			if !gone[i] {
				left++
			}
		}
		if w.steps = left; left > 0 {
			rest = append(rest, w)
		}
	}
	kept := make([]identity.Change, 0, len(l.changes))
	at := make([]int, len(l.changes)) // where a change is now
	for i, c := range l.changes {
		if at[i] = len(kept); !gone[i] {
			kept = append(kept, c)
		}
	}
	for i := range rest {
		rest[i].first = at[rest[i].first]
	}
	l.changes, l.work = kept, rest
}

// without takes out of a change what is held, and reports whether there was anything.
func (l *lane) without(c *identity.Change, held guard.EditDecision, edited bool) bool {
	attributes, withdraw := len(c.Delta.Attributes), len(c.Delta.Withdraw)
	if edited {
		c.Delta.Attributes = slices.DeleteFunc(slices.Clone(c.Delta.Attributes), func(a identity.AttributeChange) bool {
			return held.Attributes[a.Path] != ""
		})
	}
	c.Delta.Withdraw = slices.DeleteFunc(slices.Clone(c.Delta.Withdraw), func(e identity.Entitlement) bool { return held.Withdrawn[e.String()] != "" })
	if len(c.Delta.Attributes) == attributes && len(c.Delta.Withdraw) == withdraw {
		return false
	}
	c.WantPrint = 0
	return true
}
