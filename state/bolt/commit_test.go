package bolt

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/dirsweep/dirsweep/state"
)

// TestUpdatesShareACommit counts transactions: those that wait while one is written go together.
func TestUpdatesShareACommit(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "state.db"))
	running, proceed := make(chan struct{}), make(chan struct{})
	const waiting = 20
	done := make(chan error)
	put := func(key string) error {
		return s.Update(t.Context(), func(tx state.Tx) error { return tx.Put("t", []byte(key), nil) })
	}
	before := s.lastCommit(t)
	go func() {
		done <- s.Update(t.Context(), func(tx state.Tx) error {
			close(running)
			<-proceed
			return tx.Put("t", []byte("first"), nil)
		})
	}()
	<-running
	for i := range waiting {
		go func() { done <- put(fmt.Sprint(i)) }()
	}
	for s.waiting() < waiting {
		select {
		case err := <-done:
			t.Fatal("ended early:", err)
		default:
		}
	}
	close(proceed)
	for range waiting + 1 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := s.lastCommit(t) - before; n != 2 {
		t.Errorf("%d commits for %d updates, want 2", n, waiting+1)
	}
}

func (s *Store) waiting() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.jobs)
}

func (s *Store) lastCommit(t *testing.T) (n int) {
	err := s.View(t.Context(), func(view state.Tx) error { n = view.(*tx).tx.ID(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
