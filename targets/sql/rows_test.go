//go:build unix

package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources/sqltest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// both runs a test of an application's table on both servers.
func both(t *testing.T, f func(t *testing.T, l *lab)) {
	for _, driver := range []string{"postgresql", "mariadb"} {
		t.Run(driver, func(t *testing.T) { f(t, tableLab(t, start(t, driver))) })
	}
}

// session is an open connection of somebody.
func session(t *testing.T, l *lab, user, password string) *sql.Conn {
	t.Helper()
	database := l.database
	if l.Driver == "mariadb" {
		database = ""
	}
	conn, err := l.Open(t, database, user, password).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func alive(conn *sql.Conn) bool {
	_, err := conn.ExecContext(context.Background(), "SELECT 1")
	return err == nil
}

// TestAStatementTouchesTheRowsItDeclares: 0 or 37 rows change nothing, and say so.
func TestAStatementTouchesTheRowsItDeclares(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		for n := range 37 {
			l.admin(t, fmt.Sprintf("INSERT INTO users (login, employee_number, full_name) VALUES ('u%02d', 'E%02d', 'Ann')", n, n))
		}
		count := func() string {
			return l.Query(t, l.database, "SELECT count(*) FROM users WHERE status = 'active'")[0][0]
		}
		for _, tt := range []struct{ sql, rows, want string }{
			{"UPDATE users SET status = 'left' WHERE full_name = 'Ann' OR id = :id", "", "37 rows, and 1 is declared"},
			{"UPDATE users SET status = 'left' WHERE id = :id AND full_name = 'Bob'", "", "0 rows, and 1 is declared"},
			{"UPDATE users SET status = 'left' WHERE id = :id", "rows = \"2-5\"", "1 row, and 2 to 5 are declared"},
		} {
			p := l.pass(t, fmt.Sprintf("statement \"disable\" {\n sql = %q\n %s\n}", tt.sql, tt.rows))
			_, err := p.Disable(t.Context(), one(t, p, "u07"))
			if !errors.Is(err, targets.ErrRejected) || !strings.Contains(fmt.Sprint(err), "would have touched "+tt.want) {
				t.Errorf("%s: error %v", tt.sql, err)
			}
			if count() != "37" {
				t.Fatalf("%s: %s accounts are active, want 37", tt.sql, count())
			}
		}
		p := l.pass(t)
		if _, err := p.Disable(t.Context(), one(t, p, "u07")); err != nil || count() != "36" {
			t.Errorf("error %v, %s accounts are active, want 36", err, count())
		}
	})
}

// TestOneOfSeveralStatementsThatFailsUndoesAll: an operation is one transaction.
func TestOneOfSeveralStatementsThatFailsUndoesAll(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.admin(t, "INSERT INTO users (login) VALUES ('bob')")
		p := l.pass(t,
			"statement \"disable\" {\n sql = \"UPDATE users SET status = 'left' WHERE id = :id\"\n}",
			"statement \"disable\" {\n sql = \"DELETE FROM user_roles WHERE user_id = :id\"\n rows = 3\n}")
		if _, err := p.Disable(t.Context(), one(t, p, "bob")); !errors.Is(err, targets.ErrRejected) {
			t.Errorf("error %v", err)
		}
		if a := one(t, p, "bob"); !a.Active {
			t.Error("half of it was done")
		}
	})
}

// TestAttributesThatAreRefusedKeepNoOtherBack: R9.
func TestAttributesThatAreRefusedKeepNoOtherBack(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.admin(t, "INSERT INTO users (login, full_name) VALUES ('bob', 'Bob')")
		p := l.pass(t)
		a := one(t, p, "bob")
		after, r, err := p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{
			{Path: "displayName", After: identity.Text("Robert")}, {Path: "title", After: identity.Text(strings.Repeat("x", 21))},
		}})
		if err != nil || len(r.Refused) != 1 || r.Refused[0].Path != "title" || after.Get("displayName") != "\"Robert\"" {
			t.Errorf("%+v, refused %+v, %v", after, r.Refused, err)
		}
		_, _, err = p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{{Path: "userName", After: ""}}})
		var rejected *targets.RejectedError
		if !errors.As(err, &rejected) || rejected.Path != "userName" {
			t.Errorf("a login that is cleared: %v", err)
		}
	})
}

