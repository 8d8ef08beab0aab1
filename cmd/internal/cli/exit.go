package cli

import "fmt"

// The exit codes of every command (a contract: scripts rely on them).
const (
	ExitOK      = 0 // done; of sync: everything is as it should be
	ExitFailed  = 1 // not done, or a source or target took no part
	ExitChanges = 2 // of plan --detailed-exitcode: there is something to do
	ExitHeld    = 3 // of sync: something waits for an operator
	ExitPartial = 4 // of sync and sweep: some changes failed
)

// An exit is the error of a command that did its work, and told of it, and ends with a code other than ExitOK.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
