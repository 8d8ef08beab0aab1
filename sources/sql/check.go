package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// Check implements sources.Checker. Everybody is read as a pass would.
func (s *source) Check(ctx context.Context) ([]string, error) {
	c := &checking{source: s}
	err := c.run(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return c.lines, fmt.Errorf("%s: %w", s.name, err)
	}
	return c.lines, nil
}

// checking is one run of Check.
type checking struct {
	*source

	lines []string
	known identity.Person // somebody who was read; zero where nobody was
}

func (c *checking) say(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func (c *checking) run(ctx context.Context) error {
	err := c.client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, rows, err := c.all(ctx, tx, "SELECT version()")
		if err != nil || len(rows) != 1 {
			return err
		}
		c.say("%s: connected: %s", c.client.Who(), rows[0][0].text())
		return nil
	})
	if err != nil {
		return err
	}
	if c.block.complete.given() {
		c.say("complete is asked before anything is believed")
	}
	if err := c.people(ctx); err != nil {
		return err
	}
	if err := c.lookUp(ctx); err != nil {
		return err
	}
	if err := c.changed(ctx); err != nil {
		return err
	}
	c.rights(ctx)
	if c.currency(ctx) == nil {
		c.say("the server does not tell how current it is: let address name the server that is written to, not a replica")
	}
	return nil
}

// people counts everybody, and says what can be seen of them.
func (c *checking) people(ctx context.Context) error {
	facts := &sources.ReadFacts{}
	unreadable := sources.Sample{}
	for p, err := range c.PeopleAndFacts(ctx, facts) {
		var personal *sources.PersonError
		switch {
		case errors.As(err, &personal):
			unreadable.Add(personal.Error())
		case err != nil:
			return err
		case c.known.ID.Anchor == "":
			c.known = p
		}
	}
	c.say("query: %d people", facts.People)
	if facts.People == 0 {
		c.say("warning: query returns nobody")
	}
	if facts.People > 0 && facts.Nameless.Count == facts.People {
		return fmt.Errorf("query: none of the %d rows has a %s that can be read: %w", facts.People, c.block.anchor, sources.ErrIncomplete)
	}
	if facts.Nameless.Count > 0 {
		c.say("warning: %d of them have no %s and are left alone; until they have one nobody's absence is proven",
			facts.Nameless.Count, c.block.anchor)
	}
	if unreadable.Count > 0 {
		c.say("warning: of %d nothing can be said: %s", unreadable.Count, unreadable)
	}
	var shown []string
	for _, name := range c.need.Attributes {
		switch n := facts.Attributes[name]; {
		case n == 0 && facts.People > 0:
			c.say("warning: nobody has %s, which the config names", name)
		case n < facts.People:
			shown = append(shown, fmt.Sprintf("%s %d", name, n))
		}
	}
	if len(shown) > 0 {
		c.say("not everybody has: %s (of %d)", strings.Join(shown, ", "), facts.People)
	}
	if facts.Groups != nil {
		c.say("groups: %d groups", len(facts.Groups))
	}
	for _, group := range facts.Groups {
		if group.People == 0 {
			c.say("warning: none of the %d members of group %s is among the people", group.Values, group.Name)
		}
	}
	return nil
}

// lookUp tries to find somebody who was read.
func (c *checking) lookUp(ctx context.Context) error {
	if !c.block.find.given() {
		c.say("warning: without find nobody can be looked up: whoever query lacks is not believed to have left, unless absence = \"leaves\"")
		return nil
	}
	if c.known.ID.Anchor == "" {
		return nil
	}
	return c.client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		r, err := c.findOne(ctx, tx, c.known.ID.Anchor)
		if err != nil {
			return err
		}
		if r == nil {
			return fmt.Errorf("find: it does not return %s, whom query returns: nobody's absence can be proven", c.known.ID.Anchor)
		}
		found, err := c.person(r)
		if err != nil {
			return err
		}
		if found.Groups = c.known.Groups; found.Fingerprint() != c.known.Fingerprint() {
			c.say("warning: find and query return %s differently: let both select the same", c.known.ID.Anchor)
		}
		c.say("find: returns %s, whom query returns", c.known.ID.Anchor)
		return nil
	})
}

// changed tries the statement changes.
func (c *checking) changed(ctx context.Context) error {
	if !c.block.changes.given() {
		return nil
	}
	err := c.client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		since, err := c.clock(ctx, tx)
		if err != nil {
			return err
		}
		n := 0
		err = c.changedSince(ctx, tx, since, func(*row) error {
			n++
			return nil
		})
		c.say("changes: %d rows since %s", n, since)
		return err
	})
	if err != nil {
		return fmt.Errorf("changes: %w", err)
	}
	return nil
}

// These tell what else than reading we may do: everywhere, or to which tables.
const (
	postgresqlRights = `SELECT CASE WHEN rolsuper THEN 'everything (superuser)' END FROM pg_roles WHERE rolname = current_user AND rolsuper
	UNION ALL (SELECT DISTINCT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
	AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') LIMIT 5)`
	mariadbRights = `SELECT DISTINCT CONCAT(privilege_type, ' on ', place) FROM (
	SELECT grantee, privilege_type, 'everything' AS place FROM information_schema.user_privileges
	UNION ALL SELECT grantee, privilege_type, table_schema FROM information_schema.schema_privileges
	UNION ALL SELECT grantee, privilege_type, CONCAT(table_schema, '.', table_name) FROM information_schema.table_privileges) AS rights
	WHERE grantee = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')
	AND privilege_type NOT IN ('SELECT', 'USAGE', 'SHOW VIEW', 'SHOW DATABASES', 'PROCESS') LIMIT 5`
)

// rights warns where the account may do more than it has to.
func (c *checking) rights(ctx context.Context) {
	query := mariadbRights
	if c.block.Driver == sqlclient.PostgreSQL {
		query = postgresqlRights
	}
	err := c.client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, rows, err := c.all(ctx, tx, query)
		if err != nil {
			return err
		}
		var list []string
		for _, cells := range rows {
			list = append(list, cells[0].text())
		}
		if len(list) > 0 {
			c.say("warning: %s may write, and needs to read alone: %s", c.block.User, strings.Join(list, ", "))
		}
		return nil
	})
	if err != nil {
		c.say("warning: what %s may do cannot be seen: %v", c.block.User, err)
	}
}
