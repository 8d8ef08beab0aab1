//go:build unix

package sql

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

const (
	pgConnection    = "driver = \"postgresql\"\naddress = \"db.example.org\"\ndatabase = \"app\"\nuser = \"dirsweep\"\n"
	mariaConnection = "driver = \"mariadb\"\naddress = \"db.example.org\"\nuser = \"dirsweep\"\n"
	plainTable      = "table = \"users\"\nkey = \"id\"\ncolumns = { userName = \"login\" }\n"
	plainActive     = "active { column = \"enabled\" }\n"
)

// TestMistakesInABlock: each is told, and how to put it right.
func TestMistakesInABlock(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a table", pgConnection + plainTable + plainActive, ""},
		{"PostgreSQL's roles", pgConnection + "profile = \"postgresql_roles\"\n", ""},
		{"MariaDB's accounts", mariaConnection + "profile = \"mariadb_accounts\"\nhosts = [\"%\"]\nauthentication = \"pam\"\n", ""},
		{"nothing", pgConnection, "No table"},
		{"no key", pgConnection + "table = \"users\"\ncolumns = { userName = \"login\" }\n" + plainActive, "No key"},
		{"no login", pgConnection + "table = \"users\"\nkey = \"id\"\n" + plainActive, "No column for userName"},
		{"no active", pgConnection + plainTable, "No active block"},
		{"on is off", pgConnection + plainTable + "active {\n column = \"a\"\n on = \"1\"\n off = 1\n}\n", "On is off"},
		{"a path with a dot", pgConnection + "table = \"users\"\nkey = \"id\"\ncolumns = { userName = \"login\", \"name.givenName\" = \"first\" }\n" + plainActive, "Not a name"},
		{"the wrong driver", mariaConnection + "profile = \"postgresql_roles\"\n", "The wrong driver"},
		{"another profile", pgConnection + "profile = \"oracle\"\n", `No profile "oracle"`},
		{"a profile and a table", pgConnection + "profile = \"postgresql_roles\"\ntable = \"users\"\n", "Unused argument"},
		{"a profile and a statement", pgConnection + "profile = \"postgresql_roles\"\n" + plainActive, "Unused block"},
		{"hosts of a table", pgConnection + plainTable + plainActive + "hosts = [\"%\"]\n", "Unused argument"},
		{"a plugin that is more", mariaConnection + "profile = \"mariadb_accounts\"\nauthentication = \"pam; DROP\"\n", "Not a plugin"},
		{"a statement about everybody", pgConnection + plainTable + plainActive + "statement \"disable\" { sql = \"UPDATE users SET enabled = false\" }\n", "A statement about everybody"},
		{"a closing step for everybody", pgConnection + plainTable + plainActive + "closing \"sessions\" { sql = \"DELETE FROM sessions\" }\n", "A statement about everybody"},
		{"an operation that is none", pgConnection + plainTable + plainActive + "statement \"close\" { sql = \"SELECT :id\" }\n", "Unknown operation"},
		{"a parameter that is none", pgConnection + plainTable + plainActive + "statement \"disable\" { sql = \"UPDATE users SET enabled = :off WHERE id = :id\" }\n", "Unknown parameter"},
		{"two statements", pgConnection + plainTable + plainActive + "statement \"disable\" { sql = \"SELECT 1; SELECT :id\" }\n", "Not a statement"},
		{"rows that are no number", pgConnection + plainTable + plainActive + "statement \"disable\" {\n sql = \"SELECT :id\"\n rows = \"any\"\n}\n", "Not a number of rows"},
		{"rows backwards", pgConnection + plainTable + plainActive + "statement \"disable\" {\n sql = \"SELECT :id\"\n rows = \"5-2\"\n}\n", "Not a number of rows"},
		{"a name twice", pgConnection + plainTable + plainActive + "closing \"s\" { sql = \"SELECT :id\" }\nclosing \"s\" { sql = \"SELECT :id\" }\n", "A name twice"},
		{
			"a query without statements",
			pgConnection + "table = \"SELECT 1\"\nkey = \"id\"\ncolumns = { userName = \"login\" }\n" + plainActive,
			"A query cannot be written to, A query cannot be written to, A query cannot be written to, A query cannot be written to",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := decodeText(t, tt.text)
			var said []string
			for _, d := range diags {
				said = append(said, d.Summary)
				if d.Subject == nil || d.Detail == "" {
					t.Errorf("%s: without a place or a cure", d.Summary)
				}
			}
			if got := strings.Join(said, ", "); got != tt.want {
				t.Errorf("said %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhatCanBeMapped(t *testing.T) {
	for _, tt := range []struct{ text, accepts, refuses string }{
		{pgConnection + "table = \"users\"\nkey = \"id\"\ncolumns = { userName = \"login\", mail = \"email\", number = \"id\" }\n" + plainActive, "userName mail", "active id number displayName"},
		{pgConnection + "profile = \"postgresql_roles\"\n", "userName validUntil comment", "active externalId mail"},
		{mariaConnection + "profile = \"mariadb_accounts\"\n", "userName", "active externalId comment"},
	} {
		spec, diags := decodeText(t, tt.text)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for _, path := range strings.Fields(tt.accepts) {
			if err := spec.Accepts(path); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		for _, path := range strings.Fields(tt.refuses) {
			if spec.Accepts(path) == nil {
				t.Errorf("%s can be mapped", path)
			}
		}
	}
}

func TestOneSpelling(t *testing.T) {
	roles, _ := decodeText(t, pgConnection+"profile = \"postgresql_roles\"\n")
	maria, _ := decodeText(t, mariaConnection+plainTable+plainActive)
	for _, tt := range []struct {
		spec           targets.Spec
		path           string
		mapped, normal identity.Value
	}{
		{roles, validUntil, `"2031-05-01"`, `"2031-05-01"`},
		{roles, validUntil, `"2031-05-01T02:00:00+02:00"`, `"2031-05-01"`},
		{roles, validUntil, `"2031-05-01 10:30:00+00"`, `"2031-05-01T10:30:00Z"`},
		{roles, validUntil, `"infinity"`, ""},
		{maria, "staff", "true", "1"},
		{maria, "staff", `"true"`, `"true"`},
	} {
		if got := tt.spec.(targets.Normaliser).Normal(tt.path, tt.mapped); got != tt.normal {
			t.Errorf("%s is %s, want %s", tt.mapped, got, tt.normal)
		}
	}
}

func TestWhatActiveMeans(t *testing.T) {
	type seen struct {
		Active bool
		Shown  string
	}
	truth, words := door{"enabled", true, false}, door{"status", "active", "left"}
	for _, tt := range []struct {
		door  door
		value any
		want  seen
	}{
		{truth, true, seen{true, ""}},
		{truth, false, seen{false, ""}},
		{truth, int64(1), seen{true, ""}},
		{truth, int64(0), seen{false, ""}},
		{truth, nil, seen{true, "NULL"}},
		{words, "left", seen{false, ""}},
		{words, "Left", seen{true, `status "Left"`}},
		{door{"open", "1", "0"}, int64(0), seen{false, ""}},
	} {
		active, shown := tt.door.read(tt.value)
		if diff := cmp.Diff(tt.want, seen{active, shown}); diff != "" {
			t.Errorf("%v: %s", tt.value, diff)
		}
	}
}
