package bolt

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

const lockOffset = 1<<32 - 1 // the byte that bbolt locks

// tryLock takes the lock that bbolt takes.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{Offset: lockOffset, OffsetHigh: lockOffset})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// release lets go of the lock, since bbolt could not take it a second time. Who takes it in between has opened a proven
// file too.
func release(f *os.File) {
	_ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &windows.Overlapped{Offset: lockOffset, OffsetHigh: lockOffset})
}
