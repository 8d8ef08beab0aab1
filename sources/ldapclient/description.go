package ldapclient

import (
	"slices"
	"strings"
)

// A Description is an attribute description (RFC 4512, 2.5) taken apart.
type Description struct {
	Base    string // in lower case, without options
	Binary  bool   // ;binary (RFC 4522)
	Tagged  bool   // any other option, such as a language (RFC 3866)
	ranged  bool   // ;range=low-high (MS-ADTS 3.1.1.3.1.3.3)
	high    int    // of a range: the index of the last value present
	Partial bool   // of a range: values after high are missing
}

// ParseDescription reads a name as a server spells it. A malformed range counts as a tag, so that its values are
// never taken for all.
func ParseDescription(name string) Description {
	base, rest, _ := strings.Cut(name, ";")
	d := Description{Base: strings.ToLower(base)}
	for option := range strings.SplitSeq(rest, ";") {
		lower := strings.ToLower(option)
		switch {
		case option == "":
		case lower == "binary":
			d.Binary = true
		case strings.HasPrefix(lower, "range="):
			high, last, ok := parseRange(lower[len("range="):])
			d.ranged, d.high, d.Partial = ok, high, ok && !last
			d.Tagged = d.Tagged || !ok
		default:
			d.Tagged = true
		}
	}
	return d
}

// parseRange reads "0-1499" or "1500-*"; last tells that no values follow.
func parseRange(s string) (high int, last, ok bool) {
	from, to, found := strings.Cut(s, "-")
	low, ok := index(from)
	if !found || !ok {
		return 0, false, false
	}
	if to == "*" {
		return 0, true, true
	}
	high, ok = index(to)
	if !ok || high < low {
		return 0, false, false
	}
	return high, false, true
}

// index reads a small decimal number without sign.
func index(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func ContainsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(item string) bool { return strings.EqualFold(item, s) })
}
