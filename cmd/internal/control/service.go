// Package control is where operators' questions are answered and their orders carried out: one Service, which the
// control socket, the command line and the demo share. It also brings a config to life (Instance) and keeps what
// outlives a config (Storage).
package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// A Client puts an operator's requests to a Service, in this process (the Service itself) or in another one (a
// SocketClient).
type Client interface {
	// Call does what command asks for and decodes its JSON answer into answer, which may be nil. It returns when the
	// command is done.
	Call(ctx context.Context, command Command, request Request, answer any) error
	// Backup writes a consistent copy of the state.
	Backup(ctx context.Context, w io.Writer) error
}

// A Command is one thing to ask of a Service.
type Command string

// The commands, and what they answer.
const (
	CmdDaemon   Command = "daemon"   // Process
	CmdStatus   Command = "status"   // Status
	CmdLeavers  Command = "leavers"  // []Leaver; Request.All for closed ones too
	CmdOrphans  Command = "orphans"  // []Orphan
	CmdFindings Command = "findings" // []Finding
	CmdHolds    Command = "holds"    // []Hold; Request.All for decided ones too, Request.Digest for one
	CmdApprove  Command = "approve"  // Ruled; but for those whom Request.Except names
	CmdReject   Command = "reject"   // Ruled
	CmdExplain  Command = "explain"  // []Explanation
	CmdEvidence Command = "evidence" // []byte: the evidence file as it was written
	CmdPlan     Command = "plan"     // Report
	CmdSync     Command = "sync"     // Report; waits for a pass that is under way
	CmdSweep    Command = "sweep"    // Report
	CmdRelease  Command = "release"  // nothing
	CmdLink     Command = "link"     // Link; Request.Targets is one
	CmdUnlink   Command = "unlink"   // Link
	CmdRelink   Command = "relink"   // Relinked
	CmdForget   Command = "forget"   // Relinked: how many links were forgotten
	CmdAudit    Command = "audit"    // audit.Summary; reads the whole trail
	CmdVerify   Command = "verify"   // nothing; reads the whole state
)

// writes reports whether a command may change an account or the state.
func (c Command) writes() bool {
	return slices.Contains([]Command{
		CmdApprove, CmdReject, CmdSweep, CmdRelease, CmdSync, CmdLink, CmdUnlink, CmdRelink, CmdForget,
	}, c)
}

// A Request is what a command is about; each command reads the fields that concern it.
type Request struct {
	Targets []string `json:"targets,omitempty"` // nil for all
	Person  string   `json:"person,omitempty"`
	Account string   `json:"account,omitempty"` // of a link: the account's id or userName
	Reason  string   `json:"reason,omitempty"`
	Digest  string   `json:"digest,omitempty"` // of a hold; of a sync: of the only plan that may be carried out
	Except  []string `json:"except,omitempty"` // people of a hold who are kept
	Actor   string   `json:"actor,omitempty"`  // who asks, for the trail; over a socket that tells who its peer is, the peer
	All     bool     `json:"all,omitempty"`
}

// Hooks are how the process around a Service hears of what happens there. Each may be nil.
type Hooks struct {
	Process  func() *Process                       // the daemon that the status tells of
	Changed  func(Command)                         // after a command that changed something
	Running  func(mode reconcile.Mode, begun bool) // a pass has begun, or ended
	Left     func()                                // a pass that is about to end leaves something to the next
	Replaced func()                                // after a new instance took over
	Closed   func(error)                           // how closing an old instance went
}

// A Service answers requests with the instance in use.
type Service struct {
	Progress reconcile.Progress // told how plans and passes get on; nil for nobody

	hooks       Hooks
	generations *generations
}

// New returns a service that uses i and owns it.
func New(i *Instance, hooks Hooks) *Service {
	s := &Service{hooks: hooks, generations: newGenerations(i)}
	s.generations.replaced, s.generations.closed = hooks.Replaced, hooks.Closed
	return s
}

// Acquire returns the instance in use, which stays open until release is called. Who may write says so: no other
// instance takes over meanwhile.
func (s *Service) Acquire(writes bool) (i *Instance, release func()) {
	return s.generations.acquire(writes)
}

// Work is Acquire for who writes for long: its context ends when another instance is to take over.
func (s *Service) Work(ctx context.Context) (i *Instance, working context.Context, release func(), err error) {
	return s.generations.work(ctx)
}

