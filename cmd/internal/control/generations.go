package control

import "sync"

// generations hold the instance in use, and the one that a reload has made. A new one takes over only when nothing writes, since two engines
// know nothing of each other's changes; the old one is closed when its last reader is done.
type generations struct {
	replaced func()      // called after a new instance took over; nil for nobody
	closed   func(error) // told how closing an old instance went; nil for nobody

	mu      sync.Mutex
	current *generation
	next    *Instance
	writers int
}

// A generation is an instance while it is in use.
type generation struct {
	*Instance
	users   int
	retired bool
}

func newGenerations(i *Instance) *generations {
	return &generations{current: &generation{Instance: i}}
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
	g.next = i
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
	g.current, g.next = &generation{Instance: g.next}, nil
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
