package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// A Caller answers an operator's commands: a Desk in the process that has the state, a Client where that is another process.
type Caller interface {
	// Call runs command and decodes its JSON answer into answer, which may be nil. It returns when the command is done.
	Call(ctx context.Context, command Command, ask Ask, answer any) error
	// Backup writes a consistent copy of the state.
	Backup(ctx context.Context, w io.Writer) error
}

// A Command is one thing to ask of a Caller.
type Command string

// The commands, and what they answer.
const (
	CmdStatus   Command = "status"   // Status
	CmdLeavers  Command = "leavers"  // []Leaver; Ask.All for closed ones too
	CmdOrphans  Command = "orphans"  // []Orphan
	CmdFindings Command = "findings" // []Finding
	CmdHolds    Command = "holds"    // []Hold; Ask.All for decided ones too
	CmdApprove  Command = "approve"  // Hold
	CmdReject   Command = "reject"   // Hold
	CmdExplain  Command = "explain"  // []Explanation
	CmdEvidence Command = "evidence" // the evidence file
	CmdPlan     Command = "plan"     // Report
	CmdSync     Command = "sync"     // Report; waits for a pass that is under way
	CmdSweep    Command = "sweep"    // Report
	CmdRelease  Command = "release"  // nothing
	CmdAudit    Command = "audit"    // audit.Summary; reads the whole trail
	CmdVerify   Command = "verify"   // nothing; reads the whole state
)

