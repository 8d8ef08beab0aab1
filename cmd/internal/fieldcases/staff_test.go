//go:build unix

package fieldcases

// HR says who works here and until when, the domain has the logins; a SCIM application, PostgreSQL, MariaDB and a program
// have the accounts.

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sources/sqltest"
)

// An office is all of that.
type office struct {
	*site

	hr        map[string]string // lines by number
	domain    side
	people    map[string]string // DNs by login
	databases map[string]*sqltest.Server
}

func newOffice(t *testing.T) *office {
	o := &office{
		site: open(t, slapdtest.Options{}), hr: map[string]string{}, people: map[string]string{},
		databases: map[string]*sqltest.Server{"postgresql": sqltest.PostgreSQL(t), "mariadb": sqltest.MariaDB(t)},
	}
	o.domain = sambaSide(t)
	o.databases["postgresql"].Exec(t, "postgres",
		"CREATE ROLE dirsweep LOGIN CREATEROLE PASSWORD 'sweep'", "GRANT pg_signal_backend TO dirsweep")
	o.databases["mariadb"].Exec(t, "mysql",
		"CREATE USER dirsweep@'%' IDENTIFIED BY 'sweep'",
		"GRANT CREATE USER, PROCESS, CONNECTION ADMIN, SHOW VIEW, TRIGGER, EVENT ON *.* TO dirsweep@'%'",
		"GRANT SELECT ON mysql.global_priv TO dirsweep@'%'", "GRANT SELECT ON mysql.roles_mapping TO dirsweep@'%'",
		"GRANT SELECT ON mysql.proxies_priv TO dirsweep@'%'", "GRANT SELECT ON mysql.proc TO dirsweep@'%'",
		"GRANT PROXY ON ''@'%' TO dirsweep@'%' WITH GRANT OPTION")
	return o
}

// hires adds somebody to the domain, and to HR where they have a number there.
func (o *office) hires(login, number string) {
	o.Helper()
	attributes := map[string][]string{"displayName": {"The " + login}, "sn": {login}, "mail": {login + "@b.example.test"}}
	if number != "" {
		attributes["employeeNumber"] = []string{number}
		o.says(number, login, "active", "", "")
	}
	o.people[login] = o.domain.AddPerson(o, login, attributes)
}

// says is HR's line about somebody.
func (o *office) says(number, name, status, first, last string) {
	o.hr[number] = strings.Join([]string{number, name, status, first, last}, ";")
}

// export writes HR's file, whole unless it is cut.
func (o *office) export(cut int) {
	text := "Personnel No.;Name;Status;First day;Last day\n"
	for _, number := range slices.Sorted(maps.Keys(o.hr)) {
		text += o.hr[number] + "\n"
	}
	text += fmt.Sprintf("END;%d\n", len(o.hr))
	o.write("hr.csv", text[:len(text)-cut])
}

func (o *office) blocks() []string {
	blocks := []string{
		wide, `source "csv" "hr" {
  files     = ["hr.csv"]
  columns   = { number = "Personnel No.", fullName = "Name", status = "Status", firstDay = "First day", lastDay = "Last day" }
  anchor    = "number"
  delimiter = ";"
  status {
    column = "status"
    active = ["active"]
    left   = ["terminated"]
  }
  complete { trailer = "END;{rows}" }
  leave_date = person.lastDay
  enter_date = person.firstDay
}`, o.domain.block(), `join "staff" {
  source "hr" { key = person.number }
  source "corp" { key = person.employeeNumber }
}`, fmt.Sprintf(`target "scim" "wiki" {
  url          = %q
  bearer_token = file("token")
  scope        = person.sAMAccountName != null
  account = {
    userName    = lower(person.sAMAccountName)
    displayName = person.fullName != null ? person.fullName : person.displayName
  }
}`, o.app.URL()), fmt.Sprintf(`target "exec" "badges" {
  command     = [%q]
  environment = { BADGES_DB = %q }
  scope       = person.sAMAccountName != null
  account     = { userName = lower(person.sAMAccountName), displayName = person.displayName }
}`, badges(o), filepath.Join(o.folder, "badges.db")),
	}
	for driver, profile := range map[string]string{"postgresql": "postgresql_roles", "mariadb": "mariadb_accounts"} {
		blocks = append(blocks, fmt.Sprintf(`target "sql" %q {
  driver   = %q
  address  = %q
  database = %q
  user     = "dirsweep"
  password = "sweep"
  tls      = false
  profile  = %q
  scope    = person.sAMAccountName != null
  account  = { userName = lower(person.sAMAccountName) }
}`, driver, driver, o.databases[driver].Address(), map[string]string{"postgresql": "postgres", "mariadb": "mysql"}[driver], profile))
	}
	return blocks
}

// badges is the sample program.
func badges(o *office) string {
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "packaging", "samples", "exec", "badges.py"))
	if err != nil {
		o.Fatal(err)
	}
	return path
}

