package bolt

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/state/statetest"
)

type step struct {
	table    state.Table
	key      string
	value    []byte
	deletion bool
}

// TestBoltIsAsMemory runs the same random updates on both stores, some of which fail, and compares all that they hold.
func TestBoltIsAsMemory(t *testing.T) {
	tables := []state.Table{"one", "two"}
	failed := errors.New("failed")
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, rapid.StringMatching(`[a-z]{12}`).Draw(rt, "name")+string(rune('a'+n%26)), "state.db")
		bolt, err := Open(path, Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = bolt.Close() }()
		mem := memory.New()
		stepGen := rapid.Custom(func(t *rapid.T) step {
			return step{
				table: rapid.SampledFrom(tables).Draw(t, "table"), key: rapid.StringN(1, 3, 6).Draw(t, "key"),
				value: rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "value"), deletion: rapid.IntRange(0, 3).Draw(t, "kind") == 0,
			}
		})
		for range rapid.IntRange(1, 6).Draw(rt, "updates") {
			steps := rapid.SliceOfN(stepGen, 0, 30).Draw(rt, "steps")
			fails := rapid.IntRange(0, 4).Draw(rt, "fails") == 0
			for _, s := range []state.Store{bolt, mem} {
				err := s.Update(t.Context(), func(tx state.Tx) error {
					for _, step := range steps {
						var err error
						if step.deletion {
							err = tx.Delete(step.table, []byte(step.key))
						} else {
							err = tx.Put(step.table, []byte(step.key), step.value)
						}
						if err != nil {
							return err
						}
					}
					if fails {
						return failed
					}
					return nil
				})
				if errors.Is(err, failed) != fails || !fails && err != nil {
					rt.Fatal(err)
				}
			}
			prefix := rapid.StringN(0, 1, 3).Draw(rt, "prefix")
			for _, table := range slices.Concat(tables, []state.Table{"none"}) {
				want, err1 := statetest.Dump(t.Context(), mem, table, prefix)
				got, err2 := statetest.Dump(t.Context(), bolt, table, prefix)
				if diff := cmp.Diff(want, got); diff != "" || err1 != nil || err2 != nil {
					rt.Fatalf("%s %q: %v, %v (-memory +bolt):\n%s", table, prefix, err1, err2, diff)
				}
			}
		}
		if err := errors.Join(bolt.Close()); err != nil {
			rt.Fatal(err)
		}
		again, err := Open(path, Options{})
		if err != nil {
			rt.Fatal(err)
		}
		if err := errors.Join(again.Verify(t.Context()), again.Close()); err != nil {
			rt.Fatal(err)
		}
	})
}