// Replace puts i to use as soon as nothing writes; the instance before it is closed when nobody uses it any more.
func (s *Service) Replace(i *Instance) { s.generations.replace(i) }

// Close closes the instance in use and one that waits to be. Nothing may be under way.
func (s *Service) Close() error { return s.generations.close() }

// Call implements Client. The answer goes through JSON, so that it is the same here as over the socket.
func (s *Service) Call(ctx context.Context, command Command, request Request, answer any) error {
	got, err := s.answer(ctx, command, request)
	if err != nil || answer == nil {
		return err
	}
	raw, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, answer)
}

// Backup implements Client.
func (s *Service) Backup(ctx context.Context, w io.Writer) error {
	i, release := s.Acquire(false)
	defer release()
	if err := i.Storage.Ledger.Backup(ctx, w); err != nil {
		return err
	}
	return i.Storage.backedUp(ctx)
}

// Pass runs one pass beside what else is under way, and reports what it met. judged is called when the people have been
// read and judged, so that the next pass may begin, while the targets' part of this one goes on; nil for nobody. A
// delta leaves out targets that another pass is at work on.
func (s *Service) Pass(ctx context.Context, mode reconcile.Mode, judged func()) (Report, error) {
	i, ctx, release, err := s.Work(ctx)
	if err != nil {
		return Report{}, err
	}
	defer release()
	return s.run(ctx, i, reconcile.Pass{Mode: mode, Progress: s.Progress, Judged: judged, Beside: mode == reconcile.Delta}, "")
}

// run runs a pass; where expected is not "", only if its plan has that digest.
func (s *Service) run(ctx context.Context, i *Instance, pass reconcile.Pass, expected string) (Report, error) {
	if s.hooks.Running != nil {
		s.hooks.Running(pass.Mode, true)
		defer s.hooks.Running(pass.Mode, false)
	}
	if expected != "" {
		planned, err := i.Engine.Plan(ctx, pass)
		if err != nil {
			return Report{}, err
		}
		if planned.Plan.Digest != expected {
			return refused(planned, expected), nil
		}
		pass.Expect = plan.Digests(planned.Plan.Changes)
	}
	report, err := i.Engine.Run(ctx, pass)
	s.changed(CmdSync)
	if err != nil {
		return Report{}, err
	}
	if report.Left && s.hooks.Left != nil {
		s.hooks.Left()
	}
	return ViewReport(report, false), nil
}

// refused reports that nothing was done because the plan is not the one that was asked for (R17).
func refused(planned reconcile.Report, asked string) Report {
	report := ViewReport(planned, true)
	clear(report.Counts)
	report.Refused = "Nothing was done: the plan of digest " + asked + " is not what there is to do now. `dirsweep plan` shows what is."
	return report
}

// sync is a full pass on an operator's behalf.
func (s *Service) sync(ctx context.Context, request Request) (Report, error) {
	i, ctx, release, err := s.Work(ctx)
	if err != nil {
		return Report{}, err
	}
	defer release()
	pass, err := s.order(i, reconcile.Full, request)
	if err != nil {
		return Report{}, err
	}
	if s.process() == nil { // a daemon does so every day
		if err := i.Storage.Maintain(ctx, time.Now(), i.Config.Audit.Keep); err != nil {
			return Report{}, err
		}
	}
	report, err := s.run(ctx, i, pass, request.Digest)
	if err != nil {
		return Report{}, err
	}
	report, err = s.told(ctx, i, report)
	if report.Refused != "" {
		report.Outcome = Waiting
	}
	return report, err
}

// told completes the report of what was done: how things stand is what the state tells, not what this pass happened to
// meet (R21).
func (s *Service) told(ctx context.Context, i *Instance, report Report) (Report, error) {
	report = s.locate(i, report)
	err := i.Storage.Ledger.View(ctx, func(r *state.Reader) error {
		facts, err := readFacts(r, i.Outline)
		facts.Absent = report.Facts.Absent
		report.Facts, report.Outcome = facts, facts.Outcome()
		return err
	})
	return report, err
}

func (s *Service) origin(i *Instance) Origin {
	o := Origin{Config: i.Outline.Path}
	if i.Config != nil {
		o.ConfigDigest = i.Config.Digest
	}
	if p := s.process(); p != nil {
		o.Daemon = p.PID
	}
	return o
}

