package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A table is an application that keeps its users in a table of its own, or in what a query over several shows.
type table struct {
	driver   sqlclient.Driver
	from     string            // the table, or a query in parentheses with an alias
	key      string            // the column that names a row for life
	columns  map[string]string // by path
	active   door
	deletes  bool
	writable bool // it is a table: what has no statement is written to it
	// statements that the config gives, by operation; they run in their order.
	statements map[string][]statement
	roles      *memberships // nil for none
	steps      []closingStep
}

// A door is the column that says whether an account may sign in.
type door struct {
	column  string
	on, off any // string or bool
}

// A memberships table has a row for each account and entitlement that it has.
type memberships struct {
	table, account, entitlement string
	of, key, name               string // the table of all entitlements
	kind                        string
}

// A closingStep is a statement of the config's that closing takes.
type closingStep struct {
	name    string
	do      statement
	left    *statement // how many rows are left to do; nil where nobody can tell
	revokes bool
}

// The operations that statements can be given for, beside grant and withdraw.
const (
	opCreate   = "create"
	opUpdate   = "update"
	opEnable   = "enable"
	opDisable  = "disable"
	opDelete   = "delete"
	opGrant    = "grant"
	opWithdraw = "withdraw"
)

func (t *table) capabilities() identity.Capabilities {
	return identity.Capabilities{Disable: true, Delete: t.deletes, Entitlements: t.roles != nil, Update: true}
}

func (t *table) q(name string) string { return quote(t.driver, name) }

// paths are the mapped paths that have a column, sorted.
func (t *table) paths() []string { return slices.Sorted(maps.Keys(t.columns)) }

