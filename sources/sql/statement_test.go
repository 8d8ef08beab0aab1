package sql

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
)

func TestStatements(t *testing.T) {
	const pg, maria = sqlclient.PostgreSQL, sqlclient.MariaDB
	for _, tt := range []struct {
		name   string
		driver sqlclient.Driver
		text   string
		want   string
		args   []any
	}{
		{"a parameter", pg, "SELECT a FROM t WHERE b = :anchor", "SELECT a FROM t WHERE b = $1", []any{"17"}},
		{"twice the same", pg, "SELECT :anchor, :anchor", "SELECT $1, $1", []any{"17"}},
		{"MariaDB has no numbers", maria, "SELECT :anchor, :anchor", "SELECT ?, ?", []any{"17", "17"}},
		{"a cast is none", pg, "SELECT a::text FROM t WHERE b = :anchor::int", "SELECT a::text FROM t WHERE b = $1::int", []any{"17"}},
		{"nor is a text", pg, "SELECT ':anchor', 'it''s :x' FROM t WHERE b = :anchor", "SELECT ':anchor', 'it''s :x' FROM t WHERE b = $1", []any{"17"}},
		{"nor a name", pg, `SELECT ":x" FROM t WHERE b = :anchor`, `SELECT ":x" FROM t WHERE b = $1`, []any{"17"}},
		{"nor a name of MariaDB", maria, "SELECT `:x` FROM t WHERE b = :anchor", "SELECT `:x` FROM t WHERE b = ?", []any{"17"}},
		{"nor a comment", pg, "SELECT a -- :x\n/* :y /* :z */ */ FROM t WHERE b = :anchor", "SELECT a -- :x\n/* :y /* :z */ */ FROM t WHERE b = $1", []any{"17"}},
		{"nor a comment of MariaDB", maria, "SELECT a # :x\nFROM t WHERE b = :anchor", "SELECT a # :x\nFROM t WHERE b = ?", []any{"17"}},
		{"nor a text in dollars", pg, "SELECT $x$:y $$ $x$ FROM t WHERE b = :anchor", "SELECT $x$:y $$ $x$ FROM t WHERE b = $1", []any{"17"}},
		{"escapes of MariaDB", maria, `SELECT '\':x' FROM t WHERE b = :anchor`, `SELECT '\':x' FROM t WHERE b = ?`, []any{"17"}},
		{"escapes of PostgreSQL", pg, `SELECT E'\':x', '\' FROM t WHERE b = :anchor`, `SELECT E'\':x', '\' FROM t WHERE b = $1`, []any{"17"}},
		{"the semicolon goes", pg, "SELECT :anchor ; -- done", "SELECT $1 ", []any{"17"}},
		{"in brackets", pg, "(SELECT :anchor)", "(SELECT $1)", []any{"17"}},
		{"a hash is an operator of PostgreSQL", pg, "SELECT a #> b, :anchor", "SELECT a #> b, $1", []any{"17"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseStatement(tt.driver, tt.text, "anchor")
			if err != nil {
				t.Fatal(err)
			}
			text, args := s.bind(tt.driver, map[string]string{"anchor": "17"})
			if diff := cmp.Diff(tt.want, text) + cmp.Diff(tt.args, args); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatementsThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{"DELETE FROM people WHERE id = :anchor", "begin with SELECT or WITH"},
		{"", "begin with SELECT or WITH"},
		{"-- SELECT :anchor", "begin with SELECT or WITH"},
		{"SELECT :anchor; DELETE FROM people", "one statement is enough"},
		{"SELECT a FROM people", "would ask for everybody"},
		{"SELECT ':anchor' FROM people", "would ask for everybody"},
		{"SELECT :anchor, :login", "no parameter :login, but :anchor"},
		{"SELECT 'a, :anchor", "has no end"},
		{"SELECT E'a, :anchor", "has no end"},
		{"SELECT $x$ :anchor", "has no end"},
		{"SELECT :anchor\x00", "NUL"},
	} {
		if s, err := parseStatement(sqlclient.PostgreSQL, tt.text, "anchor"); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %+v, %v", tt.text, s, err)
		}
	}
	if _, err := parseStatement(sqlclient.MariaDB, "SELECT ?", "anchor"); err == nil {
		t.Error("a parameter without a name is taken")
	}
	if _, err := parseStatement(sqlclient.MariaDB, "SELECT :since"); err == nil {
		t.Error("a parameter is taken where there is none")
	}
}

// Whatever an administrator writes: nothing panics, and what is sent is what was written, but for the parameters.
func FuzzStatement(f *testing.F) {
	for _, seed := range []string{
		"SELECT a FROM t WHERE b = :anchor;", "SELECT E'\\' :anchor", "SELECT $a$ :x $a$, :anchor -- x", "WITH x AS (SELECT 1) /* :y */ SELECT :anchor",
		"SELECT 'x", "SELECT `x", "SELECT $", "SELECT :", "SELECT ::", "E'", "SELECT e'", "/*", "--", "#",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, driver := range []sqlclient.Driver{sqlclient.PostgreSQL, sqlclient.MariaDB} {
			s, err := parseStatement(driver, text, "anchor")
			if err != nil {
				continue
			}
			if again := strings.Join(s.parts, ":anchor"); !strings.HasPrefix(text, again) || len(s.names) != len(s.parts)-1 {
				t.Errorf("%q became %q", text, again)
			}
		}
	})
}