// active are the logins that are active at a target, sorted.
func (o *office) active(target string) (logins []string) {
	o.Helper()
	switch target {
	case "wiki":
		for login, doc := range o.app.Users(o) {
			if doc["active"] == true {
				logins = append(logins, login)
			}
		}
	case "postgresql":
		for _, row := range o.databases[target].Query(o, "postgres", "SELECT rolname FROM pg_roles WHERE rolcanlogin AND oid > 16384 AND rolname <> 'dirsweep'") {
			logins = append(logins, row[0])
		}
	case "mariadb":
		for _, row := range o.databases[target].Query(o, "mysql", "SELECT User FROM mysql.global_priv WHERE "+
			"User NOT IN ('admin', 'dirsweep', 'root', 'mariadb.sys') AND COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') IN ('0', 'false')") {
			logins = append(logins, row[0])
		}
	case "badges":
		out, err := exec.Command("python3", "-c", "import sqlite3,sys\n"+
			"for r in sqlite3.connect(sys.argv[1]).execute('select userName from badge where active'): print(r[0])",
			filepath.Join(o.folder, "badges.db")).Output()
		if err != nil {
			o.Fatal(err)
		}
		logins = strings.Fields(string(out))
	}
	slices.Sort(logins)
	return logins
}

// expect claims who is active, at each target.
func (o *office) expect(when string, logins ...string) {
	o.Helper()
	for _, target := range []string{"wiki", "badges", "postgresql", "mariadb"} {
		got := o.active(target)
		o.claim(slices.Equal(got, logins), "%s: at %s these are active: %v, and %v should be", when, target, got, logins)
	}
}

// signIn gives somebody a password at a database and opens a session of theirs.
func (o *office) signIn(driver, login string) *sql.Conn {
	o.Helper()
	statement := fmt.Sprintf("ALTER ROLE %q PASSWORD 'theirs'", login)
	if driver == "mariadb" {
		statement = fmt.Sprintf("SET PASSWORD FOR '%s'@'%%' = PASSWORD('theirs')", login)
	}
	o.databases[driver].Exec(o, databaseOf(driver), statement)
	conn, err := o.databases[driver].Open(o, "", login, "theirs").Conn(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	return conn
}

func databaseOf(driver string) string {
	return map[string]string{"postgresql": "postgres", "mariadb": "mysql"}[driver]
}

// alive reports whether a session still answers.
func alive(conn *sql.Conn) bool {
	var one int
	return conn.QueryRowContext(context.Background(), "SELECT 1").Scan(&one) == nil
}

// TestADayAtTheOffice: HR and a domain, joined; four kinds of applications; who leaves is out of each at once, sessions
// included, and nobody else.
func TestADayAtTheOffice(t *testing.T) {
	o := newOffice(t)
	o.hires("alice", "00017")
	o.hires("bob", "00018")
	o.hires("carol", "00019")
	o.hires("dave", "") // a contractor, of whom HR does not know
	o.hires("erin", "00020")
	o.says("00020", "Erin", "active", "2999-01-01", "") // who has yet to come
	o.export(0)
	o.configure(o.blocks()...)
	code, out := o.dirsweep("check")
	o.claim(code == 0, "check says that all is well:\n%s", out)
	o.settle()
	o.expect("at first", "alice", "bob", "carol", "dave")

	sessions := map[string]*sql.Conn{}
	for _, driver := range []string{"postgresql", "mariadb"} {
		for _, login := range []string{"alice", "bob"} {
			sessions[driver+login] = o.signIn(driver, login)
		}
	}
	o.says("00018", "Bob", "terminated", "", "")
	o.export(0)
	o.settle()
	o.expect("bob has left", "alice", "carol", "dave")
	for _, driver := range []string{"postgresql", "mariadb"} {
		o.claim(!alive(sessions[driver+"bob"]), "bob's session at %s is over", driver)
		o.claim(alive(sessions[driver+"alice"]), "alice's session at %s goes on", driver)
		_, err := o.databases[driver].Open(t, "", "bob", "theirs").Conn(t.Context())
		o.claim(err != nil, "%s lets bob in no more", driver)
	}

	o.says("00017", "Alice", "terminated", "", "") // in a file of which the end is missing
	o.export(5)
	o.domain.Disable(o, o.people["carol"])
	code, out = o.dirsweep("sync")
	o.claim(code == 4 || code == 1 || code == 3, "half a file is told: exit %d\n%s", code, out)
	o.expect("carol is locked in the domain, and HR's file is cut", "alice", "dave")

	o.says("00017", "Alice", "active", "", "")
	o.says("00018", "Bob", "active", "", "")
	o.export(0)
	o.domain.enable(o.people["carol"])
	o.settle()
	o.settle()
	o.expect("all are back", "alice", "bob", "carol", "dave")

	code, out = o.dirsweep("explain", "bob")
	o.claim(code == 0 && strings.Contains(out, "hr") && strings.Contains(out, "gives"), "explain names who said what:\n%s", out)

	o.says("00019", "Carol", "active", "", "2026-01-31") // told late
	o.export(0)
	o.settle()
	o.expect("carol's last day is past", "alice", "bob", "dave")
}
