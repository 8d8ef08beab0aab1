package scim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/text/unicode/norm"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

// scanLife is how long what a look through all accounts found is used for further lookups. Each hit is read again
// before it is returned.
const scanLife = 30 * time.Second

// trust is what is known of an application's filter for one attribute.
type trust uint8

const (
	untried    trust = iota
	unshown          // nobody who is listed has such a value: what it finds counts, that it finds nothing does not
	distrusted       // it does not find what is there
	literal          // it finds, but only in the very letter case
	understood
)

// filters remembers, within a pass, which filters are understood, and what full scans found.
type filters struct {
	mu    sync.Mutex
	trust map[string]trust
	turn  turn // one scan at a time: the others wait and use it
	scans map[string]*scan
}

// A scan knows, by a hash of the folded value, which accounts hold a value: 24 bytes and an id each.
type scan struct {
	at   time.Time
	ids  map[uint64]identity.AccountID
	also map[uint64][]identity.AccountID // those beside the first, of values that several hold
}

func (f *filters) forgetScans() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scans = nil
}

// noteNew tells scans of an account that we have just written.
func (f *filters) noteNew(t *pass, r resource) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, s := range f.scans {
		if p, err := t.path(name); err == nil {
			s.note(r, p)
		}
	}
}

func (s *scan) note(r resource, p path) {
	for _, text := range texts(r.at(p)) {
		h := xxhash.Sum64String(fold(text))
		first, known := s.ids[h]
		switch {
		case !known:
			s.ids[h] = r.id()
		case first != r.id() && !slices.Contains(s.also[h], r.id()):
			s.also[h] = append(s.also[h], r.id())
		}
	}
}

func (t *pass) Find(ctx context.Context, attribute, value string) ([]identity.Account, error) {
	found, err := t.find(ctx, attribute, value)
	if err != nil {
		return nil, fmt.Errorf("find %s %q: %w", attribute, value, err)
	}
	return found, nil
}

func (t *pass) find(ctx context.Context, attribute, value string) ([]identity.Account, error) {
	p, err := t.path(attribute)
	if err != nil || value == "" {
		return nil, err
	}
	if attribute == "id" {
		a, err := t.readAccount(ctx, identity.AccountID(value))
		if errors.Is(err, targets.ErrNotFound) {
			return nil, nil
		}
		return []identity.Account{a}, err
	}
	if t.mayFilter(p) {
		found, err := t.filter(ctx, p, value)
		switch {
		case err == nil && len(found) > 0:
			return t.accounts(found)
		case err == nil:
			level, err := t.trusts(ctx, p)
			// Escapes are often not undone: the control says nothing about a value that needs them.
			if err != nil || level == understood && quote(value) == `"`+value+`"` {
				return nil, err
			}
		case !notUnderstood(err):
			return nil, err
		}
	}
	return t.lookThrough(ctx, attribute, p, value)
}

// mayFilter reports whether asking makes sense: the profile does not say no, and no try has failed.
func (t *pass) mayFilter(p path) bool {
	if t.profile.filters != nil && !slices.Contains(t.profile.filters, p.String()) {
		return false
	}
	t.filters.mu.Lock()
	defer t.filters.mu.Unlock()
	return t.filters.trust[p.String()] != distrusted
}

// filter returns the accounts that the application finds and that really match: one that ignores the filter returns
// everyone.
func (t *pass) filter(ctx context.Context, p path, value string) ([]resource, error) {
	var found []resource
	query := url.Values{"filter": {equalFilter(p.filterName(), value)}}
	err := t.list(ctx, usersEndpoint, query, true, func(r resource) error {
		if p.holds(r, value) {
			found = append(found, r)
		}
		return nil
	})
	return found, err
}

// trusts finds out, once a pass, whether the application understands a filter for p: it is asked for an account that is
// there.
func (t *pass) trusts(ctx context.Context, p path) (trust, error) {
	name := p.String()
	t.filters.mu.Lock()
	level := t.filters.trust[name]
	t.filters.mu.Unlock()
	if level != untried {
		return level, nil
	}
	level, err := t.control(ctx, p)
	if err != nil {
		return untried, err
	}
	if level == distrusted {
		t.log.Debug("the application does not understand this filter, all accounts are looked through instead", "attribute", name)
	}
	t.filters.mu.Lock()
	defer t.filters.mu.Unlock()
	if t.filters.trust == nil {
		t.filters.trust = map[string]trust{}
	}
	t.filters.trust[name] = level
	return level, nil
}

