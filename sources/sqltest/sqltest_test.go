package sqltest_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sources/sqltest"
)

func TestServers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) *sqltest.Server
	}{{"postgresql", sqltest.PostgreSQL}, {"mariadb", sqltest.MariaDB}} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.start(t)
			database := s.Database(t)
			s.Exec(t, database, "CREATE TABLE people (name VARCHAR(20))", "INSERT INTO people VALUES ('Zoë'), (NULL)")
			want := [][]string{{"Zoë"}, {"NULL"}}
			if diff := cmp.Diff(want, s.Query(t, database, "SELECT name FROM people ORDER BY name IS NULL")); diff != "" {
				t.Error(diff)
			}
			db := s.Open(t, database, sqltest.Admin, sqltest.Password)
			if err := db.Ping(); err != nil {
				t.Fatal(err)
			}
			s.Freeze(t)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, err := db.ExecContext(ctx, "SELECT 1"); err == nil {
				t.Error("a frozen server answers")
			}
			s.Thaw(t)
			s.Stop(t)
			if err := db.Ping(); err == nil {
				t.Error("a stopped server answers")
			}
			s.Start(t)
			if diff := cmp.Diff(want, s.Query(t, database, "SELECT name FROM people ORDER BY name IS NULL")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
