package control_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

// TestR18WhatIsKeptHasAnEnd: at the start a closed case gets the file that a crash kept from it, and what is older than
// `audit { keep }` goes, while the trail stays whole.
func TestR18WhatIsKeptHasAnEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	storage, err := control.OpenStorage(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	long := now.AddDate(-3, 0, 0)
	c := state.Case{
		Person: identity.PersonID{Directory: "corp", Anchor: "1"}, Name: "alice", Cause: identity.Deleted, Noticed: long, Opened: long, Closed: long,
		Steps: []state.Step{{Target: "wiki", Account: "1", UserName: "alice", Status: state.StepProven, Seen: "gone", At: long, Left: long}},
	}
	err = errors.Join(
		storage.Ledger.Update(t.Context(), func(w *state.Writer) error { return w.PutCase(c) }),
		storage.Note(t.Context(), audit.Record{At: long, Kind: audit.Start}, audit.Record{At: long.AddDate(0, 0, 1), Kind: audit.Stop}),
		storage.Note(t.Context(), audit.Record{At: now, Kind: audit.Start}),
	)
	if err != nil {
		t.Fatal(err)
	}
	files := func() (written, trail []string) {
		for file, err := range evidence.Files(t.Context(), control.EvidencePath(path), time.Time{}) {
			if err = errors.Join(err, file.Err); err != nil {
				t.Fatal(err)
			}
			written = append(written, file.Path)
		}
		trail, err := filepath.Glob(filepath.Join(filepath.Dir(path), "audit*.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		return written, trail
	}
	known := func() (known bool) {
		if err := storage.Ledger.View(t.Context(), func(r *state.Reader) (err error) {
			_, known, err = r.Case(c.Person)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return known
	}
	maintain := func(keep time.Duration, wantWritten, wantTrail int) {
		t.Helper()
		if err := storage.Maintain(t.Context(), now, keep); err != nil {
			t.Fatal(err)
		}
		if written, trail := files(); len(written) != wantWritten || len(trail) != wantTrail {
			t.Errorf("%v and %v are left", written, trail)
		}
		if got := known(); got != (wantWritten > 0) {
			t.Errorf("the state knows the case: %v", got)
		}
		if _, err := storage.Trail.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	}
	const year = 365 * 24 * time.Hour
	maintain(7*year, 1, 2)
	written, _ := files()
	if err := os.Chtimes(written[0], long, long); err != nil { // as if it had been written then
		t.Fatal(err)
	}
	maintain(7*year, 1, 2)
	maintain(2*year, 0, 1)
	maintain(2*year, 0, 1) // and does not come back
	if err := storage.Close(); err != nil {
		t.Error(err)
	}
}

// TestR16ATrailThatIsGoneIsNotWhole: beside a running service the trail is read from its path, not from what is still
// open.
func TestR16ATrailThatIsGoneIsNotWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	storage, err := control.OpenStorage(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	service := control.New(&control.Instance{Storage: storage}, control.Hooks{})
	if err := storage.Note(t.Context(), audit.Record{Kind: audit.Start}); err != nil {
		t.Fatal(err)
	}
	verify := func() error { return service.Call(t.Context(), control.CmdAudit, control.Request{}, nil) }
	if err := verify(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(control.TrailPath(path)); err != nil {
		t.Fatal(err)
	}
	if err := verify(); !errors.Is(err, audit.ErrBroken) || !strings.Contains(err.Error(), "audit start-over") {
		t.Errorf("verify says %v", err)
	}
	if err := storage.Note(t.Context(), audit.Record{Kind: audit.Stop}); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("appended: %v", err)
	}
	if err := storage.Close(); err != nil {
		t.Error(err)
	}
	if _, err := control.OpenStorage(t.Context(), path); !errors.Is(err, audit.ErrCut) {
		t.Errorf("opened again: %v", err)
	}
	mode := func(name string) os.FileMode {
		info, err := os.Stat(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if os.PathSeparator == '/' && !slices.Equal([]os.FileMode{mode("evidence.key"), mode("evidence")}, []os.FileMode{0o600, 0o700}) {
		t.Errorf("modes %v and %v", mode("evidence.key"), mode("evidence"))
	}
}
