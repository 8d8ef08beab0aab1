//go:build unix && !linux

package sqltest

import "syscall"

// endWithParent does nothing where the system cannot.
func endWithParent(*syscall.SysProcAttr) {}
