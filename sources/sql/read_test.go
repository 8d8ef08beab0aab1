//go:build unix

package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sourcetest"
	"github.com/dirsweep/dirsweep/sources/sqltest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// read returns who was read by login, what was said of single people, and how the read ended.
func read(ctx context.Context, s sources.Source) (people map[string]identity.Person, personal []string, facts *sources.ReadFacts, err error) {
	people = map[string]identity.Person{}
	all, facts := sources.Read(ctx, s, true)
	for p, e := range all {
		var trouble *sources.PersonError
		switch {
		case errors.As(e, &trouble):
			personal = append(personal, e.Error())
		case e != nil:
			return people, personal, facts, e
		default:
			people[p.Name] = p
		}
	}
	return people, personal, facts, nil
}

// incomplete fails the test where a read is not refused, names a secret, or does not say what is expected.
func incomplete(t *testing.T, s sources.Source, says string) {
	t.Helper()
	people, _, facts, err := read(t.Context(), s)
	if !errors.Is(err, sources.ErrIncomplete) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), readersPassword) {
		t.Errorf("the read ended with %v, which does not say %q", err, says)
	}
	if len(people) > 0 || facts.People > 0 {
		t.Errorf("%d people were handed out of half a list", len(people))
	}
}

func TestR02APartIsNeverTheWhole(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		endless := "SELECT employee_id, login, surname, mail, department, works, pg_sleep(60) FROM people"
		long := "SELECT generate_series(1, 100000) AS employee_id, '' AS login, '' AS surname, '' AS mail, '' AS department, true AS works"
		broken := "SELECT employee_id, login, surname, mail, department, works, 1 / (employee_id - 2) AS x FROM people ORDER BY employee_id"
		twice := "query: it returns two columns called mail: give one of them another name"
		if s.Driver == "mariadb" {
			twice = "query: Duplicate column name 'MAIL'"
			endless = "SELECT employee_id, login, surname, mail, department, works, SLEEP(60) FROM people"
			long = "SELECT 1 AS employee_id, '' AS login, '' AS surname, '' AS mail, '' AS department, 1 AS works " +
				"FROM information_schema.collations a, information_schema.collations b"
			broken = "SELECT employee_id, login, surname, mail, department, works, (SELECT employee_id FROM people UNION SELECT 0) AS x FROM people"
		}
		for _, tt := range []struct {
			name string
			says string
			line []string
		}{
			{"no such table", "nobodies", []string{`query = "SELECT * FROM nobodies"`}},
			{"no right to read it", "denied", []string{`query = "SELECT * FROM secrets"`}},
			{"no such column", "query: it returns no column called surname, but employee_id, login: add it", []string{`query = "SELECT employee_id, login FROM people"`}},
			{"a column twice", twice, []string{
				`query = "SELECT ` + selected + `, login AS MAIL FROM people"`,
			}},
			{"an answer that never comes", "did not answer in time", []string{fmt.Sprintf("query = %q", endless), `timeout = "1s"`}},
			{"an answer that is too long", "more than 1000 rows: raise max_people", []string{fmt.Sprintf("query = %q", long), "max_people = 1000"}},
			{"an error after the first row", "", []string{fmt.Sprintf("query = %q", broken)}},
			{"a wrong password", "", []string{`password = "` + readersPassword + ` not"`}},
			{"no such database", "", []string{`database = "nowhere"`}},
			{"nobody listens", "127.0.0.1:1", []string{`address = "127.0.0.1:1"`}},
			{"groups that cannot be read", "groups: it returns 1 columns, and has to return two", []string{`groups = "SELECT employee_id FROM roles"`}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if tt.name == "no right to read it" {
					c.exec(t, "CREATE TABLE secrets (employee_id INT)")
				}
				incomplete(t, c.opened(t, sources.Need{Attributes: []string{"surname"}, Groups: tt.name[0] == 'g'}, tt.line...), tt.says)
			})
		}
	})
}

// A server that dies, or falls silent, while it is read leaves nobody behind who might be taken for everybody.
func TestR02AServerThatDiesInTheMiddle(t *testing.T) {
	alone(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		slow := "SELECT " + selected + ", pg_sleep(0.5) FROM people"
		if s.Driver == "mariadb" {
			slow = "SELECT " + selected + ", SLEEP(0.5) FROM people"
		}
		source := c.opened(t, sources.Need{}, fmt.Sprintf("query = %q", slow), `timeout = "2s"`)
		time.AfterFunc(200*time.Millisecond, func() { s.Freeze(t) })
		incomplete(t, source, "did not answer in time")
		s.Thaw(t)
		if people, _, _, err := read(t.Context(), source); err != nil || len(people) != 2 {
			t.Errorf("afterwards: %v, %v", people, err)
		}
		time.AfterFunc(200*time.Millisecond, func() { s.Kill(t) })
		incomplete(t, source, "")
	})
}

