package sql

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// check reads everything, and tries each of our statements on no row at all. Those of the config's are parsed by the
// server, and not run: nobody knows what they do.
func (t *table) check(
	ctx context.Context, client *sqlclient.Client, say func(string, ...any),
) (lacking []string, err error) {
	err = client.Stream(ctx, func(ctx context.Context, tx *sql.Tx, alive func()) error {
		n, active, odd := 0, 0, ""
		err := t.list(ctx, tx, alive, func(a identity.Account) error {
			if n++; a.Active {
				active++
			}
			if a.ActiveShown != "" {
				odd = a.ActiveShown
			}
			return nil
		})
		if err != nil {
			return err
		}
		say("accounts: %d, of which %d active", n, active)
		if odd != "" {
			say("warning: of some accounts active is neither on nor off (%s): they count as active", odd)
		}
		all, err := t.entitlements(ctx, tx)
		if err == nil && t.roles != nil {
			say("entitlements: %d", len(all))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, try := range t.tries() {
		err := client.Try(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := sqlclient.Exec(ctx, tx, try.statement)
			return err
		})
		if sqlclient.ClassOf(err) == sqlclient.Forbidden {
			lacking = append(lacking, fmt.Sprintf("%s: GRANT %s ON %s", try.op, try.right, try.on))
		} else if err != nil {
			return nil, fmt.Errorf("try to %s: %w", try.op, err)
		}
	}
	for _, op := range slices.Sorted(maps.Keys(t.statements)) {
		for _, s := range t.statements[op] {
			if err := prepares(ctx, client, s); err != nil {
				return nil, fmt.Errorf("statement %q: %w", op, err)
			}
			say("not tried: statement %q; the server understands it", op)
		}
	}
	for _, c := range t.steps {
		for _, s := range []*statement{&c.do, c.left} {
			if s == nil {
				continue
			}
			if err := prepares(ctx, client, *s); err != nil {
				return nil, fmt.Errorf("closing %q: %w", c.name, err)
			}
		}
		say("not tried: closing %q; the server understands it", c.name)
	}
	return lacking, nil
}

// prepares has the server parse a statement.
func prepares(ctx context.Context, client *sqlclient.Client, s statement) error {
	return client.Try(ctx, func(ctx context.Context, tx *sql.Tx) error { return sqlclient.Prepare(ctx, tx, s.query) })
}

// A try is a statement that touches no row, and the right that it needs.
type try struct{ op, right, on, statement string }

// tries are those of our own statements that would be run.
func (t *table) tries() []try {
	const none = " WHERE 1 = 0"
	columns := []string{t.q(t.active.column)}
	for _, path := range t.paths() {
		if column := t.q(t.columns[path]); !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
	}
	list := strings.Join(columns, ", ")
	set := func(names []string) string {
		var sets []string
		for _, name := range names {
			if name != t.q(t.key) {
				sets = append(sets, name+" = "+name)
			}
		}
		return "UPDATE " + t.from + " SET " + strings.Join(sets, ", ") + none
	}
	all := []try{
		{opDisable, "SELECT, UPDATE", t.from, set(columns[:1])},
		{opEnable, "SELECT, UPDATE", t.from, set(columns[:1])},
		{opUpdate, "SELECT, UPDATE", t.from, set(columns)},
		{opCreate, "INSERT", t.from, "INSERT INTO " + t.from + " (" + list + ") SELECT " + list + " FROM " + t.from + none},
	}
	if t.deletes {
		all = append(all, try{opDelete, "DELETE", t.from, "DELETE FROM " + t.from + none})
	}
	if t.roles != nil {
		on := t.q(t.roles.table)
		pair := t.q(t.roles.account) + ", " + t.q(t.roles.entitlement)
		all = append(
			all,
			try{opGrant, "INSERT", on, "INSERT INTO " + on + " (" + pair + ") SELECT " + pair + " FROM " + on + none},
			try{opWithdraw, "DELETE", on, "DELETE FROM " + on + none},
		)
	}
	return slices.DeleteFunc(all, func(one try) bool { return len(t.statements[one.op]) > 0 })
}
