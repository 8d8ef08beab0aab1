//go:build unix

package sql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqltest"
)

func check(t *testing.T, s sources.Source) (string, error) {
	t.Helper()
	lines, err := s.(sources.Checker).Check(t.Context())
	return strings.Join(lines, "\n"), err
}

func expect(t *testing.T, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("%q is not said:\n%s", text, said)
		}
	}
}

// The rights that docs/sources/sql.md names are enough, and nothing is warned of.
func TestCheckWithTheLeastRights(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob")
		c.exec(t, "INSERT INTO roles VALUES (1, 'wiki')")
		need := sources.Need{Attributes: []string{"mail", "surname"}, Groups: true, Follow: true}
		said, err := check(t, c.opened(t, need, c.changes(), `groups = "SELECT employee_id, role FROM roles"`, `complete = "SELECT true"`))
		if err != nil || strings.Contains(said, "warning") || strings.Contains(said, readersPassword) {
			t.Error(said, err)
		}
		expect(t, said, "connected: ", "query: 2 people", "find: returns 1, whom query returns", "changes: 2 rows since 20", "groups: 1 groups")
		// PostgreSQL alone tells how current it is.
		if told := !strings.Contains(said, "does not tell how current it is"); told != (s.Driver == "postgresql") {
			t.Error(said)
		}
	})
}

func TestCheckWarns(t *testing.T) {
	alone(t, func(t *testing.T, s *sqltest.Server) {
		c := found(t, s)
		c.hire(t, "Sales", "ann", "bob", "eve", "zoe")
		c.change(t, "bob", "mail = NULL")
		c.exec(t, "UPDATE people SET surname = NULL", "INSERT INTO roles VALUES (77, 'ghosts')")
		if s.Driver == "mariadb" {
			c.exec(t, fmt.Sprintf("GRANT UPDATE ON %s.people TO %s@'%%'", c.database, reader))
		} else {
			c.exec(t, "GRANT UPDATE ON people TO "+reader)
		}
		need := sources.Need{Attributes: []string{"mail", "surname"}, Groups: true}
		said, err := check(t, c.opened(t, need, "find = -", `groups = "SELECT employee_id, role FROM roles"`))
		if err != nil {
			t.Error(err)
		}
		expect(t, said, "warning: nobody has surname, which the config names", "not everybody has: mail 3 (of 4)",
			"warning: without find nobody can be looked up", "warning: none of the 1 members of group ghosts is among the people",
			"warning: dirsweep may write, and needs to read alone", "people")

		said, err = check(t, c.opened(t, sources.Need{}, `anchor = "mail"`, `find = "SELECT `+selected+` FROM people WHERE mail = :anchor"`))
		expect(t, said, "warning: 1 of them have no mail and are left alone", "of 1 nothing can be said")
		if err != nil {
			t.Error(err)
		}
		if said, err = check(t, c.opened(t, sources.Need{}, `anchor = "surname"`)); err == nil ||
			!strings.Contains(err.Error(), "none of the 4 rows has a surname that can be read") {
			t.Error(said, err)
		}
		other := strings.Replace("SELECT "+selected, "login", "mail AS login", 1)
		said, err = check(t, c.opened(t, sources.Need{}, fmt.Sprintf("find = %q", other+" FROM people WHERE employee_id = :anchor")))
		expect(t, said, "warning: find and query return 1 differently")
		if err != nil {
			t.Error(err)
		}
		for line, says := range map[string]string{
			fmt.Sprintf("find = %q", "SELECT "+selected+" FROM people WHERE employee_id = :anchor AND NOT works"): "find: it does not return 1",
			`changes = "SELECT employee_id FROM people WHERE changed_at > :since"`:                                "changes: it returns no column called",
			`complete = "SELECT false"`: "complete: it says no",
		} {
			if said, err := check(t, c.opened(t, sources.Need{}, line)); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s\n%v", said, err)
			}
		}
		c.exec(t, "DELETE FROM people")
		said, err = check(t, c.opened(t, sources.Need{}))
		expect(t, said, "warning: query returns nobody")
		if err != nil {
			t.Error(err)
		}
	})
}
