//go:build unix

package csv

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
)

// TestPipeIsNoFile: whoever opens a pipe that nobody writes waits for ever.
func TestPipeIsNoFile(t *testing.T) {
	f := newFolder(t)
	if err := syscall.Mkfifo(filepath.Join(f.dir, "p.csv"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.incomplete(open(t, f.dir, small(`files = "p.csv"`), sources.Need{}), "p.csv: it is not a regular file")
}
