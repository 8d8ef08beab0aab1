package daemon

import "sync"

// A stage holds the instance on duty. A reload's instance takes over only when nothing writes, since two engines know nothing of each
// other's changes; the old one is closed when its last reader is done.
type stage struct {
	changed func()      // called after a new instance took over; nil for nobody
	closed  func(error) // told how closing an old instance went; nil for nobody

	mu      sync.Mutex
	on      *tenure
	next    *Instance
	writers int
}

// A tenure is an instance's time on duty.
type tenure struct {
	*Instance
	users   int
	retired bool
}

func newStage(i *Instance) *stage { return &stage{on: &tenure{Instance: i}} }

// enter returns the instance on duty, which stays open until leave is called. What writes says so.
func (s *stage) enter(writes bool) (i *Instance, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.on
	t.users++
	if writes {
		s.writers++
	}
	return t.Instance, sync.OnceFunc(func() { s.leave(t, writes) })
}

func (s *stage) leave(t *tenure, writes bool) {
	s.mu.Lock()
	if writes {
		s.writers--
	}
	t.users--
	changed, idle := s.settle()
	if t.retired && t.users == 0 {
		idle = t.Instance
	}
	s.mu.Unlock()
	s.tell(changed, idle)
}

// replace puts i on duty as soon as nothing writes. An instance that was still waiting for that is closed.
func (s *stage) replace(i *Instance) {
	s.mu.Lock()
	passed := s.next
	s.next = i
	changed, idle := s.settle()
	s.mu.Unlock()
	s.tell(false, passed)
	s.tell(changed, idle)
}

// settle changes over where that is possible. idle is the old instance where nobody uses it any more.
func (s *stage) settle() (changed bool, idle *Instance) {
	if s.next == nil || s.writers > 0 {
		return false, nil
	}
	old := s.on
	s.on, s.next = &tenure{Instance: s.next}, nil
	old.retired = true
	if old.users == 0 {
		idle = old.Instance
	}
	return true, idle
}

func (s *stage) tell(changed bool, idle *Instance) {
	if changed && s.changed != nil {
		s.changed()
	}
	if idle != nil {
		if err := idle.Close(); err != nil && s.closed != nil {
			s.closed(err)
		}
	}
}

// close closes the instance on duty and the one that waits. Nothing may be under way.
func (s *stage) close() error {
	s.mu.Lock()
	on, next := s.on, s.next
	s.next = nil
	s.mu.Unlock()
	s.tell(false, next)
	return on.Close()
}
