package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/statetest"
)

func TestAnAbsentFileIsMadePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "deep", "state.db")
	openTest(t, path)
	if runtime.GOOS == "windows" {
		return
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, path + ".owner": 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", filepath.Base(name), got, want)
		}
	}
	left, err := filepath.Glob(path + ".new-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAHeldFileNamesItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	first, err := Open(path, Options{Command: "dirsweep run"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{Timeout: time.Millisecond})
	if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("dirsweep run (pid %d)", os.Getpid())) {
		t.Errorf("got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".owner"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the owner's file is still there: %v", err)
	}
	openTest(t, path)
}

func TestSchema(t *testing.T) {
	const table state.Table = "test"
	none := func(state.Tx, uint64) error { return nil }
	rename := func(tx state.Tx, from uint64) error {
		if from != 1 {
			return fmt.Errorf("from %d", from)
		}
		return errors.Join(tx.Delete(table, []byte("old")), tx.Put(table, []byte("new"), nil))
	}
	path := filepath.Join(t.TempDir(), "state.db")
	visit := func(path string, s schema, use func(*Store)) error {
		store, err := open(path, Options{}, s)
		if err != nil {
			return err
		}
		use(store)
		return store.Close()
	}
	is := func(want string) func(*Store) {
		return func(s *Store) {
			got, err := statetest.Dump(t.Context(), s, table, "")
			if err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
	}
	err := visit(path, schema{1, none}, func(s *Store) {
		err := s.Update(t.Context(), func(tx state.Tx) error { return tx.Put(table, []byte("old"), nil) })
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := visit(path, schema{2, func(state.Tx, uint64) error { return broken }}, nil); !errors.Is(err, broken) {
		t.Errorf("an upgrade that fails: %v", err)
	}
	for _, step := range []struct {
		name, path string
		schema     schema
		want       string
	}{
		{"as it was after a failed upgrade", path, schema{1, none}, "old="},
		{"upgraded", path, schema{2, rename}, "new="},
		{"upgraded once", path, schema{2, rename}, "new="},
		{"the copy", path + ".v1", schema{1, none}, "old="},
	} {
		if err := visit(step.path, step.schema, is(step.want)); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	if err := visit(path, schema{1, none}, nil); !errors.Is(err, state.ErrVersion) {
		t.Errorf("a newer version's: %v", err)
	}
}

// filled makes a state with every shape of page: inline tables, branches, overflowing records and free pages.
func filled(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		err := s.Update(t.Context(), func(tx state.Tx) error {
			for i := range 300 {
				if err := tx.Put("many", fmt.Appendf(nil, "key %04d", i), fmt.Appendf(nil, "value %d %d", round, i)); err != nil {
					return err
				}
			}
			return errors.Join(tx.Put("big", []byte("big"), make([]byte, 10000)), tx.Put("one", []byte("one"), []byte("1")))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	defer s.Close()
	var whole bytes.Buffer // the file itself is mostly room to grow, where no change counts
	if err := s.Backup(t.Context(), &whole); err != nil {
		t.Fatal(err)
	}
	return whole.Bytes()
}

// wantFilled opens b and reports whether it was accepted. What is accepted must hold all that filled wrote, save the
// last commit where lastLost: bbolt cannot tell a meta page that was damaged from one that a power failure cut off.
func wantFilled(t *testing.T, b []byte, what string, lastLost bool) (accepted bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, Options{})
	if err != nil {
		if !errors.Is(err, state.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if left, err := os.ReadFile(path); err != nil || !slices.Equal(left, b) {
			t.Errorf("%s: the damaged file was changed (%v)", what, err)
		}
		return false
	}
	defer s.Close()
	got, err := statetest.Dump(t.Context(), s, "many", "")
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return true
	}
	for i, pair := range got {
		if pair != fmt.Sprintf("key %04d=value 2 %d", i, i) && !(lastLost && pair == fmt.Sprintf("key %04d=value 1 %d", i, i)) {
			t.Errorf("%s: accepted, with %q", what, pair)
			return true
		}
	}
	if len(got) != 300 {
		t.Errorf("%s: accepted, with %d records of 300", what, len(got))
	}
	return true
}

func TestDamageIsNeverTakenForAState(t *testing.T) {
	whole := filled(t)
	if !wantFilled(t, whole, "whole", false) {
		t.Fatal("the whole file was refused")
	}
	t.Run("other files", func(t *testing.T) {
		for name, b := range map[string][]byte{
			"empty": {}, "text": []byte("hello\n"), "zeros": make([]byte, 65536), "half a page": whole[:2000], "one page": whole[:4096],
			"only metas": whole[:8192],
		} {
			if wantFilled(t, b, name, false) {
				t.Errorf("%s: accepted", name)
			}
		}
	})
	t.Run("cut off", func(t *testing.T) {
		for n := 0; n < len(whole); n += 1777 {
			wantFilled(t, whole[:n], fmt.Sprintf("cut to %d", n), false)
		}
	})
	t.Run("a page of zeros", func(t *testing.T) {
		for at := 0; at+4096 <= len(whole); at += 4096 {
			b := slices.Clone(whole)
			clear(b[at : at+4096])
			wantFilled(t, b, fmt.Sprintf("page at %d", at), at < 8192)
		}
	})
	t.Run("bits flipped", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		refused := 0
		for range 600 {
			b := slices.Clone(whole)
			at, bit := random.IntN(len(b)), random.IntN(8)
			b[at] ^= 1 << bit
			if !wantFilled(t, b, fmt.Sprintf("byte %d bit %d", at, bit), at < 8192) {
				refused++
			}
		}
		t.Logf("%d of 600 refused, the rest harmless", refused)
	})
}

func FuzzOpen(f *testing.F) {
	whole := filled(f)
	f.Add(uint32(0), uint64(1), uint32(len(whole)))
	f.Add(uint32(8200), uint64(1)<<63, uint32(len(whole)))
	f.Add(uint32(4096*5), uint64(0xffff), uint32(len(whole)-1))
	f.Fuzz(func(t *testing.T, at uint32, flip uint64, length uint32) {
		b := slices.Clone(whole)[:min(int(length), len(whole))]
		if len(b) >= 8 {
			place := int(at) % (len(b) - 7)
			binary.LittleEndian.PutUint64(b[place:], binary.LittleEndian.Uint64(b[place:])^flip)
			wantFilled(t, b, fmt.Sprintf("%x at %d of %d", flip, place, len(b)), place < 8192)
			return
		}
		if wantFilled(t, b, "short", false) {
			t.Error("accepted")
		}
	})
}

func TestAFolderIsNoState(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{}); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
