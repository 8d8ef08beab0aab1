package scim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

// groupKind is the kind of the only entitlements that SCIM's core has.
const groupKind = "group"

func asEntitlement(group resource) identity.Entitlement {
	return identity.Entitlement{Kind: groupKind, ID: string(group.id()), Name: group.text("displayName")}
}

// groups remembers the application's groups within a pass.
type groups struct {
	turn turn // of reading all groups

	mu        sync.Mutex
	manner    manner
	roster    *roster
	catalogue *catalogue
	singles   map[string]single // by id
}

// A catalogue is the application's groups by name, without letter case (RFC 7643 §8.7.1: displayName of groups is not
// caseExact).
type catalogue struct {
	at     time.Time // when it was asked for
	byName map[string][]identity.Entitlement
}

func newCatalogue(groups []identity.Entitlement, at time.Time) *catalogue {
	c := &catalogue{at: at, byName: map[string][]identity.Entitlement{}}
	for _, g := range groups {
		c.byName[fold(g.Name)] = append(c.byName[fold(g.Name)], g)
	}
	return c
}

// named are the groups of that name: those that spell it so, else those that differ in letter case alone.
func (c *catalogue) named(name string) []identity.Entitlement {
	all := c.byName[fold(name)]
	exact := slices.DeleteFunc(slices.Clone(all), func(g identity.Entitlement) bool { return g.Name != name })
	if len(exact) > 0 {
		return exact
	}
	return all
}

