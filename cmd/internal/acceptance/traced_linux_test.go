package acceptance

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A traced process is halted wherever it asks the disk to keep something, and may be killed there. Nothing is built
// into the program for that: the system stops it (ptrace), at no other calls than these (seccomp).
type traced struct {
	pid    int
	died   chan struct{} // closed once no thread of it is left
	status syscall.WaitStatus
	err    error
}

// A halt is one thread of a process before it waits for the disk, or after. The thread goes on when its halt was looked
// at; the others run meanwhile.
type halt struct {
	path string
	kept bool // the disk has it
}

// trace starts a command whose threads are halted; dies is asked at each halt whether the process ends there.
func trace(t *testing.T, cmd *exec.Cmd, log *os.File, dies func(halt) bool) *traced {
	t.Helper()
	p := &traced{died: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(p.died)
		runtime.LockOSThread() // who starts a process is who may trace it; the thread ends with this function
		args := append([]string{os.Args[0], "-test.run=^TestRunHaltable$", "--"}, cmd.Args...)
		null, err := os.Open(os.DevNull)
		if err == nil {
			defer null.Close()
			p.pid, err = syscall.ForkExec(args[0], args, &syscall.ProcAttr{
				Env: append(cmd.Env, haltable+"=1"), Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
				Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
			})
		}
		if started <- err; err == nil {
			p.status, p.err = p.follow(dies)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends the process as a power failure would, but for what the system keeps of its writes.
func (p *traced) kill() { _ = syscall.Kill(p.pid, syscall.SIGKILL) } // it may be dead already

// follow lets the process run from halt to halt until it is dead.
func (p *traced) follow(dies func(halt) bool) (status syscall.WaitStatus, err error) {
	const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC |
		unix.PTRACE_O_TRACESECCOMP
	waits := map[int]string{} // the file that a thread waits for
	for begun := false; ; {
		thread, err := syscall.Wait4(-p.pid, &status, syscall.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return status, fmt.Errorf("wait for the process: %w", err)
		case status.Exited() || status.Signaled():
			if thread == p.pid {
				return status, nil
			}
			continue
		}
		signal, resume := 0, syscall.PtraceCont
		switch stop := status.StopSignal(); {
		case !begun:
			begun = true
			if err := syscall.PtraceSetOptions(thread, options); err != nil {
				return status, fmt.Errorf("trace the process: %w", err)
			}
		case status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
			waits[thread] = waitsFor(thread)
			if dies(halt{path: waits[thread]}) {
				p.kill()
			}
			resume = syscall.PtraceSyscall // to be halted at its end too
		case stop == syscall.SIGTRAP && status.TrapCause() == 0 && waits[thread] != "":
			if dies(halt{path: waits[thread], kept: true}) {
				p.kill()
			}
			delete(waits, thread)
		case stop != syscall.SIGTRAP && stop != syscall.SIGSTOP:
			signal = int(stop) // its own
		}
		if err := resume(thread, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return status, fmt.Errorf("let the process go on: %w", err)
		}
	}
}

// waitsFor is the file that a halted thread asks the disk to keep.
func waitsFor(thread int) string {
	var call struct { // ptrace_syscall_info of ptrace(2)
		op                    uint8
		_                     [3]uint8
		arch                  uint32
		instruction, stack    uint64
		number                uint64
		arguments             [6]uint64
		data, reserved, spare uint64
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread),
		unsafe.Sizeof(call), uintptr(unsafe.Pointer(&call)), 0, 0)
	if errno != 0 {
		return "" // it was killed
	}
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", thread, call.arguments[0]))
	return path
}

// haltable is set in the environment of a process that is to become a haltable one.
const haltable = "DIRSWEEP_TEST_HALTABLE"

// TestRunHaltable is no test: the process that runs it alone becomes the command behind "--", in which the system tells
// a tracer of each fsync and fdatasync.
func TestRunHaltable(t *testing.T) {
	if os.Getenv(haltable) == "" {
		return
	}
	runtime.LockOSThread()
	filter := []unix.SockFilter{ // see seccomp(2)
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jt: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FDATASYNC, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	if err == nil {
		err = os.Unsetenv(haltable)
	}
	if err == nil {
		err = syscall.Exec(flag.Arg(0), flag.Args(), os.Environ())
	}
	t.Fatal(err)
}