// locate adds to a report who made it, and where in the config its sources and targets stand.
func (s *Service) locate(i *Instance, report Report) Report {
	report.By = s.origin(i)
	if i.Config == nil {
		return report
	}
	at := map[string]string{}
	for _, c := range i.Config.Sources {
		at[c.Name] = c.At
	}
	for n, part := range report.Sources {
		report.Sources[n].At = at[part.Name]
	}
	for _, c := range i.Config.Targets {
		at[c.Name] = c.At
	}
	for n, part := range report.Targets {
		report.Targets[n].At = at[part.Name]
	}
	return report
}

// process is the daemon that this is, nil where no daemon runs.
func (s *Service) process() *Process {
	if s.hooks.Process == nil {
		return nil
	}
	return s.hooks.Process()
}

var errUnknownCommand = errors.New("unknown command")

// answer does what command asks for. An error that an operator has to decide about says how.
func (s *Service) answer(ctx context.Context, command Command, request Request) (any, error) {
	answer, err := s.carryOut(ctx, command, request)
	return answer, hint(err)
}

func (s *Service) carryOut(ctx context.Context, command Command, request Request) (any, error) {
	switch command {
	case CmdSync:
		return s.sync(ctx, request)
	case CmdPlan:
		return s.plan(ctx, request)
	}
	i, release := s.Acquire(command.writes())
	defer release()
	answer, err := s.do(ctx, i, command, request)
	if err == nil && command.writes() {
		s.changed(command)
	}
	return answer, err
}

func (s *Service) changed(c Command) {
	if s.hooks.Changed != nil {
		s.hooks.Changed(c)
	}
}

func (s *Service) do(ctx context.Context, i *Instance, command Command, request Request) (any, error) {
	order := reconcile.Order{Person: request.Person, Account: request.Account, Reason: request.Reason, Actor: request.Actor}
	if len(request.Targets) == 1 {
		order.Target = request.Targets[0]
	}
	switch command {
	case CmdDaemon:
		return s.process(), nil
	case CmdStatus:
		return s.status(ctx, i)
	case CmdLeavers, CmdOrphans, CmdFindings, CmdHolds:
		return list(ctx, i, command, request)
	case CmdApprove:
		ruled, err := i.Engine.Approve(ctx, request.Digest, request.Actor, request.Except...)
		return viewRuled(ruled), err
	case CmdReject:
		ruled, err := i.Engine.Reject(ctx, request.Digest, request.Actor)
		return viewRuled(ruled), err
	case CmdExplain:
		return explain(ctx, i, request.Person)
	case CmdEvidence:
		return i.Engine.Evidence(ctx, request.Person)
	case CmdSweep:
		swept, err := i.Engine.Sweep(ctx, order)
		return s.locate(i, ViewReport(swept, false)), err
	case CmdRelease:
		return struct{}{}, i.Engine.Release(ctx, order)
	case CmdLink:
		link, err := i.Engine.Link(ctx, order)
		return viewLink(link), err
	case CmdUnlink:
		link, err := i.Engine.Unlink(ctx, order)
		return viewLink(link), err
	case CmdRelink:
		found, err := i.Engine.Relink(ctx, order)
		return Relinked{Target: order.Target, Same: found.Same, Moved: views(found.Moved, viewLink), Missing: views(found.Missing, viewLink)}, err
	case CmdForget:
		forgotten, err := i.Engine.Forget(ctx, order)
		return Relinked{Target: order.Target, Forgotten: forgotten, Moved: []Link{}, Missing: []Link{}}, err
	case CmdAudit:
		return i.Storage.verifyTrail(ctx)
	case CmdVerify:
		return struct{}{}, i.Storage.Ledger.Verify(ctx)
	}
	return nil, fmt.Errorf("%w: %s", errUnknownCommand, command)
}

func (s *Service) status(ctx context.Context, i *Instance) (Status, error) {
	status, err := readStatus(ctx, i)
	status.Daemon = s.process()
	return status, err
}

func (s *Service) plan(ctx context.Context, request Request) (Report, error) {
	i, release := s.Acquire(false)
	defer release()
	pass, err := s.order(i, reconcile.Full, request)
	if err != nil {
		return Report{}, err
	}
	planned, err := i.Engine.Plan(ctx, pass)
	return s.locate(i, ViewReport(planned, true)), err
}