// selected is the query over all accounts: key, active, then a column for each path.
func (t *table) selected() string {
	list := []string{t.q(t.key), t.q(t.active.column)}
	for _, path := range t.paths() {
		list = append(list, t.q(t.columns[path]))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + t.from
}

// marker is the driver's n-th parameter.
func (t *table) marker(n int) string {
	if t.driver == sqlclient.PostgreSQL {
		return fmt.Sprintf("$%d", n)
	}
	return "?"
}

// account is what a row of selected says.
func (t *table) account(row sqlclient.Row) (identity.Account, error) {
	a := identity.Account{Attributes: map[string]identity.Value{}}
	id, err := sqlclient.Text(row.Values[0])
	if err != nil || id == "" {
		return a, fmt.Errorf("%w: a row has no %s that is text: %v", targets.ErrIncomplete, t.key, err)
	}
	a.ID = identity.AccountID(id)
	a.Active, a.ActiveShown = t.active.read(row.Values[1])
	for i, path := range t.paths() {
		v, err := sqlclient.Value(row.Values[i+2])
		if err != nil { // bytes: as though it were not there, so that writing is tried
			continue
		}
		switch path {
		case "userName":
			a.UserName = v.Text()
		case "externalId":
			a.ExternalID = v.Text()
		}
		if v != "" {
			a.Attributes[path] = v
		}
	}
	return a, nil
}

// read says what a value means. One that is neither on nor off may let somebody in.
func (d door) read(v any) (active bool, shown string) {
	switch {
	case same(v, d.off):
		return false, ""
	case same(v, d.on):
		return true, ""
	case v == nil:
		return true, "NULL"
	}
	text, _ := sqlclient.Text(v)
	return true, fmt.Sprintf("%s %q", d.column, text)
}

// same compares a column's value with one of the config: MariaDB's truth values are numbers.
func same(have, want any) bool {
	if want == nil || have == nil {
		return want == nil && have == nil
	}
	truth, isBool := want.(bool)
	if n, isNumber := have.(int64); isBool && isNumber {
		return truth == (n != 0)
	}
	text, err := sqlclient.Text(have)
	return err == nil && text == fmt.Sprint(want)
}

func (t *table) list(ctx context.Context, tx *sql.Tx, alive func(), yield func(identity.Account) error) error {
	seen := map[identity.AccountID]bool{}
	return sqlclient.Each(ctx, tx, t.selected(), nil, func(row sqlclient.Row) error {
		alive()
		a, err := t.account(row)
		if err != nil {
			return err
		}
		if seen[a.ID] {
			return fmt.Errorf("%w: %s %s names more than one row", targets.ErrIncomplete, t.key, a.ID)
		}
		seen[a.ID] = true
		return yield(a)
	})
}

// where are the accounts of a condition with one parameter, which MariaDB compares in its own way: without regard to
// letter case, accents and spaces at the end. fits says which are meant.
func (t *table) where(
	ctx context.Context, tx *sql.Tx, condition string, value any, fits func(identity.Account) bool,
) ([]identity.Account, error) {
	var list []identity.Account
	err := sqlclient.Each(ctx, tx, t.selected()+" WHERE "+condition, []any{value}, func(row sqlclient.Row) error {
		a, err := t.account(row)
		if err == nil && fits(a) {
			list = append(list, a)
		}
		return err
	})
	if unfit(err) {
		return nil, nil
	}
	return list, err
}

func (t *table) read(ctx context.Context, tx *sql.Tx, id identity.AccountID) (identity.Account, error) {
	found, err := t.where(ctx, tx, t.q(t.key)+" = "+t.marker(1), string(id),
		func(a identity.Account) bool { return a.ID == id })
	switch {
	case err != nil:
		return identity.Account{}, err
	case len(found) == 0:
		return identity.Account{}, fmt.Errorf("%w: no row has %s %s", targets.ErrNotFound, t.key, id)
	case len(found) > 1:
		return identity.Account{}, fmt.Errorf("%w: %d rows have %s %s", targets.ErrConflict, len(found), t.key, id)
	}
	return found[0], nil
}

func (t *table) find(ctx context.Context, tx *sql.Tx, attribute, value string) ([]identity.Account, error) {
	switch column := t.columns[attribute]; {
	case attribute == "id":
		return t.where(ctx, tx, t.q(t.key)+" = "+t.marker(1), value,
			func(a identity.Account) bool { return string(a.ID) == value })
	case attribute == "userName":
		// A name has no case of its own; an index on lower(column) makes this fast.
		return t.where(ctx, tx, "LOWER("+t.q(column)+") = LOWER("+t.marker(1)+")", value,
			func(a identity.Account) bool { return strings.EqualFold(a.UserName, value) })
	case column != "":
		return t.where(ctx, tx, t.q(column)+" = "+t.marker(1), value,
			func(a identity.Account) bool { return a.Get(attribute).Text() == value })
	}
	if attribute == "externalId" { // nobody has one
		return nil, nil
	}
	return nil, fmt.Errorf("%w: %s has no column", targets.ErrRejected, attribute)
}

// bound is a value as a parameter. PostgreSQL takes any type's text; MariaDB's truth values are numbers.
func (t *table) bound(path string, v identity.Value) (any, error) {
	one := v.Any()
	if list, ok := one.([]any); ok && len(list) == 1 {
		one = list[0]
	}
	switch one := one.(type) {
	case nil:
		return nil, nil
	case bool:
		return t.truth(one), nil
	case []any, map[string]any:
		err := errors.New("a column holds one value: map a text, a number or true or false")
		return nil, &targets.RejectedError{Path: path, Err: err}
	}
	return fmt.Sprint(one), nil // a text or a number
}

func (t *table) truth(v any) any {
	b, ok := v.(bool)
	if !ok {
		return v
	}
	if t.driver == sqlclient.PostgreSQL {
		return fmt.Sprint(b)
	}
	if b {
		return 1
	}
	return 0
}

// values are those that statements can name: :id, :active and each path.
func (t *table) values(a identity.Account, attributes map[string]identity.Value) (map[string]any, error) {
	out := map[string]any{"id": string(a.ID), "active": t.truth(t.active.on)}
	for path := range t.columns {
		var err error
		if out[path], err = t.bound(path, attributes[path]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// given runs the statements that the config gives for an operation, and reports whether there are any.
func (t *table) given(ctx context.Context, tx *sql.Tx, op string, values map[string]any) (bool, error) {
	for _, s := range t.statements[op] {
		if err := s.run(ctx, tx, values); err != nil {
			return true, err
		}
	}
	return len(t.statements[op]) > 0, nil
}

// run runs the statements for an operation or, where the config gives none, one of ours.
func (t *table) run(ctx context.Context, tx *sql.Tx, op string, values map[string]any, ours string) error {
	if given, err := t.given(ctx, tx, op, values); given || err != nil {
		return err
	}
	s, err := compile(t.driver, ours)
	if err != nil {
		return err
	}
	return s.run(ctx, tx, values)
}

func (t *table) create(ctx context.Context, tx *sql.Tx, want identity.Account) error {
	attributes := maps.Clone(want.Attributes)
	if attributes == nil {
		attributes = map[string]identity.Value{}
	}
	attributes["userName"], attributes["externalId"] = identity.Text(want.UserName), identity.Text(want.ExternalID)
	values, err := t.values(want, attributes)
	if err != nil {
		return err
	}
	columns, places := []string{t.q(t.active.column)}, []string{":active"}
	for _, path := range t.paths() {
		if attributes[path] != "" { // others get the column's default
			columns, places = append(columns, t.q(t.columns[path])), append(places, ":"+path)
		}
	}
	return t.run(ctx, tx, opCreate, values,
		fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", t.from, strings.Join(columns, ", "), strings.Join(places, ", ")))
}

// update writes the attributes together or, where the server refuses that, one by one.
func (t *table) update(
	ctx context.Context, tx *sql.Tx, have identity.Account, changes []identity.AttributeChange,
) ([]targets.Refusal, error) {
	err := point(ctx, tx, func() error { return t.write(ctx, tx, have, changes) })
	if err == nil || !refuses(err) {
		return nil, err
	}
	return each(ctx, tx, changes, func(change identity.AttributeChange) error {
		err := t.write(ctx, tx, have, []identity.AttributeChange{change})
		if err == nil {
			have.Attributes[change.Path] = change.After
		}
		return err
	})
}

// write makes one statement of changes. Statements of the config's get the other attributes as they are.
func (t *table) write(
	ctx context.Context, tx *sql.Tx, have identity.Account, changes []identity.AttributeChange,
) error {
	attributes := maps.Clone(have.Attributes)
	attributes["userName"], attributes["externalId"] = identity.Text(have.UserName), identity.Text(have.ExternalID)
	var set []string
	for _, change := range changes {
		column, ok := t.columns[change.Path]
		if !ok || column == t.key {
			err := fmt.Errorf("%s is not to be written: it names the row, or has no column", change.Path)
			return &targets.RejectedError{Path: change.Path, Err: err}
		}
		attributes[change.Path] = change.After
		set = append(set, t.q(column)+" = :"+change.Path)
	}
	values, err := t.values(have, attributes)
	if err != nil {
		return err
	}
	return t.run(ctx, tx, opUpdate, values, "UPDATE "+t.from+" SET "+strings.Join(set, ", ")+t.row())
}

// row is the condition for one account.
func (t *table) row() string { return " WHERE " + t.q(t.key) + " = :id" }

func (t *table) disable(ctx context.Context, tx *sql.Tx, have identity.Account) error {
	return t.turn(ctx, tx, have, opDisable, t.active.off, !have.Active)
}

func (t *table) enable(ctx context.Context, tx *sql.Tx, have identity.Account, _ map[string]string) error {
	return t.turn(ctx, tx, have, opEnable, t.active.on, have.Active && have.ActiveShown == "")
}

func (t *table) turn(ctx context.Context, tx *sql.Tx, have identity.Account, op string, to any, done bool) error {
	if done {
		return nil
	}
	values, err := t.values(have, have.Attributes)
	if err != nil {
		return err
	}
	values["active"] = t.truth(to)
	return t.run(ctx, tx, op, values, "UPDATE "+t.from+" SET "+t.q(t.active.column)+" = :active"+t.row())
}

// remove deletes the row. What else has its key goes by a statement of the config's, or keeps it from going.
func (t *table) remove(ctx context.Context, tx *sql.Tx, have identity.Account) error {
	values, err := t.values(have, have.Attributes)
	if err != nil {
		return err
	}
	return t.run(ctx, tx, opDelete, values, "DELETE FROM "+t.from+t.row())
}

func (t *table) entitlements(ctx context.Context, tx *sql.Tx) ([]identity.Entitlement, error) {
	if t.roles == nil {
		return nil, nil
	}
	query := fmt.Sprintf("SELECT %s, %s FROM %s", t.q(t.roles.key), t.q(t.roles.name), t.q(t.roles.of))
	rows, err := sqlclient.All(ctx, tx, query)
	if err != nil {
		return nil, err
	}
	var list []identity.Entitlement
	for _, row := range rows {
		e, err := t.roles.read(row.Values)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// read is the entitlement that a key and a name say.
func (m *memberships) read(values []any) (identity.Entitlement, error) {
	id, err := sqlclient.Text(values[0])
	if err != nil {
		return identity.Entitlement{}, fmt.Errorf("%s of %s: %w", m.key, m.of, err)
	}
	name, err := sqlclient.Text(values[1])
	if err != nil || name == "" {
		name = id
	}
	return identity.Entitlement{Kind: m.kind, ID: id, Name: name}, nil
}

func (t *table) holders(
	ctx context.Context, tx *sql.Tx, id identity.AccountID,
) (map[identity.AccountID][]identity.Entitlement, error) {
	if t.roles == nil {
		return nil, nil
	}
	m := t.roles
	query := fmt.Sprintf("SELECT e.%s, e.%s, m.%s FROM %s m JOIN %s e ON e.%s = m.%s",
		t.q(m.key), t.q(m.name), t.q(m.account), t.q(m.table), t.q(m.of), t.q(m.key), t.q(m.entitlement))
	var args []any
	if id != "" {
		query, args = query+" WHERE m."+t.q(m.account)+" = "+t.marker(1), []any{string(id)}
	}
	held := map[identity.AccountID][]identity.Entitlement{}
	err := sqlclient.Each(ctx, tx, query, args, func(row sqlclient.Row) error {
		e, err := m.read(row.Values)
		if err != nil {
			return err
		}
		account, err := sqlclient.Text(row.Values[2])
		held[identity.AccountID(account)] = append(held[identity.AccountID(account)], e)
		return err
	})
	return held, err
}

func (t *table) grant(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error {
	return t.member(ctx, tx, have, e, opGrant, fmt.Sprintf("INSERT INTO %s (%s, %s) VALUES (:id, :entitlement)",
		t.q(t.roles.table), t.q(t.roles.account), t.q(t.roles.entitlement)))
}

func (t *table) withdraw(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error {
	return t.member(ctx, tx, have, e, opWithdraw, fmt.Sprintf("DELETE FROM %s WHERE %s = :id AND %s = :entitlement",
		t.q(t.roles.table), t.q(t.roles.account), t.q(t.roles.entitlement)))
}

func (t *table) member(
	ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement, op, ours string,
) error {
	values, err := t.values(have, have.Attributes)
	if err != nil {
		return err
	}
	values["entitlement"], values["entitlement_name"] = e.ID, e.Name
	return t.run(ctx, tx, op, values, ours)
}

func (t *table) closing() []step {
	var list []step
	for _, c := range t.steps {
		s := step{Step: targets.Step{Name: c.name, Revokes: c.revokes}}
		s.do = func(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
			values, err := t.values(have, have.Attributes)
			if err != nil {
				return "", err
			}
			return "", c.do.run(ctx, tx, values)
		}
		if c.left != nil {
			s.left = func(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
				values, err := t.values(have, have.Attributes)
				if err != nil {
					return "", err
				}
				return c.left.count(ctx, tx, values)
			}
		}
		list = append(list, s)
	}
	return list
}

// count runs a query whose answer is one number, and says what is left; "" for 0.
func (s statement) count(ctx context.Context, tx *sql.Tx, values map[string]any) (string, error) {
	args, err := s.bind(values)
	if err != nil {
		return "", err
	}
	rows, err := sqlclient.All(ctx, tx, s.query, args...)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0].Values) != 1 {
		return "", fmt.Errorf("%w: left has to answer with one number", targets.ErrRejected)
	}
	text, err := sqlclient.Text(rows[0].Values[0])
	if err != nil || text == "" {
		return "", fmt.Errorf("%w: left has to answer with one number", targets.ErrRejected)
	}
	if text == "0" || text == "false" {
		return "", nil
	}
	return text + " left", nil
}

// own: the database's users are none of the application's.
func (t *table) own(context.Context, *sql.Tx) (targets.Own, error) { return targets.Own{}, nil }
