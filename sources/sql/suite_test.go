//go:build unix

package sql

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sourcetest"
	"github.com/dirsweep/dirsweep/sources/sqltest"
)

// everywhere runs a test on a real server of each family, which other tests use as well.
func everywhere(t *testing.T, test func(t *testing.T, s *sqltest.Server)) {
	t.Helper()
	for _, server := range []func() *sqltest.Server{shared.postgresql, shared.mariadb} {
		s := started(t, server)
		t.Run(s.Driver, func(t *testing.T) { test(t, s) })
	}
}

// started is a shared server. Where it does not start, the test fails, and TestMain still ends the others.
func started(t testing.TB, server func() *sqltest.Server) *sqltest.Server {
	t.Helper()
	defer func() {
		if why := recover(); why != nil {
			t.Fatal(why)
		}
	}()
	return server()
}

// alone runs a test on servers of its own, for it to stop them, or to give rights away.
func alone(t *testing.T, test func(t *testing.T, s *sqltest.Server)) {
	t.Helper()
	for _, start := range []func(testing.TB) *sqltest.Server{sqltest.PostgreSQL, sqltest.MariaDB} {
		s := start(t)
		t.Run(s.Driver, func(t *testing.T) { test(t, s) })
	}
}

// shared are the servers of everywhere, started when they are first needed.
var shared = func() (servers struct {
	binary
	postgresql, mariadb func() *sqltest.Server
},
) {
	servers.ends = new([]func())
	servers.postgresql = sync.OnceValue(func() *sqltest.Server { return sqltest.PostgreSQL(servers.binary) })
	servers.mariadb = sync.OnceValue(func() *sqltest.Server { return sqltest.MariaDB(servers.binary) })
	return servers
}()

// binary has the test binary in the place of a test: what it starts ends with it.
type binary struct {
	testing.TB

	ends *[]func()
}

func (binary) Helper() {}

func (b binary) Cleanup(f func()) { *b.ends = append(*b.ends, f) }

func (binary) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (b binary) Errorf(format string, args ...any) { b.Fatalf(format, args...) }

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range slices.Backward(*shared.ends) {
		end()
	}
	os.Exit(code)
}

// A company is a database with people in it, and somebody who may read it.
type company struct {
	*sqltest.Server

	database string
}

// The rights of the reader are those that docs/sources/sql.md names, and no others.
const reader, readersPassword = "dirsweep", "battery staple"

// found makes a database with nobody in it.
func found(t testing.TB, s *sqltest.Server) company {
	t.Helper()
	c := company{s, s.Database(t)}
	key := "SERIAL"
	if s.Driver == "mariadb" {
		key = "INT AUTO_INCREMENT"
	}
	c.exec(t, "CREATE TABLE people (employee_id "+key+" PRIMARY KEY, login VARCHAR(50) UNIQUE, surname VARCHAR(50), mail VARCHAR(50), "+
		"department VARCHAR(50), works BOOLEAN NOT NULL DEFAULT TRUE, external BOOLEAN NOT NULL DEFAULT FALSE, "+
		"changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
		"CREATE TABLE roles (employee_id INT, role VARCHAR(50))")
	if s.Driver == "mariadb" {
		c.exec(t, fmt.Sprintf("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY '%s'", reader, readersPassword),
			fmt.Sprintf("GRANT SELECT ON %s.people TO %s@'%%'", c.database, reader), fmt.Sprintf("GRANT SELECT ON %s.roles TO %s@'%%'", c.database, reader))
		return c
	}
	c.exec(t, fmt.Sprintf("DO $$ BEGIN CREATE ROLE %s LOGIN PASSWORD '%s'; EXCEPTION WHEN duplicate_object THEN NULL; END $$", reader, readersPassword),
		"GRANT SELECT ON people, roles TO "+reader)
	return c
}

func (c company) exec(t testing.TB, statements ...string) {
	t.Helper()
	c.Exec(t, c.database, statements...)
}

// hire adds people of a department.
func (c company) hire(t testing.TB, department string, logins ...string) {
	t.Helper()
	rows := make([]string, len(logins))
	for i, login := range logins {
		rows[i] = fmt.Sprintf("('%[1]s', 'Lee', '%[1]s@example.org', '%[2]s')", login, department)
	}
	c.exec(t, "INSERT INTO people (login, surname, mail, department) VALUES "+strings.Join(rows, ", "))
}

