// Package failing makes a store fail where a test wants it to: before a commit, or after one, when the caller cannot
// know whether it happened.
package failing

import (
	"context"
	"fmt"
	"sync"

	"github.com/dirsweep/dirsweep/state"
)

// A Moment is when a transaction fails.
type Moment string

// The moments.
const (
	Before Moment = "before" // fn does not run, and nothing is written
	Within Moment = "within" // fn runs, and nothing is written
	After  Moment = "after"  // fn runs and what it wrote is on disk, and yet there is an error
)

// A Store is a state.Store with faults. Its methods may be called from several goroutines.
type Store struct {
	state.Store
	mu     sync.Mutex
	faults map[event][]*fault
}

// An event is what is counted: a view, an update, or an update that writes to a table.
type event string

const (
	view   event = "view"
	update event = "update"
)

func put(table state.Table) event { return event("put " + table) }

var _ state.Store = (*Store)(nil)

// A fault happens once, when left comes to 0.
type fault struct {
	left int
	at   Moment
	err  error
}

// New returns store, which works until it is told to fail.
func New(store state.Store) *Store {
	return &Store{Store: store, faults: map[event][]*fault{}}
}

// FailUpdate makes the nth Update from now fail, 1 being the next.
func (s *Store) FailUpdate(nth int, at Moment, err error) { s.add(update, nth, at, err) }

// FailView makes the nth View from now fail, without running fn.
func (s *Store) FailView(nth int, err error) { s.add(view, nth, Before, err) }

// FailBegin makes the nth Update from now that begins an intent fail: After leaves the intent in the store.
func (s *Store) FailBegin(nth int, at Moment, err error) { s.FailPut(state.Intents, nth, at, err) }

// FailPut makes the nth Update from now that writes to table fail. Before is as Within: the write shows only when fn
// runs.
func (s *Store) FailPut(table state.Table, nth int, at Moment, err error) {
	s.add(put(table), nth, at, err)
}

func (s *Store) add(e event, nth int, at Moment, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[e] = append(s.faults[e], &fault{left: nth, at: at, err: err})
}

// due counts e's faults down and returns the first that happens now.
func (s *Store) due(e event) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var now *fault
	for _, f := range s.faults[e] {
		if f.left--; f.left == 0 && now == nil {
			now = f
		}
	}
	return now
}

// View fails where it was told to.
func (s *Store) View(ctx context.Context, fn func(state.Tx) error) error {
	if f := s.due(view); f != nil {
		return fmt.Errorf("view: %w", f.err)
	}
	return s.Store.View(ctx, fn)
}

// Update fails where it was told to.
func (s *Store) Update(ctx context.Context, fn func(state.Tx) error) error {
	f := s.due(update)
	if f != nil && f.at == Before {
		return fmt.Errorf("update: %w", f.err)
	}
	var seen map[state.Table]bool // tables whose faults were counted, though fn may run twice
	err := s.Store.Update(ctx, func(tx state.Tx) error {
		watch := &watchingTx{Tx: tx, wrote: map[state.Table]bool{}}
		if err := fn(watch); err != nil {
			return err
		}
		for table := range watch.wrote {
			if seen[table] {
				continue
			}
			if due := s.due(put(table)); due != nil && f == nil {
				f = due
			}
		}
		seen = watch.wrote
		if f != nil && f.at != After {
			return fmt.Errorf("update: %w", f.err)
		}
		return nil
	})
	if err == nil && f != nil {
		return fmt.Errorf("update: %w", f.err)
	}
	return err
}

// A watchingTx notes which tables are written.
type watchingTx struct {
	state.Tx
	wrote map[state.Table]bool
}

// Put notes the table.
func (t *watchingTx) Put(table state.Table, key, value []byte) error {
	t.wrote[table] = true
	return t.Tx.Put(table, key, value)
}