// TestAQueryIsAnApplication: what is shown by a SELECT is written by statements, which get every column's value.
func TestAQueryIsAnApplication(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.admin(t, "INSERT INTO users (login, full_name, job) VALUES ('bob', 'Bob', 'Clerk'), ('ann', 'Ann', NULL)")
		l.lines = []string{
			`table = "SELECT id, login, full_name, job, CASE WHEN status = 'active' THEN 1 ELSE 0 END AS open FROM users"`, `key = "id"`,
			`columns = { userName = "login", displayName = "full_name", title = "job" }`,
			"active {\n column = \"open\"\n on = 1\n off = 0\n}",
			"statement \"create\" {\n sql = \"INSERT INTO users (login, full_name) VALUES (:userName, :displayName)\"\n}",
			"statement \"update\" {\n sql = \"UPDATE users SET full_name = :displayName, job = :title WHERE id = :id\"\n}",
			"statement \"enable\" {\n sql = \"UPDATE users SET status = 'active' WHERE id = :id\"\n}",
			"statement \"disable\" {\n sql = \"UPDATE users SET status = 'left' WHERE id = :id\"\n}",
		}
		l.paths = []string{"displayName", "userName"}
		p := l.pass(t)
		bob := one(t, p, "BOB")
		if _, err := p.Disable(t.Context(), bob); err != nil {
			t.Fatal(err)
		}
		_, _, err := p.Update(t.Context(), bob, identity.Delta{Attributes: []identity.AttributeChange{{Path: "displayName", After: "\"Robert\""}}})
		if err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"ann", "Ann", "NULL", "active"}, {"bob", "Robert", "Clerk", "left"}}
		if diff := cmp.Diff(want, l.Query(t, l.database, "SELECT login, full_name, job, status FROM users ORDER BY login")); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAValueThatIsNeitherOnNorOffIsActive: nothing passes for closed that may be open.
func TestAValueThatIsNeitherOnNorOffIsActive(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.admin(t, "INSERT INTO users (login, status) VALUES ('bob', 'paused')")
		p := l.pass(t)
		if a := one(t, p, "bob"); !a.Active || !strings.Contains(a.ActiveShown, "paused") {
			t.Errorf("%+v", a)
		}
		closed(t, p, one(t, p, "bob"))
	})
}

// TestNobodyElseIsMeant: MariaDB compares names without accents, and without spaces at their ends.
func TestNobodyElseIsMeant(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.admin(t, "INSERT INTO users (login, full_name) VALUES ('zoë', 'Zoë'), ('bob', 'Bob ')")
		p := l.pass(t)
		for attribute, value := range map[string]string{"userName": "zoe", "displayName": "Bob", "id": "1abc"} {
			if found, err := p.Find(t.Context(), attribute, value); err != nil || len(found) > 0 {
				t.Errorf("%s %q: %v, %v", attribute, value, found, err)
			}
		}
		for _, id := range []identity.AccountID{"1abc", "1 ", "01", "99999999999999999999"} {
			if _, err := p.Account(t.Context(), id); !errors.Is(err, targets.ErrNotFound) {
				t.Errorf("id %q: %v", id, err)
			}
		}
	})
}