// An Ask is what a command is about; each command reads the fields that concern it.
type Ask struct {
	Targets []string `json:"targets,omitempty"` // nil for all
	Person  string   `json:"person,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	Digest  string   `json:"digest,omitempty"`
	Actor   string   `json:"actor,omitempty"` // who asks, for the trail
	All     bool     `json:"all,omitempty"`
}

// A Desk answers commands on the instance on duty. One pass runs at a time.
type Desk struct {
	Progress reconcile.Progress // told how plans and passes get on; nil for nobody

	stage   *stage
	pass    chan struct{}        // holds a token while a pass runs
	process func() *Process      // nil where no daemon runs
	changed func(Command)        // told after a command that changed something; nil for nobody
	running func(reconcile.Mode) // told what pass runs, "" for none; nil for nobody
}

// NewDesk returns a desk on i, which stays the caller's to close.
func NewDesk(i *Instance) *Desk { return newDesk(newStage(i)) }

func newDesk(s *stage) *Desk { return &Desk{stage: s, pass: make(chan struct{}, 1)} }

// Call implements Caller. The answer goes through JSON, so that it is the same here as over the socket.
func (d *Desk) Call(ctx context.Context, command Command, ask Ask, answer any) error {
	got, err := d.answer(ctx, command, ask)
	if err != nil || answer == nil {
		return err
	}
	raw, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, answer)
}

// Backup implements Caller.
func (d *Desk) Backup(ctx context.Context, w io.Writer) error {
	i, leave := d.stage.enter(false)
	defer leave()
	return i.Memory.Ledger.Backup(ctx, w)
}

var errUnknownCommand = errors.New("unknown command")

func (d *Desk) answer(ctx context.Context, command Command, ask Ask) (any, error) {
	switch command {
	case CmdSync:
		return d.sync(ctx, reconcile.Full, ask)
	case CmdPlan:
		return d.plan(ctx, ask)
	}
	i, leave := d.stage.enter(command.writes())
	defer leave()
	answer, err := d.ask(ctx, i, command, ask)
	if err == nil && command.writes() && d.changed != nil {
		d.changed(command)
	}
	return answer, err
}

func (c Command) writes() bool {
	return slices.Contains([]Command{CmdApprove, CmdReject, CmdSweep, CmdRelease, CmdSync}, c)
}

func (d *Desk) ask(ctx context.Context, i *Instance, command Command, ask Ask) (any, error) {
	switch command {
	case CmdStatus:
		return d.status(ctx, i)
	case CmdLeavers, CmdOrphans, CmdFindings, CmdHolds:
		return list(ctx, i, command, ask)
	case CmdApprove:
		hold, err := i.Engine.Approve(ctx, ask.Digest, ask.Actor)
		return viewHold(hold), err
	case CmdReject:
		hold, err := i.Engine.Reject(ctx, ask.Digest, ask.Actor)
		return viewHold(hold), err
	case CmdExplain:
		found, err := i.Engine.Explain(ctx, ask.Person)
		return views(found, viewExplanation), err
	case CmdEvidence:
		return i.Engine.Evidence(ctx, ask.Person)
	case CmdSweep:
		report, err := i.Engine.Sweep(ctx, ask.Person, ordered(ask))
		return viewReport(report), err
	case CmdRelease:
		return struct{}{}, i.Engine.Release(ctx, ask.Person)
	case CmdAudit:
		return i.Memory.Trail.Verify(ctx)
	case CmdVerify:
		return struct{}{}, i.Memory.Ledger.Verify(ctx)
	}
	return nil, fmt.Errorf("%w: %s", errUnknownCommand, command)
}

// ordered adds who gave an order to its reason, for the trail and the evidence.
func ordered(ask Ask) string {
	if ask.Actor == "" {
		return ask.Reason
	}
	return fmt.Sprintf("%s (ordered by %s)", ask.Reason, ask.Actor)
}

func (d *Desk) status(ctx context.Context, i *Instance) (Status, error) {
	s, err := status(ctx, i)
	if d.process != nil {
		s.Daemon = d.process()
	}
	return s, err
}

// turn waits for the pass or plan that is under way, since an engine makes one at a time.
func (d *Desk) turn(ctx context.Context) (end func(), err error) {
	select {
	case d.pass <- struct{}{}:
		return func() { <-d.pass }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("another pass was under way and did not end in time: %w", context.Cause(ctx))
	}
}

func (d *Desk) plan(ctx context.Context, ask Ask) (Report, error) {
	end, err := d.turn(ctx)
	if err != nil {
		return Report{}, err
	}
	defer end()
	i, leave := d.stage.enter(false)
	defer leave()
	pass, err := d.order(i, reconcile.Full, ask)
	if err != nil {
		return Report{}, err
	}
	report, err := i.Engine.Plan(ctx, pass)
	return viewReport(report), err
}

func (d *Desk) sync(ctx context.Context, mode reconcile.Mode, ask Ask) (Report, error) {
	end, err := d.turn(ctx)
	if err != nil {
		return Report{}, err
	}
	defer end()
	i, leave := d.stage.enter(true)
	defer leave()
	pass, err := d.order(i, mode, ask)
	if err != nil {
		return Report{}, err
	}
	if d.running != nil {
		d.running(mode)
		defer d.running("")
	}
	report, err := i.Engine.Run(ctx, pass)
	if d.changed != nil {
		d.changed(CmdSync)
	}
	return viewReport(report), err
}

func (d *Desk) order(i *Instance, mode reconcile.Mode, ask Ask) (reconcile.Pass, error) {
	for _, name := range ask.Targets {
		var known []string
		for _, t := range i.Config.Targets {
			known = append(known, t.Name)
		}
		if !slices.Contains(known, name) {
			return reconcile.Pass{}, fmt.Errorf("no target is called %q; the config has: %s", name, strings.Join(known, ", "))
		}
	}
	return reconcile.Pass{Mode: mode, Targets: ask.Targets, Person: ask.Person, Progress: d.Progress}, nil
}

// list answers the commands that only read records.
func list(ctx context.Context, i *Instance, command Command, ask Ask) (answer any, err error) {
	err = i.Memory.Ledger.View(ctx, func(r *state.Reader) error {
		switch command {
		case CmdLeavers:
			answer, err = collect(r.Cases(), viewCase, func(c state.Case) bool { return ask.All || c.Closed.IsZero() })
		case CmdHolds:
			answer, err = collect(r.Holds(), viewHold, func(h state.Hold) bool { return ask.All || h.Approved.IsZero() && h.Rejected.IsZero() })
		case CmdFindings:
			answer, err = collect(r.Findings(), viewFinding, every)
		case CmdOrphans:
			var all []Orphan
			for _, t := range i.Config.Targets {
				orphans, err := collect(r.Orphans(t.Name), viewOrphan, every)
				if err != nil {
					return err
				}
				all = append(all, orphans...)
			}
			answer = views(all, func(o Orphan) Orphan { return o })
		}
		return err
	})
	return answer, err
}

func every[T any](T) bool { return true }

func collect[T, V any](records iter.Seq2[T, error], view func(T) V, keep func(T) bool) ([]V, error) {
	out := []V{}
	for record, err := range records {
		if err != nil {
			return nil, err
		}
		if keep(record) {
			out = append(out, view(record))
		}
	}
	return out, nil
}
