//go:build unix

package sql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqltest"
)

func find(t *testing.T, s sources.Source, who sources.Lookup) (sources.Sighting, error) {
	t.Helper()
	finder, ok := s.(sources.Finder)
	if !ok {
		t.Fatal("the source finds nobody")
	}
	return finder.Find(t.Context(), who)
}

// H1: that a table lacks somebody proves something only where it shows somebody else in the same transaction, by the
// same statement, and in the same container.
func TestH1AbsenceHasAWitness(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		c.hire(t, "Legal, Tax", "eve")
		source := c.opened(t, sources.Need{}, `container = "department"`)
		people, _, _, err := read(t.Context(), source)
		if err != nil || people["ann"].DN != "login=ann,department=Sales" || people["ann"].Container() != "department=Sales" {
			t.Fatalf("%+v, %v", people, err)
		}
		gone := func(login string) sources.Sighting {
			t.Helper()
			c.exec(t, "DELETE FROM people WHERE login = '"+login+"'")
			p := people[login]
			seen, err := find(t, source, sources.Lookup{Anchor: p.ID.Anchor, DN: p.DN})
			if err != nil || seen.Where != sources.Gone || seen.Server != c.Address() {
				t.Errorf("%s: %+v, %v", login, seen, err)
			}
			return seen
		}
		if seen, err := find(t, source, sources.Lookup{Anchor: "77", DN: "login=x,branch=Nowhere"}); err != nil || seen.Place != sources.PlacePeopled {
			t.Errorf("from a container of another column: %+v, %v", seen, err)
		}
		if seen := gone("ann"); seen.Witness != "2" || seen.Place != sources.PlacePeopled ||
			!strings.Contains(seen.Proof, "employee_id 1 with no row: SELECT employee_id") || !strings.Contains(seen.Proof, "it returned 2") {
			t.Errorf("with a neighbour: %+v", seen)
		}
		if seen := gone("eve"); seen.Witness != "2" || seen.Place != sources.PlaceEmpty {
			t.Errorf("the last of a department: %+v", seen)
		}
		if seen := gone("bob"); seen.Witness != "" || seen.Place != sources.PlaceEmpty {
			t.Errorf("the last of all: %+v", seen)
		}
	})
}

// A look-up that does not see what is read proves nobody's absence: of another table, by another column, or without the
// right to see the rows.
func TestR01ALookUpThatSeesNobodyProvesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		blind := c.opened(t, sources.Need{}, `find = "SELECT `+selected+` FROM people WHERE employee_id = :anchor AND login = 'nobody'"`)
		if seen, err := find(t, blind, sources.Lookup{Anchor: "77", DN: "employee_id=77"}); err == nil ||
			!strings.Contains(err.Error(), "find does not return 1 either, whom query returns") {
			t.Errorf("%+v, %v", seen, err)
		}
		other := c.opened(t, sources.Need{}, `find = "SELECT `+selected+` FROM people WHERE login = :anchor OR true"`)
		if seen, err := find(t, other, sources.Lookup{Anchor: "77"}); err == nil {
			t.Errorf("everybody was found for one: %+v", seen)
		}
		source := c.opened(t, sources.Need{})
		if s.Driver == "postgresql" { // rows that are hidden from us
			c.exec(t, "ALTER TABLE people ENABLE ROW LEVEL SECURITY")
			if seen, err := find(t, source, sources.Lookup{Anchor: "1", DN: "employee_id=1"}); err != nil || seen.Witness != "" {
				t.Errorf("nobody can be seen, and it says %+v, %v", seen, err)
			}
			c.exec(t, "ALTER TABLE people DISABLE ROW LEVEL SECURITY", "REVOKE SELECT ON people FROM "+reader)
		} else {
			c.exec(t, fmt.Sprintf("REVOKE SELECT ON %s.people FROM %s@'%%'", c.database, reader))
		}
		if seen, err := find(t, source, sources.Lookup{Anchor: "1", DN: "employee_id=1"}); err == nil {
			t.Errorf("without the right to read: %+v", seen)
		}
	})
}

