package identity

import (
	"cmp"
	"slices"
	"strings"
)

// An Entitlement is one thing that an account has beyond itself: a group, a role, a licence, a permission set.
type Entitlement struct {
	Kind string `json:"kind,omitempty" cbor:"1,keyasint,omitempty"` // "group", "role", "licence", …; "" where the config names no kind
	ID   string `json:"id,omitempty" cbor:"2,keyasint,omitempty"`   // the target's own identifier; "" where only the name is known
	Name string `json:"name" cbor:"3,keyasint,omitempty"`           // what people call it; letter case does not count (RFC 7643 §8.7.1)
}

// Same reports whether e and o are one entitlement: by their identifiers where both have one, else by name and, where
// both have one, kind.
func (e Entitlement) Same(o Entitlement) bool {
	switch {
	case e.Kind != "" && o.Kind != "" && e.Kind != o.Kind:
		return false
	case e.ID != "" && o.ID != "":
		return e.ID == o.ID
	}
	return strings.EqualFold(e.Name, o.Name)
}

// String returns the name, or the identifier of what has none.
func (e Entitlement) String() string { return cmp.Or(e.Name, e.ID) }

// CompareEntitlements orders entitlements by kind, name and identifier.
func CompareEntitlements(a, b Entitlement) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}

// NamedEntitlements are entitlements of which the names are all that is known, sorted, without duplicates.
func NamedEntitlements(names ...string) []Entitlement {
	out := make([]Entitlement, len(names))
	for i, name := range names {
		out[i] = Entitlement{Name: name}
	}
	return SortedEntitlements(out)
}

// SortedEntitlements returns list in order and without duplicates; it may reuse list's memory.
func SortedEntitlements(list []Entitlement) []Entitlement {
	slices.SortFunc(list, CompareEntitlements)
	return slices.Compact(list)
}

// EntitlementNames returns what people call each of list.
func EntitlementNames(list []Entitlement) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.String()
	}
	return out
}

// HasEntitlement reports whether list holds e.
func HasEntitlement(list []Entitlement, e Entitlement) bool {
	return slices.ContainsFunc(list, e.Same)
}

// WithoutEntitlements returns what of list is not in less.
func WithoutEntitlements(list, less []Entitlement) (out []Entitlement) {
	for _, e := range list {
		if !HasEntitlement(less, e) {
			out = append(out, e)
		}
	}
	return out
}
