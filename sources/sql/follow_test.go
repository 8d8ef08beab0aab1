//go:build unix

package sql

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqltest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// latest is what a follower shows now, by login.
func latest(t *testing.T, s sources.Source) (map[string]identity.Person, *sources.ReadFacts) {
	t.Helper()
	people := map[string]identity.Person{}
	all, facts := sources.Read(t.Context(), s, false)
	for p, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		people[p.Name] = p
	}
	return people, facts
}

func following(t *testing.T, c company, lines ...string) (s sources.Source, f *follower) {
	t.Helper()
	s = c.opened(t, sources.Need{Attributes: []string{"mail"}, Follow: true, Scratch: t.TempDir()}, append([]string{c.changes()}, lines...)...)
	return s, s.(findableAndFollowable).follower
}

// Who changed is read again, by the change query, and nobody else; who left or is new shows in any case.
func TestLatest(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob", "eve", "zoe")
		c.exec(t, "UPDATE people SET changed_at = '2020-01-01 00:00:00'")
		source, f := following(t, c)
		latest(t, source)
		base := f.kept
		c.change(t, "ann", "mail = 'new@example.org'")
		c.exec(t, "UPDATE people SET mail = 'silent@example.org' WHERE login = 'bob'") // without a word
		c.exec(t, "DELETE FROM people WHERE login = 'eve'")
		c.exec(t, "UPDATE people SET external = TRUE WHERE login = 'zoe'")
		c.hire(t, "Sales", "max")
		people, facts := latest(t, source)
		if diff := cmp.Diff([]string{"ann", "bob", "max"}, slices.Sorted(maps.Keys(people))); diff != "" {
			t.Error(diff)
		}
		if people["ann"].Attributes["mail"][0] != "new@example.org" || people["bob"].Attributes["mail"][0] != "bob@example.org" {
			t.Errorf("%+v", people)
		}
		if facts.People != 3 || facts.Attributes["mail"] != 3 || facts.Missed.Count != 0 {
			t.Errorf("%+v", facts)
		}
		if f.kept != base || len(f.kept.changed) != 2 {
			t.Errorf("everybody was read anew, or %v have changed", f.kept.changed)
		}
		// The whole read finds what the change query did not tell.
		followed, err := f.Renew(t.Context(), func(int) {})
		if !followed || err != nil {
			t.Fatal(followed, err)
		}
		people, facts = latest(t, source)
		if people["bob"].Attributes["mail"][0] != "silent@example.org" || facts.Missed.Count != 1 || facts.Missed.First[0] != "login=bob" {
			t.Errorf("%+v, %+v", people["bob"], facts.Missed)
		}
	})
}

// Where the change query does not account for everybody, everybody is read anew.
func TestLatestReadsAnew(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		for _, tt := range []struct {
			name   string
			lines  []string
			change func()
		}{
			{"somebody new of whom nothing is told", nil, func() {
				c.exec(t, "INSERT INTO people (login, changed_at) VALUES ('new', '2020-01-01 00:00:00')")
			}},
			{
				"a row without an anchor",
				[]string{`anchor = "mail"`, `find = "SELECT ` + selected + ` FROM people WHERE mail = :anchor"`},
				func() { c.change(t, "ann", "mail = NULL") },
			},
			{"a change query that fails", []string{`changes = "SELECT 1 / 0 AS x WHERE :since = 'x'"`}, func() {}},
			{"one that lacks a column", []string{`changes = "SELECT employee_id FROM people WHERE changed_at >= :since"`}, func() {}},
			{"one that returns somebody twice", []string{fmt.Sprintf("changes = %q", "SELECT "+selected+" FROM people WHERE changed_at >= :since UNION ALL SELECT "+
				selected+" FROM people")}, func() { c.change(t, "ann", "surname = 'x'") }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c.exec(t, "DELETE FROM people")
				c.hire(t, "Sales", "ann", "bob")
				source, f := following(t, c, tt.lines...)
				latestOf(source, t)
				base := f.kept
				tt.change()
				want, _, _, err := read(t.Context(), source)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, latestOf(source, t)); diff != "" {
					t.Error(diff)
				}
				if f.kept == base {
					t.Error("nothing was read anew")
				}
			})
		}
	})
}

// latestOf is latest, without those of whom nothing can be said.
func latestOf(s sources.Source, t *testing.T) map[string]identity.Person {
	t.Helper()
	people := map[string]identity.Person{}
	all, _ := sources.Read(t.Context(), s, false)
	for p, err := range all {
		if err == nil {
			people[p.Name] = p
		}
	}
	return people
}

// A transaction that commits late is not missed where overlap is longer than it takes.
func TestLatestOverlaps(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		source, _ := following(t, c)
		late, err := c.Open(t, c.database, sqltest.Admin, sqltest.Password).Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := late.Exec("UPDATE people SET mail = 'late@example.org', changed_at = CURRENT_TIMESTAMP WHERE login = 'ann'"); err != nil {
			t.Fatal(err)
		}
		latest(t, source)
		latest(t, source)
		if err := late.Commit(); err != nil {
			t.Fatal(err)
		}
		if people, _ := latest(t, source); people["ann"].Attributes["mail"][0] != "late@example.org" {
			t.Errorf("%+v", people["ann"])
		}
	})
}

// A read that fails leaves no part behind: the next one is whole.
func TestR02LatestAfterAnOutage(t *testing.T) {
	alone(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		source, _ := following(t, c)
		latest(t, source)
		s.Stop(t)
		all, facts := sources.Read(t.Context(), source, false)
		n := 0
		var last error
		for _, err := range all {
			if last = err; err == nil {
				n++
			}
		}
		if n > 0 || last == nil || facts.People > 0 {
			t.Errorf("%d people of a dead server, then %v", n, last)
		}
		s.Start(t)
		c.exec(t, "DELETE FROM people WHERE login = 'ann'")
		if people, _ := latest(t, source); len(people) != 1 {
			t.Errorf("%v", people)
		}
	})
}
