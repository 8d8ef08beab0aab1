package scim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A resource is one SCIM resource as encoding/json decodes it, numbers as json.Number.
type resource map[string]any

// get looks name up as SCIM does, RFC 7643 §2.1: letter case does not count, the exact spelling goes first.
func (r resource) get(name string) any {
	if v, ok := r[name]; ok {
		return v
	}
	for k, v := range r {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

func (r resource) text(name string) string { return plain(r.get(name)) }

// id is text by the RFC; some applications send a number.
func (r resource) id() identity.AccountID { return identity.AccountID(r.text("id")) }

func (r resource) version() string {
	if meta, ok := r.get("meta").(map[string]any); ok {
		return resource(meta).text("version")
	}
	return ""
}

func plain(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// at returns what the resource holds at p, in the shape in which the application returned it; nil for nothing.
func (r resource) at(p path) any {
	holder := r
	if p.schema != "" {
		extension, ok := r.get(p.schema).(map[string]any)
		if !ok {
			// A flat key, and an extension named whole.
			if v := r.get(p.list()); v != nil {
				return sub(v, p)
			}
			return nil
		}
		holder = extension
	}
	v := holder.get(p.attr)
	if p.key != "" {
		return sub(matching(v, p), p)
	}
	if v = sub(v, p); v == nil && p.sub != "" {
		return holder.get(p.attr + "." + p.sub) // GitLab
	}
	return v
}

// matching returns the first entry of list that p's value filter selects.
func matching(list any, p path) any {
	items, _ := list.([]any)
	for _, item := range items {
		if entry, ok := item.(map[string]any); ok && fits(resource(entry).get(p.key), p.value) {
			return entry
		}
	}
	return nil
}

// fits compares as filters do: text without letter case, and an absent boolean is false.
func fits(have, want any) bool {
	switch w := want.(type) {
	case string:
		h, ok := have.(string)
		return ok && strings.EqualFold(h, w)
	case bool:
		h, _ := readBool(have)
		return h == w
	}
	return false
}

func sub(v any, p path) any {
	if p.sub == "" {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		return resource(v).get(p.sub)
	case []any:
		var all []any
		for _, item := range v {
			if entry, ok := item.(map[string]any); ok {
				if found := resource(entry).get(p.sub); found != nil {
					all = append(all, found)
				}
			}
		}
		return all
	}
	return nil
}

// readBool reads a boolean, or what applications show for one: the numbers 1 and 0, the texts "true" and "false". ok is
// false where it is none of them.
func readBool(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case json.Number:
		return v == "1", v == "1" || v == "0"
	case string:
		switch strings.ToLower(v) {
		case "true", "1":
			return true, true
		case "false", "0":
			return false, true
		}
	}
	return false, false
}

// active judges whether the account is usable, and says what the application shows where that is no answer. Absent
// counts as active, as the RFC's clients do. A text that says no is only believed where the profile says that the
// application stores texts: elsewhere an application that stored it will take it for a value that is set, and the
// account may still open (measured: such a product answered 200 to it).
func (t *target) active(r resource) (active bool, shown string) {
	v := r.get("active")
	if v == nil {
		return true, ""
	}
	value, ok := readBool(v)
	if _, text := v.(string); ok && (value || !text || t.profile.textBools) {
		return value, ""
	}
	t.oddActive.Do(func() {
		t.log.Warn("active is no boolean; such accounts count as active until they hold false", "account", r.id(), "active", describe(v))
	})
	return true, describe(v)
}

// describe says what a value is, for a message.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 40 {
			v = v[:40] + "…"
		}
		return fmt.Sprintf("the text %q", v)
	case json.Number:
		return "the number " + v.String()
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprint(v)
}

