package scim

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

// An operation is one of a PATCH, RFC 7644 §3.5.2.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path,omitempty"`
	Value any    `json:"value,omitempty"`
}

type patch struct {
	Schemas    []string    `json:"schemas"`
	Operations []operation `json:"Operations"`
}

// op spells an operation's name as the profile wants it.
func (t *target) op(name string) string {
	if !t.profile.capitals {
		return name
	}
	return map[string]string{"add": "Add", "replace": "Replace", "remove": "Remove"}[name]
}

// operations are those that make changes, in the profile's dialect.
func (t *target) operations(changes []identity.AttributeChange) ([]operation, error) {
	var ops []operation
	merged := map[string]any{}
	for _, c := range changes {
		p, err := t.path(c.Path)
		if err != nil {
			return nil, err
		}
		switch value := t.write(p, c.After); {
		case c.After == "" && p.key != "":
			// The entry as a whole: one that keeps its type and loses its value is worth nothing.
			ops = append(ops, operation{Op: t.op("remove"), Path: path{schema: p.schema, attr: p.attr, key: p.key, value: p.value}.String()})
		case c.After == "":
			ops = append(ops, operation{Op: t.op("remove"), Path: p.String()})
		case p.key != "" && c.Before == "":
			// A filter that selects nothing is an error to some, and makes an entry with others: naming the list means the same to all.
			ops = append(ops, operation{Op: t.op("add"), Path: p.list(), Value: []any{p.newEntry(value)}})
		case t.profile.noPath:
			merged[p.String()] = value
		default:
			ops = append(ops, operation{Op: t.op("replace"), Path: p.String(), Value: value})
		}
	}
	if len(merged) > 0 {
		ops = append(ops, operation{Op: t.op("replace"), Value: merged})
	}
	return ops, nil
}

// change writes changes to one account and returns the application's own answer, nil where it gave none. version is its ETag, "" for
// whatever it is now.
func (t *target) change(ctx context.Context, id identity.AccountID, version string, changes []identity.AttributeChange) (resource, error) {
	f, err := t.features(ctx)
	if err != nil {
		return nil, err
	}
	if t.profile.put || !f.patch {
		return t.replace(ctx, id, f, changes)
	}
	ops, err := t.operations(changes)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if f.etag && version != "" {
		header.Set("If-Match", version)
	}
	r, err := t.send(ctx, http.MethodPatch, account(id), patch{Schemas: []string{patchSchema}, Operations: ops}, header)
	var refused *rest.StatusError
	if errors.As(err, &refused) && refused.Type == "noTarget" {
		// Repeated after a crash, the first half of a change may be there already.
		if left, changed := t.outstanding(ctx, id, changes); changed {
			if len(left) == 0 {
				return nil, nil
			}
			if ops, err = t.operations(left); err == nil {
				r, err = t.send(ctx, http.MethodPatch, account(id), patch{Schemas: []string{patchSchema}, Operations: ops}, header)
			}
		}
	}
	return r, err
}

// outstanding leaves out the changes that the account shows already, and corrects what they start from.
func (t *target) outstanding(ctx context.Context, id identity.AccountID, changes []identity.AttributeChange) ([]identity.AttributeChange, bool) {
	r, _, err := t.read(ctx, id)
	if err != nil {
		return nil, false
	}
	var left []identity.AttributeChange
	different := false
	for _, c := range changes {
		p, err := t.path(c.Path)
		if err != nil {
			return nil, false
		}
		now, err := identity.NewValue(r.at(p))
		switch {
		case err != nil:
			return nil, false
		case c.After.Covers(now):
			different = true
			continue
		case now != c.Before:
			different = true
			c.Before = now
		}
		left = append(left, c)
	}
	return left, different
}

// replace does by PUT, RFC 7644 §3.5.1, what change does by PATCH: it reads the account, changes it and writes all of it back, so that what
// is not managed stays (R12).
func (t *target) replace(ctx context.Context, id identity.AccountID, f features, changes []identity.AttributeChange) (resource, error) {
	r, version, err := t.read(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		p, err := t.path(c.Path)
		if err != nil {
			return nil, err
		}
		if c.After == "" {
			r.set(p, nil)
			continue
		}
		r.set(p, t.write(p, c.After))
	}
	for _, name := range []string{"meta", "groups"} { // read-only
		delete(r, spelling(r, name))
	}
	if active, ok := readBool(r.get("active")); ok && !t.profile.textBools {
		r[spelling(r, "active")] = active
	}
	header := http.Header{}
	if f.etag && version != "" {
		header.Set("If-Match", version)
	}
	return t.send(ctx, http.MethodPut, account(id), withoutNulls(map[string]any(r)), header)
}

// withoutNulls drops nulls, which applications return and refuse.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if item == nil {
				delete(v, k)
			} else {
				v[k] = withoutNulls(item)
			}
		}
	case []any:
		for i, item := range v {
			v[i] = withoutNulls(item)
		}
	}
	return v
}

// send makes one write. The resource is nil where the answer has no body, or one without an id.
func (t *target) send(ctx context.Context, method, at string, body any, header http.Header) (resource, error) {
	resp, err := t.rest.Do(ctx, method, at, nil, body, header)
	if err != nil {
		return nil, err
	}
	return bodyOf(resp), nil
}

func bodyOf(resp *rest.Response) resource {
	var r resource
	if len(resp.Body) == 0 || resp.Decode(&r) != nil || r.id() == "" {
		return nil
	}
	return r
}

// account is the address of one account.
func account(id identity.AccountID) string { return usersEndpoint + "/" + url.PathEscape(string(id)) }
