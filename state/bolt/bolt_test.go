package bolt

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/statetest"
)

// openTest opens a state and checks the file once the test is over.
func openTest(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		again, err := Open(path, Options{})
		if err != nil {
			t.Fatal("open it again:", err)
		}
		if err := again.Verify(context.Background()); err != nil {
			t.Error("verify:", err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	statetest.Run(t, statetest.Suite{
		New: func(t *testing.T) state.Store { return openTest(t, filepath.Join(t.TempDir(), "state.db")) },
		Restore: func(t *testing.T, backup []byte) state.Store {
			path := filepath.Join(t.TempDir(), "backup.db")
			if err := os.WriteFile(path, backup, 0o600); err != nil {
				t.Fatal(err)
			}
			return openTest(t, path)
		},
	})
}
