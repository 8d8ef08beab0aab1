//go:build unix

package bolt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/statetest"
)

// TestDamageWhileOpen takes the file away from under a store: each call then fails with ErrDamaged, and the process
// lives.
func TestDamageWhileOpen(t *testing.T) {
	for name, damage := range map[string]func(path string, size int64) error{
		"cut off": func(path string, _ int64) error { return os.Truncate(path, 8192) },
		"overwritten": func(path string, size int64) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(bytes.Repeat([]byte{0x55}, int(size)-8192), 8192)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(path, filled(t), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err == nil {
				err = damage(path, info.Size())
			}
			if err != nil {
				t.Fatal(err)
			}
			_, ranged := statetest.Dump(t.Context(), s, "many", "")
			got := s.View(t.Context(), func(tx state.Tx) error { _, err := tx.Get("many", []byte("key 0001")); return err })
			for call, err := range map[string]error{
				"range": ranged, "get": got, "verify": s.Verify(t.Context()),
				"update": s.Update(t.Context(), func(tx state.Tx) error { return tx.Put("many", []byte("a"), []byte("b")) }),
				"again":  s.Update(t.Context(), func(tx state.Tx) error { return tx.Put("many", []byte("a"), []byte("b")) }),
			} {
				if !errors.Is(err, state.ErrDamaged) {
					t.Errorf("%s: %v", call, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Log("close:", err)
			}
		})
	}
}
