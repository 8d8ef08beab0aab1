package failing_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/failing"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/state/statetest"
)

func TestAStoreWithoutFaultsIsAStore(t *testing.T) {
	statetest.Run(t, statetest.Suite{
		New: func(*testing.T) state.Store { return failing.New(passing{memory.New()}) },
		Restore: func(t *testing.T, backup []byte) state.Store {
			s, err := memory.Load(bytes.NewReader(backup))
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	})
}

// passing hides that it is memory's.
type passing struct{ state.Store }

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	begin := func(w *state.Writer) error { _, err := w.Begin(state.Intent{}); return err }
	for _, test := range []struct {
		name string
		tell func(*failing.Store)
		want []bool // of four updates with an intent each: which fail
		kept []uint64
		view error
	}{
		{"the second before", func(s *failing.Store) { s.FailUpdate(2, failing.Before, broken) }, []bool{false, true, false, false}, []uint64{1, 2, 3}, nil},
		{"the first within", func(s *failing.Store) { s.FailUpdate(1, failing.Within, broken) }, []bool{true, false, false, false}, []uint64{1, 2, 3}, nil},
		{"the third after", func(s *failing.Store) { s.FailUpdate(3, failing.After, broken) }, []bool{false, false, true, false}, []uint64{1, 2, 3, 4}, nil},
		{"an intent within", func(s *failing.Store) { s.FailBegin(2, failing.Within, broken) }, []bool{false, true, false, false}, []uint64{1, 2, 3}, nil},
		{"an intent after", func(s *failing.Store) { s.FailBegin(2, failing.After, broken) }, []bool{false, true, false, false}, []uint64{1, 2, 3, 4}, nil},
		{"two", func(s *failing.Store) {
			s.FailUpdate(1, failing.Before, broken)
			s.FailUpdate(2, failing.After, broken)
		}, []bool{true, true, false, false}, []uint64{1, 2, 3}, nil},
		{"a view", func(s *failing.Store) { s.FailView(1, broken) }, []bool{false, false, false, false}, []uint64{1, 2, 3, 4}, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := failing.New(memory.New())
			l := state.NewLedger(store)
			test.tell(store)
			for i, want := range test.want {
				if err := l.Update(t.Context(), begin); errors.Is(err, broken) != want || !want && err != nil {
					t.Errorf("update %d: %v, want it to fail: %t", i+1, err, want)
				}
			}
			list := func() (seqs []uint64, err error) {
				err = l.View(t.Context(), func(r *state.Reader) error {
					for i, err := range r.Intents() {
						if err != nil {
							return err
						}
						seqs = append(seqs, i.Seq)
					}
					return nil
				})
				return seqs, err
			}
			seqs, err := list()
			if !errors.Is(err, test.view) {
				t.Errorf("view: %v", err)
			}
			if test.view != nil {
				seqs, err = list()
			}
			if err != nil && test.view == nil || len(seqs) != len(test.kept) || seqs[len(seqs)-1] != test.kept[len(seqs)-1] {
				t.Errorf("kept %v, want %v (%v)", seqs, test.kept, err)
			}
		})
	}
}
