package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/targets"
)

// oneByOne is how many accounts a delta pass looks at one by one before listing the target is the cheaper way.
const oneByOne = 200

// seenBefore reports whether there is nothing new about somebody without a link: in an application that is only
// observed nothing was tried that would have to be tried again, so that only a full pass looks for them once more
// (R18).
func (s *Survey) seenBefore(i int) bool {
	return s.Observe && !s.o.Full && !s.o.One && !s.people.Roster.Row(i).Dirty
}

func (s *Survey) unlinkedInScope() (n int) {
	if s.o.One {
		return 0
	}
	for i := range s.people.Roster.Len() {
		if s.view.Scope.Has(i) && !s.view.Linked.Has(i) && !s.seenBefore(i) {
			n++
		}
	}
	return n
}

// readSome reads only the accounts of people who changed, joined or came back.
func (s *Survey) readSome(ctx context.Context) (late []people.Leaver, err error) {
	var stale []state.Link
	err = s.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(s.Name) {
			if err != nil {
				return err
			}
			id := s.view.Heir(link.Person)
			if i, ok := s.people.Roster.Find(id); ok && s.people.Selected(id) && s.view.Scope.Has(i) && (s.view.Stale.Has(i) || s.o.One) {
				stale = append(stale, link)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(stale)+s.unlinkedInScope() > oneByOne {
		return s.readAll(ctx)
	}
	for _, link := range stale {
		have, err := s.app.Account(ctx, link.Account)
		if err == nil && apply.Bears(link, have) {
			have.Entitlements = link.Entitlements
			have, err = s.app.Entitlements(ctx, have)
		}
		switch {
		case errors.Is(err, targets.ErrNotFound), err == nil && !apply.Bears(link, have):
			if err := s.lookAfter(ctx, link); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			if err := s.trouble(ctx, link, err); err != nil {
				return nil, err
			}
			continue
		}
		s.Count++
		if err := s.o.Ledger.View(ctx, func(v *state.Reader) error {
			_, _, err := s.compare(ctx, v, link, have)
			return err
		}); err != nil {
			return nil, err
		}
	}
	if late, err = s.searchUnlinked(ctx); err != nil || len(s.logins) == 0 {
		return late, err
	}
	return late, s.noteRivals(ctx)
}

// noteRivals notes whose accounts bore the userNames of accounts that nobody is linked to.
func (s *Survey) noteRivals(ctx context.Context) error {
	err := s.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(s.Name) {
			if err != nil {
				return err
			}
			s.noteRival(link)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// noteRival notes whose account may be one that nobody is linked to, by its userName: rather whose was seen with it
// than whose was to get it.
func (s *Survey) noteRival(link state.Link) {
	for _, name := range link.UserNames() {
		id, unlinked := s.logins[strings.ToLower(name)]
		if _, noted := s.rivals[id]; unlinked && (!noted || name == link.UserName) {
			s.rivals[id] = link
		}
	}
}

// searchUnlinked asks the target for accounts that fit the people without a link.
func (s *Survey) searchUnlinked(ctx context.Context) (late []people.Leaver, err error) {
	lookedAt := map[identity.AccountID]bool{}
	for i := range s.people.RowsOf(s.view) {
		// Somebody out of scope whose account was never linked is found by the next full pass, or when asked about by
		// name.
		if s.view.Linked.Has(i) || s.view.Unsure.Has(i) || !s.view.Scope.Has(i) && !s.o.One || s.seenBefore(i) {
			continue
		}
		e, want, err := s.want(ctx, i, "")
		if !s.people.Selected(e.Person.ID) {
			continue
		}
		if err != nil {
			s.expression(e, err)
			s.view.Unsure.Set(i)
			continue
		}
		found, err := s.search(ctx, want, lookedAt)
		if err != nil {
			return nil, err
		}
		late = append(late, found...)
	}
	return late, nil
}

func (s *Survey) search(ctx context.Context, want identity.Account, lookedAt map[identity.AccountID]bool) (late []people.Leaver, err error) {
	for _, attribute := range append(slices.Clone(s.Correlate), "userName") {
		for _, value := range correlate.Values(attribute, want) {
			found, err := s.app.Find(ctx, attribute, value)
			if err != nil {
				return nil, err
			}
			for _, a := range found {
				if lookedAt[a.ID] {
					continue
				}
				lookedAt[a.ID] = true
				if a, err = s.app.Entitlements(ctx, a); err != nil {
					return nil, err
				}
				again, err := s.meet(ctx, []identity.Account{a})
				if err != nil {
					return nil, err
				}
				late = append(late, again...)
			}
		}
	}
	return late, nil
}
