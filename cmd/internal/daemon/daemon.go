// Package daemon is the long-running process: it brings a config to life, runs passes by the clock, retries what is owed, takes new configs
// over, and answers commands over its control socket. The CLI and the demo build their one-shots from the same parts.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/robfig/cron/v3"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// stopWithin is how long what is under way may take to end when the daemon is told to stop; the whole must be done in 10 s (R20).
const stopWithin = 8 * time.Second

// Options are what a Daemon is made of.
type Options struct {
	Path    string                                    // the config: a file or a folder
	Load    func(path string) (*config.Config, error) // nil for config.Load
	Version string
	Log     hclog.Logger
}

// A Daemon keeps accounts true until it is told to stop.
type Daemon struct {
	options Options
	log     hclog.Logger
	memory  *Memory
	scratch string
	stage   *stage
	desk    *Desk
	socket  *socket
	watch   *watch
	began   time.Time

	full chan struct{} // asks for a full pass; buffered by one
	owed chan struct{} // says that what is owed may have changed; buffered by one

	mu      sync.Mutex
	newest  *config.Config // taken over last, whether or not it is on duty yet
	stuff   string         // digest of the files that newest names
	loaded  time.Time
	refused string // why the config on disk is not newest
	pass    reconcile.Mode
}

// Start reads the config, takes the state's lock, opens everything and listens; any of them failing is an error at once. It runs nothing
// yet: the caller calls Run, or Close.
func Start(ctx context.Context, o Options) (*Daemon, error) {
	if o.Load == nil {
		o.Load = config.Load
	}
	cfg, err := o.Load(o.Path)
	if err != nil {
		return nil, err
	}
	memory, err := OpenMemory(ctx, cfg.State.Path)
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		options: o, log: o.Log, memory: memory, began: time.Now(), newest: cfg, loaded: time.Now(),
		full: make(chan struct{}, 1), owed: make(chan struct{}, 1),
	}
	if err := d.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.warn(cfg)
	o.Log.Info("started", "version", o.Version, "config", cfg.Path, "state", cfg.State.Path, "sources", len(cfg.Sources), "targets", len(cfg.Targets))
	return d, nil
}

func (d *Daemon) open(ctx context.Context, cfg *config.Config) error {
	var err error
	if d.scratch, err = d.memory.scratch(); err != nil {
		return err
	}
	instance, err := d.memory.build(cfg, d.scratch, d.log)
	if err != nil {
		return err
	}
	d.stage = newStage(instance)
	d.stage.changed = func() { nudge(d.full) }
	d.stage.closed = func(err error) { d.log.Warn("the old config's connections did not close cleanly", "error", err) }
	d.desk = newDesk(d.stage)
	d.desk.process, d.desk.running = d.process, d.running
	d.desk.changed = d.attend
	if d.socket, err = listen(ctx, d.memory.Path); err != nil {
		return err
	}
	if d.watch, err = newWatch(d.memory.Path); err != nil {
		return err
	}
	stuff := gather(d.options.Path, d.watch.ours)
	if err := d.watch.add(stuff.folders); err != nil {
		return err
	}
	d.stuff = stuff.digest
	return d.memory.Note(ctx, audit.Record{Kind: audit.Start, Outcome: audit.Done, Note: "dirsweep " + d.options.Version + ", config " + cfg.Digest})
}

// Run keeps accounts true until ctx is done; then it ends what is under way, closes everything and returns within 10 s. It returns an error
// only where something did not end or close.
func (d *Daemon) Run(ctx context.Context) error {
	last, err := lastFull(context.WithoutCancel(ctx), d.memory.Ledger)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	var all sync.WaitGroup
	r := rota{times: d.times, pass: d.runPass, full: d.full}
	all.Go(func() { r.run(ctx, last) })
	all.Go(func() { d.retry(ctx) })
	all.Go(func() { d.watch.run(ctx, func() { d.reload(ctx) }) })
	all.Go(func() {
		if err := serve(ctx, d.socket, d.desk, d.log); err != nil {
			d.log.Error("commands are no longer answered", "error", err)
		}
	})
	<-ctx.Done()
	d.log.Info("stopping")
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	select {
	case <-ended:
		return d.Close()
	case <-time.After(stopWithin):
		return fmt.Errorf("stopped after %s although a call was still under way; it is kept as an intent and looked at on the next start", stopWithin)
	}
}

