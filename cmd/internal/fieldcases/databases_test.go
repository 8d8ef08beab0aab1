package fieldcases

// Accounts in databases: their own roles and accounts, and an application's table.

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources/sqltest"
)

// A leaver's open sessions in PostgreSQL and MariaDB end, and no other begins; nobody else notices. A statement that
// reaches everybody changes nobody, and the case stays open.
func TestALeaverIsCutOffInDatabases(t *testing.T) {
	s := company(t, "alice", "bob", "carol")
	pg, maria := sqltest.PostgreSQL(t), sqltest.MariaDB(t)
	database := pg.Database(t)
	pg.Exec(t, database, "CREATE ROLE dirsweep LOGIN CREATEROLE PASSWORD 'x'", "GRANT pg_signal_backend TO dirsweep",
		"CREATE TABLE users (id SERIAL PRIMARY KEY, login TEXT NOT NULL UNIQUE, enabled BOOLEAN NOT NULL)",
		"GRANT SELECT, INSERT, UPDATE ON users TO dirsweep", "GRANT USAGE ON SEQUENCE users_id_seq TO dirsweep")
	maria.Exec(t, "", "CREATE USER dirsweep IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO dirsweep WITH GRANT OPTION",
		"GRANT PROXY ON ''@'%' TO dirsweep WITH GRANT OPTION")
	target := func(name string, server *sqltest.Server, lines ...string) string {
		return fmt.Sprintf("target \"sql\" %q {\n  driver = %q\n  address = %q\n  database = %q\n  user = \"dirsweep\"\n  password = \"x\"\n"+
			"  tls = false\n  account = { userName = person.uid }\n  %s\n}\n", name, server.Driver, server.Address(),
			map[*sqltest.Server]string{pg: database}[server], strings.Join(lines, "\n  "))
	}
	s.configure(wide, s.source("corp", s.dir), target("roles", pg, `profile = "postgresql_roles"`),
		target("accounts", maria, `profile = "mariadb_accounts"`),
		target("app", pg, `table = "users"`, `key = "id"`, `columns = { userName = "login" }`, `active { column = "enabled" }`,
			"statement \"disable\" {\n sql = \"UPDATE users SET enabled = false WHERE id = :id OR login <> ''\"\n}"))
	s.settle()

	sessions := map[string][]*sql.Conn{}
	login := func(server *sqltest.Server, who string) (*sql.Conn, error) {
		return server.Open(t, map[*sqltest.Server]string{pg: database}[server], who, "secret").Conn(t.Context())
	}
	for _, who := range []string{"alice", "bob"} {
		pg.Exec(t, database, "ALTER ROLE "+who+" PASSWORD 'secret'")
		maria.Exec(t, "", "ALTER USER "+who+" IDENTIFIED BY 'secret'")
		for _, server := range []*sqltest.Server{pg, maria} {
			conn, err := login(server, who)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			sessions[who] = append(sessions[who], conn)
		}
	}
	s.fire("bob")
	code := s.sync()
	s.claim(code == 4, "exit %d, want 4: one case is open", code)
	for i, server := range []*sqltest.Server{pg, maria} {
		_, alice := sessions["alice"][i].ExecContext(context.Background(), "SELECT 1")
		_, bob := sessions["bob"][i].ExecContext(context.Background(), "SELECT 1")
		s.claim(alice == nil, "alice's session in %s goes on: %v", server.Driver, alice)
		s.claim(bob != nil, "bob's session in %s is cut", server.Driver)
		_, again := login(server, "bob")
		s.claim(again != nil, "bob cannot sign in to %s", server.Driver)
	}
	enabled := pg.Query(t, database, "SELECT count(*) FROM users WHERE enabled")[0][0]
	s.claim(enabled == "3", "%s accounts of the application are enabled, want all 3", enabled)
	s.claim(s.says("leavers", "bob", "would have touched 3 rows"), "the open case says why")
}
