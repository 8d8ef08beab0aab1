// Package scim is the target kind for applications that speak SCIM 2.0 (RFC 7643, RFC 7644, cursors of RFC 9865). What
// one of them does differently is a line in a table of profiles; what can be found out by asking is asked, and nothing
// is believed that a server can get wrong: totals, empty answers to filters, a 200 to a write.
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
	"sync/atomic"
	"time"

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
	shown      memberships
	rewriting  turn // of a group: passes overlap
	oddActive  sync.Once
	nameless   atomic.Bool // it does not tell whom we are signed in as
}

// A pass is one use of the target, with what is learned in it of filters and groups.
type pass struct {
	*target
	can     identity.Capabilities
	filters filters
	groups  groups
}

var (
	_ targets.Target  = (*target)(nil)
	_ targets.Checker = (*target)(nil)
	_ targets.Dated   = (*target)(nil)
	_ targets.Pass    = (*pass)(nil)
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

// Begin asks what the application can do, once for the target's life.
func (t *target) Begin(ctx context.Context) (targets.Pass, error) {
	p, err := t.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking what the application can do: %w", err)
	}
	return p, nil
}

func (t *target) begin(ctx context.Context) (*pass, error) {
	f, err := t.features(ctx)
	if err != nil {
		return nil, err
	}
	return &pass{target: t, can: identity.Capabilities{Disable: true, Delete: t.deletes(), Entitlements: f.groups, Update: true}}, nil
}

func (t *pass) Capabilities() identity.Capabilities { return t.can }

func (t *target) deletes() bool {
	return !t.profile.noDelete && (!t.profile.keepDeleted || t.spec.allowDelete)
}

