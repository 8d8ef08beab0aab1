package exec

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A finding is what a pass knows of how well the program finds accounts.
type finding struct {
	mu      sync.Mutex
	sample  map[string]identity.Account // by attribute, one that has a value
	trusted map[string]bool             // attributes by which it found what is known to be there
}

// remember notes an account that is known to be there.
func (f *finding) remember(a identity.Account) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sample == nil {
		f.sample, f.trusted = map[string]identity.Account{}, map[string]bool{}
	}
	for path := range a.Attributes {
		f.sample[path] = a
	}
	f.sample["userName"] = a
	if a.ExternalID != "" {
		f.sample["externalId"] = a
	}
}

// Find asks the program where it can find accounts. That it finds nobody is believed once it has found an account that
// is there, by the same attribute and whatever the letter case; else all accounts are looked through.
func (p *pass) Find(ctx context.Context, attribute, value string) ([]identity.Account, error) {
	found, err := p.find(ctx, attribute, value)
	if err != nil {
		return nil, fmt.Errorf("find %s %q: %w", attribute, plain(value, 80), err)
	}
	return found, nil
}

func (p *pass) find(ctx context.Context, attribute, value string) (found []identity.Account, err error) {
	if value == "" {
		return nil, nil
	}
	if attribute == "id" {
		a, _, err := p.read(ctx, identity.AccountID(value))
		if errors.Is(err, targets.ErrNotFound) {
			return nil, nil
		}
		return []identity.Account{a}, err
	}
	if p.hello.has(opFind) && p.hello.keeps(attribute) && !strings.ContainsRune(value, 0) {
		found, err := p.search(ctx, attribute, value)
		if err != nil || len(found) > 0 {
			return found, err
		}
		if ok, err := p.trusts(ctx, attribute); ok || err != nil {
			return nil, err
		}
	}
	err = p.list(ctx, request{Op: opAccounts}, p.matching(attribute, value, &found))
	return found, unlisted(err)
}

// search asks the program itself.
func (p *pass) search(ctx context.Context, attribute, value string) (found []identity.Account, err error) {
	err = p.list(ctx, request{Op: opFind, Attribute: attribute, Value: value}, p.matching(attribute, value, &found))
	if errors.Is(err, targets.ErrNotFound) {
		return nil, nil
	}
	return found, unlisted(err)
}

// matching collects the accounts whose attribute equals value.
func (p *pass) matching(attribute, value string, found *[]identity.Account) func(answer) error {
	return func(got answer) error {
		a, err := p.shown(got)
		if err != nil {
			return fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
		}
		if equals(a, attribute, value) {
			*found = append(*found, a)
		}
		return nil
	}
}

// equals reports whether an account has a value. Letter case counts in externalId alone, which is nobody's name.
func equals(a identity.Account, attribute, value string) bool {
	want := identity.Text(value).Text()
	same := func(v any) bool {
		text, ok := v.(string)
		return ok && (text == want || attribute != "externalId" && strings.EqualFold(text, want))
	}
	switch v := a.Get(attribute).Any().(type) {
	case string:
		return same(v)
	case []any:
		for _, item := range v {
			if same(item) {
				return true
			}
		}
	}
	return false
}

// trusts reports whether the program finds, by an attribute, an account that is there.
func (p *pass) trusts(ctx context.Context, attribute string) (bool, error) {
	p.finds.mu.Lock()
	sample, trusted := p.finds.sample[attribute], p.finds.trusted[attribute]
	p.finds.mu.Unlock()
	text, ok := sample.Get(attribute).Any().(string)
	if trusted || !ok {
		return trusted, nil
	}
	if attribute != "externalId" {
		text = strings.Map(swapCase, text)
	}
	found, err := p.search(ctx, attribute, text)
	if err != nil {
		return false, err
	}
	for _, a := range found {
		trusted = trusted || a.ID == sample.ID
	}
	p.finds.mu.Lock()
	defer p.finds.mu.Unlock()
	p.finds.trusted[attribute] = trusted
	return trusted, nil
}

func swapCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}
