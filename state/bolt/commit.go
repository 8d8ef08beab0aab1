package bolt

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/dirsweep/dirsweep/state"
)

// A job is one call of Update.
type job struct {
	ctx   context.Context
	fn    func(state.Tx) error
	done  bool
	err   error
	panic any // what fn panicked with: raised again where it was called
}

// A queue lets calls of Update that come while a commit is being written share the next one. Whoever gets the turn
// commits for all who wait, so a caller on its own waits for nothing.
type queue struct {
	turn sync.Mutex // held while committing
	mu   sync.Mutex // guards jobs
	jobs []*job
}

func (q *queue) add(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, j)
}

func (q *queue) take() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs := q.jobs
	q.jobs = nil
	return jobs
}

// Update runs fn and commits what it wrote, or nothing where fn returns an error.
func (s *Store) Update(ctx context.Context, fn func(state.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return state.ErrClosed
	}
	j := &job{ctx: ctx, fn: fn}
	s.queue.add(j)
	s.queue.turn.Lock()
	defer s.queue.turn.Unlock()
	if !j.done {
		s.commitAll(s.queue.take())
	}
	if j.panic != nil {
		panic(j.panic)
	}
	return j.err
}

// errAbandoned: the goroutine that committed for others ended within its own fn, as a failing test does.
var errAbandoned = errors.New("the commit was given up")

// commitAll commits jobs together. One that fails is taken out and run again on its own, since it may have failed on
// what a job before it wrote and did not keep.
func (s *Store) commitAll(jobs []*job) {
	defer func() {
		for _, j := range jobs {
			if !j.done {
				j.done, j.err = true, errAbandoned
			}
		}
	}()
	together := jobs
	var alone []*job
	for len(together) > 0 {
		failed, err := s.commit(together)
		if failed < 0 {
			finish(together, err)
			break
		}
		alone = append(alone, together[failed])
		together = append(append([]*job{}, together[:failed]...), together[failed+1:]...)
	}
	for _, j := range alone {
		if len(jobs) > 1 {
			_, j.err = s.commit([]*job{j})
		}
		j.done = true
	}
}

func finish(jobs []*job, err error) {
	for _, j := range jobs {
		j.done, j.err = true, err
	}
}

// commit runs jobs in one transaction. It returns which of them failed, with its error, or -1 and the outcome for all.
func (s *Store) commit(jobs []*job) (failed int, err error) {
	if s.broken.Load() {
		return -1, errBroken
	}
	var btx *bbolt.Tx
	fault := guard(func() { btx, err = s.db.Begin(true) })
	if fault != nil || err != nil {
		return -1, s.outcome(fault, err)
	}
	open := true
	defer func() {
		if open {
			s.broken.CompareAndSwap(false, guard(func() { _ = btx.Rollback() }) != nil)
		}
	}()
	for i, j := range jobs {
		if j.err = j.run(btx); j.err != nil {
			return i, j.err
		}
	}
	fault = guard(func() { err = btx.Commit() })
	open = fault != nil
	return -1, s.outcome(fault, err)
}

// errBroken: bbolt gave up within a commit. What it holds in memory is not to be used; opening the file again tells
// what was committed.
var errBroken = fmt.Errorf("%w: an earlier commit failed within it; restart dirsweep", state.ErrDamaged)

func (s *Store) outcome(fault, err error) error {
	if fault != nil {
		s.broken.Store(true)
		return fault
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

var errPanicked = errors.New("fn panicked")

func (j *job) run(btx *bbolt.Tx) (err error) {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	defer func() {
		if j.panic = recover(); j.panic != nil {
			err = errPanicked
		}
	}()
	t := &tx{ctx: j.ctx, tx: btx, writable: true}
	return t.run(j.fn)
}
