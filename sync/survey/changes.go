package survey

import (
	"context"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// limitChanges takes out of the work what has to wait for an operator: enabling many accounts (R6), what an edited
// mapping would change of many, and an entitlement that many would lose (R14).
func (s *Survey) limitChanges(ctx context.Context) error {
	if s.Observe {
		return nil
	}
	waiting, err := s.limitEnables(ctx)
	if err != nil {
		return err
	}
	held, err := s.limitEdits(ctx)
	if err != nil {
		return err
	}
	if len(waiting)+len(held.Attributes)+len(held.Withdrawn) > 0 {
		s.postpone(waiting, held)
	}
	return nil
}

// limitEnables returns the accounts that may not be enabled.
func (s *Survey) limitEnables(ctx context.Context) (waiting map[identity.AccountID]bool, err error) {
	var back []identity.Leaver
	here := map[guard.Ref]bool{}
	for _, w := range s.Work {
		for _, c := range s.Steps(w) {
			if c.Op == identity.Enable {
				back = append(back, identity.Leaver{
					Person: c.Person, Name: c.Name, Target: s.Name, Account: c.Account, UserName: c.UserName, Container: c.Container,
					Cause: c.Cause, Strength: identity.ByState,
				})
				here[guard.RefOf(c.Person, s.Name, c.Account)] = true
			}
		}
	}
	return s.o.Book.Enables(ctx, back, func(standing []identity.Hold, spent []identity.Spent) (f guard.Facts, err error) {
		f = guard.Facts{Limits: s.o.Limits, Targets: map[string]guard.Limits{s.Name: s.Guard}, Accounts: map[string]guard.Population{}}
		if f.Ended, err = s.people.Settled(ctx, standing, s.view, here); err != nil || len(back)+len(f.Ended) == 0 {
			return f, err
		}
		populations, err := s.people.Populations(ctx, spent)
		if err != nil {
			return f, err
		}
		f.People, f.FirstNames = populations.Linked, populations.Names
		f.Accounts[s.Name], err = s.linksOf(ctx)
		return f, err
	})
}

// limitEdits returns what may not be sent.
func (s *Survey) limitEdits(ctx context.Context) (held guard.EditDecision, err error) {
	edit := guard.Edit{
		Limits: s.Guard, Target: s.Name, Mapping: s.Mapping.Print(), Attributes: map[string]int{},
		Withdrawn: map[string]guard.Withdrawal{},
	}
	for _, w := range s.Work {
		if w.there != nil && w.there.link.Account == "" {
			edit.Adopted++
		}
		for _, c := range s.Steps(w) {
			if c.Op == identity.Update {
				s.countEdit(&edit, w, c)
			}
		}
	}
	return s.o.Book.Changes(ctx, edit, s.Listed, func(edit *guard.Edit) error {
		linked, err := s.linksOf(ctx)
		if err != nil {
			return err
		}
		edit.Linked = linked.Now
		return s.countHolders(ctx, edit.Withdrawn)
	})
}

// countEdit counts what an update would change because the mapping was edited, and what it would take away. What is taken
// from an account when it is adopted is taken by a mapping that was new to it, too.
func (s *Survey) countEdit(edit *guard.Edit, w Work, c identity.Change) {
	if s.edited(w) {
		for _, a := range c.Delta.Attributes {
			edit.Attributes[a.Path]++
		}
	}
	if s.unfamiliar(w) && len(c.Delta.Withdraw) > 0 {
		edit.Attributes[guard.Entitlements]++
	}
	for _, e := range c.Delta.Withdraw {
		lost := edit.Withdrawn[e.String()]
		lost.Losers = append(lost.Losers, c.Account)
		edit.Withdrawn[e.String()] = lost
	}
}

// countHolders says how many have what somebody would lose: by what dirsweep granted or, where it is taken whoever granted
// it and every account was read, by what they have.
func (s *Survey) countHolders(ctx context.Context, lost map[string]guard.Withdrawal) error {
	if len(lost) == 0 {
		return nil
	}
	err := s.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(s.Name) {
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
		w.Holders = max(w.Holders, s.holders[name])
		lost[name] = w
	}
	return nil
}

// edited reports whether an account was last made as another mapping wanted it.
func (s *Survey) edited(w Work) bool {
	return w.there != nil && w.there.link.Mapping != 0 && w.there.link.Mapping != s.Mapping.Print()
}

// unfamiliar reports whether an account was not made as this mapping wants it: last as another one did, or by nobody of ours.
func (s *Survey) unfamiliar(w Work) bool {
	return w.there != nil && w.there.link.Mapping != s.Mapping.Print()
}

// postpone takes what waits out of the work: accounts that may not be enabled whole, of others the attributes and
// entitlements that may not be changed. Who is not made as is wanted by that keeps the old mapping on record, so that
// they are looked at again.
func (s *Survey) postpone(waiting map[identity.AccountID]bool, held guard.EditDecision) {
	gone := make([]bool, len(s.Changes))
	var rest []Work
	for _, w := range s.Work {
		left := 0
		for i := w.first; i < w.first+w.steps; i++ {
			c := &s.Changes[i]
			if c.Account != "" && waiting[c.Account] {
				gone[i] = true
			} else if c.Op == identity.Update && w.there != nil && s.without(c, held, w) {
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
	kept := make([]identity.Change, 0, len(s.Changes))
	at := make([]int, len(s.Changes)) // where a change is now
	for i, c := range s.Changes {
		if at[i] = len(kept); !gone[i] {
			kept = append(kept, c)
		}
	}
	for i := range rest {
		rest[i].first = at[rest[i].first]
	}
	s.Changes, s.Work = kept, rest
}

// without takes out of a change what is held, and reports whether there was anything.
func (s *Survey) without(c *identity.Change, held guard.EditDecision, w Work) bool {
	attributes, withdraw := len(c.Delta.Attributes), len(c.Delta.Withdraw)
	if s.edited(w) {
		c.Delta.Attributes = slices.DeleteFunc(slices.Clone(c.Delta.Attributes), func(a identity.AttributeChange) bool {
			return held.Attributes[a.Path] != ""
		})
	}
	all := s.unfamiliar(w) && held.Attributes[guard.Entitlements] != ""
	c.Delta.Withdraw = slices.DeleteFunc(slices.Clone(c.Delta.Withdraw), func(e identity.Entitlement) bool {
		return all || held.Withdrawn[e.String()] != ""
	})
	if len(c.Delta.Attributes) == attributes && len(c.Delta.Withdraw) == withdraw {
		return false
	}
	if len(c.Delta.Withdraw) == 0 {
		c.WithdrawRule = ""
	}
	c.WantPrint = 0
	return true
}
