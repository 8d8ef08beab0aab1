package sql

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
)

func TestCompile(t *testing.T) {
	const pg, maria = sqlclient.PostgreSQL, sqlclient.MariaDB
	tests := []struct {
		driver      sqlclient.Driver
		text, query string
		parameters  string
		complaint   string
	}{
		{pg, "UPDATE u SET a = :userName WHERE id = :id;\n", "UPDATE u SET a = $1 WHERE id = $2", "userName id", ""},
		{maria, "UPDATE u SET a = :userName WHERE id = :id", "UPDATE u SET a = ? WHERE id = ?", "userName id", ""},
		{pg, "SELECT :id, :id", "SELECT $1, $2", "id id", ""},
		{pg, "SELECT ':id', \"a:id\", now()::text", "SELECT ':id', \"a:id\", now()::text", "", ""},
		{pg, "SELECT 'it''s :id', E'it\\'s :id', 'back\\', :id", "SELECT 'it''s :id', E'it\\'s :id', 'back\\', $1", "id", ""},
		{maria, "SELECT 'it\\'s :id', `a:id`, \"a\\\":id\" # :id", "SELECT 'it\\'s :id', `a:id`, \"a\\\":id\" # :id", "", ""},
		{pg, "SELECT a # :id", "SELECT a # $1", "id", ""},
		{pg, "SELECT 1 -- :id\n, :id", "SELECT 1 -- :id\n, $1", "id", ""},
		{pg, "SELECT /* /* :id */ :id */ :id", "SELECT /* /* :id */ :id */ $1", "id", ""},
		{maria, "SELECT /* /* :id */ :id", "SELECT /* /* :id */ ?", "id", ""},
		{pg, "SELECT $$:id$$, $a$ $$:id $a$, :id", "SELECT $$:id$$, $a$ $$:id $a$, $1", "id", ""},
		{maria, "SET @a := :id", "SET @a := ?", "id", ""},
		{pg, "SELECT data ? 'a'", "SELECT data ? 'a'", "", ""},
		{pg, "DELETE FROM u; DROP TABLE u", "", "", "more than one statement"},
		{pg, "SELECT $1", "", "", "parameters have names"},
		{maria, "SELECT ?", "", "", "parameters have names"},
		{pg, "SELECT 'a", "", "", "does not end"},
		{pg, "SELECT $a$ $b$", "", "", "does not end"},
		{pg, "SELECT /* /* */", "", "", "does not end"},
		{pg, " ;; ", "", "", "empty"},
		{pg, "SELECT 'a\x00'", "", "", "not text"},
	}
	for _, tt := range tests {
		s, err := compile(tt.driver, tt.text)
		if tt.complaint != "" {
			if err == nil || !strings.Contains(err.Error(), tt.complaint) {
				t.Errorf("%s: error %v, want %s", tt.text, err, tt.complaint)
			}
			continue
		}
		if err != nil || s.query != tt.query || strings.Join(s.parameters, " ") != tt.parameters {
			t.Errorf("%s: %q %q, %v, want %q %q", tt.text, s.query, s.parameters, err, tt.query, tt.parameters)
		}
	}
}

// FuzzCompile: what is not a parameter stays as it is, whatever the text.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"UPDATE u SET a = :b WHERE id = :id", "SELECT E'\\'', $a$:x$a$, \"::\", `:y` -- :z\n/* /**/ */ :=", "e'", "::::a", "$", ":E':a'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return // the comparison below takes its time
		}
		for _, driver := range []sqlclient.Driver{sqlclient.PostgreSQL, sqlclient.MariaDB} {
			s, err := compile(driver, text)
			if err != nil {
				continue
			}
			rest, back := s.query, ""
			_, marker := "?", "?"
			for i, name := range s.parameters {
				if driver == sqlclient.PostgreSQL {
					marker = "$" + string(rune('1'+i))
				}
				if i > 8 {
					return
				}
				// The first marker outside of what was copied: all before it is in the text, too.
				at := 0
				for {
					n := strings.Index(rest[at:], marker)
					if n < 0 {
						t.Fatalf("%q became %q, which has no place for :%s", text, s.query, name)
					}
					if candidate := back + rest[:at+n] + ":" + name; strings.HasPrefix(text, candidate) {
						back, rest = candidate, rest[at+n+len(marker):]
						break
					}
					at += n + len(marker)
				}
			}
			if want := strings.TrimRight(text, "; \t\r\n"); back+rest != want {
				t.Fatalf("%q became %q", want, back+rest)
			}
		}
	})
}

func TestQuote(t *testing.T) {
	got := []string{
		quote(sqlclient.PostgreSQL, "app.users"), quote(sqlclient.PostgreSQL, `a"; DROP TABLE b; --`),
		quote(sqlclient.MariaDB, "app.users"), quote(sqlclient.MariaDB, "a`b"),
	}
	if diff := cmp.Diff([]string{`"app"."users"`, `"a""; DROP TABLE b; --"`, "`app`.`users`", "`a``b`"}, got); diff != "" {
		t.Error(diff)
	}
}