// names returns a catalogue that was asked for at asOf or later.
func (t *pass) names(ctx context.Context, asOf time.Time) (*catalogue, error) {
	g := &t.groups
	known := func() *catalogue {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.catalogue != nil && g.catalogue.at.Before(asOf) {
			return nil
		}
		return g.catalogue
	}
	if c := known(); c != nil {
		return c, nil
	}
	if err := g.turn.lock(ctx); err != nil {
		return nil, err
	}
	defer g.turn.unlock()
	if c := known(); c != nil {
		return c, nil
	}
	at := time.Now()
	var groups []identity.Entitlement
	err := t.list(ctx, groupsEndpoint, url.Values{"excludedAttributes": {"members"}}, false, func(group resource) error {
		groups = append(groups, asEntitlement(group))
		return nil
	})
	if err != nil && !ownAbsence(err) {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.catalogue = newCatalogue(groups, at)
	return g.catalogue, nil
}

// ownAbsence reports whether the application itself says that it has no such endpoint.
func ownAbsence(err error) bool {
	var refused *rest.StatusError
	return absent(err) && errors.As(err, &refused) && refused.Own
}

func (t *pass) Resolve(ctx context.Context, want []identity.Entitlement) (known []identity.Entitlement, missing []targets.Missing, err error) {
	if len(want) == 0 {
		return want, nil, nil
	}
	var names *catalogue
	if t.can.Entitlements {
		if names, err = t.names(ctx, time.Time{}); err != nil {
			return nil, nil, err
		}
	}
	for _, e := range want {
		found, why := names.resolve(e)
		if why != "" {
			missing = append(missing, targets.Missing{Entitlement: e, Why: why})
			continue
		}
		t.shown.manage(found.ID)
		known = append(known, found)
	}
	return identity.SortedEntitlements(known), missing, nil
}

// resolve finds the one group that e names; why says why there is none.
func (c *catalogue) resolve(e identity.Entitlement) (found identity.Entitlement, why string) {
	switch {
	case c == nil:
		return e, "the application has no groups"
	case e.Kind != "" && e.Kind != groupKind:
		return e, fmt.Sprintf("the application has groups, and nothing of the kind %q", e.Kind)
	}
	switch fits := c.named(e.Name); len(fits) {
	case 0:
		return e, "the application has no group of that name"
	case 1:
		return fits[0], ""
	default:
		return e, fmt.Sprintf("the application has %d groups of that name, and there has to be one", len(fits))
	}
}

// regroup takes the account out of groups and puts it into others. One group's trouble does not keep it in the rest.
// request is the application's name for the last call.
func (t *pass) regroup(ctx context.Context, id identity.AccountID, withdraw, grant []identity.Entitlement) (request string, err error) {
	var failed []error
	note := func(did string, err error) {
		request = cmp.Or(did, request)
		failed = append(failed, err)
	}
	for _, e := range withdraw {
		note(t.inGroup(ctx, e, false, func(group string) (string, error) { return t.leave(ctx, group, string(id)) }))
	}
	for _, e := range grant {
		note(t.inGroup(ctx, e, true, func(group string) (string, error) { return t.join(ctx, group, []string{string(id)}) }))
	}
	return request, errors.Join(failed...)
}

// inGroup does something with a group, looking it up by its name where its identifier is not known or is no longer
// anybody's. must says that there has to be exactly one.
func (t *pass) inGroup(ctx context.Context, e identity.Entitlement, must bool, do func(group string) (string, error)) (request string, err error) {
	if e.ID != "" {
		request, err = t.doInGroup(ctx, e, e.ID, do)
		if !errors.Is(err, targets.ErrNotFound) || e.Name == "" {
			return request, groupGone(e, must, err)
		}
	}
	for _, asOf := range []time.Time{{}, time.Now()} {
		names, err := t.names(ctx, asOf)
		if err != nil {
			return request, err
		}
		fits := names.named(e.Name)
		if must && len(fits) == 0 && asOf.IsZero() {
			continue // it may have been made since the names were read
		}
		if must && len(fits) != 1 {
			return request, fmt.Errorf("%w: %d groups are named %q, and there has to be one", targets.ErrRejected, len(fits), e.Name)
		}
		var gone error
		for _, group := range fits {
			did, err := t.doInGroup(ctx, e, group.ID, do)
			request = cmp.Or(did, request)
			if errors.Is(err, targets.ErrNotFound) {
				gone = err
			} else if err != nil {
				return request, err
			}
		}
		if gone == nil || !asOf.IsZero() {
			return request, groupGone(e, must, gone)
		}
	}
	return request, nil
}

func (t *pass) doInGroup(ctx context.Context, e identity.Entitlement, id string, do func(group string) (string, error)) (string, error) {
	t.shown.manage(id)
	request, err := do(id)
	t.groups.wrote(id)
	if err != nil {
		err = fmt.Errorf("group %q: %w", e, err)
	}
	return request, err
}

// groupGone keeps the class ErrNotFound for accounts. Who is to leave a group that is gone has left it.
func groupGone(e identity.Entitlement, must bool, err error) error {
	switch {
	case !errors.Is(err, targets.ErrNotFound):
		return err
	case must:
		return fmt.Errorf("group %q: %w: there is no such group, or the account is gone", e, targets.ErrRejected)
	}
	return nil
}

func group(id string) string { return groupsEndpoint + "/" + url.PathEscape(id) }

// join adds members, as many in one request as the application takes.
func (t *pass) join(ctx context.Context, id string, ids []string) (request string, err error) {
	f, err := t.features(ctx)
	if err != nil {
		return "", err
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
		if request, err = t.patchGroup(ctx, id, operation{Op: t.op("add"), Path: "members", Value: list}); err != nil {
			return request, err
		}
	}
	return request, nil
}

// leave takes one member out.
func (t *pass) leave(ctx context.Context, id, member string) (request string, err error) {
	f, err := t.features(ctx)
	switch {
	case err != nil:
		return "", err
	case !f.patch:
		return t.rewrite(ctx, id, f, func(list []any) []any { return slices.DeleteFunc(list, isMember(member)) })
	case t.profile.removeListed:
		return t.leaveListed(ctx, id, member)
	}
	request, err = t.patchGroup(ctx, id, operation{Op: t.op("remove"), Path: "members[value eq " + quote(member) + "]"})
	var refused *rest.StatusError
	if errors.As(err, &refused) && refused.Type == "noTarget" {
		return request, nil // not a member
	}
	return request, err
}

// leaveListed uses the old Entra form, which takes every member out of a group where the application reads it as the
// RFC does. So the group is looked at before and after, and what it lost is put back.
func (t *pass) leaveListed(ctx context.Context, id, member string) (request string, err error) {
	before, err := t.membersSince(ctx, id, time.Now())
	if err != nil {
		return "", err
	}
	if !slices.Contains(before, member) && len(before) > 0 {
		return "", nil
	}
	request, err = t.patchGroup(ctx, id, operation{Op: t.op("remove"), Path: "members", Value: []any{map[string]any{"value": member}}})
	if err != nil {
		return request, err
	}
	after, err := t.membersSince(ctx, id, time.Now())
	if err != nil {
		return request, err
	}
	lost := slices.DeleteFunc(slices.Clone(before), func(m string) bool { return m == member || slices.Contains(after, m) })
	if len(lost) == 0 {
		return request, nil
	}
	if _, err := t.join(ctx, id, lost); err != nil {
		return request, fmt.Errorf("%w: the application took out %d other members, and putting them back failed: %w",
			targets.ErrRejected, len(lost), err)
	}
	return request, fmt.Errorf("%w: the application took out %d other members, which were put back: this profile is not for it",
		targets.ErrRejected, len(lost))
}

func (t *target) patchGroup(ctx context.Context, id string, op operation) (request string, err error) {
	_, request, err = t.send(ctx, http.MethodPatch, group(id), patch{Schemas: []string{patchSchema}, Operations: []operation{op}}, nil)
	return request, err
}

// rewrite does by PUT what join and leave do by PATCH, for applications that have none. Between the read and the write
// nobody else of ours may change the group; strangers are kept out where there are ETags.
func (t *pass) rewrite(ctx context.Context, id string, f features, edit func(list []any) []any) (request string, err error) {
	if err := t.rewriting.lock(ctx); err != nil {
		return "", err
	}
	defer t.rewriting.unlock()
	resp, err := t.rest.Do(ctx, http.MethodGet, group(id), nil, nil, nil)
	if err != nil {
		return "", err
	}
	var r resource
	if err := resp.Decode(&r); err != nil {
		return "", err
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
	_, request, err = t.send(ctx, http.MethodPut, group(id), withoutNulls(map[string]any(r)), header)
	return request, err
}

func isMember(id string) func(any) bool {
	return func(item any) bool {
		entry, ok := item.(map[string]any)
		return ok && resource(entry).text("value") == id
	}
}
