package control

import (
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// closing counts how often it was closed.
type closing struct {
	sources.Source
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

func instance(name string) (*Instance, *closing) {
	c := &closing{}
	return &Instance{
		Config: &config.Config{Digest: name},
		parts:  &parts{sources: []reconcile.Source{{Name: name, Source: c}}},
	}, c
}

func TestAReloadWaitsForWritersAndCloses(t *testing.T) {
	t.Parallel()
	old, oldSource := instance("old")
	s := newGenerations(old)
	changes := 0
	s.replaced = func() { changes++ }
	_, endPass := s.acquire(true)
	_, endRead := s.acquire(false)

	middle, middleSource := instance("middle")
	s.replace(middle)
	newer, newSource := instance("new")
	s.replace(newer)
	if middleSource.closed != 1 {
		t.Error("an instance that never came in use was not closed")
	}
	if on, leave := s.acquire(true); on != old {
		t.Errorf("%s came in use while a pass was under way", on.Config.Digest)
	} else {
		leave()
	}
	endPass()
	endPass()
	if on, leave := s.acquire(false); on != newer || changes != 1 {
		t.Errorf("%s is in use after the pass, with %d changes", on.Config.Digest, changes)
	} else {
		leave()
	}
	if oldSource.closed != 0 {
		t.Error("the old instance was closed under its reader")
	}
	endRead()
	if oldSource.closed != 1 {
		t.Errorf("the old instance was closed %d times", oldSource.closed)
	}
	if err := s.close(); err != nil || newSource.closed != 1 || oldSource.closed != 1 {
		t.Errorf("closing the generations: %v, new closed %d times, old %d", err, newSource.closed, oldSource.closed)
	}
}
