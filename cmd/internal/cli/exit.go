package cli

import (
	"fmt"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

// The exit codes of every command (a contract: scripts rely on them). Of several the first of 1, 4, 3, 0 that applies.
const (
	ExitOK         = 0 // done; of sync: everything is as wanted, and no account of anybody who left is open
	ExitFailed     = 1 // not done, or a source or target could not be read
	ExitChanges    = 2 // of plan --detailed-exitcode: there is something to do; of status --check and leavers --older: not good
	ExitWaiting    = 3 // of sync: something waits for an operator
	ExitIncomplete = 4 // of sync: a change failed or a leaver's account is open; of sweep: not every account was seen closed
)

// An exit is the error of a command that did its work, and told of it, and ends with a code other than ExitOK.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// exitOf is the exit code of sync.
func exitOf(o control.Outcome) error {
	switch o {
	case control.AsWanted:
		return nil
	case control.Waiting:
		return exit(ExitWaiting)
	case control.Incomplete:
		return exit(ExitIncomplete)
	}
	return exit(ExitFailed)
}
