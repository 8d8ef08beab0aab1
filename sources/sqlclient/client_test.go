package sqlclient_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources/arguments"
	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sources/sqltest"
)

// access decodes a block's arguments.
func access(t *testing.T, text string) (sqlclient.Access, hcl.Diagnostics) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "test.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	schema := &hcl.BodySchema{Attributes: sqlclient.Arguments()}
	read, _ := arguments.Read(file.Body, schema, nil, "/etc/dirsweep")
	d := sqlclient.Decoder{Reader: read}
	a := d.Access()
	return a, d.Diagnostics
}

func TestAccess(t *testing.T) {
	const rest = "user = \"dirsweep\"\n"
	tests := []struct{ name, text, address, complaint string }{
		{"postgresql", `driver = "postgresql"` + "\naddress = \"db.example.org\"\ndatabase = \"hr\"", "db.example.org:5432", ""},
		{"port", `driver = "postgresql"` + "\naddress = \"db.example.org:6432\"\ndatabase = \"hr\"", "db.example.org:6432", ""},
		{"IPv6", `driver = "postgresql"` + "\naddress = \"[2001:db8::1]\"\ndatabase = \"hr\"", "[2001:db8::1]:5432", ""},
		{"mariadb", `driver = "mariadb"` + "\naddress = \"db.example.org\"", "db.example.org:3306", ""},
		{"mysql", `driver = "mysql"` + "\naddress = \"db.example.org\"", "db.example.org:3306", ""},
		{"socket", `driver = "mysql"` + "\naddress = \"/run/mysqld/mysqld.sock\"", "/run/mysqld/mysqld.sock", ""},
		{"no database", `driver = "postgresql"` + "\naddress = \"db.example.org\"", "db.example.org:5432", "No database"},
		{"another server", `driver = "oracle"` + "\naddress = \"db.example.org\"", "db.example.org", "Unknown driver"},
		{"a URL", `driver = "mysql"` + "\naddress = \"mysql://db.example.org\"", "mysql://db.example.org", "Not an address"},
		{"in the clear", `driver = "mysql"` + "\naddress = \"db.example.org\"\ntls = false", "db.example.org:3306", "Unencrypted connection"},
		{"in the clear, here", `driver = "mysql"` + "\naddress = \"127.0.0.1\"\ntls = false", "127.0.0.1:3306", ""},
		{"literal", `driver = "mysql"` + "\naddress = \"localhost\"\npassword = \"geheim\"", "localhost:3306", "A secret in the config"},
		{"half", `driver = "mysql"` + "\naddress = \"localhost\"\ncert_file = \"a.pem\"", "localhost:3306", "Half a client certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, diags := access(t, tt.text+"\n"+rest)
			if a.Address != tt.address {
				t.Errorf("address %q, want %q", a.Address, tt.address)
			}
			var said []string
			for _, d := range diags {
				said = append(said, d.Summary)
			}
			if strings.Join(said, ", ") != tt.complaint {
				t.Errorf("said %q, want %q", said, tt.complaint)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", a, a, a), "geheim") || strings.Contains(diags.Error(), "geheim") {
				t.Error("the password is shown")
			}
		})
	}
}

// servers runs a test on both servers, with a table of three people.
func servers(t *testing.T, f func(t *testing.T, s *sqltest.Server, database string)) {
	for name, start := range map[string]func(testing.TB) *sqltest.Server{"postgresql": sqltest.PostgreSQL, "mariadb": sqltest.MariaDB} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			database := s.Database(t)
			s.Exec(t, database, "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(20), born DATE)",
				"INSERT INTO people VALUES (1, 'Ann', '1970-01-31'), (2, 'Zoë', NULL), (3, NULL, NULL)")
			f(t, s, database)
		})
	}
}