// change sets columns of one person, and when they changed.
func (c company) change(t testing.TB, login, set string) {
	t.Helper()
	c.exec(t, fmt.Sprintf("UPDATE people SET %s, changed_at = CURRENT_TIMESTAMP WHERE login = '%s'", set, login))
}

// selected are the columns that a block asks for.
const selected = "employee_id, login, surname, mail, department, works"

// block is a source block of everybody who is not external; a later line takes the place of an earlier one, and "= -"
// leaves an argument out.
func (c company) block(lines ...string) string {
	defaults := []string{
		fmt.Sprintf("driver = %q", c.Driver), fmt.Sprintf("address = %q", c.Address()), fmt.Sprintf("database = %q", c.database),
		fmt.Sprintf("user = %q", reader), fmt.Sprintf("password = %q", readersPassword), "tls = false",
		`anchor = "employee_id"`, `name = "login"`, "status {\n column = \"works\"\n active = [\"true\", \"1\"]\n left = [\"false\", \"0\"]\n}", `timeout = "10s"`,
		`columns = ["employee_id", "login", "surname", "mail", "department", "works"]`,
		fmt.Sprintf("query = %q", "SELECT "+selected+" FROM people WHERE NOT external"),
		fmt.Sprintf("find = %q", "SELECT "+selected+" FROM people WHERE employee_id = :anchor"),
	}
	argument := func(line string) string { return line[:strings.Index(line, " ")] }
	all := append(defaults, lines...)
	text := ""
	for i, line := range all {
		last := !slices.ContainsFunc(all[i+1:], func(other string) bool { return argument(other) == argument(line) })
		if last && !strings.HasSuffix(line, "= -") {
			text += line + "\n"
		}
	}
	return text
}

func parse(t testing.TB, text string) (sources.Spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "config.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return Kind().Decode(file.Body, sources.Env{Name: "hr", Dir: t.TempDir(), Eval: &hcl.EvalContext{}})
}

// open opens a block. The caller closes it where the test asks for that.
func open(t testing.TB, need sources.Need, text string) sources.Source {
	t.Helper()
	spec, diags := parse(t, text)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, err := spec.Open(need)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// opened is open, closed when the test ends.
func (c company) opened(t testing.TB, need sources.Need, lines ...string) sources.Source {
	t.Helper()
	s := open(t, need, c.block(lines...))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// harness lets the suite change people in a real database.
type harness struct{ company }

func (h harness) Open(t testing.TB, need sources.Need) sources.Source {
	return open(t, need, h.block(h.changes()))
}

func (c company) changes() string {
	return fmt.Sprintf("changes = %q", "SELECT "+selected+" FROM people WHERE NOT external AND changed_at >= :since")
}

func (h harness) Names() (login, surname, mail string) { return "login", "surname", "mail" }

func (h harness) Add(t testing.TB, login, surname, mail string) {
	h.exec(t, fmt.Sprintf("INSERT INTO people (login, surname, mail) VALUES ('%s', '%s', '%s')", login, surname, mail))
}

func (h harness) Rename(t testing.TB, login, now string) {
	h.change(t, login, "login = '"+now+"'")
}

func (h harness) SetMail(t testing.TB, login, mail string) {
	value := "NULL"
	if mail != "" {
		value = "'" + mail + "'"
	}
	h.change(t, login, "mail = "+value)
}

func (h harness) Disable(t testing.TB, login string) { h.change(t, login, "works = FALSE") }

func (h harness) Delete(t testing.TB, login string) {
	h.exec(t, "DELETE FROM people WHERE login = '"+login+"'")
}

func (h harness) Away(t testing.TB, login string) bool {
	h.change(t, login, "external = TRUE")
	return true
}

func (h harness) Back(t testing.TB, login string) bool {
	h.change(t, login, "external = FALSE")
	return true
}

func TestSource(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sqltest.Server) {
		sourcetest.Run(t, func(t testing.TB) sourcetest.Harness { return harness{found(t, s)} })
	})
}
