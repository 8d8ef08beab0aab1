package bolt

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dirsweep/dirsweep/state"
)

const childPath = "DIRSWEEP_TEST_STATE" // in the environment: this process is the child of TestKill

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		fmt.Fprintln(os.Stderr, child(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const killTable state.Table = "kill"

const (
	writers = 4
	width   = 5 // keys that one commit writes
)

// child updates for ever. Each writer's commit n sets all its keys to n, and n is printed once it was acknowledged.
func child(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	var out sync.Mutex
	failed := make(chan error)
	for w := range writers {
		go func() {
			for n := acknowledged(s, w) + 1; ; n++ {
				err := s.Update(context.Background(), func(tx state.Tx) error {
					for i := range width {
						if err := tx.Put(killTable, fmt.Appendf(nil, "%d %d", w, i), binary.BigEndian.AppendUint64(nil, n)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Println(w, n)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

func acknowledged(s state.Store, writer int) (n uint64) {
	_ = s.View(context.Background(), func(tx state.Tx) error {
		if v, err := tx.Get(killTable, fmt.Appendf(nil, "%d 0", writer)); err == nil && len(v) == 8 {
			n = binary.BigEndian.Uint64(v)
		}
		return nil
	})
	return n
}

func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var last [writers]uint64
	for round := range 30 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childPath+"="+path)
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for left := rand.IntN(60); lines.Scan(); left-- {
			var w int
			var n uint64
			if _, err := fmt.Sscan(lines.Text(), &w, &n); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			last[w] = n
			if left == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("the child was not killed: %v", err)
		}
		if err := wantAcknowledged(t, path, last); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("acknowledged and kept: %v", last)
}

func wantAcknowledged(t *testing.T, path string, last [writers]uint64) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	return errors.Join(s.Verify(t.Context()), s.View(t.Context(), func(tx state.Tx) error {
		for w, acked := range last {
			var first uint64
			for i := range width {
				v, err := tx.Get(killTable, fmt.Appendf(nil, "%d %d", w, i))
				if err != nil {
					return err
				}
				n := uint64(0)
				if v != nil {
					n = binary.BigEndian.Uint64(v)
				}
				if i == 0 {
					first = n
				}
				if n < acked || n != first {
					return fmt.Errorf("writer %d: key %d has %d, key 0 has %d, acknowledged was %d", w, i, n, first, acked)
				}
			}
		}
		return nil
	}))
}