// account makes an account of what the application returned. Entitlements are left out.
func (t *target) account(r resource) (identity.Account, error) {
	a := identity.Account{
		ID: r.id(), UserName: r.text("userName"), ExternalID: r.text("externalId"), Version: r.version(),
		Attributes: make(map[string]identity.Value, len(t.paths)),
	}
	a.Active, a.ActiveShown = t.active(r)
	if a.ID == "" {
		return a, fmt.Errorf("%w: an account without an id", targets.ErrRejected)
	}
	for _, name := range t.need.Paths {
		v, err := identity.NewValue(r.at(t.paths[name]))
		if err != nil {
			return a, fmt.Errorf("%w: account %s, %s: %w", targets.ErrRejected, a.ID, name, err)
		}
		if v != "" {
			a.Attributes[name] = v
		}
	}
	return a, nil
}

// write gives a mapped value the shape in which SCIM takes it: texts become the objects of a list, RFC 7643 §2.4, the
// first of them primary.
func (t *target) write(p path, v identity.Value) any {
	value := v.Any()
	if p.sub != "" || p.key != "" {
		return t.bools(value)
	}
	if p.attr == "manager" && p.schema == enterpriseSchema {
		if text, ok := value.(string); ok && !t.profile.plainRefs {
			return map[string]any{"value": text}
		}
		return value
	}
	if p.schema != "" || !slices.Contains(multiValued, p.attr) {
		return t.bools(value)
	}
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	if t.profile.singleValue && len(items) > 1 {
		items = items[:1]
	}
	list := make([]any, len(items))
	for i, item := range items {
		if text, ok := item.(string); ok {
			entry := map[string]any{"value": text}
			if i == 0 {
				entry["primary"] = true
			}
			item = entry
		}
		list[i] = item
	}
	return list
}

// bools spells booleans as the profile wants them.
func (t *target) bools(v any) any {
	b, ok := v.(bool)
	switch {
	case !ok || !t.profile.textBools:
		return v
	case b:
		return "True"
	}
	return "False"
}

// set puts value at p, making what holds it; nil takes it away. Nothing beside it changes.
func (r resource) set(p path, value any) {
	holder := map[string]any(r)
	if p.schema != "" {
		holder = child(r, p.schema)
		if value != nil {
			r.declare(p.schema)
		}
	}
	name := spelling(holder, p.attr)
	switch {
	case p.key != "":
		holder[name] = p.entry(holder[name], value)
	case p.sub != "":
		child(holder, name)[p.sub] = value
		if value == nil {
			delete(child(holder, name), p.sub)
		}
	default:
		holder[name] = value
	}
	if holder[name] == nil || isEmpty(holder[name]) {
		delete(holder, name)
	}
}

// entry returns list with the value of the entry that p's filter selects, which is made or taken away where it has to
// be.
func (p path) entry(list, value any) any {
	items, _ := list.([]any)
	i := slices.IndexFunc(items, func(item any) bool {
		e, ok := item.(map[string]any)
		return ok && fits(resource(e).get(p.key), p.value)
	})
	switch {
	case value == nil && i >= 0:
		return slices.Delete(items, i, i+1)
	case value == nil:
		return list
	case i < 0:
		return append(items, p.newEntry(value))
	case p.sub == "":
		items[i] = value
	default:
		e := items[i].(map[string]any) //nolint:forcetypeassert // IndexFunc looked
		e[spelling(e, p.sub)] = value
	}
	return items
}

// newEntry is the entry that p's value filter would select, holding value.
func (p path) newEntry(value any) any {
	if p.sub == "" {
		if entry, ok := value.(map[string]any); ok {
			entry[p.key] = p.value
			return entry
		}
		return map[string]any{p.key: p.value, "value": value}
	}
	return map[string]any{p.key: p.value, p.sub: value}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// child returns the object that holder keeps under name, made where there is none.
func child(holder map[string]any, name string) map[string]any {
	name = spelling(holder, name)
	if object, ok := holder[name].(map[string]any); ok {
		return object
	}
	object := map[string]any{}
	holder[name] = object
	return object
}

// spelling is how holder already spells name.
func spelling(holder map[string]any, name string) string {
	if _, ok := holder[name]; ok {
		return name
	}
	for k := range holder {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}

// declare adds schema to the resource's schemas.
func (r resource) declare(schema string) {
	list, _ := r["schemas"].([]any)
	if !slices.Contains(list, any(schema)) {
		r["schemas"] = append(list, schema)
	}
}