// H4: whoever the server finds instead is somebody else: one whose key differs in letter case, or begins alike.
func TestH4WhoIsFoundIsWhoWasAskedFor(t *testing.T) {
	c := found(t, started(t, shared.mariadb)) // it compares without letter case, and makes numbers of texts
	c.hire(t, "Sales", "ann", "bob")
	byLogin := c.opened(t, sources.Need{}, `anchor = "login"`, `find = "SELECT `+selected+` FROM people WHERE login = :anchor"`)
	for _, s := range []struct {
		source sources.Source
		anchor string
	}{{byLogin, "ANN"}, {byLogin, "ann "}, {c.opened(t, sources.Need{}), "1x"}, {c.opened(t, sources.Need{}), "01"}} {
		if seen, err := find(t, s.source, sources.Lookup{Anchor: s.anchor}); err == nil || !strings.Contains(err.Error(), "it answers with") {
			t.Errorf("asked for %q: %+v, %v", s.anchor, seen, err)
		}
	}
}

// An anchor is sent beside the statement, and never becomes part of it.
func TestAnAnchorIsNoSQL(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		source := c.opened(t, sources.Need{}, `anchor = "mail"`, `find = "SELECT `+selected+` FROM people WHERE mail = :anchor"`)
		for _, anchor := range []string{"' OR true --", "x'; DROP TABLE people; --", `\' OR 1=1 #`, "$1", ":anchor", "?"} {
			seen, err := find(t, source, sources.Lookup{Anchor: anchor, DN: "mail=x"})
			if err != nil || seen.Where != sources.Gone || seen.Witness == "" {
				t.Errorf("%q: %+v, %v", anchor, seen, err)
			}
		}
	})
}

// R14: whoever is known by another column is looked for by that one, as far as query shows them, and has the anchor
// that they have now.
func TestR14KnownByAnotherColumn(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		source := c.opened(t, sources.Need{})
		seen, err := find(t, source, sources.Lookup{Anchor: "ann", By: "LOGIN"})
		if err != nil || seen.Where != sources.InScope || seen.Person.ID.Anchor != "1" {
			t.Errorf("%+v, %v", seen, err)
		}
		if seen, err := find(t, source, sources.Lookup{Anchor: "zoe", By: "login"}); err == nil {
			t.Errorf("find asks by another column, and yet %+v", seen)
		}
		if seen, err := find(t, source, sources.Lookup{Anchor: "zoe", By: "badge"}); err == nil || !strings.Contains(err.Error(), "no column called badge") {
			t.Errorf("%+v, %v", seen, err)
		}
	})
}

// R1: PostgreSQL tells how current it is, to an account that may read and no more; after each change it is more so.
func TestR01Currency(t *testing.T) {
	c := found(t, started(t, shared.postgresql))
	c.hire(t, "Sales", "ann", "bob")
	source := c.opened(t, sources.Need{})
	_, _, before, err := read(t.Context(), source)
	if err != nil || len(before.From) != 1 || len(before.Until) != 1 {
		t.Fatalf("%+v, %v", before, err)
	}
	c.change(t, "ann", "mail = NULL")
	seen, err := find(t, source, sources.Lookup{Anchor: "1"})
	if err != nil || !seen.Currency.Covers(before.Until) || before.Until.Covers(seen.Currency) {
		t.Errorf("%+v is not later than %+v, %v", seen.Currency, before.Until, err)
	}
	for _, wrong := range [][2]string{{"", "1"}, {"7", ""}, {"7", "-1"}, {"7", "1.5"}, {"7", strings.Repeat("1", 21)}} {
		if now := position(wrong[0], wrong[1]); now != nil {
			t.Errorf("%q is a position: %v", wrong, now)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if now := source.(findable).currency(ctx); now != nil {
		t.Errorf("without an answer: %v", now)
	}
}
