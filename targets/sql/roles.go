package sql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// roles are PostgreSQL's login roles. An account's id is its oid, which outlives a rename.
type roles struct {
	deletes      bool
	keepPassword bool
}

// The paths of a role beside userName.
const (
	validUntil = "validUntil" // of the password
	remark     = "comment"
)

func rolePaths() []string { return []string{remark, "userName", validUntil} }

// closedMark begins the comment of a role that was closed: what tells it from a group, which cannot log in either.
const closedMark = "closed by dirsweep"

// untouchable is SQL for why a role r is none of a person's, "" for one that may be.
const untouchable = `CASE
	WHEN r.rolname IN (session_user, current_user) THEN 'it is the role that dirsweep itself signs in as'
	WHEN r.oid < 16384 OR r.rolname LIKE 'pg\_%' THEN 'it is one of the server''s own'
	WHEN r.rolsuper THEN 'it is a superuser'
	WHEN r.rolreplication THEN 'it may replicate'
	WHEN EXISTS (SELECT FROM pg_database d WHERE d.datname = current_database() AND d.datdba = r.oid)
		THEN 'it owns the database'
	ELSE '' END`

// described is SQL for the comment of a role r.
const described = `coalesce(shobj_description(r.oid, 'pg_authid'), '')`

// groupLike is SQL for a role r that no list of accounts has.
const groupLike = `(NOT r.rolcanlogin AND ` + described + ` NOT LIKE '` + closedMark + `%')`

const selectedRoles = `SELECT r.oid::text, r.rolname::text, r.rolcanlogin, r.rolvaliduntil::text, ` +
	described + `, ` + untouchable + `, ` + groupLike + ` FROM pg_roles r`

func (r *roles) capabilities() identity.Capabilities {
	return identity.Capabilities{Disable: true, Delete: r.deletes, Entitlements: true, Update: true, Places: true}
}

// account is what a row of selectedRoles says.
func (r *roles) account(row sqlclient.Row) (identity.Account, error) {
	text := make([]string, len(row.Values))
	for i, v := range row.Values {
		var err error
		if text[i], err = sqlclient.Text(v); err != nil {
			return identity.Account{}, fmt.Errorf("%w: pg_roles: %w", targets.ErrIncomplete, err)
		}
	}
	a := identity.Account{
		ID: identity.AccountID(text[0]), UserName: text[1], Active: text[2] == "true", Unlisted: text[5],
		Attributes: map[string]identity.Value{},
	}
	if a.Unlisted == "" && text[6] == "true" {
		a.Unlisted = "it cannot log in, and so looks like a group"
	}
	for path, v := range map[string]identity.Value{
		"userName": identity.Text(a.UserName),
		validUntil: normalUntil(identity.Text(text[3])),
		remark:     identity.Text(unmarked(text[4])),
	} {
		if v != "" {
			a.Attributes[path] = v
		}
	}
	return a, nil
}

// unmarked is a comment without what closing put before it.
func unmarked(comment string) string {
	rest, marked := strings.CutPrefix(comment, closedMark)
	if !marked {
		return comment
	}
	return strings.TrimPrefix(rest, "; ")
}

// marked is a comment of a closed role.
func marked(comment string) string {
	if comment == "" {
		return closedMark
	}
	return closedMark + "; " + comment
}

// normalUntil is the one spelling of an instant: a date, where it is midnight in UTC. Forever is no value.
func normalUntil(v identity.Value) identity.Value {
	text := v.Text()
	if strings.EqualFold(text, "infinity") {
		return ""
	}
	for _, layout := range []string{
		time.DateOnly, time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00",
		time.DateTime, "2006-01-02T15:04",
	} {
		if at, err := time.Parse(layout, text); err == nil {
			spelled, _ := sqlclient.Text(at.UTC())
			return identity.Text(spelled)
		}
	}
	return v
}

func (r *roles) list(ctx context.Context, tx *sql.Tx, alive func(), yield func(identity.Account) error) error {
	query := selectedRoles + " WHERE NOT " + groupLike + " AND " + untouchable + " = '' ORDER BY r.oid"
	return sqlclient.Each(ctx, tx, query, nil, func(row sqlclient.Row) error {
		alive()
		a, err := r.account(row)
		if err != nil {
			return err
		}
		return yield(a)
	})
}

