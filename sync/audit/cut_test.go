package audit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestR16ACutBesideAWriteIsNoticed: what is written behind a hole gives the file its size again.
func TestR16ACutBesideAWriteIsNoticed(t *testing.T) {
	for name, cut := range map[string]func(trail *Trail) error{
		"between the look and the write": func(trail *Trail) error {
			if err := os.Truncate(trail.path, 100); err != nil {
				return err
			}
			trail.turn.Lock()
			defer trail.turn.Unlock()
			jobs := []*job{{ctx: t.Context(), records: []Record{{Kind: Change}}}}
			trail.write(jobs, trail.head, nil)
			return jobs[0].err
		},
		"and filled up to its size": func(trail *Trail) error {
			size := trail.size
			if err := errors.Join(os.Truncate(trail.path, 100), os.Truncate(trail.path, size)); err != nil {
				return err
			}
			return trail.Check()
		},
	} {
		t.Run(name, func(t *testing.T) {
			trail, err := Open(filepath.Join(t.TempDir(), "audit.jsonl"), Head{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = trail.Close() })
			for range 3 {
				if _, err := trail.Append(t.Context(), Record{Kind: Change}); err != nil {
					t.Fatal(err)
				}
			}
			if err := cut(trail); !errors.Is(err, ErrCut) {
				t.Errorf("cut: %v", err)
			}
			if _, err := trail.Append(t.Context(), Record{Kind: Change}); !errors.Is(err, ErrCut) {
				t.Errorf("and afterwards: %v", err)
			}
		})
	}
}
