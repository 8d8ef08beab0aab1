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
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

const (
	groupLife = 30 * time.Second // how long the members of a group that was read by itself are used, unless it is written
	// samples is how many groups whose entry in a list has no members are read by themselves before an application that
	// shows the members of others is believed to leave out empty lists. Groups that dirsweep has to do with are always
	// read.
	samples = 3
	// maxSingles bounds the groups that are read by themselves for one list.
	maxSingles = 5000
)

// Memberships is what is known of how the application shows memberships, for the target's life.
type memberships struct {
	any    atomic.Bool  // some group has shown a member, or some account a group
	blank  atomic.Int32 // groups that a list showed without members and that had none
	partly atomic.Bool  // a group that a list showed without members had some

	mu      sync.Mutex
	managed map[string]bool // ids of groups that were resolved, joined or left
}

func (m *memberships) manage(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.managed == nil {
		m.managed = map[string]bool{}
	}
	m.managed[id] = true
}

func (m *memberships) manages(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.managed[id]
}

// A manner is how the groups of one account can be read.
type manner uint8

const (
	unknownManner manner = iota
	byFilter             // ask for the groups that have this member
	byAccount            // the account's own groups attribute
	byGroups             // read every group
)

// A roster is who is in which group, in 16 bytes an account and 4 a membership.
type roster struct {
	at     time.Time // when the reading began
	groups []identity.Entitlement
	of     map[key][]uint32
	// A group's number and one of its members, for trying out the other ways of reading; "" where no group shows one.
	group  uint32
	member string
}

// A single is a group that was read by itself.
type single struct {
	at      time.Time
	members []string
}

