package sweep_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// TestR18WhichCaseIsForgotten: one that was kept long enough, and of which nothing is to come.
func TestR18WhichCaseIsForgotten(t *testing.T) {
	t.Parallel()
	step := state.Step{Target: "wiki", Account: "1", Status: state.StepProven, Seen: "inactive", At: at(-10)}
	with := func(change func(*state.Step)) state.Case {
		other := step
		other.Target = "chat"
		change(&other)
		return state.Case{Person: alice, Closed: at(-1), Steps: []state.Step{step, other}}
	}
	proven := with(func(*state.Step) {})
	young, open := proven, proven
	young.Closed, open.Closed = noon, time.Time{}
	for name, c := range map[string]struct {
		kase state.Case
		left sweep.Remains
		want bool
	}{
		"proven long ago":          {proven, sweep.Remains{}, true},
		"left to the operator":     {with(func(s *state.Step) { s.Status = state.StepReported }), sweep.Remains{}, true},
		"not that long ago":        {young, sweep.Remains{}, false},
		"not closed":               {open, sweep.Remains{}, false},
		"an account is open":       {with(func(s *state.Step) { s.Status = state.StepOpen }), sweep.Remains{}, false},
		"an account is held":       {with(func(s *state.Step) { s.Status = state.StepHeld }), sweep.Remains{}, false},
		"nothing proves it":        {with(func(s *state.Step) { s.Status = state.StepUnprovable }), sweep.Remains{}, false},
		"an account is looked at":  {with(func(s *state.Step) { s.Next = at(5) }), sweep.Remains{}, false},
		"an account is in grace":   {with(func(s *state.Step) { s.Delete = at(5) }), sweep.Remains{}, false},
		"a delete is overdue":      {with(func(s *state.Step) { s.Delete = at(-5) }), sweep.Remains{}, false},
		"an account is active":     {proven, sweep.Remains{Active: true}, false},
		"an operator's order":      {proven, sweep.Remains{Ordered: true}, false},
		"a change is not settled":  {proven, sweep.Remains{Begun: true}, false},
		"no account is left of it": {state.Case{Person: alice, Closed: at(-1)}, sweep.Remains{}, true},
	} {
		if got := sweep.Forgettable(c.kase, c.left, noon); got != c.want {
			t.Errorf("%s: forgotten: %v, want %v", name, got, c.want)
		}
	}
}

// TestR18BooksForget: what the state has beside a case is looked at, a tombstone goes by its own age, and a later one
// of the same name stays.
func TestR18BooksForget(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	trail, err := audit.Open(filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	books := sweep.Books{Ledger: b.ledger, Trail: trail}
	b.owe("wiki", state.StepOpen, 0)
	b.prove("wiki", 1)
	old := state.Tombstone{Target: "wiki", Person: alice, Account: "1", UserName: "alice", ExternalID: "a", At: at(1)}
	later := state.Tombstone{Target: "wiki", Person: alice, Account: "2", UserName: "alice", ExternalID: "b", At: at(3)}
	link := state.Link{Target: "chat", Person: alice, Account: "7", State: identity.LinkActive}
	b.write(func(w *state.Writer) error { return w.PutTombstone(old) })
	b.write(func(w *state.Writer) error { return w.PutTombstone(later) })
	b.write(func(w *state.Writer) error { return w.PutLink(link) })
	forget := func(before int, wantCase, wantOld, wantLater bool) {
		t.Helper()
		if err := books.Forget(t.Context(), at(before)); err != nil {
			t.Fatal(err)
		}
		err := b.ledger.View(t.Context(), func(r *state.Reader) error {
			_, gotCase, err := r.Case(alice)
			if err != nil {
				return err
			}
			_, _, gotOld, err := r.Tombstone("wiki", "a", "")
			if err != nil {
				return err
			}
			_, _, gotLater, err := r.Tombstone("wiki", "", "alice")
			if gotCase != wantCase || gotOld != wantOld || gotLater != wantLater {
				t.Errorf("before %d: case %v, tombstones %v and %v, want %v, %v and %v", before, gotCase, gotOld, gotLater,
					wantCase, wantOld, wantLater)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	forget(1, true, true, true)
	forget(2, true, false, true) // an account of hers is active
	link.State = identity.LinkDisabled
	b.write(func(w *state.Writer) error { return w.PutLink(link) })
	forget(2, false, false, true)
	forget(4, false, false, false)
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
}