// TestRightsAsDocumented: with the grants of the documentation everything works, and check misses each one that is taken.
func TestRightsAsDocumented(t *testing.T) {
	checks := func(t *testing.T, l *lab, revoke, grant, want string) {
		t.Helper()
		if lines, err := l.target(t, ourPassword).(targets.Checker).Check(t.Context()); err != nil {
			t.Errorf("with all rights: %v\n%s", err, strings.Join(lines, "\n"))
		}
		l.admin(t, revoke)
		if _, err := l.target(t, ourPassword).(targets.Checker).Check(t.Context()); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("after %s: %v, want %s", revoke, err, want)
		}
		l.admin(t, grant)
	}
	both(t, func(t *testing.T, l *lab) {
		checks(t, l, "REVOKE UPDATE ON users FROM dirsweep", "GRANT UPDATE ON users TO dirsweep", "disable: GRANT SELECT, UPDATE ON")
		checks(t, l, "REVOKE DELETE ON user_roles FROM dirsweep", "GRANT DELETE ON user_roles TO dirsweep", "withdraw: GRANT DELETE ON")
	})
	t.Run("roles", func(t *testing.T) {
		l := profileLab(t, start(t, "postgresql"))
		checks(t, l, "REVOKE pg_signal_backend FROM dirsweep", "GRANT pg_signal_backend TO dirsweep", "GRANT pg_signal_backend TO dirsweep")
		checks(t, l, "ALTER ROLE dirsweep NOCREATEROLE", "ALTER ROLE dirsweep CREATEROLE", "ALTER ROLE dirsweep CREATEROLE")
		if n := l.Query(t, l.database, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'dirsweep-check%'")[0][0]; n != "0" {
			t.Errorf("check left %s roles behind", n)
		}
	})
	t.Run("accounts", func(t *testing.T) {
		l := profileLab(t, start(t, "mariadb"))
		checks(t, l, "REVOKE CREATE USER ON *.* FROM dirsweep", "GRANT CREATE USER ON *.* TO dirsweep", "GRANT CREATE USER ON *.*")
		checks(t, l, "REVOKE PROCESS ON *.* FROM dirsweep", "GRANT PROCESS ON *.* TO dirsweep", "GRANT PROCESS ON *.*")
		checks(t, l, "REVOKE SELECT ON mysql.proxies_priv FROM dirsweep", "GRANT SELECT ON mysql.proxies_priv TO dirsweep", "mysql.proxies_priv")
	})
}

// TestALeaverIsCutOff: an open session ends, and no other begins; whoever returns has what was taken.
func TestALeaverIsCutOff(t *testing.T) {
	for _, driver := range []string{"postgresql", "mariadb"} {
		t.Run(driver, func(t *testing.T) {
			l := profileLab(t, start(t, driver))
			if driver == "postgresql" {
				l.admin(t, "CREATE ROLE bob LOGIN PASSWORD 'b'", "CREATE ROLE ann LOGIN PASSWORD 'a'")
			} else {
				l.admin(t, "CREATE USER bob IDENTIFIED BY 'b'", "CREATE USER ann IDENTIFIED BY 'a'")
			}
			bobs, anns := session(t, l, "bob", "b"), session(t, l, "ann", "a")
			p := l.pass(t)
			bob := one(t, p, "bob")
			if found, err := p.Find(t.Context(), "externalId", "4711"); err != nil || len(found) > 0 {
				t.Errorf("nobody has an externalId, and by one %v is found, %v", found, err)
			}
			if _, err := p.Disable(t.Context(), bob); err != nil {
				t.Fatal(err)
			}
			sessions := stepOf(t, p, "sessions")
			if left, err := sessions.Left(t.Context(), bob); err != nil || left != "1 connection is open" {
				t.Errorf("left %q, %v before they are cut", left, err)
			}
			closed(t, p, bob)
			if alive(bobs) {
				t.Error("the open session goes on")
			}
			if err := l.login(t, "bob", "b"); err == nil {
				t.Error("the leaver signs in again")
			}
			if !alive(anns) || l.login(t, "ann", "a") != nil {
				t.Error("somebody else was cut off")
			}
			if _, err := p.Enable(t.Context(), bob, nil); err != nil {
				t.Fatal(err)
			}
			if err := l.login(t, "bob", "b"); (err == nil) != (driver == "mariadb") { // PostgreSQL's passwords are removed
				t.Errorf("after the return: %v", err)
			}
		})
	}
}

