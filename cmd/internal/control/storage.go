package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/bolt"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/orders"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

// Storage is what outlives a reload: the ledger and the audit trail, side by side in one folder.
type Storage struct {
	Path   string // the state file
	Ledger *state.Ledger
	Trail  *audit.Trail // nil where nothing is ever written: in a preview, or without a state
	// Evidence is the folder of closed cases' files; nil where Trail is.
	Evidence *evidence.Folder
}

// OpenStorage opens the state file at path and the trail beside it. state.ErrLocked says that another process has them.
func OpenStorage(ctx context.Context, path string) (*Storage, error) {
	store, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return nil, err
	}
	s := &Storage{Path: path, Ledger: state.NewLedger(store)}
	head, err := s.head(ctx)
	if err == nil {
		s.Trail, err = audit.Open(s.TrailPath(), head, 0)
	}
	if err != nil {
		return nil, errors.Join(hint(err), s.Ledger.Close())
	}
	if err := s.openEvidence(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// backedUp has what is written from now on told apart from what a copy of the state knows of that was just made.
func (s *Storage) backedUp(ctx context.Context) error {
	if s.Trail == nil {
		return nil
	}
	var epoch uint64
	err := s.Ledger.Update(ctx, func(w *state.Writer) (err error) {
		epoch, err = w.NextEpoch(0)
		return err
	})
	if err == nil {
		s.Trail.Begin(epoch)
	}
	return err
}

// TakeOver begins a process that writes (orders.TakeOver).
func (s *Storage) TakeOver(ctx context.Context) error {
	return orders.TakeOver(ctx, s.books(), time.Now())
}

// takeOverOlder is TakeOver where the state was put back to an older one: whatever is written hides that from the next
// process.
func (s *Storage) takeOverOlder(ctx context.Context) error {
	older, _, err := orders.Older(ctx, s.books())
	if err != nil || !older {
		return err
	}
	return s.TakeOver(ctx)
}

// books are those of cases that end before there is an engine; what is not written here is, by Maintain.
func (s *Storage) books() *sweep.Books {
	return &sweep.Books{
		Ledger: s.Ledger, Trail: s.Trail, Ended: func(ctx context.Context, c state.Case) { _, _ = s.Evidence.Write(ctx, c) },
	}
}

// openEvidence opens the folder of evidence and the key that signs it, both beside the state, and makes them at the
// first start.
func (s *Storage) openEvidence() error {
	key, err := evidence.OpenKey(EvidenceKeyPath(s.Path))
	if err == nil {
		s.Evidence, err = evidence.Open(EvidencePath(s.Path), key, s.Trail, s.Note)
	}
	return err
}

// EvidencePath is the folder of evidence of the state file at path.
func EvidencePath(path string) string { return filepath.Join(filepath.Dir(path), "evidence") }

// EvidenceKeyPath is the key that signs the evidence of the state file at path; its public half has ".pub" behind it.
func EvidenceKeyPath(path string) string { return filepath.Join(filepath.Dir(path), "evidence.key") }

// Maintain writes the evidence that a crash kept from being written, and removes what the state, the trail and the
// evidence have kept for longer than keep: first from the state, so that no case is there whose evidence is not. It is
// for the start, and once a day; it may be called beside everything else.
func (s *Storage) Maintain(ctx context.Context, now time.Time, keep time.Duration) error {
	before := now.Add(-keep)
	var missing []state.Case
	err := s.Ledger.View(ctx, func(r *state.Reader) (err error) {
		missing, err = s.Evidence.Missing(r.Cases(), before)
		return err
	})
	if err != nil {
		return fmt.Errorf("look for cases without evidence: %w", err)
	}
	for _, c := range missing {
		if _, err := s.Evidence.Write(ctx, c); err != nil {
			return err
		}
	}
	books := sweep.Books{Ledger: s.Ledger, Trail: s.Trail}
	if err := books.Forget(ctx, before); err != nil {
		return err
	}
	if _, err := s.Trail.Prune(ctx, before); err != nil {
		return err
	}
	_, err = s.Evidence.Prune(ctx, before)
	return err
}

// openExisting opens the state file at path where there is one, and is an empty storage where there is none yet.
func openExisting(ctx context.Context, path string) (*Storage, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return &Storage{Path: path, Ledger: state.NewLedger(memory.New())}, nil
	}
	return OpenStorage(ctx, path)
}