func (r *roles) where(ctx context.Context, tx *sql.Tx, condition, value string) ([]identity.Account, error) {
	rows, err := sqlclient.All(ctx, tx, selectedRoles+" WHERE "+condition, value)
	if unfit(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []identity.Account
	for _, row := range rows {
		a, err := r.account(row)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func (r *roles) read(ctx context.Context, tx *sql.Tx, id identity.AccountID) (identity.Account, error) {
	found, err := r.where(ctx, tx, "r.oid = $1", string(id))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%w: no role has the oid %s", targets.ErrNotFound, id)
	}
	if err != nil {
		return identity.Account{}, err
	}
	return found[0], nil
}

// find looks for accounts. A group that has members is none; what is untouchable is shown, so that nothing is made in
// its place.
func (r *roles) find(ctx context.Context, tx *sql.Tx, attribute, value string) ([]identity.Account, error) {
	switch attribute {
	case "id":
		return r.where(ctx, tx, "r.oid = $1", value)
	case "userName":
		return r.where(ctx, tx, "lower(r.rolname::text) = lower($1)", value)
	case validUntil:
		return r.where(ctx, tx, "NOT "+groupLike+" AND r.rolvaliduntil = $1::timestamptz", value)
	case remark:
		return r.where(ctx, tx, "NOT "+groupLike+" AND "+described+" IN ($1, '"+closedMark+"; ' || $1)", value)
	}
	if attribute == "externalId" { // roles have none
		return nil, nil
	}
	return nil, fmt.Errorf("%w: roles are not found by %s", targets.ErrRejected, attribute)
}

// say runs a statement with names and texts in it, which the server itself quotes: %I is a name, %L a text.
func (r *roles) say(ctx context.Context, tx *sql.Tx, format string, args ...any) error {
	places := ""
	for i := range args {
		places += fmt.Sprintf(", $%d::text", i+2)
	}
	rows, err := sqlclient.All(ctx, tx, "SELECT format($1"+places+")", append([]any{format}, args...)...)
	if err != nil {
		return err
	}
	text, err := sqlclient.Text(rows[0].Values[0])
	if err != nil {
		return err
	}
	_, err = sqlclient.Exec(ctx, tx, text)
	return err
}

// touchable refuses what is none of a person's.
func (r *roles) touchable(a identity.Account) error {
	if a.Unlisted != "" && !strings.HasPrefix(a.Unlisted, "it cannot log in") {
		return fmt.Errorf("%w: %s is never changed: %s", targets.ErrForbidden, a.UserName, a.Unlisted)
	}
	return nil
}

// named refuses a name that the server would cut (its manual, 4.1.1: 63 bytes), and so give to somebody else.
func named(userName string) error {
	switch {
	case userName == "":
		return &targets.RejectedError{Path: "userName", Err: fmt.Errorf("a role has a name")}
	case len(userName) > 63:
		err := fmt.Errorf("%q is longer than 63 bytes: PostgreSQL would cut it", userName)
		return &targets.RejectedError{Path: "userName", Err: err}
	}
	return nil
}

func (r *roles) create(ctx context.Context, tx *sql.Tx, want identity.Account) error {
	if err := named(want.UserName); err != nil {
		return err
	}
	if err := r.say(ctx, tx, "CREATE ROLE %I LOGIN", want.UserName); err != nil {
		return err
	}
	for _, path := range []string{remark, validUntil} {
		if v := want.Attributes[path]; v != "" {
			if err := r.set(ctx, tx, want, identity.AttributeChange{Path: path, After: v}); err != nil {
				return err
			}
		}
	}
	return nil
}

// set writes one attribute of a role.
func (r *roles) set(ctx context.Context, tx *sql.Tx, have identity.Account, change identity.AttributeChange) error {
	text := change.After.Text()
	switch change.Path {
	case "userName":
		if err := named(text); err != nil {
			return err
		}
		return r.say(ctx, tx, "ALTER ROLE %I RENAME TO %I", have.UserName, text)
	case validUntil:
		if text == "" {
			text = "infinity"
		} else if !strings.Contains(text, "T") {
			text += " 00:00:00+00"
		}
		return r.say(ctx, tx, "ALTER ROLE %I VALID UNTIL %L", have.UserName, text)
	case remark:
		if !have.Active && have.ID != "" && have.Unlisted == "" {
			text = marked(text)
		}
		return r.remark(ctx, tx, have, text)
	}
	return &targets.RejectedError{Path: change.Path, Err: fmt.Errorf("a role has no %s", change.Path)}
}

func (r *roles) remark(ctx context.Context, tx *sql.Tx, have identity.Account, text string) error {
	if text == "" {
		return r.say(ctx, tx, "COMMENT ON ROLE %I IS NULL", have.UserName)
	}
	return r.say(ctx, tx, "COMMENT ON ROLE %I IS %L", have.UserName, text)
}

func (r *roles) update(
	ctx context.Context, tx *sql.Tx, have identity.Account, changes []identity.AttributeChange,
) ([]targets.Refusal, error) {
	if err := r.touchable(have); err != nil {
		return nil, err
	}
	return each(ctx, tx, changes, func(change identity.AttributeChange) error {
		err := r.set(ctx, tx, have, change)
		if err == nil && change.Path == "userName" {
			have.UserName = change.After.Text()
		}
		return err
	})
}

// comment is a role's comment with its mark.
func (r *roles) comment(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
	rows, err := sqlclient.All(ctx, tx, "SELECT coalesce(shobj_description($1::oid, 'pg_authid'), '')", string(have.ID))
	if err != nil {
		return "", err
	}
	return sqlclient.Text(rows[0].Values[0])
}

// disable takes LOGIN away first: whoever is signed in stays until the step "sessions".
func (r *roles) disable(ctx context.Context, tx *sql.Tx, have identity.Account) error {
	if err := r.touchable(have); err != nil {
		return err
	}
	if have.Active {
		if err := r.say(ctx, tx, "ALTER ROLE %I NOLOGIN", have.UserName); err != nil {
			return err
		}
	}
	comment, err := r.comment(ctx, tx, have)
	if err != nil || strings.HasPrefix(comment, closedMark) {
		return err
	}
	return r.remark(ctx, tx, have, marked(comment))
}

func (r *roles) enable(ctx context.Context, tx *sql.Tx, have identity.Account, _ map[string]string) error {
	if err := r.touchable(have); err != nil {
		return err
	}
	if !have.Active {
		if err := r.say(ctx, tx, "ALTER ROLE %I LOGIN", have.UserName); err != nil {
			return err
		}
	}
	comment, err := r.comment(ctx, tx, have)
	if err != nil || !strings.HasPrefix(comment, closedMark) {
		return err
	}
	return r.remark(ctx, tx, have, unmarked(comment))
}

// remove drops a role that nothing depends on. What it owns, or was granted directly, is handed over by hand in each
// database: nothing is dropped by half, and no role is granted to ourselves for it.
func (r *roles) remove(ctx context.Context, tx *sql.Tx, have identity.Account) error {
	if err := r.touchable(have); err != nil {
		return err
	}
	// The catalog is the server's, not one database's: objects in databases that we may not enter are seen, too.
	rows, err := sqlclient.All(ctx, tx, `SELECT coalesce(d.datname::text, ''),
			count(*) FILTER (WHERE s.deptype = 'o'), count(*)
		FROM pg_shdepend s LEFT JOIN pg_database d
			ON d.oid = CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid ELSE s.dbid END
		WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1::oid GROUP BY 1 ORDER BY 1`, string(have.ID))
	if err != nil {
		return err
	}
	var owned []string
	for _, row := range rows {
		where, _ := sqlclient.Text(row.Values[0])
		if where == "" {
			where = "what all databases share"
		}
		owned = append(owned, fmt.Sprintf("%s: owner of %v, named in %v", where, row.Values[1], row.Values[2]))
	}
	if len(owned) > 0 {
		return fmt.Errorf("%w: %s still owns objects or has rights of its own (%s): in each of those databases run "+
			"REASSIGN OWNED BY and then DROP OWNED BY for it", targets.ErrRejected, have.UserName, strings.Join(owned, "; "))
	}
	return r.say(ctx, tx, "DROP ROLE %I", have.UserName)
}

// entitlements are roles that others can be members of.
func (r *roles) entitlements(ctx context.Context, tx *sql.Tx) ([]identity.Entitlement, error) {
	rows, err := sqlclient.All(ctx, tx, `SELECT r.oid::text, r.rolname::text FROM pg_roles r
		WHERE NOT r.rolsuper AND r.rolname <> session_user AND (`+groupLike+`
			OR EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid))`)
	if err != nil {
		return nil, err
	}
	var list []identity.Entitlement
	for _, row := range rows {
		e, err := roleOf(row.Values)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// roleOf is an entitlement of an identifier and a name.
func roleOf(values []any) (identity.Entitlement, error) {
	id, err := sqlclient.Text(values[0])
	if err != nil {
		return identity.Entitlement{}, err
	}
	name, err := sqlclient.Text(values[1])
	return identity.Entitlement{Kind: "role", ID: id, Name: name}, err
}

func (r *roles) holders(
	ctx context.Context, tx *sql.Tx, id identity.AccountID,
) (map[identity.AccountID][]identity.Entitlement, error) {
	query := `SELECT DISTINCT g.oid::text, g.rolname::text, m.member::text
		FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid`
	var args []any
	if id != "" {
		query, args = query+" WHERE m.member = $1::oid", []any{string(id)}
	}
	held := map[identity.AccountID][]identity.Entitlement{}
	err := sqlclient.Each(ctx, tx, query, args, func(row sqlclient.Row) error {
		e, err := roleOf(row.Values)
		if err != nil {
			return err
		}
		member, err := sqlclient.Text(row.Values[2])
		held[identity.AccountID(member)] = append(held[identity.AccountID(member)], e)
		return err
	})
	return held, err
}

func (r *roles) grant(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error {
	if err := r.touchable(have); err != nil {
		return err
	}
	return r.say(ctx, tx, "GRANT %I TO %I", e.Name, have.UserName)
}

func (r *roles) withdraw(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error {
	if err := r.touchable(have); err != nil {
		return err
	}
	return r.say(ctx, tx, "REVOKE %I FROM %I", e.Name, have.UserName)
}

func (r *roles) closing() []step {
	var list []step
	if !r.keepPassword {
		// It cannot be read without the right to read every password: it is sent, and not proven.
		list = append(list, step{Step: targets.Step{Name: "password"}, do: r.forget})
	}
	return append(
		list,
		step{Step: targets.Step{Name: "sessions", Revokes: true}, do: r.cut, left: r.connected},
		step{Step: targets.Step{
			Name: "pooler", Impossible: "direct logins only are proven closed: a pooler in front of the server checks " +
				"passwords itself, and may hold them until it is reloaded",
		}},
		step{Step: targets.Step{
			Name: "ownership", Impossible: "what the role owns stays its own, and its functions with SECURITY DEFINER, its " +
				"views and its scheduled jobs still run as it: hand them over by REASSIGN OWNED BY in each database",
		}},
	)
}

// forget removes the password: a pooler that reads it checks it without regard to NOLOGIN.
func (r *roles) forget(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
	if err := r.touchable(have); err != nil {
		return "", err
	}
	return "", r.say(ctx, tx, "ALTER ROLE %I PASSWORD NULL", have.UserName)
}

// cut ends every connection that the role signed in over, whatever role it has taken since. usesysid is whom the
// connection belongs to (PostgreSQL's manual, 28.2.3): SET ROLE does not change it.
func (r *roles) cut(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
	if err := r.touchable(have); err != nil {
		return "", err
	}
	_, err := sqlclient.All(ctx, tx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE usesysid = $1::oid AND pid <> pg_backend_pid()`, string(have.ID))
	if err != nil {
		return "", err
	}
	return "", patiently(func() (bool, error) {
		if err := r.later(ctx, tx); err != nil {
			return false, err
		}
		n, err := r.backends(ctx, tx, have)
		return n == 0, err
	})
}

// patiently asks a few times whether what was ended has: a server that is busy takes a moment. What is left then is
// told by the step's Left.
func patiently(over func() (bool, error)) error {
	for range 20 {
		if done, err := over(); done || err != nil {
			return err
		}
	}
	return nil
}

// later waits, and has the server forget what it showed within this transaction.
func (r *roles) later(ctx context.Context, tx *sql.Tx) error {
	_, err := sqlclient.All(ctx, tx, "SELECT pg_sleep(0.1), pg_stat_clear_snapshot()")
	return err
}

// backends counts the role's connections.
func (r *roles) backends(ctx context.Context, tx *sql.Tx, have identity.Account) (int64, error) {
	rows, err := sqlclient.All(ctx, tx, "SELECT count(*) FROM pg_stat_activity WHERE usesysid = $1::oid", string(have.ID))
	if err != nil {
		return 0, err
	}
	n, ok := rows[0].Values[0].(int64)
	if !ok {
		return 0, fmt.Errorf("%w: pg_stat_activity shows no number", targets.ErrIncomplete)
	}
	return n, nil
}

// connected looks twice: a connection that is being made shows in one of two looks.
func (r *roles) connected(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
	n, err := r.backends(ctx, tx, have)
	if err == nil && n == 0 {
		if err = r.later(ctx, tx); err == nil {
			n, err = r.backends(ctx, tx, have)
		}
	}
	return open(n), err
}

// open says how many connections are; "" for none.
func open(n int64) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 connection is open"
	}
	return fmt.Sprintf("%d connections are open", n)
}

func (r *roles) own(ctx context.Context, tx *sql.Tx) (targets.Own, error) {
	rows, err := sqlclient.All(ctx, tx, "SELECT oid::text, rolname::text FROM pg_roles WHERE rolname = session_user")
	if err != nil || len(rows) != 1 {
		return targets.Own{}, err
	}
	own, err := roleOf(rows[0].Values)
	return targets.Own{ID: identity.AccountID(own.ID), UserName: own.Name}, err
}

// check tries everything on a role that it makes for that, in a transaction that is rolled back.
func (r *roles) check(
	ctx context.Context, client *sqlclient.Client, say func(string, ...any),
) (lacking []string, err error) {
	var me string
	var version int64
	err = client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := sqlclient.All(ctx, tx, `SELECT format('%I', session_user), current_setting('server_version'),
			current_setting('server_version_num')::bigint,
			(SELECT count(*) FROM pg_roles r WHERE NOT `+groupLike+` AND `+untouchable+` = ''),
			(SELECT coalesce(string_agg(r.rolname, ', ' ORDER BY r.rolname), 'none') FROM pg_roles r
				WHERE r.rolcanlogin AND `+untouchable+` <> ''),
			pg_has_role('pg_signal_backend', 'MEMBER') OR (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)`)
		if err != nil {
			return err
		}
		v := rows[0].Values
		me, _ = sqlclient.Text(v[0])
		version, _ = v[2].(int64)
		say("PostgreSQL %v", v[1])
		say("accounts: %v login roles", v[3])
		say("never touched: %v", v[4])
		if signals, _ := v[5].(bool); !signals {
			lacking = append(lacking, "ending sessions: GRANT pg_signal_backend TO "+me)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = client.Try(ctx, func(ctx context.Context, tx *sql.Tx) error {
		name := "dirsweep-check-" + rand.Text()
		for _, statement := range []string{
			"CREATE ROLE %I LOGIN", "ALTER ROLE %I NOLOGIN PASSWORD NULL", "COMMENT ON ROLE %I IS 'check'", "DROP ROLE %I",
		} {
			if err := r.say(ctx, tx, statement, name); err != nil {
				return err
			}
		}
		return nil
	})
	if sqlclient.ClassOf(err) == sqlclient.Forbidden {
		return append(lacking, "making and changing roles: ALTER ROLE "+me+" CREATEROLE"), nil
	}
	if err != nil {
		return nil, err
	}
	say("tried, and rolled back: making, changing, commenting and dropping a role")
	if version < 160000 {
		return lacking, nil
	}
	more, err := r.administered(ctx, client, me)
	return append(lacking, more...), err
}

// administered names roles that may not be changed: since version 16 CREATEROLE alone is not enough.
func (r *roles) administered(ctx context.Context, client *sqlclient.Client, me string) (lacking []string, err error) {
	err = client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := sqlclient.All(ctx, tx, `SELECT count(*), coalesce(min(format('%I', r.rolname)), '') FROM pg_roles r
			WHERE NOT `+groupLike+` AND `+untouchable+` = '' AND NOT pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')`)
		if err != nil {
			return err
		}
		if n, _ := rows[0].Values[0].(int64); n > 0 {
			lacking = append(lacking, fmt.Sprintf("changing %d roles: GRANT %v TO %s WITH ADMIN OPTION, and so for the others",
				n, rows[0].Values[1], me))
		}
		return nil
	})
	return lacking, err
}
