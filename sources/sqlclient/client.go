package sqlclient

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// errSilent is the cause of a transaction that had no answer in time.
var errSilent = errors.New("the server did not answer in time")

// A Client is a few connections to one database. It is safe for several goroutines. Nothing is repeated, and no
// statement runs outside of a transaction. What reads never shares a connection with what writes, so that a
// transaction which was never committed, or a setting of one connection, cannot pass for what the server holds.
type Client struct {
	access Access
	pace   func(context.Context) error
	reads  *sql.DB
	writes *sql.DB
}

// few is how many connections are kept for reading, and as many for writing.
const few = 4

// Open makes a client. It touches no network: connections are made when they are first needed. pace is called before
// each transaction; nil for no limit.
func (a Access) Open(pace func(context.Context) error) (*Client, error) {
	connector, err := a.connector()
	if err != nil {
		return nil, err
	}
	if pace == nil {
		pace = func(context.Context) error { return nil }
	}
	c := &Client{access: a, pace: pace, reads: sql.OpenDB(connector), writes: sql.OpenDB(connector)}
	for _, pool := range []*sql.DB{c.reads, c.writes} {
		pool.SetMaxOpenConns(few)
		pool.SetMaxIdleConns(few)
		pool.SetConnMaxIdleTime(time.Minute) // so that nobody finds us connected all day
		pool.SetConnMaxLifetime(10 * time.Minute)
	}
	return c, nil
}

// Close ends every connection.
func (c *Client) Close() error { return errors.Join(c.reads.Close(), c.writes.Close()) }

// Driver is the server's family.
func (c *Client) Driver() Driver { return c.access.Driver }

// Who names server, database and identity, for messages.
func (c *Client) Who() string { return c.access.Who() }

// Read runs f in a transaction that can write nothing and sees one state of the database, and gives it the timeout as a
// whole. It ends in a rollback. Errors are of type *Error, but for those of f itself, of pace and of a ctx that is done.
func (c *Client) Read(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.access.Timeout, errSilent)
	defer cancel()
	return c.in(ctx, c.reads, reading(), false, f)
}

// Stream runs f as Read does, for an answer of any length: each call of alive gives it the timeout anew.
func (c *Client) Stream(ctx context.Context, f func(ctx context.Context, tx *sql.Tx, alive func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(c.access.Timeout, func() { cancel(errSilent) })
	defer timer.Stop()
	return c.in(ctx, c.reads, reading(), false, func(ctx context.Context, tx *sql.Tx) error {
		return f(ctx, tx, func() { timer.Reset(c.access.Timeout) })
	})
}

// Write runs f in a transaction, which is committed where f returns no error, and gives it the timeout as a whole. After
// an error of class Unavailable it is not known whether it was committed.
func (c *Client) Write(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.access.Timeout, errSilent)
	defer cancel()
	return c.in(ctx, c.writes, &sql.TxOptions{}, true, f)
}

// Try runs f as Write does, and rolls back whatever f returns. MariaDB commits statements about accounts, roles and
// tables by themselves, before they run and after: those cannot be tried.
func (c *Client) Try(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.access.Timeout, errSilent)
	defer cancel()
	return c.in(ctx, c.writes, &sql.TxOptions{}, false, f)
}

func reading() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (c *Client) in(
	ctx context.Context, pool *sql.DB, o *sql.TxOptions, commit bool, f func(context.Context, *sql.Tx) error,
) error {
	if err := c.pace(ctx); err != nil {
		return err
	}
	tx, err := pool.BeginTx(ctx, o)
	if err != nil {
		return c.fault(ctx, "connect", refused(err))
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := f(ctx, tx); err != nil {
		return c.fault(ctx, "", err)
	}
	if !commit {
		return nil
	}
	return c.fault(ctx, "commit", tx.Commit())
}

// fault classes an error, where it is the driver's.
func (c *Client) fault(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		if !errors.Is(cause, errSilent) {
			return cause
		}
		err = &Error{Class: Unavailable, Text: fmt.Sprintf("%v (%s)", cause, c.access.Timeout)}
	} else {
		err = classify(err)
	}
	if doing == "" {
		return err
	}
	return fmt.Errorf("%s: %s: %w", c.access.Address, doing, err)
}