func (s *Service) order(i *Instance, mode reconcile.Mode, request Request) (reconcile.Pass, error) {
	var known []string
	for _, t := range i.Outline.Targets {
		known = append(known, t.Name)
	}
	for _, name := range request.Targets {
		if !slices.Contains(known, name) {
			return reconcile.Pass{}, fmt.Errorf("no target is called %q; the config has: %s", name, strings.Join(known, ", "))
		}
	}
	return reconcile.Pass{Mode: mode, Targets: request.Targets, Person: request.Person, Progress: s.Progress}, nil
}

// explain tells how things stand for a person, or for an account that is nobody's.
func explain(ctx context.Context, i *Instance, who string) ([]Explanation, error) {
	found, err := i.Engine.Explain(ctx, who)
	if !errors.Is(err, reconcile.ErrNobody) {
		return views(found, viewExplanation), err
	}
	nobody := err
	out := []Explanation{}
	err = i.Storage.Ledger.View(ctx, func(r *state.Reader) error {
		for _, t := range i.Outline.Targets {
			for o, err := range r.Orphans(t.Name) {
				if err != nil {
					return err
				}
				if who == string(o.Account) || strings.EqualFold(who, o.UserName) {
					out = append(out, orphanExplained(o))
				}
			}
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		return nil, nobody
	}
	return out, err
}

func orphanExplained(o state.Unlinked) Explanation {
	return Explanation{
		Name: o.UserName, Where: "nobody there has this account", Target: o.Target, Account: string(o.Account), UserName: o.UserName,
		Situation: "unmatched", Because: "no person fits it by what `correlate` names",
		Why:     "an orphan account since " + o.First.Format(time.DateTime) + ": `dirsweep link PERSON " + o.Target + " " + string(o.Account) + "` says whose it is",
		Changes: []Change{}, History: []Event{},
	}
}

// list answers the commands that only read records.
func list(ctx context.Context, i *Instance, command Command, request Request) (answer any, err error) {
	err = i.Storage.Ledger.View(ctx, func(r *state.Reader) error {
		switch command {
		case CmdLeavers:
			var leavers, missing []Leaver
			if leavers, err = collect(r.Cases(), viewCase, func(c state.Case) bool { return request.All || c.Open() }); err == nil {
				missing, err = unproven(r, i.Outline)
			}
			answer = append(leavers, missing...)
		case CmdHolds:
			var held []Hold
			held, err = collect(r.Holds(), viewHold, func(h identity.Hold) bool {
				return (request.All || h.Ruling.What == "") && (request.Digest == "" || h.Digest == request.Digest)
			})
			answer = sortHolds(held)
		case CmdFindings:
			var found []Finding
			found, err = collect(r.Findings(), viewFinding, every)
			slices.SortStableFunc(found, func(a, b Finding) int {
				return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
			})
			answer = found
		case CmdOrphans:
			all := []Orphan{}
			for _, t := range i.Outline.Targets {
				orphans, err := collect(r.Orphans(t.Name), viewOrphan, every)
				if err != nil {
					return err
				}
				all = append(all, orphans...)
			}
			answer = all
		}
		return err
	})
	return answer, err
}

// unproven lists the people whom their source lacks and who may have left: their accounts are open, and nothing is
// closed before that is proven.
func unproven(r *state.Reader, outline config.Outline) (out []Leaver, err error) {
	for f, err := range r.Findings() {
		if err != nil {
			return nil, err
		}
		if f.Kind != "unproven" && f.Kind != "missed" || f.Person.IsZero() {
			continue
		}
		p, _, err := r.Person(f.Person)
		if err != nil {
			return nil, err
		}
		l := Leaver{Person: viewPerson(f.Person), Name: p.Name, DN: p.DN, Cause: "unproven", Proof: f.Detail, Left: f.First, Steps: []Step{}}
		for _, t := range outline.Targets {
			link, ok, err := r.Link(t.Name, f.Person)
			if err != nil {
				return nil, err
			}
			if ok && link.State == identity.LinkActive {
				l.Steps = append(l.Steps, Step{
					Target: t.Name, Account: string(link.Account), UserName: link.UserName, Status: "unproven", Open: true, Error: f.Detail,
					At: f.First, Left: f.First,
				})
			}
		}
		out = append(out, l)
	}
	return out, nil
}

func every[T any](T) bool { return true }

// collect returns the views of the records that keep wants; never nil, so that JSON has [] and not null.
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
