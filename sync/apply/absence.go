package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// What a look at an account saw.
const (
	SeenActive   = "active"
	SeenInactive = "inactive"
	SeenGone     = "gone"
	SeenHidden   = "hidden" // invisible since dirsweep disabled it
)

// A Witness says whether another linked account of the target could be read by the same path, bearing its own link's
// identity.
type Witness uint8

// The witnesses, from none to the best.
const (
	WitnessNone    Witness = iota // there is no other linked account
	WitnessRefused                // those that were tried may not be read either
	WitnessLost                   // none of those that were tried could be read
	WitnessRead
)

// A Hit is an account that a search for the person found.
type Hit struct {
	Account identity.Account
	Linked  bool // to another person
}

// Facts are what is known of an account that cannot be read.
type Facts struct {
	Account    identity.AccountID
	ExternalID string  // the mark that the account carried, or would; "" for none
	Own        bool    // the application itself says that it has no such account
	Unlisted   bool    // a whole listing that began after our last write lacks it
	Witness    Witness //
	Searched   bool    // the application was asked for externalId and userName as last known, and answered
	Hits       []Hit   // what it answered
	Disabled   bool    // the account was seen active, and then the application took our Disable
	Deleted    bool    // the application took our Delete
}

// A Verdict is what an absence proves.
type Verdict struct {
	Seen   string // SeenGone, SeenHidden, SeenInactive; "" where nothing is proven
	Second *identity.Account
	Last   bool   // no other account is linked there, so that nothing can be proven
	Why    string // where nothing is proven: what is missing
}

// Absence judges an account that cannot be read (R8). It is gone only by the application's own word, or a whole listing
// that lacks it, with a witness, and where a search for the person finds nobody: an id is not the person. What was
// active before our write and is invisible after it is hidden.
func Absence(f Facts) Verdict {
	switch {
	case !f.Own && !f.Unlisted:
		return Verdict{Why: "the answer is not the application's own word about this account, and no whole list since lacks it"}
	case f.Witness == WitnessNone:
		return Verdict{Last: true, Why: "there is no other linked account to show that the application answers truly; " +
			"settle it with `dirsweep unlink` once you have seen that it is gone"}
	case f.Witness != WitnessRead:
		return Verdict{Why: "no other linked account can be read either"}
	case !f.Searched:
		return Verdict{Why: "the application was not asked for the person by externalId and userName, or did not answer"}
	}
	for _, hit := range f.Hits {
		a := hit.Account
		another := hit.Linked || a.ExternalID != "" && f.ExternalID != "" && a.ExternalID != f.ExternalID
		switch {
		case a.ID == f.Account && a.Active:
			return Verdict{Why: "it cannot be read, and a search still finds it active"}
		case a.ID == f.Account:
			return Verdict{Seen: SeenInactive}
		case a.Active && !another:
			return Verdict{Second: &a, Why: "the person has another active account there"}
		}
	}
	if f.Disabled && !f.Deleted {
		return Verdict{Seen: SeenHidden}
	}
	return Verdict{Seen: SeenGone}
}

// An UnprovenError says that an account cannot be read, and that nothing proves it gone.
type UnprovenError struct {
	Account identity.AccountID
	Why     string
	Last    bool  // and nothing ever will: it is the only account that is linked there
	Err     error // of the look
}

func (e *UnprovenError) Error() string {
	return fmt.Sprintf("account %s cannot be read, and that it is gone is not proven: %s: %v", e.Account, e.Why, e.Err)
}

func (e *UnprovenError) Unwrap() error { return e.Err }

// A SecondError says that the person has an active account besides the one that is linked, or instead of it.
type SecondError struct {
	Linked identity.AccountID
	Second identity.Account
}

func (e *SecondError) Error() string {
	return fmt.Sprintf("besides account %s the application has %s; close it by hand, or `dirsweep link` it to whom it belongs",
		e.Linked, describe(e.Second))
}

func describe(a identity.Account) string {
	state := "an inactive"
	if a.Active {
		state = "an active"
	}
	mark := ""
	if a.ExternalID != "" {
		mark = fmt.Sprintf(", externalId %q", a.ExternalID)
	}
	return fmt.Sprintf("%s account %s (userName %q%s)", state, a.ID, a.UserName, mark)
}

// mostSuspects bounds what is remembered of accounts that could not be read.
const mostSuspects = 10_000

// suspect notes an account that could not be read, and reports whether a whole listing that began since lacks it.
// Nothing of ours is written to it meanwhile: it would have to be read first.
func (s *Session) suspect(id identity.AccountID) (unlisted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unlisted, known := s.suspects[id]
	if !known && len(s.suspects) < mostSuspects {
		s.suspects[id] = false
	}
	return unlisted
}

// unlisted reports whether whole lists lack an account that could not be read, and would have it if it were anywhere.
func (p *Pass) unlisted(id identity.AccountID) bool {
	return !p.Capabilities().Places && p.s.suspect(id)
}

// cleared forgets a suspect whose case is decided, or that can be read again.
func (s *Session) cleared(id identity.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.suspects, id)
}

// A listing notes which of the suspects there were at its beginning a list holds.
type listing struct {
	s    *Session
	left map[identity.AccountID]bool // suspects not seen yet
}

func (s *Session) listing() *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &listing{s: s, left: maps.Clone(s.suspects)}
}

func (l *listing) saw(id identity.AccountID) {
	if len(l.left) == 0 {
		return
	}
	if _, suspect := l.left[id]; suspect {
		delete(l.left, id)
		l.s.listed(id)
	}
}

