//go:build unix

package sqltest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
)

// nobody is whom the servers run as, since PostgreSQL refuses to run as root; nil where the tests do not run as root.
func nobody() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid := 65534, 65534
	if account, err := user.Lookup("nobody"); err == nil {
		uid, _ = strconv.Atoi(account.Uid)
		gid, _ = strconv.Atoi(account.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// unprivileged has a command run as nobody.
func unprivileged(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody(), Setpgid: true} // ^C is for the test
	endWithParent(cmd.SysProcAttr)
	cmd.Dir = "/"
}

// give makes the server's user the owner of its folder.
func (s *Server) give(t testing.TB) {
	t.Helper()
	who := nobody()
	if who == nil {
		return
	}
	err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(who.Uid), int(who.Gid))
	})
	ldaptest.Check(t, "give the folder away", err)
}

// Freeze makes the server hang: connections stand, nothing is answered.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	for _, pid := range s.processes() {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Errorf("freeze the server: %v", err)
		}
	}
	for _, pid := range s.processes() { // a thread that runs goes on for a moment, and may answer
		for tries := 0; running(pid) && tries < 500; tries++ {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// running reports whether a thread of a process has yet to stop.
func running(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return slices.ContainsFunc(threads, func(name string) bool {
		text, err := os.ReadFile(name)
		_, state, found := strings.Cut(string(text), ") ")
		return err == nil && found && !strings.HasPrefix(state, "T") && !strings.HasPrefix(state, "Z")
	})
}

// Thaw ends a Freeze.
func (s *Server) Thaw(testing.TB) { s.thaw() }

func (s *Server) thaw() {
	for _, pid := range s.processes() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// processes are the server and its children: PostgreSQL has one for each connection.
func (s *Server) processes() []int {
	list := []int{s.cmd.Process.Pid}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.cmd.Process.Pid))
	for _, field := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(field); err == nil {
			list = append(list, pid)
		}
	}
	return list
}
