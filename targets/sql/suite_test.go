//go:build unix

package sql

import (
	"fmt"
	"testing"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/targettest"
)

// TestTable runs the suite on an application's table, on both servers.
func TestTable(t *testing.T) {
	for _, driver := range []string{"postgresql", "mariadb"} {
		t.Run(driver, func(t *testing.T) {
			s := start(t, driver)
			targettest.Run(t, func(t *testing.T) *targettest.Harness { return tableHarness(tableLab(t, s)) })
		})
	}
}

func tableHarness(l *lab) *targettest.Harness {
	return &targettest.Harness{
		Open: func(t *testing.T) targets.Target {
			l.admin(t, "GRANT DELETE ON users TO dirsweep")
			return l.target(t, ourPassword, "allow_delete = true")
		},
		Intruder: func(t *testing.T) targets.Target { return l.target(t, "wrong") },
		Want: func(n int) identity.Account {
			name, number := fmt.Sprintf("user%02d", n), fmt.Sprintf("E%04d", n)
			return identity.Account{
				UserName: name, ExternalID: number, Active: true,
				Attributes: map[string]identity.Value{
					"userName": identity.Text(name), "externalId": identity.Text(number), "displayName": identity.Text("User " + name), "title": "\"Clerk\"",
				},
			}
		},
		Text: "displayName", Clearable: "title", FindBy: []string{"externalId", "displayName"}, Groups: []string{"editors", "readers"}, Conflicts: true,
		Look: func(t *testing.T, id identity.AccountID) (identity.Account, bool) {
			rows := l.Query(t, l.database, "SELECT login, full_name, job, status FROM users WHERE id = "+string(id))
			if len(rows) == 0 {
				return identity.Account{}, false
			}
			a := identity.Account{ID: id, UserName: rows[0][0], Active: rows[0][3] == "active", Attributes: map[string]identity.Value{}}
			for i, path := range []string{"displayName", "title"} {
				if v := rows[0][i+1]; v != "NULL" {
					a.Attributes[path] = identity.Text(v)
				}
			}
			for _, row := range l.Query(t, l.database, "SELECT title FROM roles JOIN user_roles ON role_id = id WHERE user_id = "+string(id)) {
				a.Entitlements = append(a.Entitlements, identity.Entitlement{Name: row[0]})
			}
			a.Entitlements = identity.SortedEntitlements(a.Entitlements)
			return a, true
		},
		Meddle: func(t *testing.T, id identity.AccountID) func() bool {
			l.admin(t, "UPDATE users SET shoe = 'brown' WHERE id = "+string(id))
			return func() bool {
				return l.Query(t, l.database, "SELECT shoe FROM users WHERE id = "+string(id))[0][0] == "brown"
			}
		},
	}
}

// TestRoles runs the suite on PostgreSQL's login roles.
func TestRoles(t *testing.T) {
	l := profileLab(t, start(t, "postgresql"))
	targettest.Run(t, func(t *testing.T) *targettest.Harness {
		t.Cleanup(func() { l.empty(t) })
		return &targettest.Harness{
			Open:     func(t *testing.T) targets.Target { return l.target(t, ourPassword, "allow_delete = true") },
			Intruder: func(t *testing.T) targets.Target { return l.target(t, "wrong") },
			Want: func(n int) identity.Account {
				name := fmt.Sprintf("user%02d", n)
				return identity.Account{
					UserName: name, Active: true,
					Attributes: map[string]identity.Value{
						"userName": identity.Text(name), remark: identity.Text("User " + name), validUntil: "\"2031-05-01\"",
					},
				}
			},
			Text: remark, Clearable: validUntil, FindBy: []string{remark}, Groups: []string{"editors", "readers"}, Conflicts: true,
			Look: func(t *testing.T, id identity.AccountID) (identity.Account, bool) {
				rows := l.Query(t, l.database, "SELECT rolname, rolcanlogin, shobj_description(oid, 'pg_authid'), "+
					"to_char(nullif(rolvaliduntil, 'infinity') at time zone 'UTC', 'YYYY-MM-DD') FROM pg_roles WHERE oid = "+string(id))
				if len(rows) == 0 {
					return identity.Account{}, false
				}
				a := identity.Account{ID: id, UserName: rows[0][0], Active: rows[0][1] == "true", Attributes: map[string]identity.Value{}}
				for i, path := range []string{remark, validUntil} {
					if v := rows[0][i+2]; v != "NULL" {
						a.Attributes[path] = identity.Text(v)
					}
				}
				for _, row := range l.Query(t, l.database, "SELECT roleid::regrole FROM pg_auth_members WHERE member = "+string(id)) {
					a.Entitlements = append(a.Entitlements, identity.Entitlement{Name: row[0]})
				}
				a.Entitlements = identity.SortedEntitlements(a.Entitlements)
				return a, true
			},
			Meddle: func(t *testing.T, id identity.AccountID) func() bool {
				name := l.Query(t, l.database, "SELECT quote_ident(rolname) FROM pg_roles WHERE oid = "+string(id))[0][0]
				l.admin(t, "ALTER ROLE "+name+" CONNECTION LIMIT 3")
				return func() bool {
					return l.Query(t, l.database, "SELECT rolconnlimit FROM pg_roles WHERE oid = "+string(id))[0][0] == "3"
				}
			},
		}
	})
}

// TestAccounts runs the suite on MariaDB's accounts.
func TestAccounts(t *testing.T) {
	l := profileLab(t, start(t, "mariadb"))
	// The administrator is an account like any other, which the suite expects to have the first role.
	if _, err := l.Open(t, "", "dirsweep", ourPassword).ExecContext(t.Context(), "GRANT editors TO admin"); err != nil {
		t.Fatal(err)
	}
	targettest.Run(t, func(t *testing.T) *targettest.Harness {
		t.Cleanup(func() { l.empty(t) })
		return &targettest.Harness{
			Open: func(t *testing.T) targets.Target {
				return l.target(t, ourPassword, "allow_delete = true", `hosts = ["%", "10.0.0.5"]`)
			},
			Intruder: func(t *testing.T) targets.Target { return l.target(t, "wrong") },
			Want: func(n int) identity.Account {
				name := fmt.Sprintf("user%02d", n)
				return identity.Account{UserName: name, Active: true, Attributes: map[string]identity.Value{"userName": identity.Text(name)}}
			},
			Groups: []string{"editors", "readers"}, Conflicts: true,
			Look: func(t *testing.T, id identity.AccountID) (identity.Account, bool) {
				rows := l.Query(t, l.database, "SELECT COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') FROM mysql.global_priv WHERE User = ?", string(id))
				if len(rows) == 0 {
					return identity.Account{}, false
				}
				a := identity.Account{ID: id, UserName: string(id), Attributes: map[string]identity.Value{}}
				for _, row := range rows {
					a.Active = a.Active || row[0] != "1"
				}
				for _, row := range l.Query(t, l.database, "SELECT DISTINCT Role FROM mysql.roles_mapping WHERE User = ?", string(id)) {
					a.Entitlements = append(a.Entitlements, identity.Entitlement{Name: row[0]})
				}
				a.Entitlements = identity.SortedEntitlements(a.Entitlements)
				return a, true
			},
			Meddle: func(t *testing.T, id identity.AccountID) func() bool {
				l.Exec(t, l.database, "GRANT SELECT ON "+l.database+".* TO '"+string(id)+"'@'%'")
				return func() bool {
					return len(l.Query(t, l.database, "SELECT Db FROM mysql.db WHERE User = ?", string(id))) == 1
				}
			},
		}
	})
}
