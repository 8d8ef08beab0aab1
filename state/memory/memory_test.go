package memory_test

import (
	"bytes"
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/state/statetest"
)

func TestStore(t *testing.T) {
	statetest.Run(t, statetest.Suite{
		New: func(*testing.T) state.Store { return memory.New() },
		Restore: func(t *testing.T, backup []byte) state.Store {
			s, err := memory.Load(bytes.NewReader(backup))
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	})
}