// listed says that a list holds a suspect.
func (s *Session) listed(id identity.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspects[id] = false
}

// whole is called at the end of a list that came whole.
func (l *listing) whole() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	for id := range l.left {
		if _, still := l.s.suspects[id]; still {
			l.s.suspects[id] = true
		}
	}
}

// prove gathers the facts about an account that a look, which ended in err, did not find, and judges them.
func (x *Executor) prove(ctx context.Context, p *Pass, link state.Link, err error, facts Facts) Verdict {
	facts.Account, facts.ExternalID = link.Account, mark(link)
	facts.Own = errors.Is(err, targets.ErrNotFound)
	facts.Unlisted = p.unlisted(link.Account)
	if !facts.Own && !facts.Unlisted {
		return Absence(facts)
	}
	if held, err := x.held(ctx, link.Target); held || err != nil {
		return Verdict{Why: "the target is held: it lists far fewer accounts than are linked there"}
	}
	facts.Witness, _ = p.witness(ctx, link.Account)
	if facts.Witness != WitnessRead {
		return Absence(facts)
	}
	hits, searchErr := x.search(ctx, p, link)
	facts.Hits, facts.Searched = hits, searchErr == nil
	v := Absence(facts)
	if v.Seen != "" {
		p.s.cleared(link.Account)
	}
	if v.Seen == SeenHidden {
		p.s.hides(ctx)
	}
	return v
}

// held reports whether a target is on hold because it lists far fewer accounts than are linked there (R2).
func (x *Executor) held(ctx context.Context, target string) (held bool, err error) {
	err = x.Ledger.View(ctx, func(r *state.Reader) error {
		for h, err := range r.Holds() {
			if err != nil {
				return err
			}
			held = held || h.Kind == identity.HoldShrink && target != "" && h.Target == target && h.Ruling.What != identity.Approved
		}
		return nil
	})
	return held, err
}

// search asks the target for accounts of the person to whom link belongs, by what it last carried.
func (x *Executor) search(ctx context.Context, p *Pass, link state.Link) (hits []Hit, err error) {
	seen := map[identity.AccountID]bool{}
	for _, key := range keys(link) {
		found, err := p.Find(ctx, key[0], key[1])
		if err != nil {
			return nil, fmt.Errorf("look for the person's accounts: %w", err)
		}
		for _, a := range found {
			if seen[a.ID] {
				continue
			}
			seen[a.ID] = true
			holder, linked, err := x.holder(ctx, p.s.o.Target, a.ID)
			if err != nil {
				return nil, err
			}
			hits = append(hits, Hit{Account: a, Linked: linked && holder.Person != link.Person && Bears(holder, a)})
		}
	}
	return hits, nil
}

// keys are what a person's account is looked for by: the marks that it carried, else the one that dirsweep writes.
func keys(link state.Link) (out [][2]string) {
	if mark(link) != "" {
		out = append(out, [2]string{"externalId", mark(link)})
	}
	for _, name := range link.UserNames() {
		out = append(out, [2]string{"userName", name})
	}
	return out
}

// mark is the externalId that the person's account carries, or would where dirsweep made it.
func mark(link state.Link) string {
	if link.ExternalID != "" {
		return link.ExternalID
	}
	return link.Person.Anchor
}

// Seconds are the active accounts that the target has of the person besides the linked one (R8).
func (x *Executor) Seconds(ctx context.Context, p *Pass, link state.Link) (out []identity.Account, err error) {
	hits, err := x.search(ctx, p, link)
	for _, hit := range hits {
		a := hit.Account
		if a.ID != link.Account && a.Active && !hit.Linked && (a.ExternalID == "" || a.ExternalID == mark(link)) {
			out = append(out, a)
		}
	}
	return out, err
}

// Successor is the one account that bears the person's own externalId, under another identifier than the linked one:
// the application was restored, or the account made anew. ok is false where there is none, or more than one.
func (x *Executor) Successor(ctx context.Context, p *Pass, link state.Link) (a identity.Account, ok bool, err error) {
	hits, err := x.search(ctx, p, link)
	n := 0
	for _, hit := range hits {
		if hit.Account.ID != link.Account && !hit.Linked && hit.Account.ExternalID == mark(link) {
			a, n = hit.Account, n+1
		}
	}
	return a, n == 1, err
}

// Bears reports whether a is the account that link remembers: the same identifier, and the same externalId where both
// have one, else the same userName, be it the one that dirsweep asked for and had no answer about. Identifiers alone
// are given to somebody else, or traded, by applications that are restored or migrated (R5).
func Bears(link state.Link, a identity.Account) bool {
	switch {
	case a.ID != link.Account:
		return false
	case link.ExternalID != "" && a.ExternalID != "":
		return link.ExternalID == a.ExternalID
	}
	return link.UserName == "" || slices.ContainsFunc(link.UserNames(), func(name string) bool {
		return strings.EqualFold(norm.NFC.String(name), norm.NFC.String(a.UserName))
	})
}

// An IdentityError says that an identifier names another account now than the one that is linked. Nothing was written.
type IdentityError struct {
	Link state.Link
	Now  identity.Account // what the identifier names now
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("disputed: account %s is now %q (externalId %q), not the %q (externalId %q) that was linked; nothing is written",
		e.Now.ID, e.Now.UserName, e.Now.ExternalID, e.Link.UserName, e.Link.ExternalID)
}
