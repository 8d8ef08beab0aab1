package scim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
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
			// A filter that selects nothing is an error to some, and makes an entry with others: naming the list means
			// the same to all.
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

// changeWhatIsTaken writes changes to one account, without those attributes that the application refuses: one that it
// does not take must not keep the others back (R9). What it refuses is in the receipt.
func (t *pass) changeWhatIsTaken(ctx context.Context, id identity.AccountID, version string, changes []identity.AttributeChange) (resource, targets.Receipt, error) {
	var receipt targets.Receipt
	left := slices.Clone(changes)
	for {
		r, request, err := t.change(ctx, id, version, left)
		if receipt.RequestID = request; err == nil {
			return r, receipt, nil
		}
		refused, ok := refusedPath(err, pathsOf(left))
		switch {
		case ok:
			receipt.Refused = append(receipt.Refused, refused)
			left = slices.DeleteFunc(left, func(c identity.AttributeChange) bool { return c.Path == refused.Path })
		case isMutability(err) && len(left) > 1:
			return t.changeOneByOne(ctx, id, left, receipt)
		default:
			return nil, receipt, conflict(err)
		}
		if len(left) == 0 {
			return nil, receipt, nil
		}
	}
}

// changeOneByOne is for an application that says that something cannot be changed, and not what.
func (t *pass) changeOneByOne(ctx context.Context, id identity.AccountID, changes []identity.AttributeChange, receipt targets.Receipt) (last resource, _ targets.Receipt, _ error) {
	for _, c := range changes {
		r, request, err := t.change(ctx, id, "", []identity.AttributeChange{c})
		receipt.RequestID = request
		refused, ok := refusedPath(err, []string{c.Path})
		switch {
		case ok:
			receipt.Refused = append(receipt.Refused, refused)
		case err != nil:
			return nil, receipt, conflict(err)
		default:
			last = r
		}
	}
	slices.SortFunc(receipt.Refused, func(a, b targets.Refusal) int { return strings.Compare(a.Path, b.Path) })
	return last, receipt, nil
}

func pathsOf(changes []identity.AttributeChange) []string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.Path
	}
	return out
}

// refusedPath is the one attribute, of those in paths, that a refusal is about: the one that it names, or the only one
// there is where the application says that it cannot be changed (RFC 7644 §3.12, mutability). A refusal that names
// several, or none, is about the change, and one of a value that another account has is a conflict.
func refusedPath(err error, paths []string) (targets.Refusal, bool) {
	var said *rest.StatusError
	if !errors.As(err, &said) || !errors.Is(err, targets.ErrRejected) || said.Type == "uniqueness" {
		return targets.Refusal{}, false
	}
	why := said.Text
	if why == "" {
		why = said.Type
	}
	var named []string
	for _, path := range paths {
		if mentions(said.Text, path) {
			named = append(named, path)
		}
	}
	switch {
	case len(named) == 1:
		return targets.Refusal{Path: named[0], Why: why}, true
	case said.Type == "mutability" && len(paths) == 1:
		return targets.Refusal{Path: paths[0], Why: why}, true
	}
	return targets.Refusal{}, false
}

func isMutability(err error) bool {
	var said *rest.StatusError
	return errors.As(err, &said) && errors.Is(err, targets.ErrRejected) && said.Type == "mutability"
}

// mentions reports whether text names an attribute: as the config spells it, or by its own name, as a word of its own.
func mentions(text, name string) bool {
	names := []string{name}
	if p, err := parsePath(name); err == nil {
		names = append(names, p.String(), p.attr)
		if p.sub != "" && p.sub != "value" {
			names = append(names, p.sub)
		}
	}
	lower := strings.ToLower(text)
	return slices.ContainsFunc(names, func(word string) bool { return hasWord(lower, strings.ToLower(word)) })
}

func hasWord(text, word string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(word)
		if (at == 0 || !isNameByte(text[at-1])) && (end == len(text) || !isNameByte(text[end])) {
			return true
		}
		from = at + 1
	}
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '$'
}

// rejected names the attribute that a refusal is about.
func rejected(err error, path string) error {
	if !errors.Is(err, targets.ErrRejected) {
		return err
	}
	return &targets.RejectedError{Path: path, Err: err}
}

// conflict classes what some applications say of a value that another account has (RFC 7644 §3.12, uniqueness) with a
// status of its own.
func conflict(err error) error {
	var said *rest.StatusError
	if errors.As(err, &said) && said.Type == "uniqueness" && !errors.Is(err, targets.ErrConflict) {
		return fmt.Errorf("%w: %w", targets.ErrConflict, err)
	}
	return err
}

// requestOf is the application's name for a call that it refused.
func requestOf(err error) string {
	var said *rest.StatusError
	if errors.As(err, &said) {
		return said.RequestID
	}
	return ""
}

// change writes changes to one account and returns the application's own answer, nil where it gave none, and its name
// for the call. version is the account's ETag, "" for whatever it is now.
func (t *target) change(ctx context.Context, id identity.AccountID, version string, changes []identity.AttributeChange) (resource, string, error) {
	f, err := t.features(ctx)
	if err != nil {
		return nil, "", err
	}
	if t.profile.put || !f.patch {
		return t.replace(ctx, id, f, changes)
	}
	ops, err := t.operations(changes)
	if err != nil {
		return nil, "", err
	}
	header := http.Header{}
	if f.etag && version != "" {
		header.Set("If-Match", version)
	}
	r, request, err := t.send(ctx, http.MethodPatch, account(id), patch{Schemas: []string{patchSchema}, Operations: ops}, header)
	var refused *rest.StatusError
	if errors.As(err, &refused) && refused.Type == "noTarget" {
		// Repeated after a crash, the first half of a change may be there already.
		if left, changed := t.outstanding(ctx, id, changes); changed {
			if len(left) == 0 {
				return nil, request, nil
			}
			if ops, err = t.operations(left); err == nil {
				r, request, err = t.send(ctx, http.MethodPatch, account(id), patch{Schemas: []string{patchSchema}, Operations: ops}, header)
			}
		}
	}
	return r, request, err
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

// replace does by PUT, RFC 7644 §3.5.1, what change does by PATCH: it reads the account, changes it and writes all of
// it back, so that what is not managed stays (R12).
func (t *target) replace(ctx context.Context, id identity.AccountID, f features, changes []identity.AttributeChange) (resource, string, error) {
	r, version, err := t.read(ctx, id)
	if err != nil {
		return nil, "", err
	}
	for _, c := range changes {
		p, err := t.path(c.Path)
		if err != nil {
			return nil, "", err
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
func (t *target) send(ctx context.Context, method, at string, body any, header http.Header) (resource, string, error) {
	resp, err := t.rest.Do(ctx, method, at, nil, body, header)
	if err != nil {
		return nil, requestOf(err), err
	}
	return bodyOf(resp), resp.RequestID(), nil
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
