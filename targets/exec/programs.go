package exec

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/targets"
)

// longestBackoff bounds the pause before a program is started again that keeps failing.
const longestBackoff = time.Minute

// A slot runs the program once at a time: it is not started again before nothing is left of the run before.
type slot struct {
	run     *process
	remains *process // that would not end
}

// programs are the runs of the program: each answers one request at a time, those that list something have one of their
// own, so that nobody waits for a list. They are started when they are first needed.
type programs struct {
	program Program
	log     hclog.Logger
	mask    func(string) string
	calls   chan *slot
	lists   chan *slot

	mu       sync.Mutex
	hello    *Hello
	failures int // in a row
	next     time.Time
	stopped  error // why the program is used no more
}

func newPrograms(p Program, log hclog.Logger) *programs {
	s := &programs{program: p, log: log, mask: masking(p.Environment)}
	s.calls, s.lists = make(chan *slot, p.Parallel), make(chan *slot, 1)
	for range p.Parallel {
		s.calls <- &slot{}
	}
	s.lists <- &slot{}
	return s
}

// masking hides the values of the config's environment: a program in trouble may print them.
func masking(environment map[string]string) func(string) string {
	var pairs []string
	for _, value := range environment {
		if len(value) >= 4 {
			pairs = append(pairs, value, "(secret)")
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

// ask has one of the programs answer a request; see process.ask. Whether one that did not answer did what it was asked
// is not known: nothing is asked twice.
func (s *programs) ask(ctx context.Context, among chan *slot, r request, take func(answer) (bool, error)) error {
	if err := s.usable(); err != nil {
		return err
	}
	var in *slot
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case in = <-among:
		defer func() { among <- in }()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.start(ctx, in); err != nil {
		return err
	}
	err := in.run.ask(ctx, s.program.Timeout, r, take)
	var wrong *brokenError
	s.note(errors.As(err, &wrong))
	if in.run.spent {
		s.end(in, wrong == nil)
	}
	return err
}

// start sees that a slot's program runs. One that ended while nobody asked it anything is started again.
func (s *programs) start(ctx context.Context, in *slot) error {
	if in.remains != nil {
		if err := in.remains.group.ended(0); err != nil {
			return fmt.Errorf("%w: the program is not started again before the run that was ended is gone: %w",
				targets.ErrUnavailable, err)
		}
		in.remains.group.release()
		in.remains = nil
	}
	if in.run != nil && in.run.idle() {
		return nil
	}
	if in.run != nil {
		s.end(in, true)
		return s.start(ctx, in)
	}
	if wait := s.backoff(); wait > 0 {
		return fmt.Errorf("%w: the program failed again and again; it is started once more in %s",
			targets.ErrUnavailable, wait.Round(time.Second))
	}
	run, err := start(ctx, s.program, s.log, s.mask)
	in.run = run
	if err != nil {
		s.note(ctx.Err() == nil)
		if run != nil {
			s.end(in, false)
		}
		return err
	}
	s.mu.Lock()
	s.hello = run.hello
	s.mu.Unlock()
	return nil
}

// end ends a slot's program, at once or after it has had a moment.
func (s *programs) end(in *slot, gently bool) {
	run := in.run
	in.run = nil
	after := grace
	if !gently {
		after = 0
	}
	if err := run.end(after); err != nil {
		s.log.Error("the program was killed and does not end", "error", err)
		in.remains = run
		return
	}
	run.group.release()
}

// backoff is how long it is until the program may be started.
func (s *programs) backoff() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.next)
}

// note counts failures in a row: the second and each after it has the next start wait.
func (s *programs) note(failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !failed {
		s.failures, s.next = 0, time.Time{}
		return
	}
	if s.failures++; s.failures > 1 {
		s.next = time.Now().Add(min(time.Second<<min(s.failures-2, 10), longestBackoff))
	}
}

// stop has the program used no more.
func (s *programs) stop(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = why
}

func (s *programs) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", targets.ErrUnavailable, s.stopped)
}

// about is what the program says of itself.
func (s *programs) about(ctx context.Context) (*Hello, error) {
	s.mu.Lock()
	known := s.hello
	s.mu.Unlock()
	if known != nil {
		return known, s.usable()
	}
	if err := s.usable(); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case in := <-s.calls:
		defer func() { s.calls <- in }()
		if err := s.start(ctx, in); err != nil {
			return nil, err
		}
		return in.run.hello, nil
	}
}

// close ends every run; it is called when nothing is asked.
func (s *programs) close() {
	s.stop(errors.New("the target is closed"))
	var all sync.WaitGroup
	for _, slots := range []chan *slot{s.calls, s.lists} {
		for range cap(slots) {
			all.Go(func() {
				if in := <-slots; in.run != nil {
					s.end(in, true)
				}
			})
		}
	}
	all.Wait()
}
