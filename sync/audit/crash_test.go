package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dirsweep/dirsweep/sync/audit"
)

const childPath = "DIRSWEEP_TEST_TRAIL" // in the environment: this process is the child of TestKill

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		fmt.Fprintln(os.Stderr, child(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const maxFile = 20000 // so small that kills fall into rotations too

// child appends for ever and prints each head that was acknowledged.
func child(path string) error {
	trail, err := audit.Open(path, audit.Head{}, maxFile)
	if err != nil {
		return err
	}
	var out sync.Mutex
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				head, err := trail.Append(context.Background(), full(), audit.Record{Kind: audit.Start, Note: strings.Repeat("x", rand.IntN(3000))})
				if err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Println(head.Seq, head.Hash)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	var last audit.Head
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
			var head audit.Head
			if _, err := fmt.Sscan(lines.Text(), &head.Seq, &head.Hash); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			if head.Seq > last.Seq {
				last = head
			}
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
		trail, err := audit.Open(path, last, maxFile)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.VerifyFiles(t.Context(), path, &last); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("acknowledged and kept: %d records", last.Seq)
}

func BenchmarkAppend(b *testing.B) {
	trail := open(b, filepath.Join(b.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := trail.Append(b.Context(), full()); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	path := filepath.Join(b.TempDir(), "audit.jsonl")
	trail := open(b, path, audit.Head{}, 0)
	records := make([]audit.Record, 100_000)
	for i := range records {
		records[i] = full()
	}
	head, err := trail.Append(b.Context(), records...)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			again, err := audit.Open(path, head, 0)
			if err != nil {
				b.Fatal(err)
			}
			if err := again.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := audit.VerifyFiles(b.Context(), path, &head); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
	})
}
