package exec

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// groupNames are the entitlements that the program can give, by their identifiers.
type groupNames map[string]identity.Entitlement

// A groupList is asked for once a pass, when it is first needed.
type groupList struct {
	mu    sync.Mutex
	known groupNames
}

func (g *groupList) names(ctx context.Context, p *pass) (groupNames, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known != nil || !p.hello.has(opGroups) {
		return g.known, nil
	}
	known := groupNames{}
	err := p.list(ctx, request{Op: opGroups}, func(a answer) error {
		switch {
		case a.Group == nil || a.Group.ID == "" || unprintable(a.Group.ID+a.Group.Name+a.Group.Kind):
			return fmt.Errorf("%w: a line without a group, or one whose id or name is not plain text", targets.ErrIncomplete)
		case known[a.Group.ID] != identity.Entitlement{}:
			return fmt.Errorf("%w: the group %s came twice", targets.ErrIncomplete, a.Group.ID)
		}
		known[a.Group.ID] = entitlement(*a.Group)
		return nil
	})
	if err != nil {
		return nil, unlisted(err)
	}
	g.known = known
	return known, nil
}

// entitlement is a group that the program shows: its id is its name where it says no other.
func entitlement(g group) identity.Entitlement {
	e := identity.Entitlement{Kind: g.Kind, ID: g.ID, Name: g.Name}
	if e.Name == "" {
		e.Name = g.ID
	}
	if e.Kind == "" {
		e.Kind = "group"
	}
	return e
}

// entitle gives an account the entitlements that the program shows.
func (known groupNames) entitle(a identity.Account, ids *[]string) identity.Account {
	if ids == nil {
		a.EntitlementsUnknown = known != nil // there are groups, and nobody's are shown
		return a
	}
	a.Entitlements = make([]identity.Entitlement, 0, len(*ids))
	for _, id := range *ids {
		e, ok := known[id]
		if !ok {
			e = entitlement(group{ID: id})
		}
		a.Entitlements = append(a.Entitlements, e)
	}
	a.Entitlements = identity.SortedEntitlements(a.Entitlements)
	return a
}

func (p *pass) Entitlements(ctx context.Context, account identity.Account) (identity.Account, error) {
	if !p.need.Entitlements {
		return account, nil
	}
	known, err := p.groups.names(ctx, p)
	if err != nil {
		return account, fmt.Errorf("list groups: %w", err)
	}
	_, ids, err := p.read(ctx, account.ID)
	if err != nil {
		return account, fmt.Errorf("read the groups of %s: %w", plain(account.UserName, 80), err)
	}
	return known.entitle(account, ids), nil
}

// Resolve names groups by their names or identifiers, without letter case.
func (p *pass) Resolve(
	ctx context.Context, want []identity.Entitlement,
) (known []identity.Entitlement, missing []targets.Missing, err error) {
	if len(want) == 0 {
		return nil, nil, nil
	}
	all, err := p.groups.names(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("list groups: %w", err)
	}
	for _, w := range want {
		e, why := all.find(w)
		if why != "" {
			missing = append(missing, targets.Missing{Entitlement: w, Why: why})
			continue
		}
		known = append(known, e)
	}
	return known, missing, nil
}

// find is the group that is wanted; why there is none.
func (known groupNames) find(want identity.Entitlement) (e identity.Entitlement, why string) {
	if e, ok := known[want.ID]; ok {
		return e, ""
	}
	var hits []identity.Entitlement
	for _, g := range known {
		if (want.Kind == "" || want.Kind == g.Kind) && want.ID == "" && strings.EqualFold(g.Name, want.Name) {
			hits = append(hits, g)
		}
	}
	switch len(hits) {
	case 0:
		return e, "the program has no group of that name"
	case 1:
		return hits[0], ""
	}
	return e, "the program has more than one group of that name"
}

// SomeGroup is a group that the program of a pass of this kind has, zero where it has none.
func SomeGroup(ctx context.Context, of targets.Pass) (identity.Entitlement, error) {
	p, ok := of.(*pass)
	if !ok {
		return identity.Entitlement{}, nil
	}
	all, err := p.groups.names(ctx, p)
	return all[slices.Min(append(slices.Collect(maps.Keys(all)), "\U0010ffff"))], err
}

// regroup gives and takes groups. Each is safe to repeat.
func (p *pass) regroup(
	ctx context.Context, id identity.AccountID, grant, withdraw []identity.Entitlement,
) (receipt string, err error) {
	for _, part := range []struct {
		op   string
		list []identity.Entitlement
	}{{opWithdraw, withdraw}, {opGrant, grant}} {
		if len(part.list) == 0 {
			continue
		}
		if err := p.can(part.op); err != nil {
			return receipt, err
		}
		known, missing, err := p.Resolve(ctx, part.list)
		if err != nil {
			return receipt, err
		}
		for _, e := range known {
			got, err := p.one(ctx, request{Op: part.op, Account: &asked{ID: id}, Group: e.ID})
			if receipt == "" {
				receipt = plain(got.Receipt, 80)
			}
			if err != nil {
				return receipt, fmt.Errorf("%s %s: %w", part.op, e, err)
			}
		}
		if part.op == opGrant && len(missing) > 0 { // what is not there any more, nobody has
			return receipt, fmt.Errorf("%w: grant %s: %s", targets.ErrRejected, missing[0].Entitlement, missing[0].Why)
		}
	}
	return receipt, nil
}

func rawValues(set map[string]identity.Value) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for path, v := range set {
		if v != "" && path != "userName" && path != "externalId" {
			out[path] = json.RawMessage(v)
		}
	}
	return out
}