// A table that is loaded in steps says when it is whole, in the very transaction that is read.
func TestR02ATableThatIsBeingLoaded(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		c.exec(t, "CREATE TABLE loads (done BOOLEAN)")
		if s.Driver == "mariadb" {
			c.exec(t, fmt.Sprintf("GRANT SELECT ON %s.loads TO %s@'%%'", c.database, reader))
		} else {
			c.exec(t, "GRANT SELECT ON loads TO "+reader)
		}
		source := c.opened(t, sources.Need{}, `complete = "SELECT done FROM loads"`)
		bob := "2"
		lookUp := func() error {
			_, err := source.(sources.Finder).Find(t.Context(), sources.Lookup{Anchor: bob})
			return err
		}
		incomplete(t, source, "complete: it returned 0 rows")
		c.exec(t, "INSERT INTO loads VALUES (FALSE)")
		incomplete(t, source, "complete: it says no")
		if err := lookUp(); err == nil || !strings.Contains(err.Error(), "complete: it says no") {
			t.Errorf("a look-up while the table is loaded: %v", err)
		}
		c.exec(t, "UPDATE loads SET done = NULL")
		incomplete(t, source, `complete: it says ""`)
		c.exec(t, "UPDATE loads SET done = TRUE")
		if people, _, _, err := read(t.Context(), source); err != nil || len(people) != 2 {
			t.Errorf("when it is whole: %v, %v", people, err)
		}
		if err := lookUp(); err != nil {
			t.Error(err)
		}
	})
}

// Whoever empties the table, to fill it anew, waits until a read that has begun is over.
func TestR02ATableThatIsEmptiedUnderTheRead(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		wait := "SELECT true FROM pg_sleep(0.5)"
		if s.Driver == "mariadb" {
			wait = "SELECT SLEEP(0.5) = 0"
		}
		source := c.opened(t, sources.Need{}, fmt.Sprintf("complete = %q", wait))
		emptied := make(chan struct{})
		time.AfterFunc(200*time.Millisecond, func() {
			defer close(emptied)
			c.exec(t, "TRUNCATE TABLE people")
		})
		if people, _, _, err := read(t.Context(), source); err != nil || len(people) != 2 {
			t.Errorf("%d people, %v", len(people), err)
		}
		<-emptied
	})
}

// H7: one human in two rows is disputed: neither row is taken for the person, and the finding names both.
func TestH7TwoRowsWithOneAnchor(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.exec(t, "CREATE VIEW contracts AS SELECT 17 AS employee_id, 'old' AS login, '' AS surname, '' AS mail, '' AS department, 0 AS works "+
			"UNION ALL SELECT 94, 'bob', '', '', '', 1 UNION ALL SELECT 17, 'new', '', '', '', 1")
		grant := "GRANT SELECT ON contracts TO " + reader
		if s.Driver == "mariadb" {
			grant = fmt.Sprintf("GRANT SELECT ON %s.contracts TO %s@'%%'", c.database, reader)
		}
		c.exec(t, grant)
		source := c.opened(t, sources.Need{}, `query = "SELECT `+selected+` FROM contracts"`,
			`find = "SELECT `+selected+` FROM contracts WHERE employee_id = :anchor"`)
		people, personal, facts, err := read(t.Context(), source)
		if err != nil || len(people) != 1 || people["bob"].ID.Anchor != "94" || facts.People != 3 {
			t.Errorf("%v, %+v, %v", people, facts, err)
		}
		const why = ": query returns the employee_id 17 2 times, in row 1 (login old) and row 3 (login new): let it return one row for each person"
		if diff := cmp.Diff([]string{"login=old" + why, "login=new" + why}, personal); diff != "" {
			t.Error(diff)
		}
		if seen, err := source.(sources.Finder).Find(t.Context(), sources.Lookup{Anchor: "17"}); err == nil {
			t.Errorf("one of two rows is found: %+v", seen)
		}
	})
}

// H8: an empty anchor equals nothing, not even another empty one; nobody is missing because of it.
func TestH8AnEmptyAnchorIsNobodys(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob", "eve", "zoe")
		c.change(t, "bob", "mail = ''")
		c.change(t, "eve", "mail = ''")
		c.change(t, "zoe", "mail = NULL")
		people, personal, facts, err := read(t.Context(), c.opened(t, sources.Need{}, `anchor = "mail"`))
		if err != nil || len(people) != 1 || people["ann"].ID.Anchor != "ann@example.org" || facts.Nameless.Count != 3 || len(personal) != 3 {
			t.Errorf("%v, %v, %+v, %v", people, personal, facts, err)
		}
		if !strings.Contains(strings.Join(personal, "\n"), "row 2 (login bob): row 2: mail is empty") {
			t.Errorf("%q", personal)
		}
	})
}

