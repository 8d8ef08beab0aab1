// Package scim is the target kind for applications that speak SCIM 2.0 (RFC 7643, RFC 7644, cursors of RFC 9865). What one of them does
// differently is a line in a table of profiles; what can be found out by asking is asked, and nothing is believed that a server can get
// wrong: totals, empty answers to filters, a 200 to a write.
package scim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

const (
	usersEndpoint   = "/Users"
	groupsEndpoint  = "/Groups"
	defaultPageSize = 500
)

type target struct {
	spec    *spec
	profile profile
	need    targets.Need
	paths   map[string]path
	rest    *rest.Client
	log     hclog.Logger

	discovered discovery
	filters    filters
	groups     groups
	oddActive  sync.Once
}

var (
	_ targets.Target  = (*target)(nil)
	_ targets.Checker = (*target)(nil)
)

func (t *target) path(name string) (path, error) {
	if p, ok := t.paths[name]; ok {
		return p, nil
	}
	p, err := parsePath(name)
	if err != nil {
		return p, fmt.Errorf("%w: %w", targets.ErrRejected, err)
	}
	return p, nil
}

// Capabilities also forgets what was learned of filters and groups: it begins a pass.
func (t *target) Capabilities(ctx context.Context) (identity.Capabilities, error) {
	f, err := t.features(ctx)
	if err != nil {
		return identity.Capabilities{}, fmt.Errorf("asking what the application can do: %w", err)
	}
	t.filters.forget()
	t.groups.forget()
	return identity.Capabilities{Disable: true, Delete: t.deletes(), Entitlements: f.groups, Update: true}, nil
}

func (t *target) deletes() bool {
	return !t.profile.noDelete && (!t.profile.keepDeleted || t.spec.allowDelete)
}

func (t *target) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		whose, err := t.roster(ctx)
		if err != nil {
			yield(identity.Account{}, fmt.Errorf("list accounts: %w: %w", targets.ErrIncomplete, err))
			return
		}
		err = t.list(ctx, usersEndpoint, nil, false, func(r resource) error {
			a, err := t.account(r)
			if err == nil && t.need.Entitlements {
				a.Entitlements, err = named(t.listedEntitlements(ctx, whose, r))
			}
			if err != nil {
				return fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
			}
			if !yield(a, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(identity.Account{}, fmt.Errorf("list accounts: %w", err))
		}
	}
}

func (t *target) Account(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	a, err := t.readAccount(ctx, id)
	if err != nil {
		return identity.Account{}, fmt.Errorf("read account %s: %w", id, err)
	}
	return a, nil
}

func (t *target) readAccount(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	r, version, err := t.read(ctx, id)
	if err != nil {
		return identity.Account{}, err
	}
	a, err := t.account(r)
	if err != nil {
		return identity.Account{}, err
	}
	a.Version = version
	if t.need.Entitlements {
		if a.Entitlements, err = named(t.entitlements(ctx, r)); err != nil {
			return identity.Account{}, err
		}
	}
	return a, nil
}

// read returns an account as it is, and its ETag where the application promises to have them.
func (t *target) read(ctx context.Context, id identity.AccountID) (resource, string, error) {
	if id == "" {
		return nil, "", fmt.Errorf("%w: no id", targets.ErrNotFound)
	}
	f, err := t.features(ctx)
	if err != nil {
		return nil, "", err
	}
	resp, err := t.rest.Do(ctx, http.MethodGet, account(id), nil, nil, nil)
	if err != nil {
		return nil, "", err
	}
	var r resource
	if err := resp.Decode(&r); err != nil {
		return nil, "", err
	}
	if got := r.id(); got != id {
		return nil, "", fmt.Errorf("%w: asked for %s, the application answered with %q", targets.ErrRejected, id, got)
	}
	version := r.version()
	if tag := resp.Header.Get("ETag"); version == "" && f.etag {
		version = tag
	}
	return r, version, nil
}

func (t *target) Create(ctx context.Context, want identity.Account) (identity.Account, error) {
	a, err := t.create(ctx, want)
	if err != nil {
		return a, fmt.Errorf("create %s: %w", want.UserName, err)
	}
	return a, nil
}

func (t *target) create(ctx context.Context, want identity.Account) (identity.Account, error) {
	body, err := t.newResource(want)
	if err != nil {
		return identity.Account{}, err
	}
	resp, err := t.rest.Do(ctx, http.MethodPost, usersEndpoint, nil, body, nil)
	var refused *rest.StatusError
	if errors.As(err, &refused) && (refused.Type == "uniqueness" || errors.Is(err, targets.ErrConflict)) {
		t.filters.forgetScans() // which did not know of the account that is in the way
		if !errors.Is(err, targets.ErrConflict) {
			err = fmt.Errorf("%w: %w", targets.ErrConflict, err)
		}
	}
	if err != nil {
		return identity.Account{}, err
	}
	r := bodyOf(resp)
	if r == nil {
		if r, err = t.created(ctx, resp, want); err != nil {
			return identity.Account{}, err
		}
	}
	t.filters.noteNew(t, r)
	a, err := t.account(r)
	if t.need.Entitlements {
		a.Entitlements = []identity.Entitlement{}
	}
	if err != nil || len(want.Entitlements) == 0 {
		return a, err
	}
	// From here on the account exists: it is returned with the error, if one comes.
	if err := t.regroup(ctx, a.ID, nil, want.Entitlements); err != nil {
		return a, err
	}
	a.Entitlements = slices.Clone(want.Entitlements)
	return a, nil
}