func (t *pass) control(ctx context.Context, p path) (trust, error) {
	var specimen resource
	var value string
	err := t.list(ctx, usersEndpoint, nil, false, func(r resource) error {
		for _, text := range texts(r.at(p)) {
			specimen, value = r, text
			if swapCase(text) != text {
				return errStop
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return untried, err
	}
	if specimen == nil {
		return unshown, nil
	}
	hit, err := t.finds(ctx, p, value, specimen.id())
	if err != nil || !hit {
		return distrusted, err
	}
	if p.exact() {
		return understood, nil
	}
	if hit, err = t.finds(ctx, p, swapCase(value), specimen.id()); err != nil || !hit {
		return literal, err
	}
	return understood, nil
}

func (t *pass) finds(ctx context.Context, p path, value string, id identity.AccountID) (bool, error) {
	found, err := t.filter(ctx, p, value)
	if err != nil && notUnderstood(err) {
		return false, nil
	}
	return slices.ContainsFunc(found, func(r resource) bool { return r.id() == id }), err
}

// notUnderstood reports whether err is about the filter rather than about us or the application's health: a refusal
// (500 is what one product says to a filter that it does not know), or an answer that is no list, or not a whole one.
func notUnderstood(err error) bool {
	var refused *rest.StatusError
	if errors.As(err, &refused) {
		switch refused.Status {
		case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusInternalServerError:
			return true
		}
		return false
	}
	for _, other := range []error{targets.ErrUnavailable, targets.ErrUnauthorized, targets.ErrForbidden, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil
}

// lookThrough finds without a filter.
func (t *pass) lookThrough(ctx context.Context, attribute string, p path, value string) ([]identity.Account, error) {
	ids, err := t.scanned(ctx, attribute, p, value)
	if err != nil {
		return nil, err
	}
	var found []resource
	for _, id := range ids {
		r, _, err := t.read(ctx, id)
		switch {
		case errors.Is(err, targets.ErrNotFound):
		case err != nil:
			return nil, err
		case p.holds(r, value):
			found = append(found, r)
		}
	}
	return t.accounts(found)
}

func (t *pass) scanned(ctx context.Context, attribute string, p path, value string) ([]identity.AccountID, error) {
	if err := t.filters.turn.lock(ctx); err != nil {
		return nil, err
	}
	defer t.filters.turn.unlock()
	t.filters.mu.Lock()
	s := t.filters.scans[attribute]
	t.filters.mu.Unlock()
	if s == nil || time.Since(s.at) > scanLife {
		s = &scan{at: time.Now(), ids: map[uint64]identity.AccountID{}, also: map[uint64][]identity.AccountID{}}
		err := t.list(ctx, usersEndpoint, nil, false, func(r resource) error {
			s.note(r, p)
			return nil
		})
		if err != nil {
			return nil, err
		}
		t.filters.mu.Lock()
		if t.filters.scans == nil {
			t.filters.scans = map[string]*scan{}
		}
		t.filters.scans[attribute] = s
		t.filters.mu.Unlock()
	}
	t.filters.mu.Lock()
	defer t.filters.mu.Unlock()
	h := xxhash.Sum64String(fold(value))
	if first, known := s.ids[h]; known {
		return append([]identity.AccountID{first}, s.also[h]...), nil
	}
	return nil, nil
}

func (t *target) accounts(found []resource) ([]identity.Account, error) {
	var accounts []identity.Account
	for _, r := range found {
		a, err := t.account(r)
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	return accounts, nil
}

// holds reports whether r has value at p, as RFC 7643 compares that attribute.
func (p path) holds(r resource, value string) bool {
	return slices.ContainsFunc(texts(r.at(p)), func(have string) bool {
		if p.exact() {
			return norm.NFC.String(have) == norm.NFC.String(value)
		}
		return fold(have) == fold(value)
	})
}

// texts are the texts that a value can be found by.
func texts(v any) []string {
	switch v := v.(type) {
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, texts(item)...)
		}
		return all
	case map[string]any:
		return texts(resource(v).get("value"))
	}
	if text := plain(v); text != "" {
		return []string{text}
	}
	return nil
}

func fold(s string) string { return strings.ToLower(norm.NFC.String(s)) }

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}
