//go:build unix

package bench

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A company is a directory in memory: people by when they were hired.
type company struct {
	people map[int]*employee
	hired  int
	gone   map[string]time.Time // by anchor: when the entry was deleted
}

type employee struct {
	number int
	title  int
	left   time.Time // since when the entry is there and not active; zero for who has not left
}

var (
	_ sources.Source = (*company)(nil)
	_ sources.Finder = (*company)(nil)
)

func newCompany() *company {
	return &company{people: map[int]*employee{}, gone: map[string]time.Time{}}
}

func (c *company) hire(n int) {
	for range n {
		c.hired++
		c.people[c.hired] = &employee{number: c.hired}
	}
}

// leave has the n people go who were hired first of those who are here. Of every two, the entry of one is deleted at
// once, and that of the other is locked.
func (c *company) leave(n int, now time.Time) {
	for number := 1; n > 0 && number <= c.hired; number++ {
		e := c.people[number]
		if e == nil || !e.left.IsZero() {
			continue
		}
		if e.left = now; number%2 == 0 {
			c.delete(e, now)
		}
		n--
	}
}

func (c *company) delete(e *employee, now time.Time) {
	c.gone[e.anchor()] = now
	delete(c.people, e.number)
}

// tidy deletes the entries that were locked before a time.
func (c *company) tidy(before, now time.Time) {
	for _, e := range c.people {
		if !e.left.IsZero() && e.left.Before(before) {
			c.delete(e, now)
		}
	}
}

// move gives n people, of those hired last, another title.
func (c *company) move(n int) {
	for number := c.hired; n > 0 && number > 0; number-- {
		if e := c.people[number]; e != nil {
			e.title++
			n--
		}
	}
}

func (e *employee) anchor() string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", e.number) }

// without is the part of the people who are in no target's scope: one in so many.
const without = 10

func (e *employee) person() identity.Person {
	uid := fmt.Sprintf("user%07d", e.number)
	department := "sales"
	if e.number%without == 0 {
		department = "plant"
	}
	p := identity.Person{
		ID: identity.PersonID{Directory: "corp", Anchor: e.anchor()}, Source: "corp", Name: uid, Active: e.left.IsZero(),
		DN: fmt.Sprintf("uid=%s,ou=unit%02d,ou=people,dc=example,dc=org", uid, e.number%50),
		Attributes: identity.Attributes{
			"uid": {uid}, "cn": {fmt.Sprintf("Given%d Family%d", e.number, e.number)},
			"title": {fmt.Sprintf("Title %d", e.title)},
			"mail":  {uid + "@example.org"}, "departmentNumber": {department},
		},
	}
	if !p.Active {
		p.Inactive = "the entry is locked"
	}
	return p
}

// People implements sources.Source.
func (c *company) People(context.Context) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		for _, e := range c.people {
			if !yield(e.person(), nil) {
				return
			}
		}
	}
}

// Find implements sources.Finder: the directory keeps tombstones.
func (c *company) Find(_ context.Context, who sources.Lookup) (sources.Sighting, error) {
	if at, gone := c.gone[who.Anchor]; gone {
		return sources.Sighting{
			Where: sources.Tombstone, At: time.Now(), Changed: at, Proof: "the directory keeps a tombstone",
		}, nil
	}
	return sources.Sighting{Where: sources.Gone, At: time.Now()}, nil
}

// Close implements sources.Source.
func (c *company) Close() error { return nil }

// An application is a target in memory, and each of its passes.
type application struct {
	mu       sync.Mutex
	accounts map[identity.AccountID]identity.Account
	names    map[string]identity.AccountID // by userName and by externalId
	closed   map[identity.AccountID]time.Time
	next     int
	writes   int
	removed  int // accounts
}

var (
	_ targets.Target = (*application)(nil)
	_ targets.Pass   = (*application)(nil)
	_ targets.Dated  = (*application)(nil)
)

func newApplication() *application {
	return &application{
		accounts: map[identity.AccountID]identity.Account{}, names: map[string]identity.AccountID{},
		closed: map[identity.AccountID]time.Time{},
	}
}

// tidy deletes, as an administrator of the application does, the accounts that were disabled before a time.
func (a *application) tidy(before time.Time) {
	for id, at := range a.closed {
		if at.Before(before) {
			a.remove(id)
		}
	}
}

func (a *application) remove(id identity.AccountID) {
	have := a.accounts[id]
	a.removed++
	delete(a.accounts, id)
	delete(a.names, "userName "+strings.ToLower(have.UserName))
	delete(a.names, "externalId "+have.ExternalID)
	delete(a.closed, id)
}