// created finds an account whose creation was answered without a body.
func (t *target) created(ctx context.Context, resp *rest.Response, want identity.Account) (resource, error) {
	location, err := url.Parse(resp.Header.Get("Location"))
	if err == nil && strings.Contains(location.Path, usersEndpoint+"/") {
		escaped := location.EscapedPath()
		if id, err := url.PathUnescape(escaped[strings.LastIndexByte(escaped, '/')+1:]); err == nil {
			r, _, err := t.read(ctx, identity.AccountID(id))
			return r, err
		}
	}
	found, err := t.Find(ctx, "userName", want.UserName)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: created, but %d accounts have that userName", targets.ErrConflict, len(found))
	}
	r, _, err := t.read(ctx, found[0].ID)
	return r, err
}

// newResource is what a POST sends, RFC 7644 §3.3. Absent values are left out: many refuse null.
func (t *target) newResource(want identity.Account) (resource, error) {
	r := resource{"schemas": []any{userSchema}, "active": t.bools(true)}
	if want.UserName != "" {
		r["userName"] = want.UserName
	}
	if want.ExternalID != "" {
		r["externalId"] = want.ExternalID
	}
	if t.spec.userType != "" {
		r["userType"] = t.spec.userType
	}
	for _, name := range slices.Sorted(maps.Keys(want.Attributes)) {
		if want.Attributes[name] == "" {
			continue
		}
		p, err := t.path(name)
		if err != nil {
			return nil, err
		}
		r.set(p, t.write(p, want.Attributes[name]))
	}
	return r, nil
}

func (t *target) Update(ctx context.Context, have identity.Account, delta identity.Delta) (identity.Account, error) {
	a, err := t.update(ctx, have, delta)
	if err != nil {
		return identity.Account{}, fmt.Errorf("update %s: %w", have.UserName, err)
	}
	return a, nil
}

func (t *target) update(ctx context.Context, have identity.Account, delta identity.Delta) (identity.Account, error) {
	var r resource
	if len(delta.Attributes) > 0 {
		var err error
		if r, err = t.change(ctx, have.ID, have.Version, delta.Attributes); err != nil {
			return identity.Account{}, err
		}
		if r != nil && r.id() == have.ID {
			t.filters.noteNew(t, r)
		} else {
			r = nil
		}
	}
	if err := t.regroup(ctx, have.ID, delta.Withdraw, delta.Grant); err != nil {
		return identity.Account{}, err
	}
	if r == nil || len(delta.Withdraw)+len(delta.Grant) > 0 {
		return t.readAccount(ctx, have.ID)
	}
	a, err := t.account(r)
	a.Entitlements = have.Entitlements
	return a, err
}

func (t *target) Enable(ctx context.Context, have identity.Account) error {
	if err := t.activate(ctx, have, true); err != nil {
		return fmt.Errorf("enable %s: %w", have.UserName, err)
	}
	return nil
}

func (t *target) Disable(ctx context.Context, have identity.Account) error {
	err := t.activate(ctx, have, false)
	if err != nil && !errors.Is(err, targets.ErrNotFound) {
		return fmt.Errorf("disable %s: %w", have.UserName, err)
	}
	return nil
}

// activate sends no version: whatever else happened to the account meanwhile, it is to be in this state.
func (t *target) activate(ctx context.Context, have identity.Account, active bool) error {
	if have.ID == "" {
		return fmt.Errorf("%w: no id", targets.ErrRejected)
	}
	_, err := t.change(ctx, have.ID, "", []identity.AttributeChange{
		{Path: "active", Before: identity.Bool(!active), After: identity.Bool(active)},
	})
	return err
}

// Revoke does nothing: SCIM has no sessions, and Capabilities says so.
func (t *target) Revoke(context.Context, identity.Account) error { return nil }

func (t *target) Delete(ctx context.Context, have identity.Account) error {
	if !t.deletes() {
		return fmt.Errorf("delete %s: %w: the profile %q does not delete accounts", have.UserName, targets.ErrRejected, t.profile.name)
	}
	if have.ID == "" {
		return fmt.Errorf("delete %s: %w: no id", have.UserName, targets.ErrRejected)
	}
	_, err := t.rest.Do(ctx, http.MethodDelete, account(have.ID), nil, nil, nil)
	if err != nil && !errors.Is(err, targets.ErrNotFound) {
		return fmt.Errorf("delete %s: %w", have.UserName, err)
	}
	return nil
}

func (t *target) Close() error { return t.rest.Close() }
