package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/bolt"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
)

// Memory is what outlives a reload: the ledger and the audit trail, side by side in one folder.
type Memory struct {
	Path   string // the state file
	Ledger *state.Ledger
	Trail  *audit.Trail
}

// OpenMemory opens the state file at path and the trail beside it. state.ErrLocked says that another process has them.
func OpenMemory(ctx context.Context, path string) (*Memory, error) {
	store, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return nil, err
	}
	m := &Memory{Path: path, Ledger: state.NewLedger(store)}
	head, err := m.head(ctx)
	if err == nil {
		m.Trail, err = audit.Open(m.TrailPath(), head, 0)
	}
	if err != nil {
		return nil, errors.Join(hint(err), m.Ledger.Close())
	}
	return m, nil
}

// hint adds the next step to an error that an operator has to decide about.
func hint(err error) error {
	if errors.Is(err, audit.ErrCut) || errors.Is(err, audit.ErrBroken) {
		return fmt.Errorf("%w; find out who changed it and put the file back, or set it aside with `dirsweep audit start-over --reason TEXT`", err)
	}
	return err
}

// StartOver sets a broken or cut trail of the state file at path aside and begins a new one that says who did it and why.
func StartOver(ctx context.Context, path, actor, reason string) error {
	store, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return err
	}
	m := &Memory{Path: path, Ledger: state.NewLedger(store)}
	head, err := m.head(ctx)
	if err == nil {
		m.Trail, err = audit.StartOver(m.TrailPath(), head, 0, actor, reason)
	}
	if err != nil {
		return errors.Join(err, m.Ledger.Close())
	}
	err = m.Ledger.Update(ctx, func(w *state.Writer) error { return w.SetAuditHead(state.AuditHead(m.Trail.Head())) })
	return errors.Join(err, m.Close())
}

// TrailPath is the audit trail's newest file.
func (m *Memory) TrailPath() string { return TrailPath(m.Path) }

// TrailPath is where the audit trail of the state file at path is.
func TrailPath(path string) string { return filepath.Join(filepath.Dir(path), "audit.jsonl") }

// head is the last audit record that the state knows of.
func (m *Memory) head(ctx context.Context) (audit.Head, error) {
	var head audit.Head
	err := m.Ledger.View(ctx, func(r *state.Reader) error {
		h, _, err := r.AuditHead()
		head = audit.Head(h)
		return err
	})
	return head, err
}

// Note records the daemon's own doings in the trail and the state.
func (m *Memory) Note(ctx context.Context, records ...audit.Record) error {
	return apply.Told(ctx, m.Ledger, m.Trail, records...)
}

// Close closes the trail, then the ledger.
func (m *Memory) Close() error { return errors.Join(m.Trail.Close(), m.Ledger.Close()) }

// scratch returns an empty folder for passes' temporary files, beside the state: they hold people's data, which has no place in /tmp.
func (m *Memory) scratch() (string, error) {
	dir := filepath.Join(filepath.Dir(m.Path), "scratch")
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear what an earlier pass left behind: %w", err)
	}
	return dir, os.MkdirAll(dir, 0o700)
}
