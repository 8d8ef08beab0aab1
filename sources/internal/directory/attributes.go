package directory

import (
	_ "embed"
	"iter"
	"slices"
	"strings"
)

//go:embed attributes.txt
var schema string

// known goes through the attribute names of the embedded schemas, each with its mark: "binary", "exact" or none.
func known() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range strings.Lines(schema) {
			name, mark, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name == "" || name == "#" {
				continue
			}
			if !yield(name, mark) {
				return
			}
		}
	}
}

// vocabulary is every attribute name that expressions may use: the known ones and extra ones, whose spelling
// prevails, sorted.
func vocabulary(extra ...string) []string {
	spelling := make(map[string]string)
	for name := range known() {
		spelling[strings.ToLower(name)] = name
	}
	for _, name := range extra {
		spelling[strings.ToLower(name)] = name
	}
	names := make([]string, 0, len(spelling))
	for _, name := range spelling {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// spelling returns a known attribute's name as its schema spells it.
func spelling(lower string) string {
	for name := range known() {
		if strings.EqualFold(name, lower) {
			return name
		}
	}
	return lower
}

// binaries is the set of attributes, in lower case, whose values are not text.
func binaries() map[string]bool {
	set := make(map[string]bool)
	for name, mark := range known() {
		if mark == "binary" {
			set[strings.ToLower(name)] = true
		}
	}
	return set
}

// exact lists the attributes whose values the schema compares letter for letter, or byte for byte.
func exact() []string {
	var names []string
	for name, mark := range known() {
		if mark != "" {
			names = append(names, name)
		}
	}
	return names
}

// with adds a name to a list of attributes, where it is not in it.
func with(attributes []string, name string) []string {
	if containsFold(attributes, name) {
		return attributes
	}
	return append(slices.Clip(attributes), name)
}

// A description is an attribute description (RFC 4512, 2.5) taken apart.
type description struct {
	base    string // in lower case, without options
	binary  bool   // ;binary (RFC 4522)
	tagged  bool   // any other option, such as a language (RFC 3866)
	ranged  bool   // ;range=low-high (MS-ADTS 3.1.1.3.1.3.3)
	high    int    // of a range: the index of the last value present
	partial bool   // of a range: values after high are missing
}

// parseDescription reads a name as a server spells it. A malformed range counts as a tag, so that its values are
// never taken for all.
func parseDescription(name string) description {
	base, rest, _ := strings.Cut(name, ";")
	d := description{base: strings.ToLower(base)}
	for option := range strings.SplitSeq(rest, ";") {
		lower := strings.ToLower(option)
		switch {
		case option == "":
		case lower == "binary":
			d.binary = true
		case strings.HasPrefix(lower, "range="):
			high, last, ok := parseRange(lower[len("range="):])
			d.ranged, d.high, d.partial = ok, high, ok && !last
			d.tagged = d.tagged || !ok
		default:
			d.tagged = true
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
