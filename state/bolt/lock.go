package bolt

import (
	"os"
	"time"

	"github.com/dirsweep/dirsweep/state"
)

// lock waits up to timeout for another process to let go of f.
func lock(f *os.File, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		ok, err := tryLock(f)
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case !time.Now().Before(deadline):
			return state.ErrLocked
		}
		time.Sleep(20 * time.Millisecond)
	}
}
