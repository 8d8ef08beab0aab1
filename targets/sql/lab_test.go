//go:build unix

package sql

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources/sqltest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A lab is one server with what the documentation says that dirsweep needs there, and nothing more.
type lab struct {
	*sqltest.Server

	database string
	lines    []string // of the target block, beside the connection
	paths    []string
}

const ourPassword = "sweep"

// documented are the statements of a block of the documentation.
func documented(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/targets/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```sql " + name + "\n(.*?);\n```").FindSubmatch(text)
	if found == nil {
		t.Fatalf("docs/targets/sql.md has no block of SQL for %s", name)
	}
	return strings.Split(strings.ReplaceAll(string(found[1]), "'…'", "'"+ourPassword+"'"), ";\n")
}

func start(t *testing.T, driver string) *sqltest.Server {
	t.Helper()
	if driver == "postgresql" {
		return sqltest.PostgreSQL(t)
	}
	return sqltest.MariaDB(t)
}

// tableLab is an application's database.
func tableLab(t *testing.T, s *sqltest.Server) *lab {
	t.Helper()
	l := &lab{Server: s, database: s.Database(t), paths: []string{"displayName", "externalId", "title", "userName"}}
	key := "id INTEGER AUTO_INCREMENT PRIMARY KEY"
	if s.Driver == "postgresql" {
		key = "id SERIAL PRIMARY KEY"
	}
	l.admin(
		t,
		"CREATE TABLE users ("+key+", login VARCHAR(60) NOT NULL UNIQUE, employee_number VARCHAR(20) UNIQUE, full_name VARCHAR(40),"+
			" job VARCHAR(20), status VARCHAR(10) NOT NULL DEFAULT 'active', shoe VARCHAR(9))",
		"CREATE TABLE roles (id INTEGER PRIMARY KEY, title VARCHAR(40) NOT NULL)",
		"INSERT INTO roles VALUES (1, 'editors'), (2, 'readers')",
		"CREATE TABLE user_roles (user_id INTEGER NOT NULL, role_id INTEGER NOT NULL, PRIMARY KEY (user_id, role_id))",
		"CREATE TABLE sessions (token VARCHAR(40) PRIMARY KEY, user_id INTEGER NOT NULL)",
	)
	grants := documented(t, "table")
	if s.Driver == "postgresql" {
		l.admin(t, "DROP ROLE IF EXISTS dirsweep", "CREATE ROLE dirsweep LOGIN PASSWORD '"+ourPassword+"'", "GRANT USAGE ON SEQUENCE users_id_seq TO dirsweep")
		t.Cleanup(func() { l.admin(t, "DROP OWNED BY dirsweep", "DROP ROLE dirsweep") })
	} else {
		l.admin(t, "CREATE OR REPLACE USER dirsweep@'%' IDENTIFIED BY '"+ourPassword+"'")
	}
	l.admin(t, grants...)
	l.lines = []string{
		`table = "users"`, `key = "id"`,
		`columns = { userName = "login", externalId = "employee_number", displayName = "full_name", title = "job" }`,
		"active {\n column = \"status\"\n on = \"active\"\n off = \"left\"\n}",
		"entitlements {\n table = \"user_roles\"\n account = \"user_id\"\n entitlement = \"role_id\"\n of = \"roles\"\n key = \"id\"\n name = \"title\"\n}",
		"closing \"sessions\" {\n sql = \"DELETE FROM sessions WHERE user_id = :id\"\n left = \"SELECT count(*) FROM sessions WHERE user_id = :id\"\n}",
	}
	return l
}

// profileLab is a server with its own accounts, and two roles that can be granted: editors and readers.
func profileLab(t *testing.T, s *sqltest.Server) *lab {
	t.Helper()
	l := &lab{Server: s, database: s.Database(t), paths: []string{"userName"}}
	if s.Driver == "postgresql" {
		l.paths = []string{remark, "userName", validUntil}
		l.lines = []string{`profile = "postgresql_roles"`}
		l.admin(t, documented(t, rolesProfile)...)
		l.admin(t, "CREATE ROLE editors", "CREATE ROLE readers")
		return l
	}
	l.lines = []string{`profile = "mariadb_accounts"`}
	l.admin(t, documented(t, accountsProfile)...)
	l.admin(t, "CREATE ROLE editors WITH ADMIN dirsweep@'%'", "CREATE ROLE readers WITH ADMIN dirsweep@'%'")
	return l
}