// H3: anchors are text; leading zeros count.
func TestH3AnchorsAreText(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		c.change(t, "ann", "mail = '00123'")
		c.change(t, "bob", "mail = '123'")
		find := `find = "SELECT ` + selected + ` FROM people WHERE mail = :anchor"`
		source := c.opened(t, sources.Need{}, `anchor = "mail"`, find)
		people, _, _, err := read(t.Context(), source)
		if err != nil || people["ann"].ID.Anchor != "00123" || people["bob"].ID.Anchor != "123" {
			t.Errorf("%v, %v", people, err)
		}
		// A statement that makes numbers of them answers with somebody else, and is not believed.
		number := "mail::int = :anchor::int"
		if s.Driver == "mariadb" {
			number = "mail + 0 = :anchor + 0"
		}
		c.change(t, "bob", "external = TRUE")
		c.change(t, "bob", "mail = '0123'")
		source = c.opened(t, sources.Need{}, `anchor = "mail"`, `find = "SELECT `+selected+` FROM people WHERE NOT works OR `+number+`"`)
		if seen, err := source.(sources.Finder).Find(t.Context(), sources.Lookup{Anchor: "123"}); err == nil {
			t.Errorf("asked for 123, it believes %+v", seen)
		}
	})
}

// H5: an instant is told as one; a day, and what a clock showed, leave it to the config in whose zone.
func TestH5DatesKeepTheirZone(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		instant, clock := "TIMESTAMPTZ", "TIMESTAMP"
		if s.Driver == "mariadb" {
			instant, clock = "TIMESTAMP", "DATETIME"
		}
		c.exec(t, "ALTER TABLE people ADD last_day DATE", "ALTER TABLE people ADD ends "+instant+" NULL", "ALTER TABLE people ADD clock "+clock,
			"ALTER TABLE people ADD salary DECIMAL(9,2)", "ALTER TABLE people ADD share DOUBLE PRECISION")
		c.hire(t, "Sales", "ann", "bob")
		at := "'2026-05-14 17:00:00+10'"
		if s.Driver == "mariadb" {
			at = "CONVERT_TZ('2026-05-14 17:00:00', '+10:00', @@session.time_zone)"
		}
		c.exec(t, "UPDATE people SET last_day = '2026-05-14', ends = "+at+", clock = '2026-05-14 17:00:00', salary = 1000000, share = 1e21 WHERE login = 'ann'")
		names := []string{"clock", "ends", "last_day", "salary", "share"}
		columns := `columns = ["last_day", "ends", "clock", "salary", "share"]`
		source := c.opened(t, sources.Need{Attributes: names}, columns, `query = "SELECT * FROM people"`,
			`find = "SELECT * FROM people WHERE employee_id = :anchor"`)
		people, _, facts, err := read(t.Context(), source)
		if err != nil {
			t.Fatal(err)
		}
		want := identity.Attributes{
			"last_day": {"2026-05-14"}, "ends": {"2026-05-14T07:00:00Z"}, "clock": {"2026-05-14 17:00:00"},
			"salary": {"1000000.00"}, "share": {"1000000000000000000000"},
		}
		if diff := cmp.Diff(want, people["ann"].Attributes) + cmp.Diff(identity.Attributes{}, people["bob"].Attributes); diff != "" {
			t.Error(diff)
		}
		if facts.Attributes["last_day"] != 1 || facts.Attributes["clock"] != 1 {
			t.Errorf("%v", facts.Attributes)
		}
		// A look-up, which is prepared, reads the same as the list, which is not.
		seen, err := source.(sources.Finder).Find(t.Context(), sources.Lookup{Anchor: people["ann"].ID.Anchor})
		if diff := cmp.Diff(people["ann"], seen.Person); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

// A value that is not text is told by its column's name, and neither absent nor guessed.
func TestBytesAreUnreadable(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		bytes, value := "BYTEA", `'\xff00'`
		if s.Driver == "mariadb" {
			bytes, value = "BLOB", "x'ff00'"
		}
		c.exec(t, "ALTER TABLE people ADD photo "+bytes)
		c.hire(t, "Sales", "ann")
		c.exec(t, "UPDATE people SET photo = "+value)
		people, _, _, err := read(t.Context(), c.opened(t, sources.Need{Attributes: []string{"photo"}}, `columns = ["photo"]`, `query = "SELECT * FROM people"`))
		if ann := people["ann"]; err != nil || len(ann.Attributes) != 0 || cmp.Diff([]string{"photo"}, ann.Unreadable) != "" {
			t.Errorf("%+v, %v", ann, err)
		}
	})
}