func TestD1APoolerFindsNoPassword(t *testing.T) {
	l := profileLab(t, start(t, "postgresql"))
	l.admin(t, "CREATE ROLE bob LOGIN PASSWORD 'b'")
	p := l.pass(t)
	closed(t, p, one(t, p, "bob"))
	if got := l.Query(t, l.database, "SELECT passwd FROM pg_shadow WHERE usename = 'bob' UNION ALL SELECT rolpassword FROM pg_authid WHERE rolname = 'bob'"); !cmp.Equal(got, [][]string{{"NULL"}}) {
		t.Errorf("a pooler reads %v", got)
	}
	if step := stepOf(t, p, "password"); step.Left != nil {
		t.Error("it is told as proven, though it cannot be read")
	}
	if step := stepOf(t, p, "pooler"); !strings.Contains(step.Impossible, "direct logins only") {
		t.Errorf("the evidence says %q of poolers", step.Impossible)
	}
	l.admin(t, "CREATE ROLE ann LOGIN PASSWORD 'a'")
	keeps := l.pass(t, "remove_password = false")
	closed(t, keeps, one(t, keeps, "ann"))
	if got := l.Query(t, l.database, "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'ann'")[0][0]; got != "false" {
		t.Error("the password was removed, though it is to be kept")
	}
}

func TestD2ASessionThatTookAnotherRoleIsCut(t *testing.T) {
	l := profileLab(t, start(t, "postgresql"))
	l.admin(t, "CREATE ROLE owners", "CREATE ROLE bob LOGIN PASSWORD 'b'", "GRANT owners TO bob", "CREATE ROLE ann LOGIN PASSWORD 'a'", "GRANT bob TO ann")
	bobs, anns := session(t, l, "bob", "b"), session(t, l, "ann", "a")
	for conn, role := range map[*sql.Conn]string{bobs: "owners", anns: "bob"} {
		if _, err := conn.ExecContext(t.Context(), "SET ROLE "+role); err != nil {
			t.Fatal(err)
		}
	}
	p := l.pass(t)
	closed(t, p, one(t, p, "bob"))
	if alive(bobs) {
		t.Error("the session that took another role goes on")
	}
	if !alive(anns) {
		t.Error("the session of somebody else was cut, who had taken the leaver's role")
	}
}

func TestD3EveryHostIsLocked(t *testing.T) {
	l := profileLab(t, start(t, "mariadb"))
	l.admin(t, "CREATE USER bob@'%' IDENTIFIED BY 'b'", "CREATE USER bob@'10.0.0.5' IDENTIFIED BY 'b'", "CREATE USER bob@'127.0.0.1' IDENTIFIED BY 'b'",
		"CREATE USER Bob@'%' IDENTIFIED BY 'b'", "CREATE USER bobby@'%' IDENTIFIED BY 'b'")
	locked := func() (list []string) {
		for _, row := range l.Query(t, l.database, "SELECT CONCAT(User, '@', Host) FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.account_locked') = '1' AND User LIKE 'bob%'") {
			list = append(list, row[0])
		}
		slices.Sort(list)
		return list
	}
	narrow := l.pass(t, `hosts = ["%", "127.0.0.1"]`)
	bob, err := narrow.Account(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := narrow.Disable(t.Context(), bob); !errors.Is(err, targets.ErrForbidden) || !strings.Contains(fmt.Sprint(err), "10.0.0.5") {
		t.Errorf("a row that is not ours is open: %v", err)
	}
	if now, err := narrow.Account(t.Context(), "bob"); err != nil || !now.Active {
		t.Errorf("one row is open, and the account shows active %v, %v", now.Active, err)
	}
	if diff := cmp.Diff([]string{"bob@%", "bob@127.0.0.1"}, locked()); diff != "" {
		t.Error(diff)
	}
	closed(t, l.pass(t), bob)
	if diff := cmp.Diff([]string{"bob@%", "bob@10.0.0.5", "bob@127.0.0.1"}, locked()); diff != "" {
		t.Error(diff)
	}
	if err := l.login(t, "bob", "b"); err == nil {
		t.Error("the leaver signs in by a more specific row")
	}
}

func TestD4ProxiesAreTakenAndDefinersTold(t *testing.T) {
	l := profileLab(t, start(t, "mariadb"))
	l.admin(t, "CREATE USER bob@'%' IDENTIFIED BY 'b'", "CREATE USER ann@'%' IDENTIFIED BY 'a'", "GRANT PROXY ON bob@'%' TO ann@'%'",
		"CREATE DEFINER=bob@'%' EVENT nightly ON SCHEDULE EVERY 1 DAY DO SELECT 1")
	rights := "SELECT User, Proxied_user FROM mysql.proxies_priv WHERE Proxied_user <> ''"
	p := l.pass(t)
	bob := one(t, p, "bob")
	kept := closed(t, p, bob)
	if rows := l.Query(t, l.database, rights); len(rows) > 0 {
		t.Errorf("may still act as the leaver: %v", rows)
	}
	if step := stepOf(t, p, "definers"); !strings.Contains(step.Impossible, "still run as it") {
		t.Errorf("the evidence says %q of definers", step.Impossible)
	}
	lines, err := l.target(t, ourPassword).(targets.Checker).Check(t.Context())
	if want := "runs as bob: event " + l.database + ".nightly"; err != nil || !slices.Contains(lines, want) {
		t.Errorf("check says %q, %v, want %q", lines, err, want)
	}
	if _, err := p.Enable(t.Context(), bob, kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"ann", "bob"}}, l.Query(t, l.database, rights)); diff != "" {
		t.Error(diff)
	}
}

