// Package memory keeps a state in memory: for tests, and for a demonstration that leaves nothing behind.
package memory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/dirsweep/dirsweep/state"
)

// A Store is a state.Store in memory. Its tables are persistent trees: a view keeps the roots it began with and delays
// nobody.
type Store struct {
	updating sync.Mutex   // held by the one Update under way
	mu       sync.RWMutex // guards the fields below
	tables   map[state.Table]*node
	closed   bool
	active   sync.WaitGroup
}

var _ state.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{tables: map[state.Table]*node{}} }

func (s *Store) begin(ctx context.Context) (map[state.Table]*node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, state.ErrClosed
	}
	s.active.Add(1)
	return s.tables, nil
}

// View runs fn on a snapshot.
func (s *Store) View(ctx context.Context, fn func(state.Tx) error) error {
	tables, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.active.Done()
	t := &tx{ctx: ctx, tables: tables}
	return t.run(fn)
}

// Update runs fn once and keeps what it wrote unless it returns an error.
func (s *Store) Update(ctx context.Context, fn func(state.Tx) error) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	tables, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.active.Done()
	t := &tx{ctx: ctx, tables: maps.Clone(tables), writable: true}
	if err := t.run(fn); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables = t.tables
	return nil
}

// Backup writes a copy that Load reads: each record as table, key and value, every one with its length before it.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	return s.View(ctx, func(t state.Tx) error {
		buf := bufio.NewWriter(w)
		tables := t.(*tx).tables
		for _, table := range slices.Sorted(maps.Keys(tables)) {
			for k, v := range t.Range(table, nil) {
				for _, field := range [][]byte{[]byte(table), k, v} {
					if _, err := buf.Write(append(binary.AppendUvarint(nil, uint64(len(field))), field...)); err != nil {
						return fmt.Errorf("back up: %w", err)
					}
				}
			}
		}
		if err := buf.Flush(); err != nil {
			return fmt.Errorf("back up: %w", err)
		}
		return nil
	})
}

// Load returns a store with what Backup wrote.
func Load(r io.Reader) (*Store, error) {
	s := New()
	in := bufio.NewReader(r)
	for {
		var fields [3][]byte
		for i := range fields {
			n, err := binary.ReadUvarint(in)
			if err == io.EOF && i == 0 {
				return s, nil
			}
			var field bytes.Buffer
			if err == nil {
				_, err = io.CopyN(&field, in, int64(min(n, 1<<40)))
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %w", state.ErrDamaged, err)
			}
			fields[i] = append([]byte{}, field.Bytes()...)
		}
		table := state.Table(fields[0])
		s.tables[table] = s.tables[table].put(fields[1], fields[2])
	}
}

// Verify has nothing to find: memory is not damaged by half.
func (s *Store) Verify(ctx context.Context) error {
	return s.View(ctx, func(state.Tx) error { return nil })
}

// Close waits for transactions under way. Closing again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.active.Wait()
	return nil
}

type tx struct {
	ctx      context.Context
	tables   map[state.Table]*node
	writable bool
	err      error // of a sequence that ended early
}

func (t *tx) run(fn func(state.Tx) error) error {
	if err := fn(t); err != nil {
		return err
	}
	return t.err
}

// Get returns the value of key.
func (t *tx) Get(table state.Table, key []byte) ([]byte, error) {
	return t.tables[table].get(key), nil
}

// Range ends early when the context is done; the transaction then fails.
func (t *tx) Range(table state.Table, prefix []byte) iter.Seq2[[]byte, []byte] {
	root := t.tables[table]
	return func(yield func([]byte, []byte) bool) {
		root.ascend(prefix, func(k, v []byte) bool {
			if t.err = t.ctx.Err(); t.err != nil {
				return false
			}
			return yield(k, v)
		})
	}
}

// Put copies key and value.
func (t *tx) Put(table state.Table, key, value []byte) error {
	switch {
	case !t.writable:
		return state.ErrReadOnly
	case len(key) == 0 || len(key) > state.MaxKey:
		return fmt.Errorf("a key of %d bytes", len(key))
	}
	t.tables[table] = t.tables[table].put(bytes.Clone(key), append([]byte{}, value...))
	return nil
}

// Delete removes key; where there is none, it does nothing.
func (t *tx) Delete(table state.Table, key []byte) error {
	if !t.writable {
		return state.ErrReadOnly
	}
	t.tables[table] = t.tables[table].remove(key)
	return nil
}
