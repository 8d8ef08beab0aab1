package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"

	"github.com/dirsweep/dirsweep/state"
)

// A schema says which version of the tables is wanted, and how an older one becomes it.
type schema struct {
	version uint64
	upgrade func(tx state.Tx, from uint64) error
}

const schemaTable state.Table = "schema"

var versionKey = []byte("version")

// create makes an empty state beside path and then gives it its name, so that a crash never leaves half of one there,
// and of two processes that do this at once the second opens what the first has made.
func create(path string, s schema) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	fresh := f.Name()
	defer os.Remove(fresh)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(fresh, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	// bbolt keeps the roots of two commits, and both should be a state's.
	err = errors.Join(putVersion(db, s), putVersion(db, s), db.Close())
	if err != nil {
		return err
	}
	if err := os.Link(fresh, path); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		// a file system without hard links
		if err := os.Rename(fresh, path); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func putVersion(db *bbolt.DB, s schema) error {
	return db.Update(func(btx *bbolt.Tx) error {
		t := &tx{ctx: context.Background(), tx: btx, writable: true}
		for _, table := range state.Tables() {
			if _, err := btx.CreateBucketIfNotExists([]byte(table)); err != nil {
				return err
			}
		}
		return t.Put(schemaTable, versionKey, binary.BigEndian.AppendUint64(nil, s.version))
	})
}

// settle makes sure that the file is of the schema wanted.
func (s *Store) settle(want schema) error {
	ctx := context.Background()
	var have uint64
	err := s.View(ctx, func(t state.Tx) error {
		v, err := t.Get(schemaTable, versionKey)
		if err != nil {
			return err
		}
		if len(v) != 8 {
			return fmt.Errorf("%w: it is not a state of dirsweep", state.ErrDamaged)
		}
		have = binary.BigEndian.Uint64(v)
		return nil
	})
	switch {
	case err != nil:
		return err
	case have > want.version:
		return fmt.Errorf("%w: its schema is %d, this version knows %d", state.ErrVersion, have, want.version)
	case have == want.version:
		return nil
	}
	if err := s.backupFile(ctx, fmt.Sprintf("%s.v%d", s.path, have)); err != nil {
		return fmt.Errorf("before the upgrade: %w", err)
	}
	err = s.Update(ctx, func(t state.Tx) error {
		if err := want.upgrade(t, have); err != nil {
			return err
		}
		return t.Put(schemaTable, versionKey, binary.BigEndian.AppendUint64(nil, want.version))
	})
	if err != nil {
		return fmt.Errorf("upgrade from schema %d to %d: %w", have, want.version, err)
	}
	return nil
}

func (s *Store) backupFile(ctx context.Context, path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = errors.Join(s.Backup(ctx, io.Writer(f)), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir puts a file's new name on disk. Windows does that by itself and has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
