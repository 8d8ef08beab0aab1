package slapdtest

import "syscall"

// There is no slapd on Windows, where Start fails; the names let the tests that use it compile.
const (
	freeze = syscall.SIGTERM
	thaw   = syscall.SIGTERM
)
