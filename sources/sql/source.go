package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// source is one opened block.
type source struct {
	block  *block
	name   string
	need   sources.Need
	client *sqlclient.Client
	now    func() time.Time
	forget func() // ends what a follower keeps
}

// The kinds of source that a block can be, by what it has statements for: without `find` nobody can be looked up, and
// without `changes` everybody is read each time.
type (
	findable struct {
		*source
		finder
	}
	followable struct {
		*source
		*follower
	}
	findableAndFollowable struct {
		*source
		finder
		*follower
	}
)

var (
	_ sources.FactReader = (*source)(nil)
	_ sources.Selective  = (*source)(nil)
	_ sources.Checker    = (*source)(nil)
)

func newSource(b *block, name string, need sources.Need, client *sqlclient.Client) sources.Source {
	s := &source{block: b, name: name, need: need, client: client, now: time.Now, forget: func() {}}
	follow := need.Follow && b.changes.given()
	switch {
	case b.find.given() && follow:
		return findableAndFollowable{s, finder{s}, newFollower(s)}
	case b.find.given():
		return findable{s, finder{s}}
	case follow:
		return followable{s, newFollower(s)}
	}
	return s
}

// People implements sources.Source.
func (s *source) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return s.PeopleAndFacts(ctx, new(sources.ReadFacts))
}

// PeopleAndFacts implements sources.FactReader.
func (s *source) PeopleAndFacts(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		c, err := s.copy(ctx, func(int) {})
		if err == nil {
			defer c.close()
			err = s.hand(ctx, c.told(), facts, yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(identity.Person{}, s.incomplete(err))
		}
	}
}

// errStopped: whoever reads wants no more.
var errStopped = errors.New("the reader stopped")

// incomplete says that what was read is a part, and of which source.
func (s *source) incomplete(err error) error {
	return fmt.Errorf("%s: %w: %w", s.name, sources.ErrIncomplete, err)
}

// Close implements sources.Source.
func (s *source) Close() error {
	s.forget()
	return s.client.Close()
}

// Selection implements sources.Selective.
func (s *source) Selection() (anchor string, settings map[string]uint64) {
	settings = map[string]uint64{
		"query": xxhash.Sum64String(strings.Join(s.block.query.parts, "")), "database": xxhash.Sum64String(s.block.Database),
	}
	if s.block.groups.given() {
		settings["groups"] = xxhash.Sum64String(strings.Join(s.block.groups.parts, ""))
	}
	return strings.ToLower(s.block.anchor), settings
}

// A result is what a query's answer looks like.
type result struct {
	names []string
	kinds []string // the columns' types as render takes them
}

// run asks one query in a transaction. head is told what the rows look like, before the first of them; each is then told
// of every row, whose values are valid until the next.
func (s *source) run(
	ctx context.Context, tx *sql.Tx, text string, args []any, head func(result) error, each func(values []any) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return sqlclient.Classify(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return sqlclient.Classify(err)
	}
	r := result{names: make([]string, len(types)), kinds: make([]string, len(types))}
	for i, column := range types {
		r.names[i], r.kinds[i] = column.Name(), kindOf(s.block.Driver, column.DatabaseTypeName())
	}
	if err := head(r); err != nil {
		cancel() // else Close reads all of it
		return err
	}
	values, into := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return sqlclient.Classify(err)
		}
		if err := each(values); err != nil {
			cancel() // likewise
			return err
		}
	}
	return sqlclient.Classify(rows.Err())
}

// kindOf is a column's type by one name in both families: a TIMESTAMP of MariaDB is an instant, as PostgreSQL's with a
// time zone.
func kindOf(driver sqlclient.Driver, kind string) string {
	if driver == sqlclient.MariaDB && kind == "TIMESTAMP" {
		return "TIMESTAMPTZ"
	}
	return kind
}

// all are the rows of a short answer, as text.
func (s *source) all(ctx context.Context, tx *sql.Tx, text string, args ...any) (names []string, rows [][]cell, err error) {
	var kinds []string
	err = s.run(ctx, tx, text, args, func(r result) error {
		names, kinds = r.names, r.kinds
		return nil
	}, func(values []any) error {
		cells := make([]cell, len(values))
		for i, v := range values {
			cells[i] = render(kinds[i], v)
		}
		rows = append(rows, cells)
		return nil
	})
	return names, rows, err
}

// transaction runs f in a transaction that reads, once the database has said that it is whole. alive is to be called with
// each row of a long answer.
func (s *source) transaction(ctx context.Context, f func(ctx context.Context, tx *sql.Tx, alive func()) error) error {
	connection := ""
	err := s.client.Stream(ctx, func(ctx context.Context, tx *sql.Tx, alive func()) error {
		if s.block.Driver == sqlclient.MariaDB {
			_, rows, err := s.all(ctx, tx, "SELECT CONNECTION_ID()")
			if err != nil {
				return err
			}
			connection = rows[0][0].text()
		}
		if err := s.ready(ctx, tx); err != nil {
			return err
		}
		return f(ctx, tx, alive)
	})
	if connection != "" && (ctx.Err() != nil || sqlclient.ClassOf(err) == sqlclient.Unavailable) {
		s.kill(ctx, connection)
	}
	return err
}

// kill ends what a connection of ours was doing when it was given up: MariaDB goes on with it for as long as it takes,
// and the next pass would begin another.
func (s *source) kill(ctx context.Context, connection string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err := s.client.Read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sqlclient.Exec(ctx, tx, "KILL "+connection)
		return err
	})
	if err != nil {
		s.need.Log.Debug("what was given up may go on in the database", "source", s.name, "connection", connection, "error", err)
	}
}

// ready asks the database whether it is whole. Before that it has the transaction touch the tables of query: whoever
// wants to empty or swap one of them waits from then on until the transaction has ended.
func (s *source) ready(ctx context.Context, tx *sql.Tx) error {
	if _, _, err := s.all(ctx, tx, s.block.query.asTable(s.block.Driver, "*", "LIMIT 0")); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if !s.block.complete.given() {
		return nil
	}
	text, _ := s.block.complete.bind(s.block.Driver, nil)
	_, rows, err := s.all(ctx, tx, text)
	if err != nil {
		return fmt.Errorf("complete: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) == 0 {
		return fmt.Errorf("complete: it returned %d rows, and has to say true or false in one", len(rows))
	}
	switch said := strings.ToLower(rows[0][0].text()); said {
	case "true", "1":
		return nil
	case "false", "0":
		return errors.New("complete: it says no: what is there may be a part of everybody, and is read again in the next pass")
	default:
		return fmt.Errorf("complete: it says %q, and has to say true or false", said)
	}
}
