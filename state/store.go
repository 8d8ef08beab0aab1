// Package state is dirsweep's memory between passes: links, fingerprints, intents, cases, holds, findings, cursors and
// runs. A Store keeps bytes in tables, in transactions; the Ledger above it knows the records.
package state

import (
	"context"
	"errors"
	"io"
	"iter"
)

// A Table is one ordered set of keys in a Store.
type Table string

// A Store keeps tables of bytes. Transactions are serialisable; when Update returns nil, everything it wrote is on
// disk. statetest is the suite that every store passes.
type Store interface {
	// View runs fn on a consistent snapshot. What fn's Tx returns is valid until fn returns.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn and commits what it wrote, or nothing where fn returns an error. Calls from several goroutines may
	// share one commit, so fn may run more than once and must have no effect but on its Tx.
	Update(ctx context.Context, fn func(Tx) error) error
	// Backup writes a consistent copy that can be opened as a store.
	Backup(ctx context.Context, w io.Writer) error
	// Verify reads everything and reports the first damage.
	Verify(ctx context.Context) error
	// Close waits for transactions under way.
	Close() error
}

// MaxKey is the longest key that a Store takes, in bytes. An empty one is refused too.
const MaxKey = 32768

// A Tx is one transaction.
type Tx interface {
	// Get returns nil where there is no such key, and an empty slice where its value is empty.
	Get(t Table, key []byte) ([]byte, error)
	// Range goes through the keys that begin with prefix, in order. The table may not be written meanwhile.
	Range(t Table, prefix []byte) iter.Seq2[[]byte, []byte]
	Put(t Table, key, value []byte) error
	Delete(t Table, key []byte) error
}

// Errors of stores.
var (
	// ErrLocked: another process holds the store; the error names it.
	ErrLocked = errors.New("the state is in use by another process")
	// ErrDamaged: the store exists and cannot be read. It is never replaced by an empty one.
	ErrDamaged = errors.New("the state cannot be read")
	// ErrVersion: the store was written by a newer dirsweep.
	ErrVersion = errors.New("the state was written by a newer version")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("the state is closed")
	// ErrReadOnly: a write in a View.
	ErrReadOnly = errors.New("a view cannot write")
)
