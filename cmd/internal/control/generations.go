package control

import (
	"context"
	"errors"
	"sync"
)

// generations hold the instance in use, and the one that a reload has made. A new one takes over only when nothing
// writes, since two engines know nothing of each other's changes; what works on the old one for long is told to stop.
// The old one is closed when its last reader is done.
type generations struct {
	replaced func()      // called after a new instance took over; nil for nobody
	closed   func(error) // told how closing an old instance went; nil for nobody

	mu      sync.Mutex
	current *generation
	next    *Instance
	writers int
	settled chan struct{} // closed when no new instance waits any more; nil while none does
}

// errReplaced is why work on an instance is cut short.
var errReplaced = errors.New("a new config takes over")

// A generation is an instance while it is in use.
type generation struct {
	*Instance
	users   int
	retired bool
	work    context.Context // ends when the instance is to be replaced
	end     context.CancelCauseFunc
}

func newGeneration(i *Instance) *generation {
	work, end := context.WithCancelCause(context.Background())
	return &generation{Instance: i, work: work, end: end}
}

func newGenerations(i *Instance) *generations { return &generations{current: newGeneration(i)} }

// work is acquire for writers that take long. It waits for a new instance that is about to take over, and its context
// ends when one is.
func (g *generations) work(ctx context.Context) (i *Instance, working context.Context, release func(), err error) {
	g.mu.Lock()
	for g.next != nil {
		settled := g.settled
		g.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, nil, nil, context.Cause(ctx)
		case <-settled:
		}
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	in := g.current
	in.users++
	g.writers++
	working, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(in.work, func() { end(context.Cause(in.work)) })
	return in.Instance, working, sync.OnceFunc(func() { stop(); end(nil); g.release(in, true) }), nil
}

// acquire returns the instance in use, which stays open until release is called. What writes says so.
func (g *generations) acquire(writes bool) (i *Instance, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in := g.current
	in.users++
	if writes {
		g.writers++
	}
	return in.Instance, sync.OnceFunc(func() { g.release(in, writes) })
}

func (g *generations) release(in *generation, writes bool) {
	g.mu.Lock()
	if writes {
		g.writers--
	}
	in.users--
	replaced, idle := g.settle()
	if in.retired && in.users == 0 {
		idle = in.Instance
	}
	g.mu.Unlock()
	g.tell(replaced, idle)
}

// replace puts i to use as soon as nothing writes. An instance that was still waiting for that is closed.
func (g *generations) replace(i *Instance) {
	g.mu.Lock()
	passed := g.next
	if g.next = i; g.settled == nil {
		g.settled = make(chan struct{})
	}
	g.current.end(errReplaced)
	replaced, idle := g.settle()
	g.mu.Unlock()
	g.tell(false, passed)
	g.tell(replaced, idle)
}

// settle changes over where that is possible. idle is the old instance where nobody uses it any more.
func (g *generations) settle() (replaced bool, idle *Instance) {
	if g.next == nil || g.writers > 0 {
		return false, nil
	}
	old := g.current
	g.current, g.next = newGeneration(g.next), nil
	close(g.settled)
	g.settled = nil
	old.retired = true
	if old.users == 0 {
		idle = old.Instance
	}
	return true, idle
}

func (g *generations) tell(replaced bool, idle *Instance) {
	if replaced && g.replaced != nil {
		g.replaced()
	}
	if idle == nil {
		return
	}
	if err := idle.Close(); err != nil && g.closed != nil {
		g.closed(err)
	}
}

// close closes the instance in use and the one that waits. Nothing may be under way.
func (g *generations) close() error {
	g.mu.Lock()
	current, next := g.current, g.next
	g.next = nil
	g.mu.Unlock()
	g.tell(false, next)
	return current.Close()
}