func TestD5ARoleThatOwnsSomethingIsNotDropped(t *testing.T) {
	l := profileLab(t, start(t, "postgresql"))
	hr, secret := l.Database(t), l.Database(t)
	l.admin(t, "CREATE ROLE bob LOGIN PASSWORD 'b'", "REVOKE CONNECT ON DATABASE "+secret+" FROM PUBLIC")
	for _, database := range []string{l.database, hr} {
		l.Exec(t, database, "CREATE TABLE bobs (id INTEGER)", "ALTER TABLE bobs OWNER TO bob")
	}
	l.Exec(t, secret, "CREATE SCHEMA bob AUTHORIZATION bob")
	p := l.pass(t, "allow_delete = true")
	bob := one(t, p, "bob")
	closed(t, p, bob)
	_, err := p.Delete(t.Context(), bob)
	if !errors.Is(err, targets.ErrRejected) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{l.database + ": owner of 1", hr + ": owner of 1", secret + ": owner of 1", "REASSIGN OWNED BY"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if now, err := p.Account(t.Context(), bob.ID); err != nil || now.Active {
		t.Errorf("%+v, %v", now, err)
	}
	for _, database := range []string{l.database, hr, secret} {
		l.Exec(t, database, "REASSIGN OWNED BY bob TO admin", "DROP OWNED BY bob")
	}
	if _, err := p.Delete(t.Context(), bob); err != nil {
		t.Errorf("nothing is owned any more: %v", err)
	}
	if _, err := l.pass(t).Delete(t.Context(), bob); !errors.Is(err, targets.ErrRejected) {
		t.Errorf("deleted without allow_delete: %v", err)
	}
}

func TestD6WhatRunsAsAnAccountKeepsIt(t *testing.T) {
	l := profileLab(t, start(t, "mariadb"))
	l.admin(t, "CREATE USER bob@'%' IDENTIFIED BY 'b'", "CREATE TABLE wages (n INTEGER)", "CREATE DEFINER=bob@'%' VIEW payroll AS SELECT n FROM wages")
	p := l.pass(t, "allow_delete = true")
	bob := one(t, p, "bob")
	if _, err := p.Delete(t.Context(), bob); !errors.Is(err, targets.ErrRejected) || !strings.Contains(err.Error(), "view "+l.database+".payroll") {
		t.Errorf("error %v", err)
	}
	l.admin(t, "REVOKE SHOW VIEW ON *.* FROM dirsweep")
	p = l.pass(t, "allow_delete = true")
	if _, err := p.Delete(t.Context(), bob); !errors.Is(err, targets.ErrForbidden) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("what cannot be seen: %v", err)
	}
	l.admin(t, "GRANT SHOW VIEW ON *.* TO dirsweep", "DROP VIEW payroll")
	if _, err := l.pass(t, "allow_delete = true").Delete(t.Context(), bob); err != nil {
		t.Error(err)
	}
}

