package reconcile

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waited is how long a wait at g took.
func waited(t *testing.T, g *gate) time.Duration {
	t.Helper()
	start := time.Now()
	if err := g.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// between allows for the step at which a gate looks.
func between(t *testing.T, got, least time.Duration) {
	t.Helper()
	if most := least + patience/20; got < least || got > most {
		t.Errorf("waited %s, want %s to %s", got, least, most)
	}
}

func TestR09AGateWaitsNoLongerThanIsGoodForTheOthers(t *testing.T) {
	for _, c := range []struct {
		name  string
		names []string
		do    func(g *gate) // besides "here", which arrives at once and waits
		want  time.Duration
	}{
		{"nobody to wait for", []string{"here"}, func(*gate) {}, 0},
		{"all arrive", []string{"here", "a", "b"}, func(g *gate) {
			<-time.After(time.Second)
			g.arrive("a")
			<-time.After(time.Second)
			g.arrive("b")
		}, 2 * time.Second},
		{"arriving again is arriving once", []string{"here", "a"}, func(g *gate) {
			g.arrive("here")
			<-time.After(time.Second)
			g.arrive("a")
			g.arrive("a")
		}, time.Second},
		{"one stands still", []string{"here", "a"}, func(*gate) {}, patience},
		{"one stands still after a while", []string{"here", "a"}, func(g *gate) {
			for range 4 {
				<-time.After(3 * time.Second)
				g.alive("a")
			}
		}, 12*time.Second + patience},
		{"one is slow and alive", []string{"here", "a"}, func(g *gate) {
			for range 100 {
				<-time.After(time.Second)
				g.alive("a")
			}
		}, longest},
		{"one stands still, one is slow, and then arrives", []string{"here", "a", "b"}, func(g *gate) {
			for range 8 {
				<-time.After(time.Second)
				g.alive("b")
			}
			g.arrive("b")
		}, 8 * time.Second},
		{"who arrived is no longer looked at", []string{"here", "a"}, func(g *gate) {
			g.alive("here")
			g.alive("nobody")
		}, patience},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(c.names)
				g.arrive("here")
				var others sync.WaitGroup
				others.Go(func() { c.do(g) })
				defer others.Wait()
				between(t, waited(t, g), c.want)
				if again := waited(t, g); c.want < patience && len(c.names) < 3 && again > patience/20 {
					t.Errorf("an open gate: waited %s", again)
				}
			})
		})
	}
}

func TestAGateForNobodyIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if d := waited(t, newGate(nil)); d != 0 {
			t.Errorf("waited %s", d)
		}
	})
}

func TestR20AGateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate([]string{"a"})
		stopped := errors.New("stopped")
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { stop(stopped) })
		if err := g.wait(ctx); !errors.Is(err, stopped) {
			t.Errorf("%v", err)
		}
	})
}

func TestEverybodyWaitingGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d"}
		g := newGate(names)
		took := make(chan time.Duration)
		for i, name := range names {
			go func() {
				<-time.After(time.Duration(i) * time.Second)
				g.arrive(name)
				start := time.Now()
				_ = g.wait(t.Context())
				took <- time.Since(start)
			}()
		}
		var most time.Duration
		for range names {
			most = max(most, <-took)
		}
		if most != 3*time.Second {
			t.Errorf("the first waited %s for the last, want 3s", most)
		}
	})
}
