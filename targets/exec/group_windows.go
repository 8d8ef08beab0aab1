package exec

import (
	"errors"
	"fmt"
	osexec "os/exec"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// processes are a program and what it started: a job of its own, which ends with its handle at the latest.
type processes struct{ job windows.Handle }

// begin starts cmd in a new job. What it starts before it belongs to the job, in its first moments, would not: a program
// has nothing to start before it is asked.
func begin(cmd *osexec.Cmd) (*processes, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make a job: %w", err)
	}
	p := &processes{job: job}
	if err := p.start(cmd); err != nil {
		_ = windows.CloseHandle(job)
		return nil, err
	}
	return p, nil
}

func (p *processes) start(cmd *osexec.Cmd) error {
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err := windows.SetInformationJobObject(
		p.job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)),
	)
	if err != nil {
		return fmt.Errorf("limit the job: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	rights := uint32(windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE)
	process, err := windows.OpenProcess(rights, false, uint32(cmd.Process.Pid)) //nolint:gosec // as Windows gave it
	if err == nil {
		err = windows.AssignProcessToJobObject(p.job, process)
		_ = windows.CloseHandle(process)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return errors.Join(fmt.Errorf("put it into the job: %w", err), cmd.Wait())
	}
	return nil
}

// kill ends every process of the job.
func (p *processes) kill() { _ = windows.TerminateJobObject(p.job, 1) }

// accounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION.
type accounting struct {
	userTime, kernelTime, periodUserTime, periodKernelTime int64
	pageFaults, total, active, terminated                  uint32
}

// ended waits until nothing of the job is left, for at most so long.
func (p *processes) ended(within time.Duration) error {
	const basicAccounting = 1 // JobObjectBasicAccountingInformation
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		var now accounting
		err := windows.QueryInformationJobObject(
			p.job, basicAccounting, uintptr(unsafe.Pointer(&now)), uint32(unsafe.Sizeof(now)), nil,
		)
		switch {
		case err == nil && now.active == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d processes of its job do not end: %w", now.active, err)
		}
		p.kill()
	}
}

// release lets go of the job, of which nothing is left.
func (p *processes) release() { _ = windows.CloseHandle(p.job) }