// copyOf is a copy, in the file at copied, of the state that a daemon holds at path.
func copyOf(ctx context.Context, running Client, path, copied string) (*Storage, error) {
	f, err := os.OpenFile(copied, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(running.Backup(ctx, f), f.Close()); err != nil {
		return nil, fmt.Errorf("copy the daemon's state: %w", err)
	}
	store, err := bolt.Open(copied, bolt.Options{})
	if err != nil {
		return nil, err
	}
	return &Storage{Path: path, Ledger: state.NewLedger(store)}, nil
}

// previewScratch returns a folder of its own for the temporary files of a preview: beside the state, where only the
// daemon's own account gets at people's data; where there is no state yet, in the system's folder for such.
func previewScratch(path string) (string, error) {
	beside := filepath.Dir(path)
	if _, err := os.Stat(beside); errors.Is(err, fs.ErrNotExist) {
		return os.MkdirTemp("", "dirsweep-preview-")
	}
	return os.MkdirTemp(beside, scratchName+"-preview-")
}

// hint adds the next step to an error that an operator has to decide about.
func hint(err error) error {
	if errors.Is(err, audit.ErrCut) || errors.Is(err, audit.ErrBroken) {
		return fmt.Errorf("%w; nothing is written until that is settled: find out who changed it, stop dirsweep, and put the file back, or set "+
			"it aside with `dirsweep audit start-over --reason TEXT`", err)
	}
	return err
}

// StartOver sets a broken or cut trail of the state file at path aside and begins a new one that says who did it and
// why.
func StartOver(ctx context.Context, path, actor, reason string) error {
	store, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return err
	}
	s := &Storage{Path: path, Ledger: state.NewLedger(store)}
	head, err := s.head(ctx)
	if err == nil {
		s.Trail, err = audit.StartOver(s.TrailPath(), head, 0, actor, reason)
	}
	if err != nil {
		return errors.Join(err, s.Ledger.Close())
	}
	err = s.Ledger.Update(ctx, func(w *state.Writer) error { return w.SetAuditHead(state.AuditHead(s.Trail.Head())) })
	return errors.Join(err, s.Close())
}

// verifyTrail reads the whole trail from the disk. Without a state there may be a trail all the same.
func (s *Storage) verifyTrail(ctx context.Context) (summary audit.Summary, err error) {
	if s.Trail == nil {
		summary, err = audit.Read(ctx, s.TrailPath(), nil)
	} else {
		summary, err = s.Trail.Verify(ctx)
	}
	return summary, err
}

// TrailPath is the audit trail's newest file.
func (s *Storage) TrailPath() string { return TrailPath(s.Path) }

// TrailPath is where the audit trail of the state file at path is.
func TrailPath(path string) string { return filepath.Join(filepath.Dir(path), "audit.jsonl") }

// head is the last audit record that the state knows of.
func (s *Storage) head(ctx context.Context) (audit.Head, error) {
	var head audit.Head
	err := s.Ledger.View(ctx, func(r *state.Reader) error {
		h, _, err := r.AuditHead()
		head = audit.Head(h)
		return err
	})
	return head, err
}

// Note records the daemon's own doings in the trail and the state.
func (s *Storage) Note(ctx context.Context, records ...audit.Record) error {
	return apply.Told(ctx, s.Ledger, s.Trail, records...)
}

// Close closes the trail, then the ledger.
func (s *Storage) Close() error {
	if s.Trail == nil {
		return s.Ledger.Close()
	}
	return errors.Join(s.Trail.Close(), s.Ledger.Close())
}

// scratchName is what folders for temporary files are called; the daemon does not take changes in them for a new
// config.
const scratchName = "scratch"

// Scratch returns an empty folder for passes' temporary files, beside the state: they hold people's data, which has no
// place in /tmp.
func (s *Storage) Scratch() (string, error) {
	dir := filepath.Join(filepath.Dir(s.Path), scratchName)
	left, err := filepath.Glob(dir + "-preview-*")
	for _, path := range append(left, dir) {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return "", fmt.Errorf("clear what an earlier pass left behind: %w", err)
	}
	return dir, os.MkdirAll(dir, 0o700)
}
