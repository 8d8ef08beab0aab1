// Package daemon is the long-running process: it runs passes by the clock, retries what is owed, takes new configs
// over, and answers operators over its control socket.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/robfig/cron/v3"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// stopWithin is how long what is under way may take to end when the daemon is told to stop; the whole must be done in
// 10 s (R20).
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
	storage *control.Storage
	scratch string
	service *control.Service
	socket  *control.Listener
	watch   *watch
	began   time.Time

	full, delta chan struct{} // ask for a pass; buffered by one
	turns       *turnClock

	mu         sync.Mutex
	newest     *config.Config // taken over last, whether or not it is on duty yet
	referenced string         // digest of the files that newest names
	loaded     time.Time
	refused    string                  // why the config on disk is not newest
	passes     map[reconcile.Mode]int  // under way
	pushing    map[string]control.Push // by source: whether it says when something changes
	left       bool                    // to the next pass, by one of those that are under way or have just ended
	again      int                     // how many passes in a row were begun for that

	fullPass sync.Mutex // held while a scheduled full pass is under way
}

// Start reads the config, takes the state's lock, opens everything and listens; any of them failing is an error at
// once. It runs nothing yet: the caller calls Run, or Close.
func Start(ctx context.Context, o Options) (*Daemon, error) {
	if o.Load == nil {
		o.Load = config.Load
	}
	cfg, err := o.Load(o.Path)
	if err != nil {
		return nil, err
	}
	storage, err := control.OpenStorage(ctx, cfg.State.Path)
	if err != nil {
		return nil, err
	}
	if err := storage.TakeOver(ctx); err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	d := &Daemon{
		options: o, log: o.Log, storage: storage, began: time.Now(), newest: cfg, loaded: time.Now(),
		full: make(chan struct{}, 1), delta: make(chan struct{}, 1),
		pushing: map[string]control.Push{}, passes: map[reconcile.Mode]int{},
	}
	d.turns = &turnClock{
		now: time.Now, begin: func() { nudge(d.delta) }, log: o.Log, changed: make(chan struct{}, 1),
		read: func(ctx context.Context, after time.Time) (time.Time, bool, error) {
			return control.NextTurn(ctx, storage.Ledger, after)
		},
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
	if d.scratch, err = d.storage.Scratch(); err != nil {
		return err
	}
	instance, err := d.storage.Build(cfg, control.Use{Scratch: d.scratch, Follow: true}, d.log)
	if err != nil {
		return err
	}
	d.service = control.New(instance, control.Hooks{
		Process: d.process, Changed: d.attend, Running: d.running, Left: d.leave,
		Replaced: func() { nudge(d.full) },
		Closed:   func(err error) { d.log.Warn("the old config's connections did not close cleanly", "error", err) },
	})
	if d.socket, err = control.Listen(ctx, d.storage.Path); err != nil {
		return err
	}
	if d.watch, err = newWatch(d.storage.Path); err != nil {
		return err
	}
	referenced := gather(d.options.Path, d.watch.ours)
	if err := d.watch.add(referenced.folders); err != nil {
		return err
	}
	d.referenced = referenced.digest
	return d.storage.Note(ctx, audit.Record{Kind: audit.Start, Outcome: audit.Done, Note: "dirsweep " + d.options.Version + ", config " + cfg.Digest})
}

// Run keeps accounts true until ctx is done; then it ends what is under way, closes everything and returns within 10 s.
// It returns an error only where something did not end or close.
func (d *Daemon) Run(ctx context.Context) error {
	last, err := control.LastFull(context.WithoutCancel(ctx), d.storage.Ledger)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	var all sync.WaitGroup
	s := scheduler{
		times: d.times, full: d.full, delta: d.delta,
		pass: func(ctx context.Context, mode reconcile.Mode) { d.runPass(ctx, mode, &all) },
	}
	all.Go(func() { s.run(ctx, last) })
	all.Go(func() { d.turns.run(ctx) })
	all.Go(func() { d.sweep(ctx) })
	all.Go(func() { d.listen(ctx) })
	all.Go(func() { d.maintain(ctx) })
	all.Go(func() { d.watch.run(ctx, func() { d.reload(ctx) }) })
	all.Go(func() {
		if err := control.Serve(ctx, d.socket, d.service, stopWithin, d.log); err != nil {
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
	if d.service != nil {
		errs = append(errs, d.service.Close())
	}
	return errors.Join(append(errs, d.storage.Close())...)
}

// Service answers requests in this process, as the control socket does for others.
func (d *Daemon) Service() *control.Service { return d.service }

// Reload looks at the config now, as a change of its folder would.
func (d *Daemon) Reload() { d.watch.nudge() }

func (d *Daemon) times() (full, delta cron.Schedule) {
	i, release := d.service.Acquire(false)
	defer release()
	return i.Config.Schedule.FullSchedule, i.Config.Schedule.DeltaSchedule
}

// runPass begins a pass and returns when its people have been judged; the targets' part of it goes on in all. Of full
// passes there is one at a time.
func (d *Daemon) runPass(ctx context.Context, mode reconcile.Mode, all *sync.WaitGroup) {
	if mode == reconcile.Full && !d.fullPass.TryLock() {
		d.log.Info("the last full pass is still under way, so no other begins")
		return
	}
	judged := make(chan struct{})
	all.Go(func() {
		if mode == reconcile.Full {
			defer d.fullPass.Unlock()
		}
		began := time.Now()
		once := sync.OnceFunc(func() { close(judged) })
		defer once()
		report, err := d.service.Pass(ctx, mode, func() {
			d.caughtUp(began)
			d.turns.told(began)
			once()
		})
		switch {
		case err != nil && ctx.Err() == nil:
			d.log.Error("the pass could not be run", "mode", string(mode), "error", err)
		case err == nil:
			d.tell(report)
		}
	})
	<-judged
}

// tell logs a pass: quietly where nothing happened, and by name what took no part or failed.
func (d *Daemon) tell(r control.Report) {
	for _, part := range append(r.Sources, r.Targets...) {
		if part.Error != "" {
			d.log.Error("skipped in this pass", "name", part.Name, "error", part.Error)
		}
	}
	for _, f := range r.Failures {
		d.log.Error("a change failed", "target", f.Change.Target, "op", f.Change.Op, "person", f.Change.Name, "error", f.Error)
	}
	for _, h := range r.Held {
		d.log.Warn("held until it is approved or rejected", "digest", h.Digest, "people", h.Persons(), "reason", h.Reason)
	}
	level := hclog.Info
	if len(r.Changes) == 0 && r.Outcome == control.AsWanted && r.Mode != string(reconcile.Full) {
		level = hclog.Debug
	}
	d.log.Log(level, "pass", "mode", r.Mode, "outcome", string(r.Outcome), "changes", len(r.Changes), "closed", len(r.Closed),
		"findings", len(r.Findings), "took", r.Ended.Sub(r.Started).Round(time.Millisecond))
}

// sweep keeps the sweepers of the config in use running.
func (d *Daemon) sweep(ctx context.Context) {
	d.beside(ctx, func(working context.Context, i *control.Instance, all *sync.WaitGroup) {
		for _, s := range i.Engine.Sweepers() {
			all.Go(func() { s.Run(working) })
		}
	})
}

// listen has the directories of the config in use say when something changes.
func (d *Daemon) listen(ctx context.Context) {
	d.beside(ctx, func(working context.Context, i *control.Instance, all *sync.WaitGroup) {
		d.mu.Lock()
		clear(d.pushing)
		d.mu.Unlock()
		for name, w := range i.Watchers() {
			all.Go(func() { w.Watch(working, func(s sources.Sign) { d.signed(name, s) }) })
		}
	})
}

// beside begins something in all for the config in use, and again for each that takes over; what it began ends before.
func (d *Daemon) beside(
	ctx context.Context, begin func(working context.Context, i *control.Instance, all *sync.WaitGroup),
) {
	for ctx.Err() == nil {
		i, working, release, err := d.service.Work(ctx)
		if err != nil {
			return
		}
		var all sync.WaitGroup
		begin(working, i, &all)
		<-working.Done()
		all.Wait()
		release()
	}
}

// signed takes a sign of a source in.
func (d *Daemon) signed(source string, sign sources.Sign) {
	d.mu.Lock()
	was, known := d.pushing[source]
	listened := was.On || was.CatchingUp
	now := control.Push{On: was.On && sign.Pushing, CatchingUp: !was.On && sign.Pushing, Since: was.Since, Why: sign.Why}
	if !known || listened != sign.Pushing {
		now.Since = time.Now()
	}
	d.pushing[source] = now
	d.mu.Unlock()
	switch {
	case sign.Pushing:
		nudge(d.delta)
		if !listened {
			d.log.Info("the directory says when something changes", "source", source)
		}
	case !known || listened || was.Why != sign.Why:
		d.log.Warn("the directory does not say when something changes, and is read by the clock",
			"source", source, "why", sign.Why)
	}
}

// caughtUp notes that a pass has read the sources: what happened before they were listened to is seen where they were by
// the time it began.
func (d *Daemon) caughtUp(began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for source, push := range d.pushing {
		if push.CatchingUp && push.Since.Before(began) {
			d.pushing[source] = control.Push{On: true, Since: time.Now()}
		}
	}
}

// attend follows a command that changed something up.
func (d *Daemon) attend(c control.Command) {
	d.wake()
	if slices.Contains([]control.Command{control.CmdApprove, control.CmdRelease, control.CmdLink, control.CmdUnlink, control.CmdRelink}, c) {
		nudge(d.full)
	}
}

// wake tells the sweepers that something may have become due.
func (d *Daemon) wake() {
	i, release := d.service.Acquire(false)
	defer release()
	for _, s := range i.Engine.Sweepers() {
		s.Wake()
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (d *Daemon) running(mode reconcile.Mode, begun bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if begun {
		d.passes[mode]++
		return
	}
	d.turns.told(time.Time{}) // an operator's own may have written, too
	if d.passes[mode]--; d.underWay() != "" {
		return
	}
	if !d.left {
		d.again = 0
	} else if d.again++; d.again <= mostAgain {
		nudge(d.delta)
	}
	d.left = false
}

// mostAgain is how many passes in a row are begun because the one before left something; then the clock has its turn.
const mostAgain = 5

// leave notes that a pass leaves something to the next: that begins once all are over which are under way.
func (d *Daemon) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = true
}

// underWay names the passes that are under way; d.mu is held.
func (d *Daemon) underWay() string {
	switch {
	case d.passes[reconcile.Full] > 0:
		return string(reconcile.Full)
	case d.passes[reconcile.Delta] > 0:
		return string(reconcile.Delta)
	}
	return ""
}

func (d *Daemon) process() *control.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &control.Process{
		PID: os.Getpid(), Version: d.options.Version, Since: d.began, Config: d.newest.Path, Digest: d.newest.Digest,
		Loaded: d.loaded, Refused: d.refused,
		Pass: d.underWay(), Push: maps.Clone(d.pushing),
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
