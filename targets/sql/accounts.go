package sql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// accounts are MariaDB's own. All rows of one name, whatever their hosts, are one person's account, and the name is its
// id: the server knows no other. It commits each statement about accounts by itself, so that each of ours is one
// statement for all hosts.
type accounts struct {
	deletes bool
	hosts   []string // whose rows are ours; none for all
	plugin  string   // by which new accounts sign in; "" for a password that nobody knows
}

// rows are an account's, as mysql.global_priv has them.
type rows struct {
	user   string
	hosts  []string
	locked []bool
}

const selectedAccounts = `SELECT User, Host, COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') FROM mysql.global_priv
	WHERE User <> '' AND COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') NOT IN ('1', 'true')`

func (m *accounts) capabilities() identity.Capabilities {
	return identity.Capabilities{Disable: true, Delete: m.deletes, Entitlements: true, Update: true, Places: true}
}

// builtIn are accounts of the server and of its packages.
func builtIn() []string {
	return []string{"root", "mysql", "mariadb.sys", "debian-sys-maint", "PUBLIC"}
}

// account is what its rows say: it can sign in while one of them is not locked.
func (m *accounts) account(r rows, me string) identity.Account {
	a := identity.Account{
		ID: identity.AccountID(r.user), UserName: r.user, Active: slices.Contains(r.locked, false),
		Attributes: map[string]identity.Value{"userName": identity.Text(r.user)},
	}
	switch {
	case r.user == me:
		a.Unlisted = "it is the account that dirsweep itself signs in as"
	case slices.Contains(builtIn(), r.user):
		a.Unlisted = "it is one of the server's own"
	}
	return a
}

// me is the account that we are signed in as.
func (m *accounts) me(ctx context.Context, tx *sql.Tx) (string, error) {
	found, err := sqlclient.All(ctx, tx, "SELECT CURRENT_USER()")
	if err != nil {
		return "", err
	}
	text, err := sqlclient.Text(found[0].Values[0])
	user, _ := splitAccount(text)
	return user, err
}

// splitAccount takes 'user@host' apart; a user may have an @ of its own.
func splitAccount(text string) (user, host string) {
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return text, "%"
	}
	return text[:i], text[i+1:]
}

// each calls f with every account of a condition.
func (m *accounts) each(ctx context.Context, tx *sql.Tx, condition string, args []any, f func(rows) error) error {
	var now rows
	err := sqlclient.Each(ctx, tx, selectedAccounts+condition+" ORDER BY User, Host", args, func(row sqlclient.Row) error {
		text := make([]string, len(row.Values))
		for i, v := range row.Values {
			var err error
			if text[i], err = sqlclient.Text(v); err != nil {
				return fmt.Errorf("%w: mysql.global_priv: %w", targets.ErrIncomplete, err)
			}
		}
		if text[0] != now.user {
			if now.user != "" {
				if err := f(now); err != nil {
					return err
				}
			}
			now = rows{user: text[0]}
		}
		now.hosts, now.locked = append(now.hosts, text[1]), append(now.locked, text[2] == "1" || text[2] == "true")
		return nil
	})
	if err == nil && now.user != "" {
		err = f(now)
	}
	return err
}

func (m *accounts) list(ctx context.Context, tx *sql.Tx, alive func(), yield func(identity.Account) error) error {
	me, err := m.me(ctx, tx)
	if err != nil {
		return err
	}
	return m.each(ctx, tx, "", nil, func(r rows) error {
		alive()
		if a := m.account(r, me); a.Unlisted == "" {
			return yield(a)
		}
		return nil
	})
}

// rows are an account's own.
func (m *accounts) rows(ctx context.Context, tx *sql.Tx, id identity.AccountID) (found rows, err error) {
	err = m.each(ctx, tx, " AND User = ?", []any{string(id)}, func(r rows) error {
		if r.user == string(id) {
			found = r
		}
		return nil
	})
	if err == nil && found.user == "" {
		err = fmt.Errorf("%w: there is no account %s at any host", targets.ErrNotFound, id)
	}
	return found, err
}

