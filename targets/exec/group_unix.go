//go:build unix

package exec

import (
	"bytes"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// processes are a program and what it started: a process group of its own. What leaves the group by setsid(2) is out of
// reach, but holds nothing of ours.
type processes struct{ id int }

// begin starts cmd as the leader of a new group.
func begin(cmd *osexec.Cmd) (*processes, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &processes{id: cmd.Process.Pid}, nil
}

// kill ends every process of the group. Its number is nobody else's while one of it lives, or its leader was not waited
// for.
func (p *processes) kill() { _ = syscall.Kill(-p.id, syscall.SIGKILL) }

// ended waits until the group is gone, for at most so long, and kills what it has anew meanwhile.
func (p *processes) ended(within time.Duration) error {
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		alive := p.alive()
		switch {
		case len(alive) == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("processes of group %d do not end: %s", p.id, strings.Join(alive, ", "))
		}
		p.kill()
	}
}

// alive are the numbers of those that have not ended. Those that nobody waits for any more (zombies) have.
func (p *processes) alive() (list []string) {
	if syscall.Kill(-p.id, 0) == syscall.ESRCH {
		return nil
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return []string{"unknown"}
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // proc(5): state, parent, group
		if len(fields) > 2 && string(fields[2]) == fmt.Sprint(p.id) && !bytes.ContainsAny(fields[0], "ZX") {
			list = append(list, filepath.Base(filepath.Dir(name)))
		}
	}
	return list
}

// release lets go of what the system holds for it: nothing.
func (p *processes) release() {}