// rosterSince returns a roster whose reading began after since. Callers that wait for the same reading share it.
func (t *pass) rosterSince(ctx context.Context, since time.Time) (*roster, error) {
	g := &t.groups
	if err := g.turn.lock(ctx); err != nil {
		return nil, err
	}
	defer g.turn.unlock()
	g.mu.Lock()
	known := g.roster
	g.mu.Unlock()
	if known != nil && !known.at.Before(since) {
		return known, nil
	}
	r, err := t.readRoster(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	if r.member != "" {
		t.shown.any.Store(true)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roster, g.catalogue = r, newCatalogue(r.groups, r.at)
	return r, nil
}

func (t *pass) readRoster(ctx context.Context) (*roster, error) {
	r := &roster{at: time.Now(), of: map[key][]uint32{}}
	var silent []uint32 // whose entry says nothing about members
	err := t.list(ctx, groupsEndpoint, nil, false, func(group resource) error {
		n := uint32(len(r.groups)) //nolint:gosec // maxEntries is far below
		r.groups = append(r.groups, asEntitlement(group))
		if group.get("members") == nil {
			silent = append(silent, n)
			return nil
		}
		r.add(n, members(group))
		return nil
	})
	if ownAbsence(err) {
		return r, nil // no groups at all
	}
	if err != nil {
		return nil, err
	}
	return r, t.readSilent(ctx, r, silent)
}

// readSilent reads by themselves those groups whose entry in the list has no members: an attribute that a list leaves
// out is not an empty one. Where the list shows the members of others, a few are enough to tell that it leaves out what
// is empty.
func (t *pass) readSilent(ctx context.Context, r *roster, silent []uint32) error {
	telling := len(silent) < len(r.groups)
	read := 0
	for _, n := range silent {
		id := r.groups[n].ID
		trusted := telling && !t.shown.partly.Load() && t.shown.blank.Load() >= samples
		if trusted && !t.shown.manages(id) {
			continue
		}
		if read++; read > maxSingles {
			return fmt.Errorf("%w: more than %d groups have to be read one by one", targets.ErrIncomplete, maxSingles)
		}
		list, err := t.membersSince(ctx, id, time.Now().Add(-groupLife))
		switch {
		case errors.Is(err, targets.ErrNotFound), errors.Is(err, targets.ErrForbidden):
			continue // gone since it was listed, or not for our eyes
		case err != nil:
			return err
		case len(list) > 0:
			t.shown.partly.Store(true)
		default:
			t.shown.blank.Add(1)
		}
		r.add(n, list)
	}
	return nil
}

func (r *roster) add(n uint32, list []string) {
	for _, member := range list {
		k := keyOf(member)
		if !slices.Contains(r.of[k], n) {
			r.of[k] = append(r.of[k], n)
		}
		r.group, r.member = n, member
	}
}

func (r *roster) entitlements(id identity.AccountID) []identity.Entitlement {
	list := make([]identity.Entitlement, 0, len(r.of[keyOf(string(id))]))
	for _, n := range r.of[keyOf(string(id))] {
		list = append(list, r.groups[n])
	}
	return identity.SortedEntitlements(list)
}

// membersSince are a group's members, read by itself not before since.
func (t *pass) membersSince(ctx context.Context, id string, since time.Time) ([]string, error) {
	g := &t.groups
	g.mu.Lock()
	known, ok := g.singles[id]
	g.mu.Unlock()
	if ok && !known.at.Before(since) {
		return known.members, nil
	}
	now := time.Now()
	resp, err := t.rest.Do(ctx, http.MethodGet, group(id), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	var r resource
	if err := resp.Decode(&r); err != nil {
		return nil, err
	}
	list := members(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.singles == nil {
		g.singles = map[string]single{}
	}
	g.singles[id] = single{now, list}
	return list, nil
}

// wrote forgets what was read of a group that was written.
func (g *groups) wrote(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.singles, id)
}

// members are the ids of the accounts that a group shows as its direct members.
func members(group resource) []string {
	list, _ := group.get("members").([]any)
	ids := make([]string, 0, len(list))
	for _, item := range list {
		member, ok := item.(map[string]any)
		if !ok || strings.EqualFold(resource(member).text("type"), "Group") {
			continue
		}
		if id := resource(member).text("value"); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// roster is who is in which group now; nil where nobody wants to know, or groups do not tell.
func (t *pass) roster(ctx context.Context) (*roster, error) {
	if !t.need.Entitlements || t.profile.membersHidden != "" {
		return nil, nil
	}
	return t.rosterSince(ctx, time.Now())
}

// listedEntitlements adds those of one account of a listing that began with whose.
func (t *pass) listedEntitlements(ctx context.Context, whose *roster, a identity.Account, account resource) (identity.Account, error) {
	if whose == nil {
		var err error
		a.Entitlements, err = t.groupsByFilter(ctx, t.profile.membersHidden, string(a.ID))
		return a, err
	}
	t.judge(whose, account, &a)
	return a, nil
}

// judge says which groups an account is in: by their members, or, where no group shows any, by what the account says
// itself. Where nobody's groups were ever shown, nothing is known of anyone's.
func (t *pass) judge(whose *roster, account resource, a *identity.Account) {
	a.Entitlements = whose.entitlements(a.ID)
	if whose.member != "" {
		return
	}
	if a.Entitlements = ownGroups(account); len(a.Entitlements) > 0 {
		t.shown.any.Store(true)
	}
	a.EntitlementsUnknown = len(whose.groups) > 0 && !t.shown.any.Load()
}

// Entitlements reads the groups of one account, now.
func (t *pass) Entitlements(ctx context.Context, a identity.Account) (identity.Account, error) {
	if !t.need.Entitlements {
		return a, nil
	}
	for _, e := range a.Entitlements {
		t.shown.manage(e.ID)
	}
	a.EntitlementsUnknown = false
	now := time.Now()
	if t.profile.membersHidden != "" {
		var err error
		a.Entitlements, err = t.groupsByFilter(ctx, t.profile.membersHidden, string(a.ID))
		return a, err
	}
	how, err := t.howToRead(ctx)
	if err != nil {
		return a, err
	}
	switch how {
	case byFilter:
		list, err := t.groupsByFilter(ctx, "members.value", string(a.ID))
		if err == nil || !notUnderstood(err) {
			a.Entitlements = list
			return a, err
		}
		// One product fails on this filter as soon as any group is empty.
		t.groups.mu.Lock()
		t.groups.manner = byGroups
		t.groups.mu.Unlock()
	case byAccount:
		r, _, err := t.read(ctx, a.ID)
		a.Entitlements = ownGroups(r)
		return a, err
	}
	whose, err := t.rosterSince(ctx, now)
	if err != nil {
		return a, err
	}
	var r resource
	if whose.member == "" && len(whose.groups) > 0 {
		if r, _, err = t.read(ctx, a.ID); err != nil {
			return a, err
		}
	}
	t.judge(whose, r, &a)
	return a, nil
}

// ownGroups are the direct groups that an account says it is in, RFC 7643 §4.1.2.
func ownGroups(account resource) []identity.Entitlement {
	list, _ := account.get("groups").([]any)
	groups := []identity.Entitlement{}
	for _, item := range list {
		object, ok := item.(map[string]any)
		if !ok || strings.EqualFold(resource(object).text("type"), "indirect") {
			continue
		}
		e := identity.Entitlement{Kind: groupKind, ID: resource(object).text("value"), Name: resource(object).text("display")}
		if e.ID != "" || e.Name != "" {
			groups = append(groups, e)
		}
	}
	return identity.SortedEntitlements(groups)
}

// howToRead tries, once a pass, the cheap ways of reading one account's groups on a membership that is known. Filters
// on members answer with nothing, or with every group, where they are not understood; both show.
func (t *pass) howToRead(ctx context.Context) (manner, error) {
	g := &t.groups
	g.mu.Lock()
	how, known := g.manner, g.roster
	g.mu.Unlock()
	if how != unknownManner {
		return how, nil
	}
	if known == nil {
		var err error
		if known, err = t.rosterSince(ctx, time.Now()); err != nil {
			return how, err
		}
	}
	if known.member == "" {
		return byGroups, nil // Nothing to try it on yet.
	}
	how, err := t.tryManners(ctx, known)
	if err != nil {
		return how, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.manner = how
	return how, nil
}

func (t *pass) tryManners(ctx context.Context, known *roster) (manner, error) {
	some, err := t.groupsByFilter(ctx, "members.value", known.member)
	if err != nil && !notUnderstood(err) {
		return unknownManner, err
	}
	want := known.entitlements(identity.AccountID(known.member))
	if err == nil && sameGroups(some, want) {
		none, err := t.groupsByFilter(ctx, "members.value", uuid.NewString())
		if err == nil && len(none) == 0 {
			return byFilter, nil
		}
	}
	r, _, err := t.read(ctx, identity.AccountID(known.member))
	switch {
	case errors.Is(err, targets.ErrNotFound): // a member that is no account
		return byGroups, nil
	case err != nil:
		return unknownManner, err
	case sameGroups(ownGroups(r), want):
		return byAccount, nil
	}
	return byGroups, nil
}

func sameGroups(a, b []identity.Entitlement) bool {
	return len(a) == len(b) && len(identity.WithoutEntitlements(a, b)) == 0
}

func (t *pass) groupsByFilter(ctx context.Context, attribute, member string) ([]identity.Entitlement, error) {
	groups := []identity.Entitlement{}
	query := url.Values{"filter": {equalFilter(attribute, member)}, "excludedAttributes": {"members"}}
	err := t.list(ctx, groupsEndpoint, query, true, func(group resource) error {
		groups = append(groups, asEntitlement(group))
		return nil
	})
	return identity.SortedEntitlements(groups), err
}