// Close releases what Start took. Run does so by itself.
func (d *Daemon) Close() error {
	var errs []error
	if d.watch != nil {
		errs = append(errs, d.watch.Close())
	}
	if d.socket != nil {
		errs = append(errs, d.socket.Close())
	}
	if d.stage != nil {
		errs = append(errs, d.stage.close())
	}
	return errors.Join(append(errs, d.memory.Close())...)
}

// Desk answers commands in this process, as the control socket does for others.
func (d *Daemon) Desk() *Desk { return d.desk }

// Reload looks at the config now, as a change of its folder would.
func (d *Daemon) Reload() { d.watch.nudge() }

func (d *Daemon) times() (full, delta cron.Schedule) {
	i, leave := d.stage.enter(false)
	defer leave()
	return i.Config.Schedule.FullSchedule, i.Config.Schedule.DeltaSchedule
}

func (d *Daemon) runPass(ctx context.Context, mode reconcile.Mode) {
	report, err := d.desk.sync(ctx, mode, Ask{})
	if err != nil {
		if ctx.Err() == nil {
			d.log.Error("the pass could not be run", "mode", string(mode), "error", err)
		}
		return
	}
	d.tell(report)
}

// tell logs a pass: quietly where nothing happened, and by name what took no part or failed.
func (d *Daemon) tell(r Report) {
	for _, part := range append(r.Sources, r.Targets...) {
		if part.Error != "" {
			d.log.Error("took no part in the pass", "name", part.Name, "error", part.Error)
		}
	}
	for _, f := range r.Failures {
		d.log.Error("a change failed", "target", f.Change.Target, "op", f.Change.Op, "person", f.Change.Name, "error", f.Error)
	}
	for _, h := range r.Held {
		d.log.Warn("held until it is approved or rejected", "digest", h.Digest, "people", len(h.People), "reason", h.Reason)
	}
	level := hclog.Info
	if len(r.Changes) == 0 && r.Outcome == string(reconcile.Converged) && r.Mode != string(reconcile.Full) {
		level = hclog.Debug
	}
	d.log.Log(level, "pass", "mode", r.Mode, "outcome", r.Outcome, "changes", len(r.Changes), "closed", len(r.Closed),
		"findings", len(r.Findings), "took", r.Ended.Sub(r.Started).Round(time.Millisecond))
}

// retryAtLeast is how often what is owed is looked at, whatever the state says of the next instant.
const retryAtLeast = time.Minute

// retryPause keeps a step that stays due from being tried in a tight loop.
const retryPause = time.Second

// retry repeats what leavers are owed when it is due, also while a pass is under way.
func (d *Daemon) retry(ctx context.Context) {
	for ctx.Err() == nil {
		if wait := d.untilDue(ctx); wait > 0 {
			pause(ctx, wait, d.owed)
			continue
		}
		i, leave := d.stage.enter(true)
		report, err := i.Engine.Retry(ctx)
		leave()
		switch {
		case err != nil && ctx.Err() == nil:
			d.log.Error("what leavers are owed could not be retried", "error", err)
		case err == nil && (len(report.Plan.Changes) > 0 || len(report.Failures) > 0):
			d.tell(viewReport(report))
		}
		pause(ctx, retryPause, nil)
	}
}

func (d *Daemon) untilDue(ctx context.Context) time.Duration {
	i, leave := d.stage.enter(false)
	defer leave()
	due, err := i.Engine.NextDue(ctx)
	if err != nil {
		d.log.Error("what is due next cannot be read", "error", err)
		return retryAtLeast
	}
	if due.IsZero() {
		return retryAtLeast
	}
	return min(time.Until(due), retryAtLeast)
}

func pause(ctx context.Context, wait time.Duration, sooner <-chan struct{}) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-sooner:
	}
}

// attend follows a command that changed something up.
func (d *Daemon) attend(c Command) {
	nudge(d.owed)
	if c == CmdApprove || c == CmdRelease {
		nudge(d.full)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (d *Daemon) running(mode reconcile.Mode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pass = mode
}

func (d *Daemon) process() *Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Process{
		PID: os.Getpid(), Version: d.options.Version, Since: d.began, Digest: d.newest.Digest, Loaded: d.loaded, Refused: d.refused,
		Pass: string(d.pass),
	}
}

func (d *Daemon) warn(cfg *config.Config) {
	for _, w := range cfg.Warnings {
		at := ""
		if w.Subject != nil {
			at = fmt.Sprintf("%s:%d", w.Subject.Filename, w.Subject.Start.Line)
		}
		d.log.Warn(w.Summary, "at", at, "detail", w.Detail)
	}
}