func open(t *testing.T, s *sqltest.Server, database string, lines ...string) *sqlclient.Client {
	t.Helper()
	a, diags := access(t, fmt.Sprintf("driver = %q\naddress = %q\ndatabase = %q\nuser = %q\npassword = %q\n%s\n",
		s.Driver, s.Address(), database, sqltest.Admin, sqltest.Password, strings.Join(lines, "\n")))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	c, err := a.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func marker(c *sqlclient.Client) string {
	if c.Driver() == sqlclient.PostgreSQL {
		return "$1"
	}
	return "?"
}

func TestReadAndWrite(t *testing.T) {
	servers(t, func(t *testing.T, s *sqltest.Server, database string) {
		c := open(t, s, database, "tls = false")
		err := c.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			n, err := sqlclient.Exec(ctx, tx, "UPDATE people SET name = 'Ann' WHERE id = "+marker(c), "1")
			if n != 1 {
				t.Errorf("%d rows were found by an update that changes nothing, want 1", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var rows []sqlclient.Row
		err = c.Read(t.Context(), func(ctx context.Context, tx *sql.Tx) (err error) {
			rows, err = sqlclient.All(ctx, tx, "SELECT id, name, born FROM people WHERE id < "+marker(c)+" ORDER BY id", 3)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		columns := []string{"id", "name", "born"}
		born := time.Date(1970, 1, 31, 0, 0, 0, 0, time.UTC)
		want := []sqlclient.Row{
			{Columns: columns, Values: []any{int64(1), "Ann", born}}, {Columns: columns, Values: []any{int64(2), "Zoë", nil}},
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatReadsCannotWrite(t *testing.T) {
	servers(t, func(t *testing.T, s *sqltest.Server, database string) {
		c := open(t, s, database, "tls = false")
		err := c.Read(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := sqlclient.Exec(ctx, tx, "DELETE FROM people")
			return err
		})
		if err == nil {
			t.Error("a reading transaction deletes")
		}
		failed := errors.New("37 rows")
		deletes := func(ctx context.Context, tx *sql.Tx) error {
			_, err := sqlclient.Exec(ctx, tx, "DELETE FROM people")
			return errors.Join(err, failed)
		}
		if err := c.Write(t.Context(), deletes); !errors.Is(err, failed) {
			t.Errorf("error %v, want the function's own", err)
		}
		if err := c.Try(t.Context(), func(ctx context.Context, tx *sql.Tx) error { _ = deletes(ctx, tx); return nil }); err != nil {
			t.Error(err)
		}
		if rows := s.Query(t, database, "SELECT id FROM people"); len(rows) != 3 {
			t.Errorf("%d rows are left, want 3", len(rows))
		}
	})
}

func TestTLSIsVerified(t *testing.T) {
	servers(t, func(t *testing.T, s *sqltest.Server, database string) {
		nothing := func(context.Context, *sql.Tx) error { return nil }
		if err := open(t, s, database, fmt.Sprintf("ca_file = %q", s.CAFile())).Read(t.Context(), nothing); err != nil {
			t.Error(err)
		}
		err := open(t, s, database).Read(t.Context(), nothing)
		if sqlclient.ClassOf(err) != sqlclient.Unavailable || !strings.Contains(fmt.Sprint(err), "certificate") {
			t.Errorf("error %v of a certificate that nobody knows", err)
		}
	})
}

func TestUnixSocket(t *testing.T) {
	servers(t, func(t *testing.T, s *sqltest.Server, database string) {
		a, diags := access(t, fmt.Sprintf("driver = %q\naddress = %q\ndatabase = %q\nuser = %q\npassword = %q\n",
			s.Driver, s.Socket(), database, sqltest.Admin, sqltest.Password))
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		c, err := a.Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Read(t.Context(), func(context.Context, *sql.Tx) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}

// TestErrorClasses asks for the class that each failure of a real server has.
func TestErrorClasses(t *testing.T) {
	servers(t, func(t *testing.T, s *sqltest.Server, database string) {
		if s.Driver == "postgresql" {
			s.Exec(t, database, "CREATE ROLE weak LOGIN PASSWORD 'weak'")
		} else {
			s.Exec(t, database, "CREATE USER weak IDENTIFIED BY 'weak'", "GRANT SELECT ON *.* TO weak")
		}
		as := func(database, user, password string) func() error {
			return func() error {
				a, _ := access(t, fmt.Sprintf("driver = %q\naddress = %q\ndatabase = %q\nuser = %q\npassword = %q\ntls = false\n",
					s.Driver, s.Address(), database, user, password))
				c, err := a.Open(nil)
				if err != nil {
					return err
				}
				defer c.Close()
				return c.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
					_, err := sqlclient.Exec(ctx, tx, "DELETE FROM people")
					return errors.Join(err)
				})
			}
		}
		c := open(t, s, database, "tls = false", `timeout = "500ms"`)
		run := func(statement string) func() error {
			return func() error {
				return c.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
					_, err := sqlclient.Exec(ctx, tx, statement)
					return err
				})
			}
		}
		sleep := "SELECT pg_sleep(60)"
		if s.Driver == "mariadb" {
			sleep = "SELECT SLEEP(60)"
		}
		tests := []struct {
			name string
			do   func() error
			want sqlclient.Class
		}{
			{"wrong password", as(database, sqltest.Admin, "geheim"), sqlclient.Unauthorized},
			{"no such database", as("nowhere", sqltest.Admin, sqltest.Password), sqlclient.Unauthorized},
			{"no right", as(database, "weak", "weak"), sqlclient.Forbidden},
			{"twice the same", run("INSERT INTO people (id) VALUES (1)"), sqlclient.Conflict},
			{"a column that is not there", run("UPDATE people SET shoe = 1"), sqlclient.Statement},
			{"a value that does not fit", run("UPDATE people SET name = '123456789012345678901'"), sqlclient.Statement},
			{"no answer in time", run(sleep), sqlclient.Unavailable},
			{"a server that is gone", func() error { s.Stop(t); return run("SELECT 1")() }, sqlclient.Unavailable},
		}
		for _, tt := range tests {
			err := tt.do()
			if got := sqlclient.ClassOf(err); got != tt.want {
				t.Errorf("%s: class %q, want %q: %v", tt.name, got, tt.want, err)
			}
			if strings.Contains(fmt.Sprint(err), "geheim") {
				t.Errorf("%s: the password is in %v", tt.name, err)
			}
		}
	})
}

// TestStreamLastsAsLongAsRowsCome: the time-out is for each row, and a server that falls silent ends it.
func TestStreamLastsAsLongAsRowsCome(t *testing.T) {
	servers(t, func(t *testing.T, s *sqltest.Server, database string) {
		c := open(t, s, database, "tls = false", `timeout = "400ms"`)
		err := c.Stream(t.Context(), func(ctx context.Context, tx *sql.Tx, alive func()) error {
			for range 6 {
				alive()
				time.Sleep(100 * time.Millisecond)
			}
			alive()
			rows, err := sqlclient.All(ctx, tx, "SELECT id FROM people")
			if len(rows) != 3 {
				t.Errorf("%d rows, want 3", len(rows))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		s.Freeze(t)
		err = c.Stream(t.Context(), func(ctx context.Context, tx *sql.Tx, alive func()) error {
			_, err := sqlclient.All(ctx, tx, "SELECT id FROM people")
			return err
		})
		if sqlclient.ClassOf(err) != sqlclient.Unavailable {
			t.Errorf("error %v of a server that hangs", err)
		}
		s.Thaw(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Read(ctx, func(context.Context, *sql.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v after a stop, want the context's own", err)
		}
	})
}
