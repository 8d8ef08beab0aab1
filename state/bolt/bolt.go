// Package bolt keeps the state in one bbolt file. bbolt itself trusts its file and panics, or worse, where it should
// not have; so the file is read whole and proven before bbolt maps it, every record carries a checksum, and what still
// goes wrong becomes an error.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/dirsweep/dirsweep/state"
)

// Options are what Open may be told.
type Options struct {
	// Timeout is how long Open waits for another process to let go of the file; 0 for one second.
	Timeout time.Duration
	// Command is what another process is told about who holds the file: "dirsweep run". "" for the program's name.
	Command string
}

// A Store is a state.Store in one file.
type Store struct {
	db     *bbolt.DB
	path   string
	queue  queue
	broken atomic.Bool  // bbolt gave up within a commit
	mu     sync.RWMutex // held for reading by every transaction; guards closed
	closed bool
}

var _ state.Store = (*Store)(nil)

// Open opens the state at path, or makes an empty one (0600, in a folder of 0700) where there is no such file. It reads
// the whole file: less than a second for a hundred thousand people.
//
// Errors: state.ErrLocked, which names the process that holds the file; state.ErrDamaged; state.ErrVersion. A file of
// an older schema is copied to path.v<version> before it is upgraded.
//
// bbolt keeps the roots of the last two commits. Where the newer one cannot be read, it is taken for a commit that a
// power failure cut off, as it is meant to be, and the older one counts.
func Open(path string, opts Options) (*Store, error) {
	return open(path, opts, schema{version: state.Schema, upgrade: func(state.Tx, uint64) error { return nil }})
}

func open(path string, opts Options, s schema) (*Store, error) {
	if opts.Timeout == 0 {
		opts.Timeout = time.Second
	}
	if opts.Command == "" {
		opts.Command = filepath.Base(os.Args[0])
	}
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path, s); err != nil {
			return nil, fmt.Errorf("make the state %s: %w", path, err)
		}
	}
	db, err := openProven(path, opts.Timeout)
	if err != nil {
		return nil, explain(path, err)
	}
	store := &Store{db: db, path: path}
	if err := store.settle(s); err != nil {
		_ = db.Close()
		return nil, explain(path, err)
	}
	if err := os.WriteFile(path+".owner", fmt.Appendf(nil, "%d %s\n", os.Getpid(), opts.Command), 0o600); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("tell who holds the state: %w", err)
	}
	return store, nil
}

// openProven opens a file that exists. Between taking the lock and handing the file to bbolt it proves the file.
func openProven(path string, timeout time.Duration) (db *bbolt.DB, err error) {
	fault := guard(func() {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:         timeout,
			FreelistType:    bbolt.FreelistMapType,
			NoStatistics:    true,
			InitialMmapSize: mapSize(),
			OpenFile: func(path string, _ int, _ os.FileMode) (*os.File, error) {
				f, err := os.OpenFile(path, os.O_RDWR, 0)
				if errors.Is(err, fs.ErrPermission) {
					return nil, err
				}
				if err != nil {
					return nil, fmt.Errorf("%w: %w", state.ErrDamaged, err)
				}
				if err = lock(f, timeout); err == nil {
					err = prove(f)
					release(f)
				}
				if err != nil {
					_ = f.Close()
					return nil, err
				}
				return f, nil
			},
		})
	})
	switch {
	case fault != nil:
		return nil, fault
	case errors.Is(err, berrors.ErrTimeout):
		return nil, state.ErrLocked
	case err != nil:
		return nil, err
	}
	db.AllocSize = growth
	return db, nil
}

const growth = 1 << 20 // bytes the file grows by

// mapSize is how much address space is mapped in advance: growing the map waits for every view to end. Windows would
// make the file as large as its map.
func mapSize() int {
	if runtime.GOOS == "windows" || ^uint(0)>>32 == 0 {
		return 0
	}
	return 256 << 20
}

// explain adds what an operator needs to know.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open the state: %w: it is whole, but this account may not use it. Run the command as the service's account or as root; "+
			"a state that root made by mistake is given back with chown, the files beside it too", err)
	case errors.Is(err, state.ErrLocked):
		return fmt.Errorf("%w: %s holds %s: use its control socket (every dirsweep command does while it runs), or stop it", err, owner(path), path)
	case errors.Is(err, state.ErrVersion):
		return fmt.Errorf("open %s: %w: use that version, or put back the copy made before the upgrade", path, err)
	case errors.Is(err, state.ErrDamaged):
		return fmt.Errorf("open %s: %w: nothing was changed. Put back a backup (`dirsweep state backup` makes them; stop the service, "+
			"copy the backup over this file); with no backup, move the file away, and the next full pass links the accounts again", path, err)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// owner tells who holds the file, as far as that is known.
func owner(path string) string {
	b, err := os.ReadFile(path + ".owner")
	pid, command, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	if err != nil || !ok {
		return "another process"
	}
	return fmt.Sprintf("%s (pid %s)", command, pid)
}

// View runs fn on a snapshot.
func (s *Store) View(ctx context.Context, fn func(state.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.closed:
		return state.ErrClosed
	case s.broken.Load():
		return errBroken
	}
	return s.db.View(func(btx *bbolt.Tx) error {
		t := &tx{ctx: ctx, tx: btx}
		return t.run(fn)
	})
}

// Backup writes a consistent copy that Open can open.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	err := s.View(ctx, func(t state.Tx) (err error) {
		fault := guard(func() { _, err = t.(*tx).tx.WriteTo(contextWriter{ctx, w}) })
		return errors.Join(fault, err)
	})
	if err != nil {
		return fmt.Errorf("back up %s: %w", s.path, err)
	}
	return nil
}

// A contextWriter stops when its context is done.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// Verify proves the file as Open does, but for the list of free pages: that is in memory while others write. A view
// keeps the pages from being used again meanwhile.
func (s *Store) Verify(ctx context.Context) error {
	err := s.View(ctx, func(t state.Tx) (err error) {
		f, err := os.Open(s.path)
		if err != nil {
			return err
		}
		btx := t.(*tx).tx
		p := prover{ctx: ctx, file: f, pageSize: uint64(s.db.Info().PageSize)}
		p.meta = meta{root: uint64(btx.Cursor().Bucket().Root()), end: uint64(btx.Size()) / p.pageSize}
		err = p.tree()
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", state.ErrDamaged, err)
		}
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return fmt.Errorf("verify %s: %w", s.path, err)
	}
	return nil
}

// Close waits for transactions under way. Closing again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	removed := os.Remove(s.path + ".owner")
	if errors.Is(removed, os.ErrNotExist) {
		removed = nil
	}
	if s.broken.Load() {
		return removed // bbolt's own locks may never be let go; the file's lock ends with the process
	}
	if err := errors.Join(s.db.Close(), removed); err != nil {
		return fmt.Errorf("close %s: %w", s.path, err)
	}
	return nil
}

// guard turns a panic of bbolt, and a fault in its memory map, into ErrDamaged. fn calls nothing of ours.
func guard(fn func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", state.ErrDamaged, r)
		}
	}()
	fn()
	return nil
}