func (l *lab) admin(t testing.TB, statements ...string) {
	t.Helper()
	l.Exec(t, l.database, statements...)
}

// empty drops every account but ours.
func (l *lab) empty(t *testing.T) {
	t.Helper()
	query := "SELECT CONCAT('DROP USER ', QUOTE(User), '@', QUOTE(Host)) FROM mysql.global_priv WHERE User NOT IN ('admin', 'dirsweep', 'root', " +
		"'mariadb.sys') AND COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') = '0'"
	if l.Driver == "postgresql" {
		query = "SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE oid > 16384 AND rolname NOT IN ('dirsweep', 'editors', 'readers')"
	}
	for _, row := range l.Query(t, l.database, query) {
		l.admin(t, row[0])
	}
}

// decoded is a block's spec.
func (l *lab) decoded(t *testing.T, password string, lines ...string) (targets.Spec, hcl.Diagnostics) {
	t.Helper()
	text := fmt.Sprintf("driver = %q\naddress = %q\ndatabase = %q\nuser = \"dirsweep\"\npassword = %q\ntls = false\n%s\n",
		l.Driver, l.Address(), l.database, password, strings.Join(slices.Concat(l.lines, lines), "\n"))
	return decodeText(t, text)
}

func decodeText(t *testing.T, text string) (targets.Spec, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "test.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return Kind().Decode(file.Body, targets.Env{Name: "payroll", Eval: &hcl.EvalContext{}})
}

// target opens the target, which is closed with the test.
func (l *lab) target(t *testing.T, password string, lines ...string) targets.Target {
	t.Helper()
	spec, diags := l.decoded(t, password, lines...)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	target, err := spec.Open(targets.Need{Paths: l.paths, Entitlements: true, Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	return target
}

// pass begins one.
func (l *lab) pass(t *testing.T, lines ...string) targets.Pass {
	t.Helper()
	pass, err := l.target(t, ourPassword, lines...).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pass
}

// one is the account of a name.
func one(t *testing.T, p targets.Pass, userName string) identity.Account {
	t.Helper()
	found, err := p.Find(t.Context(), "userName", userName)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", userName, found, err)
	}
	return found[0]
}

// closed disables an account and takes each closing step once, as a sweep does.
func closed(t *testing.T, p targets.Pass, a identity.Account) map[string]string {
	t.Helper()
	if _, err := p.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	kept := map[string]string{}
	for _, step := range p.Closing() {
		if step.Do == nil {
			continue
		}
		more, _, err := step.Do(t.Context(), a)
		if err != nil {
			t.Fatalf("%s: %v", step.Name, err)
		}
		if kept[step.Name] = more; step.Left == nil {
			continue
		}
		if left, err := step.Left(t.Context(), a); err != nil || left != "" {
			t.Errorf("%s is done, and left is %q, %v", step.Name, left, err)
		}
	}
	return kept
}

// stepOf is a closing step by its name.
func stepOf(t *testing.T, p targets.Pass, name string) targets.Step {
	t.Helper()
	for _, step := range p.Closing() {
		if step.Name == name {
			return step
		}
	}
	t.Fatalf("there is no closing step %s", name)
	return targets.Step{}
}

// logs in as somebody; the error is why not.
func (l *lab) login(t *testing.T, user, password string) error {
	t.Helper()
	database := l.database
	if l.Driver == "mariadb" {
		database = ""
	}
	return l.Open(t, database, user, password).PingContext(t.Context())
}

// names are the user names of a listing.
func names(t *testing.T, p targets.Pass) []string {
	t.Helper()
	var list []string
	for a, err := range p.Accounts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a.UserName)
	}
	slices.Sort(list)
	return list
}