// H6, H9: a status that nobody has declared says nothing of the person; who has left is not active.
func TestH9AnUnknownStatusSaysNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "active", "ann")
		c.hire(t, "Terminated", "bob")
		c.hire(t, "suspended", "eve")
		c.hire(t, "", "zoe")
		people, personal, _, err := read(t.Context(), c.opened(t, sources.Need{},
			"status {\n column = \"department\"\n active = [\"active\"]\n left = [\"terminated\"]\n}"))
		if err != nil || len(people) != 2 || !people["ann"].Active || people["bob"].Active ||
			people["bob"].Inactive != `department is "Terminated"` {
			t.Errorf("%+v, %v", people, err)
		}
		want := []string{
			`login=eve: row 3: department is "suspended", which is in neither list of status: add it to active or to left`,
			"login=zoe: row 4: department is empty: it has to be one of active or left",
		}
		if diff := cmp.Diff(want, personal); diff != "" {
			t.Error(diff)
		}
	})
}

func TestGroups(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob", "eve")
		c.exec(t, "INSERT INTO roles VALUES (1, 'wiki'), (1, 'admins'), (1, 'wiki'), (2, 'wiki'), (77, 'ghosts'), (NULL, 'wiki'), (3, NULL)")
		source := c.opened(t, sources.Need{Groups: true}, `groups = "SELECT employee_id, role FROM roles"`)
		people, _, facts, err := read(t.Context(), source)
		if err != nil {
			t.Fatal(err)
		}
		want := []identity.Group{{Name: "admins", DN: "admins"}, {Name: "wiki", DN: "wiki"}}
		if diff := cmp.Diff(want, people["ann"].Groups) + cmp.Diff(want[1:], people["bob"].Groups) + cmp.Diff([]identity.Group(nil), people["eve"].Groups); diff != "" {
			t.Error(diff)
		}
		wantFacts := []sources.GroupFact{
			{DN: "admins", Name: "admins", Values: 1, People: 1},
			{DN: "ghosts", Name: "ghosts", Values: 1, Unknown: 1},
			{DN: "wiki", Name: "wiki", Values: 2, People: 2},
		}
		if diff := cmp.Diff(wantFacts, facts.Groups); diff != "" {
			t.Error(diff)
		}
		seen, err := source.(sources.Finder).Find(t.Context(), sources.Lookup{Anchor: "1"})
		if diff := cmp.Diff(people["ann"], seen.Person); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

// A read keeps the database busy for as long as it takes to read it, however slow whoever takes the people in is.
func TestTheTransactionEndsBeforeAnybodyIsHandedOut(t *testing.T) {
	c := found(t, started(t, shared.postgresql))
	c.hire(t, "Sales", "ann", "bob")
	source := c.opened(t, sources.Need{})
	for range source.People(t.Context()) {
		busy := c.Query(t, c.database, "SELECT pid FROM pg_stat_activity WHERE datname = '"+c.database+"' AND usename = '"+reader+"' AND state <> 'idle'")
		if len(busy) > 0 {
			t.Error("a transaction is open")
		}
	}
	if got := len(sourcetest.Read(t, source)); got != 2 {
		t.Errorf("%d people", got)
	}
}

// A statement that is given up does not go on in the database, where the next pass would begin another.
func TestR18AStatementThatIsGivenUpEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann")
		busy := "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
		running := "SELECT state FROM pg_stat_activity WHERE datname = '" + c.database + "' AND usename = '" + reader + "' AND state <> 'idle'"
		if s.Driver == "mariadb" {
			busy = "SELECT count(*) FROM information_schema.collations a, information_schema.collations b, information_schema.collations c, " +
				"information_schema.collations d WHERE a.id + b.id + c.id + d.id = -1"
			running = "SELECT state FROM information_schema.processlist WHERE db = '" + c.database + "' AND user = '" + reader + "' AND command <> 'Sleep'"
		}
		incomplete(t, c.opened(t, sources.Need{}, fmt.Sprintf("query = %q", "SELECT "+selected+", ("+busy+") AS n FROM people"), `timeout = "500ms"`),
			"did not answer in time")
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if rows := c.Query(t, c.database, running); len(rows) == 0 {
				return
			} else if time.Now().After(end) {
				t.Fatalf("it goes on: %v", rows)
			}
		}
	})
}
