package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) stateCommand() *cobra.Command {
	return family("state", "Back the state up, or check it", a.backupCommand(), a.stateVerifyCommand())
}

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "backup FILE",
		Short:   "Write a consistent copy of the state, also while the daemon runs",
		Long:    "To restore, stop the daemon and put the copy in the state file's place.",
		Example: "  dirsweep state backup /var/backups/dirsweep.db",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) (err error) {
			l, err := a.records(c.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.close()) }()
			size, err := backup(c, l, args[0])
			if err != nil {
				return fmt.Errorf("back up to %s: %w", args[0], err)
			}
			return a.show(map[string]any{"file": args[0], "bytes": size}, func() { a.printf("Backed up to %s (%d bytes).\n", args[0], size) })
		},
	}
}

// backup writes beside path first, so that path is whole or not there, and never overwrites an earlier backup.
func backup(c *cobra.Command, l control.Client, path string) (size int64, err error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, errors.New("the file exists already; name another")
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err = errors.Join(l.Backup(c.Context(), f), f.Sync()); err == nil {
		size, err = f.Seek(0, 2)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return size, os.Rename(f.Name(), path)
}

func (a *app) stateVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify",
		Short:   "Read the whole state and report damage",
		Example: "  dirsweep state verify",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.call(c.Context(), control.CmdVerify, control.Request{}, nil); err != nil {
				return err
			}
			return a.show(map[string]bool{"good": true}, func() { a.printf("State file OK.\n") })
		},
	}
}
