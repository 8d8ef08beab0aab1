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

	"github.com/google/uuid"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

// A manner is how the groups of one account can be read.
type manner uint8

const (
	unknownManner manner = iota
	byFilter             // ask for the groups that have this member
	byAccount            // the account's own groups attribute
	byGroups             // read every group
)

// groups remembers the application's groups within a pass.
type groups struct {
	turn turn // of reading all groups, and of rewriting one

	mu      sync.Mutex
	manner  manner
	roster  *roster
	ids     map[string][]string // by display name
	namesAt time.Time           // when ids was asked for
}

// A roster is who is in which group, in 16 bytes an account and 4 a membership.
type roster struct {
	at    time.Time // when the reading began
	names []string
	of    map[key][]uint32
	// A group and one of its members, for trying out the other ways of reading.
	group, member string
}

func (g *groups) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.manner, g.roster, g.ids = unknownManner, nil, nil
}

// rosterSince returns a roster whose reading began after since. Callers that wait for the same reading share it.
func (t *target) rosterSince(ctx context.Context, since time.Time) (*roster, error) {
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
	r := &roster{at: time.Now(), of: map[key][]uint32{}}
	ids := map[string][]string{}
	numbers := map[string]uint32{}
	err := t.list(ctx, groupsEndpoint, nil, false, func(group resource) error {
		name := group.text("displayName")
		ids[name] = append(ids[name], string(group.id()))
		n, ok := numbers[name]
		if !ok {
			n = uint32(len(r.names)) //nolint:gosec // maxEntries is far below
			numbers[name] = n
			r.names = append(r.names, name)
		}
		for _, member := range members(group) {
			k := keyOf(member)
			if !slices.Contains(r.of[k], n) {
				r.of[k] = append(r.of[k], n)
			}
			r.group, r.member = string(group.id()), member
		}
		return nil
	})
	if absent(err) {
		err = nil // no groups at all
	}
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	g.mu.Lock()
	g.roster, g.ids, g.namesAt = r, ids, r.at
	g.mu.Unlock()
	return r, nil
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

func (r *roster) entitlements(id identity.AccountID) []string {
	names := make([]string, 0, len(r.of[keyOf(string(id))]))
	for _, n := range r.of[keyOf(string(id))] {
		names = append(names, r.names[n])
	}
	slices.Sort(names)
	return names
}

// roster is who is in which group now; nil where nobody wants to know, or groups do not tell.
func (t *target) roster(ctx context.Context) (*roster, error) {
	if !t.need.Entitlements || t.profile.membersHidden != "" {
		return nil, nil
	}
	return t.rosterSince(ctx, time.Now())
}

// listedEntitlements are those of one account of a listing that began with whose.
func (t *target) listedEntitlements(ctx context.Context, whose *roster, account resource) ([]string, error) {
	switch {
	case whose == nil:
		return t.groupsByFilter(ctx, t.profile.membersHidden, string(account.id()))
	case whose.member == "":
		// No group shows a member: they are empty, or they hide them and the account knows.
		return ownGroups(account), nil
	}
	return whose.entitlements(account.id()), nil
}

// entitlements are those of one account, read now.
func (t *target) entitlements(ctx context.Context, account resource) ([]string, error) {
	now := time.Now()
	if t.profile.membersHidden != "" {
		return t.groupsByFilter(ctx, t.profile.membersHidden, string(account.id()))
	}
	how, err := t.howToRead(ctx)
	if err != nil {
		return nil, err
	}
	switch how {
	case byFilter:
		names, err := t.groupsByFilter(ctx, "members.value", string(account.id()))
		if err == nil || !notUnderstood(err) {
			return names, err
		}
		// One product fails on this filter as soon as any group is empty.
		t.groups.mu.Lock()
		t.groups.manner = byGroups
		t.groups.mu.Unlock()
	case byAccount:
		return ownGroups(account), nil
	}
	r, err := t.rosterSince(ctx, now)
	if err != nil {
		return nil, err
	}
	if r.member == "" {
		return ownGroups(account), nil
	}
	return r.entitlements(account.id()), nil
}

// ownGroups are the direct groups that an account says it is in, RFC 7643 §4.1.2.
func ownGroups(account resource) []string {
	list, _ := account.get("groups").([]any)
	names := []string{}
	for _, item := range list {
		group, ok := item.(map[string]any)
		if !ok || strings.EqualFold(resource(group).text("type"), "indirect") {
			continue
		}
		if name := resource(group).text("display"); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// howToRead tries, once a pass, the cheap ways of reading one account's groups on a membership that is known. Filters on members answer
// with nothing, or with every group, where they are not understood; both show.
func (t *target) howToRead(ctx context.Context) (manner, error) {
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

func (t *target) tryManners(ctx context.Context, known *roster) (manner, error) {
	some, err := t.groupsByFilter(ctx, "members.value", known.member)
	if err != nil && !notUnderstood(err) {
		return unknownManner, err
	}
	want := known.entitlements(identity.AccountID(known.member))
	if err == nil && slices.Equal(some, want) {
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
	case slices.Equal(ownGroups(r), want):
		return byAccount, nil
	}
	return byGroups, nil
}

func (t *target) groupsByFilter(ctx context.Context, attribute, member string) ([]string, error) {
	names := []string{}
	query := url.Values{"filter": {equalFilter(attribute, member)}, "excludedAttributes": {"members"}}
	err := t.list(ctx, groupsEndpoint, query, true, func(group resource) error {
		names = append(names, group.text("displayName"))
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// named makes entitlements of group names.
func named(names []string, err error) ([]identity.Entitlement, error) {
	if err != nil || names == nil {
		return nil, err
	}
	return identity.NamedEntitlements(names...), nil
}

// regroup takes the account out of groups and puts it into others. One group's trouble does not keep it in the rest.
func (t *target) regroup(ctx context.Context, id identity.AccountID, withdraw, grant []identity.Entitlement) error {
	var failed []error
	for _, e := range withdraw {
		failed = append(failed, t.inGroup(ctx, e.Name, false, func(group string) error { return t.leave(ctx, group, string(id)) }))
	}
	for _, e := range grant {
		failed = append(failed, t.inGroup(ctx, e.Name, true, func(group string) error { return t.join(ctx, group, []string{string(id)}) }))
	}
	return errors.Join(failed...)
}

// inGroup does something with the group of that name, looking it up again where it is gone. must says that there has to be exactly one.
func (t *target) inGroup(ctx context.Context, name string, must bool, do func(group string) error) error {
	asOf := time.Time{}
	for {
		ids, err := t.groupIDs(ctx, name, asOf)
		if err != nil {
			return err
		}
		if must && len(ids) != 1 {
			return fmt.Errorf("%w: %d groups are named %q, and there has to be one", targets.ErrRejected, len(ids), name)
		}
		stale := false
		for _, group := range ids {
			err := do(group)
			switch {
			case errors.Is(err, targets.ErrNotFound) && asOf.IsZero():
				stale = true
			case errors.Is(err, targets.ErrNotFound) && !must:
			case errors.Is(err, targets.ErrNotFound):
				// Not ErrNotFound: that would say that the account is gone.
				return fmt.Errorf("group %q: %w: there is no such group, or the account is gone", name, targets.ErrRejected)
			case err != nil:
				return fmt.Errorf("group %q: %w", name, err)
			}
		}
		if !stale {
			return nil
		}
		asOf = time.Now()
	}
}

// groupIDs are the ids of the groups of that name. Names are read again where it is not among them or they are older than asOf.
func (t *target) groupIDs(ctx context.Context, name string, asOf time.Time) ([]string, error) {
	g := &t.groups
	known := func() ([]string, bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		ids := slices.Clone(g.ids[name])
		return ids, g.ids != nil && !g.namesAt.Before(asOf)
	}
	arrived := time.Now()
	if ids, fresh := known(); fresh && len(ids) > 0 {
		return ids, nil
	}
	if err := g.turn.lock(ctx); err != nil {
		return nil, err
	}
	defer g.turn.unlock()
	g.mu.Lock()
	again := g.ids == nil || g.namesAt.Before(arrived)
	g.mu.Unlock()
	if again {
		if err := t.readNames(ctx); err != nil {
			return nil, err
		}
	}
	ids, _ := known()
	return ids, nil
}

func (t *target) readNames(ctx context.Context) error {
	began, ids := time.Now(), map[string][]string{}
	err := t.list(ctx, groupsEndpoint, url.Values{"excludedAttributes": {"members"}}, false, func(group resource) error {
		name := group.text("displayName")
		ids[name] = append(ids[name], string(group.id()))
		return nil
	})
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	t.groups.mu.Lock()
	defer t.groups.mu.Unlock()
	t.groups.ids, t.groups.namesAt = ids, began
	return nil
}

func group(id string) string { return groupsEndpoint + "/" + url.PathEscape(id) }

// join adds members, as many in one request as the application takes.
func (t *target) join(ctx context.Context, id string, ids []string) error {
	f, err := t.features(ctx)
	if err != nil {
		return err
	}
	if !f.patch {
		return t.rewrite(ctx, id, f, func(list []any) []any {
			for _, member := range ids {
				if !slices.ContainsFunc(list, isMember(member)) {
					list = append(list, map[string]any{"value": member})
				}
			}
			return list
		})
	}
	most := t.profile.maxMembers
	if most == 0 {
		most = 100
	}
	for chunk := range slices.Chunk(ids, most) {
		list := make([]any, len(chunk))
		for i, member := range chunk {
			list[i] = map[string]any{"value": member}
		}
		if err := t.patchGroup(ctx, id, operation{Op: t.op("add"), Path: "members", Value: list}); err != nil {
			return err
		}
	}
	return nil
}

// leave takes one member out.
func (t *target) leave(ctx context.Context, id, member string) error {
	f, err := t.features(ctx)
	switch {
	case err != nil:
		return err
	case !f.patch:
		return t.rewrite(ctx, id, f, func(list []any) []any { return slices.DeleteFunc(list, isMember(member)) })
	case t.profile.removeListed:
		return t.leaveListed(ctx, id, member)
	}
	err = t.patchGroup(ctx, id, operation{Op: t.op("remove"), Path: "members[value eq " + quote(member) + "]"})
	var refused *rest.StatusError
	if errors.As(err, &refused) && refused.Type == "noTarget" {
		return nil // not a member
	}
	return err
}

// leaveListed uses the old Entra form, which takes every member out of a group where the application reads it as the RFC does. So the group
// is looked at before and after, and what it lost is put back.
func (t *target) leaveListed(ctx context.Context, id, member string) error {
	before, err := t.membersOf(ctx, id)
	if err != nil {
		return err
	}
	if !slices.Contains(before, member) && len(before) > 0 {
		return nil
	}
	err = t.patchGroup(ctx, id, operation{Op: t.op("remove"), Path: "members", Value: []any{map[string]any{"value": member}}})
	if err != nil {
		return err
	}
	after, err := t.membersOf(ctx, id)
	if err != nil {
		return err
	}
	lost := slices.DeleteFunc(before, func(m string) bool { return m == member || slices.Contains(after, m) })
	if len(lost) == 0 {
		return nil
	}
	if err := t.join(ctx, id, lost); err != nil {
		return fmt.Errorf("%w: the application took out %d other members, and putting them back failed: %w", targets.ErrRejected, len(lost), err)
	}
	return fmt.Errorf("%w: the application took out %d other members, which were put back: this profile is not for it", targets.ErrRejected, len(lost))
}

func (t *target) membersOf(ctx context.Context, id string) ([]string, error) {
	resp, err := t.rest.Do(ctx, http.MethodGet, group(id), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	var r resource
	if err := resp.Decode(&r); err != nil {
		return nil, err
	}
	return members(r), nil
}

func (t *target) patchGroup(ctx context.Context, id string, op operation) error {
	_, err := t.rest.Do(ctx, http.MethodPatch, group(id), nil, patch{Schemas: []string{patchSchema}, Operations: []operation{op}}, nil)
	return err
}

// rewrite does by PUT what join and leave do by PATCH, for applications that have none. Between the read and the write nobody else of ours
// may change the group; strangers are kept out where there are ETags.
func (t *target) rewrite(ctx context.Context, id string, f features, edit func(list []any) []any) error {
	if err := t.groups.turn.lock(ctx); err != nil {
		return err
	}
	defer t.groups.turn.unlock()
	resp, err := t.rest.Do(ctx, http.MethodGet, group(id), nil, nil, nil)
	if err != nil {
		return err
	}
	var r resource
	if err := resp.Decode(&r); err != nil {
		return err
	}
	header := http.Header{}
	if version := r.version(); f.etag && version != "" {
		header.Set("If-Match", version)
	}
	name := spelling(r, "members")
	list, _ := r[name].([]any)
	if list = edit(list); list == nil {
		list = []any{}
	}
	r[name] = list
	delete(r, spelling(r, "meta"))
	_, err = t.rest.Do(ctx, http.MethodPut, group(id), nil, withoutNulls(map[string]any(r)), header)
	return err
}

func isMember(id string) func(any) bool {
	return func(item any) bool {
		entry, ok := item.(map[string]any)
		return ok && resource(entry).text("value") == id
	}
}
