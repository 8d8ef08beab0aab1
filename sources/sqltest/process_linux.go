package sqltest

import "syscall"

// endWithParent has a process killed when the test ends without having stopped it: by a time-out, or killed itself.
func endWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
