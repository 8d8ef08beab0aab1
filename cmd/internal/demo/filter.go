package demo

import (
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// A verdict is RFC 4511's three-valued logic: an item about an attribute that the server cannot judge is neither true
// nor false.
type verdict int8

const (
	no verdict = iota - 1
	undefined
	yes
)

func decide(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// matches evaluates a search filter (RFC 4511, 4.5.1.7) on an entry. Values compare without letter case; DNs in member
// as DNs.
func matches(filter *ber.Packet, e *entry) verdict {
	switch filter.Tag {
	case ldap.FilterAnd:
		result := yes
		for _, f := range filter.Children {
			result = min(result, matches(f, e))
		}
		return result
	case ldap.FilterOr:
		result := no
		for _, f := range filter.Children {
			result = max(result, matches(f, e))
		}
		return result
	case ldap.FilterNot:
		if len(filter.Children) != 1 {
			return undefined
		}
		return -matches(filter.Children[0], e)
	case ldap.FilterPresent:
		return decide(strings.EqualFold(filter.Data.String(), "objectClass") || len(e.get(filter.Data.String())) > 0)
	case ldap.FilterSubstrings:
		if len(filter.Children) != 2 {
			return undefined
		}
		return decide(slices.ContainsFunc(e.get(filter.Children[0].Data.String()), func(v string) bool {
			return containsParts(strings.ToLower(v), filter.Children[1].Children)
		}))
	case ldap.FilterEqualityMatch, ldap.FilterApproxMatch, ldap.FilterGreaterOrEqual, ldap.FilterLessOrEqual:
		if len(filter.Children) != 2 {
			return undefined
		}
		return matchesValue(filter.Tag, e.get(filter.Children[0].Data.String()), filter.Children[0].Data.String(), filter.Children[1].Data.String())
	}
	return undefined
}

func matchesValue(tag ber.Tag, values []string, name, want string) verdict {
	fold := strings.ToLower
	if strings.EqualFold(name, "member") {
		fold = foldDN
	}
	want = fold(want)
	return decide(slices.ContainsFunc(values, func(v string) bool {
		switch tag {
		case ldap.FilterGreaterOrEqual:
			return fold(v) >= want
		case ldap.FilterLessOrEqual:
			return fold(v) <= want
		}
		return fold(v) == want
	}))
}

func containsParts(value string, parts []*ber.Packet) bool {
	for _, part := range parts {
		text := strings.ToLower(part.Data.String())
		switch part.Tag {
		case ldap.FilterSubstringsInitial:
			if !strings.HasPrefix(value, text) {
				return false
			}
			value = value[len(text):]
		case ldap.FilterSubstringsFinal:
			return strings.HasSuffix(value, text)
		default:
			_, rest, ok := strings.Cut(value, text)
			if !ok {
				return false
			}
			value = rest
		}
	}
	return true
}
