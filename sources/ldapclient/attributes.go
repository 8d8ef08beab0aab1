package ldapclient

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

// Vocabulary is every attribute name that expressions may use: the known ones and extra ones, whose spelling
// prevails, sorted.
func Vocabulary(extra ...string) []string {
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

// Spelling returns a known attribute's name as its schema spells it.
func Spelling(lower string) string {
	for name := range known() {
		if strings.EqualFold(name, lower) {
			return name
		}
	}
	return lower
}

// Binaries is the set of attributes, in lower case, whose values are not text.
func Binaries() map[string]bool {
	set := make(map[string]bool)
	for name, mark := range known() {
		if mark == "binary" {
			set[strings.ToLower(name)] = true
		}
	}
	return set
}

// Exact lists the attributes whose values the schema compares letter for letter, or byte for byte.
func Exact() []string {
	var names []string
	for name, mark := range known() {
		if mark != "" {
			names = append(names, name)
		}
	}
	return names
}

// With adds a name to a list of attributes, where it is not in it.
func With(attributes []string, name string) []string {
	if ContainsFold(attributes, name) {
		return attributes
	}
	return append(slices.Clip(attributes), name)
}
