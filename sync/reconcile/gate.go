package reconcile

import (
	"context"
	"sync"
	"time"
)

const (
	patience = 5 * time.Second  // for a target that makes no progress
	longest  = 30 * time.Second // for one that does, once another waits
)

// A gate is where the targets of a pass wait for each other, and no longer than is good for them: a target that stands still, or that keeps
// the others too long, is not waited for (R9) and goes on alone when it comes.
type gate struct {
	mu     sync.Mutex
	behind map[string]time.Time // targets not yet here, by their last sign of life
	open   chan struct{}
	first  time.Time // since when somebody waits
}

func newGate(names []string) *gate {
	g := &gate{behind: map[string]time.Time{}, open: make(chan struct{})}
	now := time.Now()
	for _, name := range names {
		g.behind[name] = now
	}
	if len(names) == 0 {
		close(g.open)
	}
	return g
}

// alive says that a target gets on.
func (g *gate) alive(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.behind[name]; ok {
		g.behind[name] = time.Now()
	}
}

// arrive says that a target is here, or will never come. It may be called again.
func (g *gate) arrive(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.behind[name]; !ok {
		return
	}
	delete(g.behind, name)
	if g.first.IsZero() {
		g.first = time.Now()
	}
	if len(g.behind) == 0 {
		close(g.open)
	}
}

// wait returns when all are here, or when those who are not need not be waited for.
func (g *gate) wait(ctx context.Context) error {
	tick := time.NewTicker(patience / 20)
	defer tick.Stop()
	for {
		select {
		case <-g.open:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-tick.C:
			if g.enough(now) {
				return nil
			}
		}
	}
}

func (g *gate) enough(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.first.IsZero() && now.Sub(g.first) > longest {
		return true
	}
	for _, seen := range g.behind {
		if now.Sub(seen) < patience {
			return false
		}
	}
	return true
}
