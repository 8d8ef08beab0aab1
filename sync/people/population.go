package people

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// Populations are what limits are shares of, as they were when the pass began.
type Populations struct {
	People   map[string]guard.Population // by directory: people with an active account
	Linked   map[string]guard.Population // by directory: people with an account in any state
	Accounts map[string]guard.Population // by target: active accounts
	Names    map[guard.Account]string    // userNames that accounts had first, where they have others now
	Own      []identity.Own              // what dirsweep itself signs in as
}

// Populations counts those who are linked now, and those of them who were when the window began. They are counted once
// a read, before anything is decided.
func (r *Read) Populations(ctx context.Context, spent []identity.Spent) (Populations, error) {
	if r.populations != nil {
		return *r.populations, nil
	}
	p := Populations{
		People: map[string]guard.Population{}, Linked: map[string]guard.Population{}, Accounts: map[string]guard.Population{},
		Names: r.holders.renamed,
	}
	for directory, n := range r.holders.count {
		p.People[directory] = guard.Population{Start: n, Now: n}
	}
	for directory, n := range r.holders.linked {
		p.Linked[directory] = guard.Population{Start: n, Now: n}
	}
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, l := range r.Views {
			n, err := v.CountActive(l.Name)
			if err != nil {
				return err
			}
			p.Accounts[l.Name] = guard.Population{Start: n, Now: n}
		}
		own, err := v.Own()
		if err != nil {
			return err
		}
		p.Own = append(own, r.own...)
		gone := map[identity.PersonID]bool{}
		for _, s := range spent {
			if s.Kind != identity.HoldCohort || s.At.Before(r.o.Now.Add(-r.window(s.Target))) {
				continue
			}
			link, ok, err := v.LinkByAccount(s.Target, s.Account)
			if err != nil {
				return err
			}
			if !ok || link.State != identity.LinkActive {
				p.Accounts[s.Target] = guard.Population{Start: p.Accounts[s.Target].Start + 1, Now: p.Accounts[s.Target].Now}
			}
			if !s.Person.IsZero() && !gone[s.Person] && !r.holders.active.has(r.Roster, s.Person) {
				gone[s.Person] = true
				was := p.People[s.Person.Directory]
				p.People[s.Person.Directory] = guard.Population{Start: was.Start + 1, Now: was.Now}
			}
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("read the state: %w", err)
	}
	r.populations = &p
	return p, nil
}

// window is the time over which a target's limits count.
func (r *Read) window(target string) time.Duration {
	if at := slices.IndexFunc(r.Views, func(l *View) bool { return l.Name == target }); at >= 0 {
		return r.Views[at].Window
	}
	return r.o.Limits.Window
}

// holders counts the people of each directory who have a linked account, and those who have an active one.
type holders struct {
	active, any   crowd
	count, linked map[string]int
	renamed       map[guard.Account]string // names that accounts had first
}

func newHolders() holders {
	return holders{count: map[string]int{}, linked: map[string]int{}, renamed: map[guard.Account]string{}}
}

func (h *holders) add(people *roster.Roster, link state.Link) {
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

// Ended tells of the members of holds over leavers whose accounts have nothing to be closed any more. Of those whose
// source was not read, or whom the pass is not about, it says nothing; nor, before a target is listed, of accounts that
// nobody is linked to, or that were inactive when last seen: somebody may have enabled them. late is the only target
// that is asked about, nil for all; open tells of it which accounts that nobody is linked to are active, and is nil
// where it was not listed.
func (r *Read) Ended(
	ctx context.Context, holds []identity.Hold, late *View, open func(identity.AccountID) bool,
) (map[guard.Ref]guard.End, error) {
	ended := map[guard.Ref]guard.End{}
	listed := open != nil && late != nil && r.Claimable(late)
	err := r.members(ctx, holds, late, []identity.HoldKind{identity.HoldCohort, identity.HoldAnomaly},
		func(m identity.Member, link state.Link, linked bool) {
			ref := guard.RefOf(m.Person, m.Target, m.Account)
			switch {
			case !m.Person.IsZero() && r.Back(m.Person, m.Target):
				ended[ref] = guard.Returned
			case linked && link.State == identity.LinkActive || !listed:
			case m.Person.IsZero() || !open(m.Account):
				ended[ref] = guard.NoAccount
			}
		})
	return ended, err
}

// Settled tells of the members of holds over enabling who are not to be enabled now: their account is active, or they
// have left again. Those in waiting are.
func (r *Read) Settled(
	ctx context.Context, holds []identity.Hold, at *View, waiting map[guard.Ref]bool,
) (map[guard.Ref]guard.End, error) {
	ended := map[guard.Ref]guard.End{}
	err := r.members(ctx, holds, at, []identity.HoldKind{identity.HoldEnable}, func(m identity.Member, link state.Link, linked bool) {
		ref := guard.RefOf(m.Person, m.Target, m.Account)
		switch {
		case waiting[ref]:
		case !r.Back(m.Person, m.Target):
			ended[ref] = guard.Returned
		case !linked || link.State == identity.LinkActive:
			ended[ref] = guard.NoAccount
		}
	})
	return ended, err
}

// members goes through the members of holds of some kinds of whom the read can tell what became, each with their link.
func (r *Read) members(
	ctx context.Context, holds []identity.Hold, late *View, kinds []identity.HoldKind,
	each func(m identity.Member, link state.Link, linked bool),
) error {
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, h := range holds {
			if !slices.Contains(kinds, h.Kind) {
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
				each(m, link, linked)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// judges reports whether the read can tell what became of a member.
func (r *Read) judges(m identity.Member, late *View) bool {
	at := slices.IndexFunc(r.Views, func(l *View) bool { return l.Name == m.Target })
	switch {
	case at < 0 || r.Views[at].Skip || late != nil && late.Name != m.Target:
		return false
	case m.Person.IsZero():
		return late != nil
	}
	return r.Selected(m.Person) && r.directoryWhole(m.Person.Directory)
}

// View is the view of a target.
func (r *Read) View(target string) *View {
	return r.Views[slices.IndexFunc(r.Views, func(l *View) bool { return l.Name == target })]
}