func (t *pass) Accounts(ctx context.Context) iter.Seq2[identity.Account, error] {
	return func(yield func(identity.Account, error) bool) {
		whose, err := t.roster(ctx)
		if err != nil {
			yield(identity.Account{}, fmt.Errorf("list accounts: %w: %w", targets.ErrIncomplete, err))
			return
		}
		err = t.list(ctx, usersEndpoint, nil, false, func(r resource) error {
			a, err := t.account(r)
			if err == nil && t.need.Entitlements {
				a, err = t.listedEntitlements(ctx, whose, a, r)
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

func (t *pass) Account(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	a, err := t.readAccount(ctx, id)
	if err != nil {
		return identity.Account{}, fmt.Errorf("read account %s: %w", id, err)
	}
	return a, nil
}

// readAccount reads an account without its entitlements.
func (t *target) readAccount(ctx context.Context, id identity.AccountID) (identity.Account, error) {
	r, version, err := t.read(ctx, id)
	if err != nil {
		return identity.Account{}, err
	}
	a, err := t.account(r)
	a.Version = version
	return a, err
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

func (t *pass) Create(ctx context.Context, want identity.Account) (identity.Account, targets.Receipt, error) {
	a, receipt, err := t.create(ctx, want)
	if err != nil {
		return a, receipt, fmt.Errorf("create %s: %w", want.UserName, err)
	}
	return a, receipt, nil
}

func (t *pass) create(ctx context.Context, want identity.Account) (identity.Account, targets.Receipt, error) {
	resp, receipt, err := t.post(ctx, want)
	if errors.Is(err, targets.ErrConflict) {
		t.filters.forgetScans() // which did not know of the account that is in the way
	}
	if err != nil {
		return identity.Account{}, receipt, err
	}
	r := bodyOf(resp)
	if r == nil {
		if r, err = t.created(ctx, resp, want); err != nil {
			return identity.Account{}, receipt, err
		}
	}
	t.filters.noteNew(t, r)
	a, err := t.account(r)
	if t.need.Entitlements {
		a.Entitlements = []identity.Entitlement{}
	}
	if err != nil || len(want.Entitlements) == 0 {
		return a, receipt, err
	}
	// From here on the account exists: it is returned with the error, if one comes.
	if _, err := t.regroup(ctx, a.ID, nil, want.Entitlements); err != nil {
		return a, receipt, err
	}
	a.Entitlements = slices.Clone(want.Entitlements)
	return a, receipt, nil
}

// post makes the account, without the attributes that the application refuses by name.
func (t *pass) post(ctx context.Context, want identity.Account) (*rest.Response, targets.Receipt, error) {
	var receipt targets.Receipt
	want.Attributes = maps.Clone(want.Attributes)
	for {
		body, err := t.newResource(want)
		if err != nil {
			return nil, receipt, err
		}
		resp, err := t.rest.Do(ctx, http.MethodPost, usersEndpoint, nil, body, nil)
		if err == nil {
			receipt.RequestID = resp.RequestID()
			return resp, receipt, nil
		}
		receipt.RequestID = requestOf(err)
		refused, ok := refusedPath(err, slices.Sorted(maps.Keys(want.Attributes)))
		if !ok {
			return nil, receipt, conflict(err)
		}
		receipt.Refused = append(receipt.Refused, refused)
		delete(want.Attributes, refused.Path)
	}
}

// created finds an account whose creation was answered without a body.
func (t *pass) created(ctx context.Context, resp *rest.Response, want identity.Account) (resource, error) {
	location, err := url.Parse(resp.Header.Get("Location"))
	if err == nil && strings.Contains(location.Path, usersEndpoint+"/") {
		escaped := location.EscapedPath()
		if id, err := url.PathUnescape(escaped[strings.LastIndexByte(escaped, '/')+1:]); err == nil {
			r, _, err := t.read(ctx, identity.AccountID(id))
			return r, err
		}
	}
	found, err := t.find(ctx, "userName", want.UserName)
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

func (t *pass) Update(ctx context.Context, have identity.Account, delta identity.Delta) (identity.Account, targets.Receipt, error) {
	a, receipt, err := t.update(ctx, have, delta)
	if err != nil {
		return identity.Account{}, receipt, fmt.Errorf("update %s: %w", have.UserName, err)
	}
	return a, receipt, nil
}

func (t *pass) update(ctx context.Context, have identity.Account, delta identity.Delta) (identity.Account, targets.Receipt, error) {
	var r resource
	var receipt targets.Receipt
	if len(delta.Attributes) > 0 {
		var err error
		if r, receipt, err = t.changeWhatIsTaken(ctx, have.ID, have.Version, delta.Attributes); err != nil {
			return identity.Account{}, receipt, err
		}
		if r != nil && r.id() == have.ID {
			t.filters.noteNew(t, r)
		} else {
			r = nil
		}
	}
	id, err := t.regroup(ctx, have.ID, delta.Withdraw, delta.Grant)
	if receipt.RequestID == "" {
		receipt.RequestID = id
	}
	if err != nil {
		return identity.Account{}, receipt, err
	}
	var a identity.Account
	if r == nil {
		a, err = t.readAccount(ctx, have.ID)
	} else {
		a, err = t.account(r)
	}
	switch {
	case err != nil:
		return identity.Account{}, receipt, err
	case len(delta.Withdraw)+len(delta.Grant) > 0:
		a, err = t.Entitlements(ctx, a)
	default:
		a.Entitlements, a.EntitlementsUnknown = have.Entitlements, have.EntitlementsUnknown
	}
	return a, receipt, err
}

func (t *pass) Enable(ctx context.Context, have identity.Account, _ map[string]string) (targets.Receipt, error) {
	return t.activate(ctx, have, true, "enable")
}

func (t *pass) Disable(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	return t.activate(ctx, have, false, "disable")
}

// activate sends no version: whatever else happened to the account meanwhile, it is to be in this state.
func (t *pass) activate(ctx context.Context, have identity.Account, active bool, what string) (targets.Receipt, error) {
	if have.ID == "" {
		return targets.Receipt{}, fmt.Errorf("%s %s: %w: no id", what, have.UserName, targets.ErrRejected)
	}
	_, id, err := t.change(ctx, have.ID, "", []identity.AttributeChange{
		{Path: "active", Before: identity.Bool(!active), After: identity.Bool(active)},
	})
	if err != nil {
		err = fmt.Errorf("%s %s: %w", what, have.UserName, rejected(err, "active"))
	}
	return targets.Receipt{RequestID: id}, err
}

// Closing is nothing more: SCIM has no sessions, nor a place for leavers.
func (t *pass) Closing() []targets.Step { return nil }

func (t *pass) Delete(ctx context.Context, have identity.Account) (targets.Receipt, error) {
	if !t.deletes() {
		return targets.Receipt{}, fmt.Errorf("delete %s: %w: the profile %q does not delete accounts",
			have.UserName, targets.ErrRejected, t.profile.name)
	}
	if have.ID == "" {
		return targets.Receipt{}, fmt.Errorf("delete %s: %w: no id", have.UserName, targets.ErrRejected)
	}
	resp, err := t.rest.Do(ctx, http.MethodDelete, account(have.ID), nil, nil, nil)
	if err != nil {
		return targets.Receipt{RequestID: requestOf(err)}, fmt.Errorf("delete %s: %w", have.UserName, err)
	}
	return targets.Receipt{RequestID: resp.RequestID()}, nil
}

// Date is what the application's clock said last.
func (t *target) Date() (said, came time.Time) { return t.rest.Date() }

func (t *target) Close() error { return t.rest.Close() }
