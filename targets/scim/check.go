package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// Check tries what a pass needs without changing anything, and tells what is odd about the application.
func (t *target) Check(ctx context.Context) ([]string, error) {
	f, err := t.features(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	steps := []string{"connected to " + t.spec.url + t.profile.mention(), t.describe(f)}
	p := &pass{target: t, can: identity.Capabilities{Entitlements: f.groups}}
	read, odd, shown := 0, 0, ""
	err = t.list(ctx, usersEndpoint, nil, false, func(r resource) error {
		read++
		if _, said := t.active(r); said != "" {
			odd, shown = odd+1, said
		}
		return nil
	})
	if err != nil {
		return steps, fmt.Errorf("listing accounts: %w", err)
	}
	steps = append(steps, fmt.Sprintf("accounts listed: %d", read))
	if odd > 0 {
		steps = append(steps, fmt.Sprintf(`warning: %d accounts show %s as active, which is no boolean; they are counted as active`, odd, shown))
	}
	if steps, err = p.checkFilters(ctx, steps); err != nil {
		return steps, err
	}
	write, err := t.checkWrite(ctx, f)
	if err != nil {
		return steps, err
	}
	steps = append(steps, write)
	steps = append(steps, t.undeclared(ctx)...)
	if !t.need.Entitlements {
		return steps, nil
	}
	if !f.groups {
		return append(steps, "warning: entitlements are mapped, but the application has no groups"), nil
	}
	whose, err := p.roster(ctx)
	switch {
	case err != nil:
		return steps, err
	case whose == nil:
		return append(steps, "groups do not show their members, each account's are asked for"), nil
	case whose.member == "" && len(whose.groups) > 0:
		return append(steps, fmt.Sprintf("warning: none of %d groups shows a member; where they hide them, what is taken away cannot be proven",
			len(whose.groups))), nil
	}
	return append(steps, fmt.Sprintf("groups listed: %d", len(whose.groups))), nil
}

// nobody is an id that no application gives.
const nobody = "dirsweep-check-no-such-account"

// checkWrite asks for a change of an account that is not there: who may write is told that it is not, who may not is
// told so first.
func (t *target) checkWrite(ctx context.Context, f features) (string, error) {
	if t.profile.put || !f.patch {
		return "not tried: whether the token may write, since a PUT might make an account", nil
	}
	body := map[string]any{"schemas": []string{patchSchema}, "Operations": []any{map[string]any{"op": "replace", "path": "active", "value": false}}}
	_, err := t.rest.Do(ctx, http.MethodPatch, account(nobody), nil, body, nil)
	switch {
	case errors.Is(err, targets.ErrForbidden), errors.Is(err, targets.ErrUnauthorized):
		return "", fmt.Errorf("the token may read but not write: %w", err)
	case errors.Is(err, targets.ErrNotFound):
		return "may write: a change of an account that is not there is refused for that alone", nil
	case err != nil:
		return "not known: whether the token may write: " + err.Error(), nil
	}
	return "warning: a change of an account that is not there is answered with success", nil
}

func (p profile) mention() string {
	if p.name == "" {
		return ""
	}
	return ", profile " + p.name
}

func (t *target) describe(f features) string {
	if !f.declared {
		return "warning: no ServiceProviderConfig, taking the usual"
	}
	words := []string{fmt.Sprintf("pages of %d", t.pageSize(f))}
	if t.profile.put || !f.patch {
		words = append(words, "PUT")
	} else {
		words = append(words, "PATCH")
	}
	if f.cursor {
		words = append(words, "cursors")
	}
	if f.etag {
		words = append(words, "If-Match")
	}
	if f.groups {
		words = append(words, "groups")
	}
	return "the application offers " + strings.Join(words, ", ")
}

func (t *pass) checkFilters(ctx context.Context, steps []string) ([]string, error) {
	for _, name := range []string{"userName", "externalId"} {
		p, err := t.path(name)
		if err != nil {
			return steps, err
		}
		if !t.mayFilter(p) {
			continue
		}
		level, err := t.trusts(ctx, p)
		if err != nil {
			return steps, fmt.Errorf("trying the filter for %s: %w", name, err)
		}
		switch level {
		case understood:
			steps = append(steps, "finds accounts by "+name)
		case literal:
			steps = append(steps, "finds accounts by "+name+" in the very letter case only; others are looked for among all accounts")
		default:
			steps = append(steps, "no proof that a filter for "+name+" works; accounts are looked for among all accounts")
		}
	}
	return steps, nil
}

// undeclared warns of mapped attributes that the application's own schemas lack, RFC 7643 §7. One that shows no schemas
// is not judged.
func (t *target) undeclared(ctx context.Context) []string {
	resp, err := t.rest.Do(ctx, http.MethodGet, "/Schemas", nil, nil, nil)
	if err != nil {
		return nil
	}
	var doc struct {
		Resources []struct {
			ID         string
			Attributes []struct{ Name string }
		}
	}
	if json.Unmarshal(resp.Body, &doc) != nil {
		return nil
	}
	known := map[string][]string{}
	for _, schema := range doc.Resources {
		for _, attribute := range schema.Attributes {
			id := strings.ToLower(schema.ID)
			known[id] = append(known[id], strings.ToLower(attribute.Name))
		}
	}
	if len(known[strings.ToLower(userSchema)]) == 0 {
		return nil
	}
	var warnings []string
	for _, name := range t.need.Paths {
		p := t.paths[name]
		schema := p.schema
		if schema == "" {
			schema = userSchema
		}
		if p.exact() || slices.Contains(known[strings.ToLower(schema)], strings.ToLower(p.attr)) {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("warning: the application's schemas do not name %s", name))
	}
	return warnings
}
