//go:build unix

package sql

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqltest"
)

// offline is a block that reaches nothing.
func offline(lines ...string) string {
	return company{Server: &sqltest.Server{Driver: "postgresql"}}.block(append([]string{`address = "127.0.0.1:1"`, `database = "hr"`}, lines...)...)
}

func TestBlock(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		says  string
	}{
		{"nothing to read", []string{"query = -"}, `The argument "query" is required`},
		{"an empty query", []string{`query = " "`}, "query is a query, such as"},
		{"no anchor", []string{"anchor = -"}, `The argument "anchor" is required`},
		{"an empty anchor", []string{`anchor = ""`}, "anchor is the name of a column"},
		{"no columns", []string{`columns = []`}, "Write the columns of query's result"},
		{"a column twice", []string{`columns = ["mail", "Mail"]`}, "Mail is there already"},
		{"a query with a parameter", []string{`query = "SELECT :anchor"`}, "query: it has no parameter :anchor, nor any other"},
		{"a find without one", []string{`find = "SELECT 1"`}, "find: it does not name :anchor, so that it would ask for everybody"},
		{"a change query without one", []string{`changes = "SELECT 1"`}, "changes: it does not name :since"},
		{"a statement that writes", []string{`find = "UPDATE people SET a = :anchor"`}, "find: a statement has to begin with SELECT or WITH"},
		{"both active and left", []string{"status {\n column = \"a\"\n active = [\"x\"]\n left = [\"X\"]\n}"}, `"X" is in both lists`},
		{"overlap alone", []string{`overlap = "1m"`}, "overlap is for changes"},
		{"an anchor that changes", []string{`anchor = "login"`}, "Whoever gets another login would read as a leaver and a joiner"},
		{"a driver that there is not", []string{`driver = "oracle"`}, `"oracle" is none of`},
		{"in the clear", []string{`address = "db.example.org:5432"`}, "db.example.org:5432 is not on this machine"},
		{"an argument that there is not", []string{`filter = "x"`}, `An argument named "filter" is not expected here`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := parse(t, offline(tt.lines...))
			said := ""
			for _, diag := range diags {
				said += diag.Detail + "\n"
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("said %q, and not %q", said, tt.says)
			}
		})
	}
}

func TestBlockDeclaresItsColumns(t *testing.T) {
	spec, diags := parse(t, offline(`columns = ["mail"]`, `container = "Department"`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff([]string{"mail", "employee_id", "login", "Department", "works"}, spec.Attributes()); diff != "" {
		t.Error(diff)
	}
	if spec.CaseSensitive() {
		t.Error("the letter case of columns counts")
	}
}

// What a block has no statement for, its source cannot do, by its very type (R1).
func TestR01WithoutFindThereIsNoFinder(t *testing.T) {
	const changes = `changes = "SELECT employee_id FROM people WHERE changed_at > :since"`
	for _, tt := range []struct {
		lines          []string
		finds, follows bool
	}{
		{nil, true, false},
		{[]string{"find = -"}, false, false},
		{[]string{changes}, true, true},
		{[]string{"find = -", changes}, false, true},
	} {
		s := open(t, sources.Need{Follow: true}, offline(tt.lines...))
		_, finds := s.(sources.Finder)
		_, follows := s.(sources.Follower)
		if finds != tt.finds || follows != tt.follows {
			t.Errorf("%v: finds %t, follows %t", tt.lines, finds, follows)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	s := open(t, sources.Need{}, offline(changes))
	if _, follows := s.(sources.Follower); follows {
		t.Error("follows though nobody asks for that")
	}
	_ = s.Close()
}

// R14: what selects people is told apart from what does not.
func TestR14Selection(t *testing.T) {
	of := func(lines ...string) (string, map[string]uint64) {
		s := open(t, sources.Need{Groups: true}, offline(append(lines, `groups = "SELECT employee_id, role FROM roles"`)...))
		defer s.Close()
		return s.(sources.Selective).Selection()
	}
	anchor, settings := of()
	if anchor != "employee_id" {
		t.Errorf("anchor %q", anchor)
	}
	for line, want := range map[string]string{
		`query = "SELECT employee_id FROM people"`: "query", `database = "other"`: "database",
		`find = "SELECT employee_id FROM people WHERE employee_id = :anchor"`: "", `name = "mail"`: "",
	} {
		_, other := of(line)
		changed := ""
		for name, print := range settings {
			if other[name] != print {
				changed += name
			}
		}
		if changed != want {
			t.Errorf("%s: changed %q, want %q", line, changed, want)
		}
	}
	if _, err := (spec{}).Open(sources.Need{Groups: true}); err == nil || !strings.Contains(err.Error(), "groups =") {
		t.Errorf("groups without a statement: %v", err)
	}
}
