package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets"
)

// An Instance is one config brought to life: its sources and targets, opened, and the engine between them.
type Instance struct {
	Outline config.Outline
	Config  *config.Config // nil where the instance knows its outline only, and so only what the state says
	Engine  *reconcile.Engine
	Storage *Storage

	parts *parts
	after func() error // of Close; nil for nothing
}

// Build opens the state that cfg names and everything else that a pass needs. It touches no network: sources and
// targets connect when they are first asked. The caller closes the instance.
func Build(ctx context.Context, cfg *config.Config, log hclog.Logger) (*Instance, error) {
	storage, err := OpenStorage(ctx, cfg.State.Path)
	if err != nil {
		return nil, err
	}
	if err := storage.TakeOver(ctx); err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	scratch, err := storage.Scratch()
	if err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	i, err := storage.Build(cfg, Use{Scratch: scratch}, log)
	if err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	i.after = storage.Close
	return i, nil
}

// BuildRecords is Build for commands that ask the state only, or decide something in it: no secret is needed, and no
// state is made.
func BuildRecords(ctx context.Context, outline config.Outline, log hclog.Logger) (*Instance, error) {
	storage, err := openExisting(ctx, outline.State)
	if err != nil {
		return nil, err
	}
	if storage.Trail != nil {
		if err := storage.takeOverOlder(ctx); err != nil {
			return nil, errors.Join(err, storage.Close())
		}
	}
	options := reconcile.Options{Ledger: storage.Ledger, Trail: storage.Trail, Evidence: storage.Evidence, Log: log}
	for _, s := range outline.Sources {
		options.Sources = append(options.Sources, reconcile.Source{Name: s.Name})
	}
	for _, t := range outline.Targets {
		options.Targets = append(options.Targets, reconcile.Target{Name: t.Name, Observe: t.Mode == "observe"})
	}
	return &Instance{
		Outline: outline, Engine: reconcile.New(options), Storage: storage, parts: &parts{}, after: storage.Close,
	}, nil
}

// BuildPreview is Build for commands that write nothing, neither to applications nor to the state. running is the
// daemon that holds the state, of which a copy is used then; nil where none runs. Where there is no state yet, none is
// made.
func BuildPreview(ctx context.Context, cfg *config.Config, running Client, log hclog.Logger) (i *Instance, err error) {
	scratch, err := previewScratch(cfg.State.Path)
	if err != nil {
		return nil, err
	}
	clean := func() error { return os.RemoveAll(scratch) }
	var storage *Storage
	if running != nil {
		storage, err = copyOf(ctx, running, cfg.State.Path, filepath.Join(scratch, "state.db"))
	} else {
		storage, err = openExisting(ctx, cfg.State.Path)
	}
	if err != nil {
		return nil, errors.Join(err, clean())
	}
	if i, err = storage.Build(cfg, Use{Scratch: scratch}, log); err != nil {
		return nil, errors.Join(err, storage.Close(), clean())
	}
	i.after = func() error { return errors.Join(storage.Close(), clean()) }
	return i, nil
}

// Use is what an instance is used for.
type Use struct {
	Scratch string // a folder for temporary files
	Follow  bool   // the sources are read again and again
}

// Build brings cfg to life on a storage that is open already and stays so.
func (s *Storage) Build(cfg *config.Config, use Use, log hclog.Logger) (*Instance, error) {
	p, err := open(cfg, use, apply.LedgerMemory{Ledger: s.Ledger}, log)
	if err != nil {
		return nil, err
	}
	return &Instance{Outline: cfg.Outline(), Config: cfg, Storage: s, parts: p, Engine: reconcile.New(reconcile.Options{
		Sources:  p.sources,
		Targets:  p.targets,
		Guard:    cfg.Guard,
		Ledger:   s.Ledger,
		Trail:    s.Trail,
		Evidence: s.Evidence,
		Scratch:  use.Scratch,
		Log:      log,
	})}, nil
}

// Watchers are the sources whose directories may say when something changes, by name.
func (i *Instance) Watchers() map[string]sources.Watcher {
	watchers := map[string]sources.Watcher{}
	for _, s := range i.parts.sources {
		if w, ok := s.Source.(sources.Watcher); ok {
			watchers[s.Name] = w
		}
	}
	return watchers
}

// Close ends every connection, and the storage where Build opened it. Nothing may be under way.
func (i *Instance) Close() error {
	err := i.parts.close()
	if i.after != nil {
		err = errors.Join(err, i.after())
	}
	return err
}

// Parts are the opened sources and targets.
type parts struct {
	sources []reconcile.Source
	targets []reconcile.Target
}

func open(cfg *config.Config, use Use, memory apply.Memory, log hclog.Logger) (*parts, error) {
	p := &parts{}
	for _, s := range cfg.Sources {
		if err := p.addSource(s, use, log); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", s.Name, err), p.close())
		}
	}
	for _, t := range cfg.Targets {
		if err := p.addTarget(t, memory, log); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", t.Name, err), p.close())
		}
	}
	return p, nil
}

func (p *parts) addSource(s config.Source, use Use, log hclog.Logger) error {
	need := s.Need
	need.Follow, need.Scratch, need.Log = use.Follow, use.Scratch, log.Named(s.Name)
	opened, err := s.Spec.Open(need)
	if err != nil {
		return err
	}
	p.sources = append(p.sources, reconcile.Source{
		Name: s.Name, Source: opened, Mapping: s.Mapping, Directory: s.Directory, AbsenceLeaves: s.AbsenceLeaves,
		At: s.At, Lines: s.Lines,
	})
	return nil
}

func (p *parts) addTarget(t config.Target, memory apply.Memory, log hclog.Logger) error {
	session, err := apply.OpenSession(apply.SessionOptions{
		Target: t.Name, Rate: t.Rate, Paths: t.Mapping.Paths(), Memory: memory, Log: log.Named(t.Name),
	}, func(pace func(context.Context) error) (targets.Target, error) {
		return t.Spec.Open(targets.Need{
			Paths:        paths(t.Mapping, t.Correlate),
			Entitlements: t.Mapping.MapsEntitlements() || t.Leaver.Strip,
			Pace:         pace,
			Log:          log.Named(t.Name),
		})
	})
	if err != nil {
		return err
	}
	p.targets = append(p.targets, reconcile.Target{
		Name: t.Name, Session: session, Mapping: t.Mapping, Parallel: t.Rate.Parallel, Sources: t.Sources,
		Observe: t.Mode == "observe", Correlate: t.Correlate, Leaver: t.Leaver, LeaverAt: t.LeaverAt,
		OnOrphan: t.OnOrphan, OnDrift: t.OnDrift, Guard: t.Guard,
	})
	return nil
}

func paths(m *mapping.Target, correlate []string) []string {
	all := slices.Concat(m.Paths(), correlate)
	slices.Sort(all)
	return slices.Compact(all)
}

func (p *parts) close() error {
	var errs []error
	for _, s := range p.sources {
		errs = append(errs, s.Source.Close())
	}
	for _, t := range p.targets {
		errs = append(errs, t.Session.Close())
	}
	return errors.Join(errs...)
}
