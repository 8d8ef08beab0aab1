package orders_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/orders"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

var (
	today  = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ann    = identity.PersonID{Directory: "corp", Anchor: "ann"}
	ben    = identity.PersonID{Directory: "corp", Anchor: "ben"}
	nobody = identity.PersonID{}
)

// A site is a state and its trail, taken over by one process after the other.
type site struct {
	*testing.T
	ledger *state.Ledger
	trail  *audit.Trail
	path   string
}

func newSite(t *testing.T) *site {
	s := &site{T: t, ledger: state.NewLedger(memory.New()), path: filepath.Join(t.TempDir(), "audit.jsonl")}
	t.Cleanup(func() { _ = s.trail.Close() })
	s.start()
	return s
}

func (s *site) update(fn func(w *state.Writer) error) {
	s.Helper()
	if err := s.ledger.Update(s.Context(), fn); err != nil {
		s.Fatal(err)
	}
}

func view[T any](s *site, read func(r *state.Reader) (T, error)) (got T) {
	s.Helper()
	err := s.ledger.View(s.Context(), func(r *state.Reader) (err error) {
		got, err = read(r)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return got
}

// start is a process that opens the trail as the state knows it, and takes over.
func (s *site) start() {
	s.Helper()
	if s.trail != nil {
		_ = s.trail.Close()
	}
	head := view(s, func(r *state.Reader) (state.AuditHead, error) { h, _, err := r.AuditHead(); return h, err })
	var err error
	if s.trail, err = audit.Open(s.path, audit.Head(head), 0); err != nil {
		s.Fatal(err)
	}
	if err := orders.TakeOver(s.Context(), &sweep.Books{Ledger: s.ledger, Trail: s.trail}, today); err != nil {
		s.Fatal(err)
	}
}

// tell writes records whose end the state knows of or, where it died before, does not.
func (s *site) tell(known bool, records ...audit.Record) {
	s.Helper()
	head, err := s.trail.Append(s.Context(), records...)
	if err != nil {
		s.Fatal(err)
	}
	if known {
		s.update(func(w *state.Writer) error { return w.SetAuditHead(state.AuditHead(head)) })
	}
}

func order(id identity.PersonID) audit.Record {
	return audit.Record{Kind: audit.Sweep, Person: id.String(), Note: "gone", At: today, Outcome: "ordered"}
}

func release(id identity.PersonID) audit.Record {
	return audit.Record{Kind: audit.Release, Person: id.String(), At: today, Outcome: "released"}
}

// older has the state know nothing of what comes after now: next is what a later process tells.
func (s *site) older(next ...audit.Record) {
	s.Helper()
	epoch := view(s, (*state.Reader).Epoch)
	s.trail.Begin(epoch + 1)
	s.tell(false, next...)
	s.start()
}

func TestR01AStateThatWasPutBackIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		happened func(s *site)
		restored bool
	}{
		"nothing was done since":                    {func(s *site) { s.start() }, false},
		"a process died before the state knew":      {func(s *site) { s.tell(false, order(ann)); s.start() }, false},
		"a later process did something":             {func(s *site) { s.older(order(ann)) }, true},
		"one pass was made, and nothing had to be":  {func(s *site) { s.older(audit.Record{Kind: audit.Pass}) }, true},
		"the same, after the state was backed up":   {func(s *site) { s.start(); s.older(audit.Record{Kind: audit.Pass}) }, true},
		"it was put back once, and is looked after": {func(s *site) { s.older(audit.Record{Kind: audit.Pass}); s.start() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.tell(true, audit.Record{Kind: audit.Pass})
			c.happened(s)
			got := view(s, (*state.Reader).Restored)
			if got.At.IsZero() == c.restored || got.Why(today, time.Hour) == "" == c.restored {
				t.Errorf("restored: %+v", got)
			}
			if why := got.Why(today.Add(time.Hour), time.Hour); why != "" {
				t.Errorf("after the window: %s", why)
			}
			if before := view(s, (*state.Reader).Epoch); before <= s.trail.Beyond().Epoch {
				t.Errorf("process %d writes after process %d", before, s.trail.Beyond().Epoch)
			}
		})
	}
}

func TestR11OrdersOutliveAStateThatWasPutBack(t *testing.T) {
	for name, c := range map[string]struct {
		before []identity.PersonID // swept when the state was copied
		since  []audit.Record
		want   []identity.PersonID
	}{
		"swept since":           {nil, []audit.Record{order(ann)}, []identity.PersonID{ann}},
		"released since":        {[]identity.PersonID{ann, ben}, []audit.Record{release(ann)}, []identity.PersonID{ben}},
		"swept and released":    {nil, []audit.Record{order(ann), release(ann)}, nil},
		"released and swept":    {[]identity.PersonID{ann}, []audit.Record{release(ann), order(ann)}, []identity.PersonID{ann}},
		"whom nobody can name":  {[]identity.PersonID{ben}, []audit.Record{order(nobody)}, []identity.PersonID{ben}},
		"who was not swept":     {[]identity.PersonID{ben}, []audit.Record{release(ann)}, []identity.PersonID{ben}},
		"nothing ordered since": {[]identity.PersonID{ben}, []audit.Record{{Kind: audit.Pass}}, []identity.PersonID{ben}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			for _, id := range c.before {
				s.update(func(w *state.Writer) error { return w.PutClosure(state.Closure{Person: id, At: today}) })
			}
			s.tell(true, audit.Record{Kind: audit.Pass})
			s.older(c.since...)
			got := view(s, func(r *state.Reader) ([]state.Closure, error) { return state.Collect(r.Closures()) })
			if len(got) != len(c.want) {
				t.Fatalf("ordered: %+v, want %v", got, c.want)
			}
			for n, id := range c.want {
				if got[n].Person != id {
					t.Errorf("ordered: %+v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestR01WhatIsOwedByAStateThatWasPutBackIsJudgedAnew(t *testing.T) {
	s := newSite(t)
	owed := state.Step{Target: "wiki", Account: "7", Status: state.StepOpen}
	proven := state.Step{Target: "chat", Account: "8", Status: state.StepProven}
	s.update(func(w *state.Writer) error {
		return errors.Join(
			w.PutCase(state.Case{Person: ann, Opened: today, Steps: []state.Step{owed, proven}}),
			w.PutCase(state.Case{Person: ben, Opened: today, Steps: []state.Step{owed}}),
			w.PutClosure(state.Closure{Person: ben, At: today}),
		)
	})
	s.tell(true, audit.Record{Kind: audit.Pass})
	s.older(audit.Record{Kind: audit.Pass})
	steps := func(id identity.PersonID) int {
		c := view(s, func(r *state.Reader) (state.Case, error) { c, _, err := r.Case(id); return c, err })
		return len(c.Steps)
	}
	if got := steps(ann); got != 1 {
		t.Errorf("ann owes %d steps: the proven one stays", got)
	}
	if got := steps(ben); got != 1 {
		t.Errorf("ben owes %d steps: an operator ordered it", got)
	}
}
