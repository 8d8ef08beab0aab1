package demo

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	scimfilter "github.com/elimity-com/scim/filter"
	"github.com/elimity-com/scim/schema"
	"github.com/scim2/filter-parser/v2"
)

// filter makes a test for resources of a filter. The library does not look into multi-valued attributes for
// `members.value eq "…"`; the same question put as `members[value eq "…"]` it answers.
func (s *resources) filter(e filter.Expression) func(scim.Resource) bool {
	if a, ok := e.(*filter.AttributeExpression); ok && a.AttributePath.SubAttribute != nil {
		if attr, ok := s.attribute(a.AttributePath); ok && attr.MultiValued() {
			inner := *a
			inner.AttributePath = filter.AttributePath{AttributeName: *a.AttributePath.SubAttribute}
			outer := a.AttributePath
			outer.SubAttribute = nil
			e = &filter.ValuePath{AttributePath: outer, ValueFilter: &inner}
		}
	}
	all := s.schema
	all.Attributes = append(slices.Clone(all.Attributes), schema.CommonAttributes()...)
	validator := scimfilter.NewFilterValidator(e, all, s.extensions...)
	return func(shown scim.Resource) bool {
		shown.Attributes[schema.CommonAttributeID] = shown.ID
		return validator.PassesFilter(shown.Attributes) == nil
	}
}

// attribute looks a path's attribute up in the schemas.
func (s *resources) attribute(path filter.AttributePath) (schema.CoreAttribute, bool) {
	for _, one := range append([]schema.Schema{s.schema}, s.extensions...) {
		if uri := path.URI(); uri != "" && uri != one.ID {
			continue
		}
		if attr, ok := one.Attributes.ContainsAttribute(path.AttributeName); ok {
			return attr, true
		}
	}
	return schema.CoreAttribute{}, false
}

// patch applies operations that the library has validated (RFC 7644, 3.5.2) to a copy of the attributes.
func (s *resources) patch(attributes scim.ResourceAttributes, operations []scim.PatchOperation) (scim.ResourceAttributes, error) {
	next, _ := clone(map[string]any(attributes)).(map[string]any)
	for _, op := range operations {
		if err := s.apply(next, op); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for key, item := range v {
			c[key] = clone(item)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, item := range v {
			c[i] = clone(item)
		}
		return c
	}
	return v
}

func (s *resources) apply(attributes map[string]any, op scim.PatchOperation) error {
	if op.Path == nil {
		return s.applyEach(attributes, op)
	}
	path := op.Path.AttributePath
	if uri := path.URI(); uri != "" && uri != s.schema.ID {
		attributes = object(attributes, uri)
	}
	name := path.AttributeName
	if attr, ok := s.attribute(path); ok {
		name = attr.Name() // names are case-insensitive
	}
	switch sub := path.SubAttributeName(); {
	case op.Path.ValueExpression != nil:
		return s.applyMatching(attributes, name, op)
	case sub != "" && op.Op == scim.PatchOperationRemove:
		delete(object(attributes, name), sub)
	case sub != "":
		object(attributes, name)[sub] = op.Value
	case op.Op == scim.PatchOperationRemove:
		remove(attributes, name, op.Value)
	default:
		set(attributes, name, op.Value, op.Op == scim.PatchOperationAdd)
	}
	return nil
}

// applyEach is an operation without a path: its value holds attributes by name, path or extension.
func (s *resources) applyEach(attributes map[string]any, op scim.PatchOperation) error {
	values, ok := op.Value.(map[string]any)
	if !ok {
		return scimerrors.ScimErrorInvalidValue
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if slices.ContainsFunc(s.extensions, func(e schema.Schema) bool { return e.ID == key }) {
			set(attributes, key, values[key], true)
			continue
		}
		path, err := filter.ParsePath([]byte(key))
		if err != nil {
			return scimerrors.ScimErrorInvalidPath
		}
		if err := s.apply(attributes, scim.PatchOperation{Op: op.Op, Path: &path, Value: values[key]}); err != nil {
			return err
		}
	}
	return nil
}

// applyMatching is an operation on those members of a multi-valued attribute that a filter picks: emails[type eq
// "work"].value.
func (s *resources) applyMatching(attributes map[string]any, name string, op scim.PatchOperation) error {
	attr, ok := s.attribute(op.Path.AttributePath)
	if !ok {
		return scimerrors.ScimErrorInvalidPath
	}
	validator := scimfilter.NewFilterValidator(op.Path.ValueExpression, schema.Schema{Attributes: attr.SubAttributes()})
	items, _ := attributes[name].([]any)
	var kept []any
	matched := false
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok || validator.PassesFilter(m) != nil {
			kept = append(kept, item)
			continue
		}
		matched = true
		switch sub := op.Path.SubAttributeName(); {
		case op.Op == scim.PatchOperationRemove && sub == "":
			continue
		case op.Op == scim.PatchOperationRemove:
			delete(m, sub)
		case sub != "":
			m[sub] = op.Value
		default:
			if values, ok := op.Value.(map[string]any); ok {
				maps.Copy(m, values)
			}
		}
		kept = append(kept, m)
	}
	if !matched && op.Op != scim.PatchOperationRemove {
		return scimerrors.ScimErrorNoTarget
	}
	if len(kept) == 0 {
		delete(attributes, name)
		return nil
	}
	attributes[name] = kept
	return nil
}

// object returns the complex attribute by that name, and makes it where there is none.
func object(attributes map[string]any, name string) map[string]any {
	m, ok := attributes[name].(map[string]any)
	if !ok {
		m = map[string]any{}
		attributes[name] = m
	}
	return m
}

// set gives an attribute a value: a complex one keeps the sub-attributes that value does not name, a multi-valued one
// is added to or replaced.
func set(attributes map[string]any, name string, value any, add bool) {
	switch value := value.(type) {
	case map[string]any:
		maps.Copy(object(attributes, name), value)
	case []any:
		var items []any
		if add {
			items, _ = attributes[name].([]any)
		}
		for _, v := range value {
			same := func(have any) bool {
				return valueOf(v) != "" && strings.EqualFold(valueOf(have), valueOf(v)) || reflect.DeepEqual(have, v)
			}
			if !slices.ContainsFunc(items, same) {
				items = append(items, v)
			}
		}
		attributes[name] = items
	default:
		attributes[name] = value
	}
}

// remove takes an attribute away, or where values are given only those members of it.
func remove(attributes map[string]any, name string, value any) {
	values, ok := value.([]any)
	if !ok {
		delete(attributes, name)
		return
	}
	items, _ := attributes[name].([]any)
	items = slices.DeleteFunc(items, func(have any) bool {
		return slices.ContainsFunc(values, func(v any) bool { return valueOf(v) == valueOf(have) })
	})
	if len(items) == 0 {
		delete(attributes, name)
		return
	}
	attributes[name] = items
}