func TestD7SuccessThatDidNothingIsFound(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.admin(t, "INSERT INTO users (login) VALUES ('bob')", "GRANT DELETE ON users TO dirsweep")
		if l.Driver == "postgresql" {
			l.admin(t, "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.status = OLD.status; RETURN NEW; END'",
				"CREATE TRIGGER nothing BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION nothing()")
		} else {
			l.admin(t, "CREATE TRIGGER nothing BEFORE UPDATE ON users FOR EACH ROW SET NEW.status = OLD.status")
		}
		p := l.pass(t, "allow_delete = true", "statement \"delete\" {\n sql = \"UPDATE users SET status = 'left' WHERE id = :id\"\n}")
		bob := one(t, p, "bob")
		if _, err := p.Disable(t.Context(), bob); !errors.Is(err, targets.ErrRejected) || !strings.Contains(err.Error(), "still active") {
			t.Errorf("disabled: %v", err)
		}
		if _, err := p.Delete(t.Context(), bob); !errors.Is(err, targets.ErrRejected) || !strings.Contains(err.Error(), "still there") {
			t.Errorf("deleted: %v", err)
		}
	})
}

func TestD8NothingIsGrantedToOurselves(t *testing.T) {
	l := profileLab(t, start(t, "postgresql"))
	l.admin(t, "CREATE ROLE bob LOGIN PASSWORD 'b'", "CREATE TABLE bobs (id INTEGER)", "ALTER TABLE bobs OWNER TO bob")
	p := l.pass(t, "allow_delete = true")
	bob := one(t, p, "bob")
	closed(t, p, bob)
	if _, err := p.Delete(t.Context(), bob); err == nil {
		t.Fatal("a role that owns something was dropped")
	}
	if rows := l.Query(t, l.database, "SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE roleid = 'bob'::regrole OR member = 'bob'::regrole"); len(rows) > 0 {
		t.Errorf("granted, and left so: %v", rows)
	}
}

func TestD9TheServersOwnRolesAreNobodys(t *testing.T) {
	l := profileLab(t, start(t, "postgresql"))
	l.admin(t, "CREATE ROLE ann LOGIN", "CREATE ROLE chief LOGIN SUPERUSER", "CREATE ROLE copy LOGIN REPLICATION", "CREATE ROLE landlord LOGIN",
		"ALTER DATABASE "+l.database+" OWNER TO landlord", "UPDATE pg_authid SET rolcanlogin = true WHERE rolname = 'pg_monitor'")
	p := l.pass(t)
	if diff := cmp.Diff([]string{"ann"}, names(t, p)); diff != "" {
		t.Errorf("accounts: %s", diff)
	}
	for _, name := range []string{"chief", "copy", "landlord", "pg_monitor", "dirsweep", sqltest.Admin} {
		a := one(t, p, name) // so that nothing is made in its place
		if _, err := p.Disable(t.Context(), a); !errors.Is(err, targets.ErrForbidden) || a.Unlisted == "" {
			t.Errorf("%s (%s): %v", name, a.Unlisted, err)
		}
		if _, _, err := stepOf(t, p, "sessions").Do(t.Context(), a); !errors.Is(err, targets.ErrForbidden) {
			t.Errorf("sessions of %s: %v", name, err)
		}
	}
	own, err := p.(targets.Identifier).Own(t.Context())
	if err != nil || own.UserName != "dirsweep" || own.ID != one(t, p, "dirsweep").ID {
		t.Errorf("we are %+v, %v", own, err)
	}
}