func (m *accounts) read(ctx context.Context, tx *sql.Tx, id identity.AccountID) (identity.Account, error) {
	r, err := m.rows(ctx, tx, id)
	if err != nil {
		return identity.Account{}, err
	}
	me, err := m.me(ctx, tx)
	return m.account(r, me), err
}

func (m *accounts) find(ctx context.Context, tx *sql.Tx, attribute, value string) ([]identity.Account, error) {
	condition, fits := " AND User = ?", func(r rows) bool { return r.user == value }
	switch attribute {
	case "id":
	case "externalId": // accounts have none
		return nil, nil
	case "userName":
		condition, fits = " AND LOWER(User) = LOWER(?)", func(r rows) bool { return strings.EqualFold(r.user, value) }
	default:
		return nil, fmt.Errorf("%w: accounts are not found by %s", targets.ErrRejected, attribute)
	}
	me, err := m.me(ctx, tx)
	if err != nil {
		return nil, err
	}
	var list []identity.Account
	err = m.each(ctx, tx, condition, []any{value}, func(r rows) error {
		if fits(r) {
			list = append(list, m.account(r, me))
		}
		return nil
	})
	return list, err
}

// quoted are texts as the server quotes them.
func (m *accounts) quoted(ctx context.Context, tx *sql.Tx, texts ...string) ([]string, error) {
	args := make([]any, len(texts))
	for i, text := range texts {
		args[i] = text
	}
	query := "SELECT QUOTE(?)" + strings.Repeat(", QUOTE(?)", len(texts)-1)
	found, err := sqlclient.All(ctx, tx, query, args...)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(texts))
	for i, v := range found[0].Values {
		if list[i], err = sqlclient.Text(v); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// at are an account's names at some hosts, quoted: 'bob'@'%', 'bob'@'10.0.0.5'; each with rest behind it.
func (m *accounts) at(ctx context.Context, tx *sql.Tx, user string, hosts []string, rest string) (string, error) {
	names, err := m.quoted(ctx, tx, append([]string{user}, hosts...)...)
	if err != nil {
		return "", err
	}
	var list []string
	for _, host := range names[1:] {
		list = append(list, names[0]+"@"+host+rest)
	}
	return strings.Join(list, ", "), nil
}

// ours are the hosts whose rows may be written, and the others.
func (m *accounts) ours(r rows) (ours, others []string) {
	for i, host := range r.hosts {
		switch {
		case len(m.hosts) == 0 || slices.ContainsFunc(m.hosts, func(h string) bool { return strings.EqualFold(h, host) }):
			ours = append(ours, host)
		case !r.locked[i]:
			others = append(others, host)
		}
	}
	return ours, others
}

// touchable refuses what is none of a person's.
func (m *accounts) touchable(a identity.Account) error {
	if a.Unlisted != "" {
		return fmt.Errorf("%w: %s is never changed: %s", targets.ErrForbidden, a.UserName, a.Unlisted)
	}
	return nil
}

// all runs a statement over every row of an account that is ours. Rows that are not, and let somebody in, are an error
// when the account is to be closed.
func (m *accounts) all(ctx context.Context, tx *sql.Tx, have identity.Account, closing bool, format string) error {
	if err := m.touchable(have); err != nil {
		return err
	}
	r, err := m.rows(ctx, tx, have.ID)
	if err != nil {
		return err
	}
	hosts, others := m.ours(r)
	if len(hosts) > 0 {
		names, err := m.at(ctx, tx, r.user, hosts, "")
		if err != nil {
			return err
		}
		if _, err := sqlclient.Exec(ctx, tx, fmt.Sprintf(format, names)); err != nil {
			return err
		}
	}
	if closing && len(others) > 0 {
		return fmt.Errorf("%w: %s is open at %s, which hosts does not name: lock it there by hand, or add the host",
			targets.ErrForbidden, r.user, strings.Join(others, ", "))
	}
	return nil
}

func (m *accounts) create(ctx context.Context, tx *sql.Tx, want identity.Account) error {
	hosts := m.hosts
	if len(hosts) == 0 {
		hosts = []string{"%"}
	}
	way := " IDENTIFIED VIA " + m.plugin
	if m.plugin == "" {
		// The form of a hash that nobody has the password of: without it anybody could sign in without one.
		unknown := make([]byte, 20)
		_, _ = rand.Read(unknown) // it never fails
		way = " IDENTIFIED VIA mysql_native_password USING '*" + strings.ToUpper(hex.EncodeToString(unknown)) + "'"
	}
	names, err := m.at(ctx, tx, want.UserName, hosts, way)
	if err != nil {
		return err
	}
	_, err = sqlclient.Exec(ctx, tx, "CREATE USER "+names)
	if sqlclient.CodeOf(err) == "1396" { // it exists at one of the hosts
		return fmt.Errorf("%w: %w", targets.ErrConflict, err)
	}
	return err
}

func (m *accounts) update(
	_ context.Context, _ *sql.Tx, have identity.Account, changes []identity.AttributeChange,
) ([]targets.Refusal, error) {
	return nil, &targets.RejectedError{
		Path: changes[0].Path,
		Err: fmt.Errorf("MariaDB knows %s by this name alone: after RENAME USER by hand, `dirsweep link` names the account "+
			"that the person has now", have.UserName),
	}
}

func (m *accounts) disable(ctx context.Context, tx *sql.Tx, have identity.Account) error {
	return m.all(ctx, tx, have, true, "ALTER USER %s ACCOUNT LOCK")
}

func (m *accounts) enable(ctx context.Context, tx *sql.Tx, have identity.Account, kept map[string]string) error {
	if err := m.all(ctx, tx, have, false, "ALTER USER %s ACCOUNT UNLOCK"); err != nil {
		return err
	}
	return m.regrant(ctx, tx, kept[proxies])
}

// remove drops every row of the name, unless something still runs as it, or that cannot be seen.
func (m *accounts) remove(ctx context.Context, tx *sql.Tx, have identity.Account) error {
	if err := m.touchable(have); err != nil {
		return err
	}
	defined, err := m.definitions(ctx, tx)
	if err != nil {
		return err
	}
	if list := defined[have.UserName]; len(list) > 0 {
		return fmt.Errorf("%w: still runs as %s, and would break: %s; give it another DEFINER first",
			targets.ErrRejected, have.UserName, bounded(list))
	}
	r, err := m.rows(ctx, tx, have.ID)
	if err != nil {
		return err
	}
	if len(m.hosts) > 0 {
		for _, host := range r.hosts {
			if !slices.Contains(m.hosts, host) {
				return fmt.Errorf("%w: there is %s at %s as well, which hosts does not name", targets.ErrForbidden, r.user, host)
			}
		}
	}
	return m.all(ctx, tx, have, false, "DROP USER %s")
}

// bounded is a list for a message.
func bounded(list []string) string {
	const most = 10
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// toSeeDefiners are the rights without which the information schema leaves definers out, without a word.
func toSeeDefiners() []string { return []string{"SHOW VIEW", "TRIGGER", "EVENT"} }

// definitions are what runs as each user: views, routines, triggers and events.
func (m *accounts) definitions(ctx context.Context, tx *sql.Tx) (map[string][]string, error) {
	granted, err := m.granted(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, right := range toSeeDefiners() {
		if !granted[right] {
			return nil, fmt.Errorf("%w: whether something is defined by the account is unknown: "+
				"GRANT %s ON *.* and SELECT ON mysql.proc to see it", targets.ErrForbidden, strings.Join(toSeeDefiners(), ", "))
		}
	}
	found := map[string][]string{}
	for _, part := range []struct{ what, query string }{
		{"view", "SELECT DEFINER, TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS"},
		{"trigger", "SELECT DEFINER, TRIGGER_SCHEMA, TRIGGER_NAME FROM information_schema.TRIGGERS"},
		{"event", "SELECT DEFINER, EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS"},
		{"routine", "SELECT definer, db, name FROM mysql.proc"},
	} {
		err := sqlclient.Each(ctx, tx, part.query, nil, func(row sqlclient.Row) error {
			definer, err := sqlclient.Text(row.Values[0])
			user, _ := splitAccount(definer)
			found[user] = append(found[user], fmt.Sprintf("%s %v.%v", part.what, row.Values[1], row.Values[2]))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

var globalGrant = regexp.MustCompile(`^GRANT (.+) ON \*\.\* TO `)

// granted are our rights on everything.
func (m *accounts) granted(ctx context.Context, tx *sql.Tx) (map[string]bool, error) {
	found, err := sqlclient.All(ctx, tx, "SHOW GRANTS")
	if err != nil {
		return nil, err
	}
	rights := map[string]bool{}
	for _, row := range found {
		text, err := sqlclient.Text(row.Values[0])
		if err != nil {
			return nil, err
		}
		if grant := globalGrant.FindStringSubmatch(text); grant != nil {
			for _, right := range strings.Split(grant[1], ", ") {
				rights[right] = true
			}
		}
	}
	if rights["ALL PRIVILEGES"] {
		for _, right := range append(toSeeDefiners(), "CREATE USER", "PROCESS", "CONNECTION ADMIN") {
			rights[right] = true
		}
	}
	rights["CONNECTION ADMIN"] = rights["CONNECTION ADMIN"] || rights["SUPER"] // before 10.5
	return rights, nil
}

func (m *accounts) entitlements(ctx context.Context, tx *sql.Tx) ([]identity.Entitlement, error) {
	found, err := sqlclient.All(ctx, tx, `SELECT User FROM mysql.global_priv
		WHERE JSON_VALUE(Priv, '$.is_role') IN ('1', 'true') AND User <> 'PUBLIC' ORDER BY User`)
	if err != nil {
		return nil, err
	}
	var list []identity.Entitlement
	for _, row := range found {
		name, err := sqlclient.Text(row.Values[0])
		if err != nil {
			return nil, err
		}
		list = append(list, identity.Entitlement{Kind: "role", ID: name, Name: name})
	}
	return list, nil
}

// holders: an account has what one of its rows has.
func (m *accounts) holders(
	ctx context.Context, tx *sql.Tx, id identity.AccountID,
) (map[identity.AccountID][]identity.Entitlement, error) {
	query := "SELECT DISTINCT User, Role FROM mysql.roles_mapping WHERE Host <> ''"
	var args []any
	if id != "" {
		query, args = query+" AND User = ?", []any{string(id)}
	}
	held := map[identity.AccountID][]identity.Entitlement{}
	err := sqlclient.Each(ctx, tx, query, args, func(row sqlclient.Row) error {
		user, err := sqlclient.Text(row.Values[0])
		if err != nil {
			return err
		}
		role, err := sqlclient.Text(row.Values[1])
		e := identity.Entitlement{Kind: "role", ID: role, Name: role}
		held[identity.AccountID(user)] = append(held[identity.AccountID(user)], e)
		return err
	})
	return held, err
}

func (m *accounts) grant(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error {
	role, err := m.quoted(ctx, tx, e.Name)
	if err != nil {
		return err
	}
	return m.all(ctx, tx, have, false, "GRANT "+strings.ReplaceAll(role[0], "%", "%%")+" TO %s")
}

// withdraw takes a role from each row that has it.
func (m *accounts) withdraw(ctx context.Context, tx *sql.Tx, have identity.Account, e identity.Entitlement) error {
	if err := m.touchable(have); err != nil {
		return err
	}
	found, err := sqlclient.All(ctx, tx,
		"SELECT Host FROM mysql.roles_mapping WHERE User = ? AND Role = ? AND Host <> ''", have.UserName, e.Name)
	if err != nil {
		return err
	}
	var hosts []string
	for _, row := range found {
		host, err := sqlclient.Text(row.Values[0])
		if err != nil {
			return err
		}
		hosts = append(hosts, host)
	}
	if len(hosts) == 0 {
		return nil
	}
	role, err := m.quoted(ctx, tx, e.Name)
	if err != nil {
		return err
	}
	names, err := m.at(ctx, tx, have.UserName, hosts, "")
	if err != nil {
		return err
	}
	_, err = sqlclient.Exec(ctx, tx, "REVOKE "+role[0]+" FROM "+names)
	return err
}

// proxies is the step that takes proxy grants, by its name.
const proxies = "proxies"

func (m *accounts) closing() []step {
	return []step{
		{Step: targets.Step{Name: "sessions", Revokes: true}, do: m.kill, left: m.connected},
		{Step: targets.Step{Name: proxies, Revokes: true}, do: m.unproxy, left: m.proxied},
		{Step: targets.Step{
			Name: "definers", Impossible: "views, routines, triggers and events that the account defined go on and " +
				"still run as it: `dirsweep check` lists them, and ALTER gives them another DEFINER",
		}},
	}
}

// threads are the connections that an account signed in over. Without the right PROCESS the server shows our own alone,
// and says nothing of it.
func (m *accounts) threads(ctx context.Context, tx *sql.Tx, have identity.Account) ([]int64, error) {
	granted, err := m.granted(ctx, tx)
	if err != nil {
		return nil, err
	}
	if !granted["PROCESS"] {
		return nil, fmt.Errorf("%w: open connections cannot be seen: GRANT PROCESS ON *.* first", targets.ErrForbidden)
	}
	found, err := sqlclient.All(ctx, tx, "SELECT ID FROM information_schema.PROCESSLIST WHERE BINARY USER = ?",
		have.UserName)
	if err != nil {
		return nil, err
	}
	var list []int64
	for _, row := range found {
		if n, ok := row.Values[0].(int64); ok {
			list = append(list, n)
		}
	}
	return list, nil
}

func (m *accounts) kill(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
	if err := m.touchable(have); err != nil {
		return "", err
	}
	list, err := m.threads(ctx, tx, have)
	if err != nil {
		return "", err
	}
	for _, thread := range list {
		_, err := sqlclient.Exec(ctx, tx, fmt.Sprintf("KILL HARD CONNECTION %d", thread))
		if err != nil && sqlclient.CodeOf(err) != "1094" { // it has ended by itself
			return "", err
		}
	}
	if len(list) == 0 {
		return "", nil
	}
	return "", patiently(func() (bool, error) {
		if err := m.later(ctx, tx); err != nil {
			return false, err
		}
		list, err := m.threads(ctx, tx, have)
		return len(list) == 0, err
	})
}

func (m *accounts) later(ctx context.Context, tx *sql.Tx) error {
	_, err := sqlclient.All(ctx, tx, "SELECT SLEEP(0.1)")
	return err
}

// connected reads the list of connections twice: one that is being made shows in one of two looks.
func (m *accounts) connected(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
	list, err := m.threads(ctx, tx, have)
	if err == nil && len(list) == 0 {
		if err = m.later(ctx, tx); err == nil {
			list, err = m.threads(ctx, tx, have)
		}
	}
	return open(int64(len(list))), err
}

// A proxy is a right of one account to act as another, as mysql.proxies_priv has it.
type proxy struct {
	User, Host   string // who acts
	As, AsHost   string // as whom
	MayGrantThat bool   `json:",omitempty"`
}

// proxyRights are those of an account and those over it. ” stands for everybody: that one stays.
func (m *accounts) proxyRights(ctx context.Context, tx *sql.Tx, have identity.Account) ([]proxy, error) {
	found, err := sqlclient.All(ctx, tx, `SELECT User, Host, Proxied_user, Proxied_host, With_grant FROM mysql.proxies_priv
		WHERE User = ? OR Proxied_user = ? ORDER BY User, Host, Proxied_user, Proxied_host`, have.UserName, have.UserName)
	if err != nil {
		return nil, err
	}
	var list []proxy
	for _, row := range found {
		text := make([]string, len(row.Values))
		for i, v := range row.Values {
			if text[i], err = sqlclient.Text(v); err != nil {
				return nil, err
			}
		}
		list = append(list, proxy{User: text[0], Host: text[1], As: text[2], AsHost: text[3], MayGrantThat: text[4] == "1"})
	}
	return list, nil
}

func (m *accounts) proxied(ctx context.Context, tx *sql.Tx, have identity.Account) (string, error) {
	list, err := m.proxyRights(ctx, tx, have)
	if err != nil || len(list) == 0 {
		return "", err
	}
	p := list[0]
	return fmt.Sprintf("%d proxy grants: %s may act as %s", len(list), p.User, p.As), nil
}

func (m *accounts) unproxy(ctx context.Context, tx *sql.Tx, have identity.Account) (kept string, err error) {
	if err := m.touchable(have); err != nil {
		return "", err
	}
	list, err := m.proxyRights(ctx, tx, have)
	if err != nil || len(list) == 0 {
		return "", err
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	for _, p := range list {
		if err := m.proxy(ctx, tx, "REVOKE PROXY ON %s@%s FROM %s@%s", p, ""); err != nil {
			return string(text), err
		}
	}
	return string(text), nil
}

func (m *accounts) proxy(ctx context.Context, tx *sql.Tx, format string, p proxy, rest string) error {
	names, err := m.quoted(ctx, tx, p.As, p.AsHost, p.User, p.Host)
	if err != nil {
		return err
	}
	_, err = sqlclient.Exec(ctx, tx, fmt.Sprintf(format, names[0], names[1], names[2], names[3])+rest)
	return err
}

// regrant gives proxy grants back, to those who are still there.
func (m *accounts) regrant(ctx context.Context, tx *sql.Tx, kept string) error {
	var list []proxy
	if kept == "" || json.Unmarshal([]byte(kept), &list) != nil {
		return nil
	}
	for _, p := range list {
		for _, user := range []string{p.User, p.As} {
			if _, err := m.rows(ctx, tx, identity.AccountID(user)); err != nil {
				return said("undo proxies", err)
			}
		}
		rest := ""
		if p.MayGrantThat {
			rest = " WITH GRANT OPTION"
		}
		if err := m.proxy(ctx, tx, "GRANT PROXY ON %s@%s TO %s@%s", p, rest); err != nil {
			return said("undo proxies", err)
		}
	}
	return nil
}

func (m *accounts) own(ctx context.Context, tx *sql.Tx) (targets.Own, error) {
	me, err := m.me(ctx, tx)
	return targets.Own{ID: identity.AccountID(me), UserName: me}, err
}

// check reads what we were granted: MariaDB has no way to try a statement about accounts and take it back.
func (m *accounts) check(
	ctx context.Context, client *sqlclient.Client, say func(string, ...any),
) (lacking []string, err error) {
	err = client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		granted, err := m.granted(ctx, tx)
		if err != nil {
			return err
		}
		for _, right := range []struct{ name, what string }{
			{"CREATE USER", "locking accounts"}, {"PROCESS", "seeing connections"}, {"CONNECTION ADMIN", "ending connections"},
		} {
			if !granted[right.name] {
				lacking = append(lacking, fmt.Sprintf("%s: GRANT %s ON *.*", right.what, right.name))
			}
		}
		for _, table := range []string{"global_priv", "roles_mapping", "proxies_priv"} {
			_, err := sqlclient.All(ctx, tx, "SELECT 1 FROM mysql."+table+" LIMIT 1")
			if sqlclient.ClassOf(err) == sqlclient.Forbidden {
				lacking = append(lacking, "reading accounts: GRANT SELECT ON mysql."+table)
			} else if err != nil {
				return err
			}
		}
		if len(lacking) > 0 {
			return nil
		}
		return m.describe(ctx, tx, say)
	})
	return lacking, err
}

// describe says what there is.
func (m *accounts) describe(ctx context.Context, tx *sql.Tx, say func(string, ...any)) error {
	me, err := m.me(ctx, tx)
	if err != nil {
		return err
	}
	n, more := 0, 0
	err = m.each(ctx, tx, "", nil, func(r rows) error {
		if m.account(r, me).Unlisted == "" {
			n++
			if len(r.hosts) > 1 {
				more++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	say("accounts: %d, of which %d at more than one host", n, more)
	say("not tried: statements about accounts cannot be taken back; the rights above were read")
	defined, err := m.definitions(ctx, tx)
	if err != nil {
		say("warning: %v", err)
		return nil
	}
	for _, user := range slices.Sorted(maps.Keys(defined)) {
		if !slices.Contains(builtIn(), user) {
			say("runs as %s: %s", user, bounded(defined[user]))
		}
	}
	return nil
}
