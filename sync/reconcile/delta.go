package reconcile

import (
	"context"
	"errors"
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// oneByOne is how many accounts a delta pass looks at one by one before listing the target is the cheaper way.
const oneByOne = 200

func (r *run) unlinkedInScope(l *lane) (n int) {
	if r.pass.Person != "" {
		return 0
	}
	for i := range r.roster.Len() {
		if l.scope.Has(i) && !l.linked.Has(i) {
			n++
		}
	}
	return n
}

// readSome reads only the accounts of people who changed, joined or came back.
func (r *run) readSome(ctx context.Context, l *lane) (late []leaver, err error) {
	var stale []state.Link
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			id := l.heir(link.Person)
			if i, ok := r.roster.Find(id); ok && r.selected(id) && l.scope.Has(i) && (l.stale.Has(i) || r.pass.Person != "") {
				stale = append(stale, link)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(stale)+r.unlinkedInScope(l) > oneByOne {
		return r.readAll(ctx, l)
	}
	for _, link := range stale {
		have, err := l.app.Account(ctx, link.Account)
		if err == nil && apply.Bears(link, have) {
			have.Entitlements = link.Entitlements
			have, err = l.app.Entitlements(ctx, have)
		}
		switch {
		case errors.Is(err, targets.ErrNotFound), err == nil && !apply.Bears(link, have):
			if err := r.lost(ctx, l, link); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			if err := r.trouble(ctx, l, link, err); err != nil {
				return nil, err
			}
			continue
		}
		l.count++
		if err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
			_, _, err := r.compare(ctx, v, l, link, have)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return r.searchUnlinked(ctx, l)
}

// searchUnlinked asks the target for accounts that fit the people without a link.
func (r *run) searchUnlinked(ctx context.Context, l *lane) (late []leaver, err error) {
	lookedAt := map[identity.AccountID]bool{}
	for n := range r.o.Sources {
		if !r.reads(l, n) {
			continue
		}
		for i := range r.roster.Of(n) {
			// Somebody out of scope whose account was never linked is found by the next full pass, or when asked about by name.
			if l.linked.Has(i) || l.unsure.Has(i) || !l.scope.Has(i) && r.pass.Person == "" {
				continue
			}
			e, want, err := r.want(ctx, l, i, "")
			if !r.selected(e.Person.ID) {
				continue
			}
			if err != nil {
				r.expression(l, e, err)
				l.unsure.Set(i)
				continue
			}
			found, err := r.search(ctx, l, want, lookedAt)
			if err != nil {
				return nil, err
			}
			late = append(late, found...)
		}
	}
	return late, nil
}

func (r *run) search(ctx context.Context, l *lane, want identity.Account, lookedAt map[identity.AccountID]bool) (late []leaver, err error) {
	for _, attribute := range append(slices.Clone(l.Correlate), "userName") {
		for _, value := range correlate.Values(attribute, want) {
			found, err := l.app.Find(ctx, attribute, value)
			if err != nil {
				return nil, err
			}
			for _, a := range found {
				if lookedAt[a.ID] {
					continue
				}
				lookedAt[a.ID] = true
				if a, err = l.app.Entitlements(ctx, a); err != nil {
					return nil, err
				}
				again, err := r.meet(ctx, l, []identity.Account{a})
				if err != nil {
					return nil, err
				}
				late = append(late, again...)
			}
		}
	}
	return late, nil
}
