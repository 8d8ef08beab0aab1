package scimtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/scim2/filter-parser/v2"
)

// errNoTarget is RFC 7644's noTarget: a value filter that selects nothing.
var errNoTarget = errors.New("noTarget")

// apply carries out one PATCH operation, RFC 7644 §3.5.2, on doc. It is written from the RFC for the servers here whose
// libraries leave that to the application.
func apply(doc map[string]any, op string, path *filter.Path, value any) error {
	op = strings.ToLower(op)
	if path == nil {
		values, ok := value.(map[string]any)
		if !ok || op == "remove" {
			return errors.New("an operation without a path needs an object")
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if strings.HasPrefix(name, "urn:") && !strings.Contains(name[strings.LastIndexByte(name, ':'):], ".") {
				if extension, ok := values[name].(map[string]any); ok {
					maps.Copy(object(doc, name), extension)
					continue
				}
			}
			at, err := filter.ParsePath([]byte(name))
			if err != nil {
				return err
			}
			if err := apply(doc, op, &at, values[name]); err != nil {
				return err
			}
		}
		return nil
	}
	holder := doc
	if urn := path.AttributePath.URI(); urn != "" && urn != "urn:ietf:params:scim:schemas:core:2.0:User" {
		holder = object(doc, urn)
	}
	name, sub := path.AttributePath.AttributeName, path.AttributePath.SubAttributeName()
	if path.SubAttribute != nil {
		sub = *path.SubAttribute
	}
	if path.ValueExpression != nil {
		return applyFiltered(holder, name, sub, op, path.ValueExpression, value)
	}
	if sub != "" {
		holder, name = object(holder, name), sub
	}
	set(holder, name, op, value)
	return nil
}

func set(holder map[string]any, name, op string, value any) {
	old, isList := holder[name].([]any)
	added, many := value.([]any)
	switch {
	case op == "remove":
		delete(holder, name)
	case op == "add" && many:
		for _, item := range added {
			if !slices.ContainsFunc(old, func(have any) bool { return same(have, item) }) {
				old = append(old, item)
			}
		}
		holder[name] = old
	case op == "add" && isList:
		holder[name] = append(old, value)
	default:
		holder[name] = value
	}
}

func same(a, b any) bool {
	x, ok := a.(map[string]any)
	y, too := b.(map[string]any)
	if ok && too && x["value"] != nil {
		return x["value"] == y["value"] && x["type"] == y["type"]
	}
	return false
}

func applyFiltered(holder map[string]any, name, sub, op string, e filter.Expression, value any) error {
	list, _ := holder[name].([]any)
	var kept []any
	hits := 0
	for _, item := range list {
		entry, ok := item.(map[string]any)
		if !ok || !matches(entry, e) {
			kept = append(kept, item)
			continue
		}
		hits++
		switch {
		case op == "remove" && sub == "":
			continue
		case op == "remove":
			delete(entry, sub)
		case sub == "":
			if replacement, ok := value.(map[string]any); ok {
				entry = replacement
			}
		default:
			entry[sub] = value
		}
		kept = append(kept, entry)
	}
	if hits == 0 {
		return errNoTarget
	}
	holder[name] = kept
	return nil
}

// matches understands what clients filter by: eq, and, or.
func matches(doc map[string]any, e filter.Expression) bool {
	switch e := e.(type) {
	case *filter.AttributeExpression:
		if e.Operator != filter.EQ {
			return false
		}
		holder := doc
		if urn := e.AttributePath.URI(); urn != "" {
			holder, _ = doc[urn].(map[string]any)
		}
		return equals(pick(holder[e.AttributePath.AttributeName], e.AttributePath.SubAttributeName()), e.CompareValue)
	case *filter.LogicalExpression:
		if e.Operator == filter.AND {
			return matches(doc, e.Left) && matches(doc, e.Right)
		}
		return matches(doc, e.Left) || matches(doc, e.Right)
	case *filter.ValuePath:
		list, _ := doc[e.AttributePath.AttributeName].([]any)
		return slices.ContainsFunc(list, func(item any) bool {
			entry, ok := item.(map[string]any)
			return ok && matches(entry, e.ValueFilter)
		})
	}
	return false
}

func pick(v any, sub string) any {
	if sub == "" {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		return v[sub]
	case []any:
		var all []any
		for _, item := range v {
			all = append(all, pick(item, sub))
		}
		return all
	}
	return nil
}

func equals(have, want any) bool {
	switch h := have.(type) {
	case []any:
		return slices.ContainsFunc(h, func(item any) bool { return equals(item, want) })
	case map[string]any:
		return equals(h["value"], want)
	case string:
		w, ok := want.(string)
		return ok && strings.EqualFold(h, w)
	}
	return have != nil && fmt.Sprint(have) == fmt.Sprint(want)
}

func object(holder map[string]any, name string) map[string]any {
	if o, ok := holder[name].(map[string]any); ok {
		return o
	}
	o := map[string]any{}
	holder[name] = o
	return o
}