func (a *application) put(have identity.Account) {
	a.accounts[have.ID] = have
	a.names["userName "+strings.ToLower(have.UserName)] = have.ID
	a.names["externalId "+have.ExternalID] = have.ID
}

// Begin implements targets.Target.
func (a *application) Begin(context.Context) (targets.Pass, error) { return a, nil }

// Close implements targets.Target.
func (a *application) Close() error { return nil }

// Date implements targets.Dated: its clock is right, and it answers all the time.
func (a *application) Date() (said, came time.Time) { return time.Now(), time.Now() }

// Capabilities implements targets.Pass.
func (a *application) Capabilities() identity.Capabilities {
	return identity.Capabilities{Disable: true, Delete: true, Update: true}
}

// Accounts implements targets.Pass. Nothing is written while it is listed.
func (a *application) Accounts(context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		a.mu.Lock()
		list := make([]identity.Account, 0, len(a.accounts))
		for _, have := range a.accounts {
			list = append(list, have)
		}
		a.mu.Unlock()
		for _, have := range list {
			if !yield(have, nil) {
				return
			}
		}
	}
}

// Account implements targets.Pass.
func (a *application) Account(_ context.Context, id identity.AccountID) (identity.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	have, ok := a.accounts[id]
	if !ok {
		return have, fmt.Errorf("account %s: %w", id, targets.ErrNotFound)
	}
	return have, nil
}

// Entitlements implements targets.Pass: there are none.
func (a *application) Entitlements(_ context.Context, have identity.Account) (identity.Account, error) {
	return have, nil
}

// Find implements targets.Pass.
func (a *application) Find(_ context.Context, attribute, value string) ([]identity.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if attribute == "userName" {
		value = strings.ToLower(value)
	}
	id, ok := a.names[attribute+" "+value]
	if attribute == "id" {
		id = identity.AccountID(value)
		_, ok = a.accounts[id]
	}
	if !ok {
		return nil, nil
	}
	return []identity.Account{a.accounts[id]}, nil
}

// Resolve implements targets.Pass.
func (a *application) Resolve(
	_ context.Context, want []identity.Entitlement,
) ([]identity.Entitlement, []targets.Missing, error) {
	return want, nil, nil
}

// Create implements targets.Pass.
func (a *application) Create(_ context.Context, want identity.Account) (identity.Account, targets.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next++
	want.ID = identity.AccountID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", a.next))
	a.put(want)
	return want, a.receipt(), nil
}

func (a *application) receipt() targets.Receipt {
	a.writes++
	return targets.Receipt{RequestID: fmt.Sprintf("request-%d", a.writes)}
}

// Update implements targets.Pass.
func (a *application) Update(
	_ context.Context, have identity.Account, d identity.Delta,
) (identity.Account, targets.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.accounts[have.ID]
	attributes := map[string]identity.Value{}
	for path, value := range now.Attributes {
		attributes[path] = value
	}
	for _, change := range d.Attributes {
		attributes[change.Path] = change.After
	}
	now.Attributes = attributes
	a.put(now)
	return now, a.receipt(), nil
}

// Enable implements targets.Pass.
func (a *application) Enable(_ context.Context, have identity.Account, _ map[string]string) (targets.Receipt, error) {
	return a.activate(have.ID, true)
}

// Disable implements targets.Pass.
func (a *application) Disable(_ context.Context, have identity.Account) (targets.Receipt, error) {
	return a.activate(have.ID, false)
}

func (a *application) activate(id identity.AccountID, active bool) (targets.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	have, ok := a.accounts[id]
	if !ok {
		return targets.Receipt{}, fmt.Errorf("account %s: %w", id, targets.ErrNotFound)
	}
	have.Active = active
	a.accounts[id] = have
	if a.closed[id] = time.Now(); active {
		delete(a.closed, id)
	}
	return a.receipt(), nil
}

// Closing implements targets.Pass: sessions are ended, and nobody sees it.
func (a *application) Closing() []targets.Step {
	return []targets.Step{{Name: "sessions", Revokes: true, Do: func(context.Context, identity.Account) (string, targets.Receipt, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return "", a.receipt(), nil
	}}}
}

// Delete implements targets.Pass.
func (a *application) Delete(_ context.Context, have identity.Account) (targets.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.accounts[have.ID]; !ok {
		return targets.Receipt{}, fmt.Errorf("account %s: %w", have.ID, targets.ErrNotFound)
	}
	a.remove(have.ID)
	return a.receipt(), nil
}
