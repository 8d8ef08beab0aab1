package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/audit"
)

// reload takes the config on disk, and the secrets and certificates that it names, over if it is good and not the one
// in use; otherwise the old one goes on (R14).
func (d *Daemon) reload(ctx context.Context) {
	referenced := gather(d.options.Path, d.watch.ours)
	cfg, err := d.options.Load(d.options.Path)
	if err == nil {
		err = d.watch.add(referenced.folders)
	}
	if err != nil {
		d.refuse(ctx, err)
		return
	}
	d.mu.Lock()
	same := cfg.Digest == d.newest.Digest && referenced.digest == d.referenced
	if same {
		d.refused = ""
	}
	d.mu.Unlock()
	if same {
		return
	}
	if err := d.takeOver(cfg, referenced.digest); err != nil {
		d.refuse(ctx, err)
		return
	}
	d.warn(cfg)
	d.log.Info("config loaded anew", "digest", cfg.Digest)
	d.note(ctx, audit.Record{Kind: audit.Config, Outcome: audit.Done, Note: "config " + cfg.Digest})
}

func (d *Daemon) takeOver(cfg *config.Config, referenced string) error {
	if cfg.State.Path != d.storage.Path {
		return fmt.Errorf("state.path cannot change while the daemon runs (from %s to %s): stop it, move the files, start it",
			d.storage.Path, cfg.State.Path)
	}
	i, err := d.storage.Build(cfg, control.Use{Scratch: d.scratch, Follow: true}, d.log)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.newest, d.referenced, d.loaded, d.refused = cfg, referenced, time.Now(), ""
	d.mu.Unlock()
	d.service.Replace(i)
	return nil
}

// refuse tells of a bad config once, however often its folder stirs.
func (d *Daemon) refuse(ctx context.Context, err error) {
	d.mu.Lock()
	known := d.refused == err.Error()
	d.refused = err.Error()
	d.mu.Unlock()
	if known {
		return
	}
	d.log.Error("the config on disk has mistakes; the one loaded before stays in use", "mistakes", err)
	d.note(ctx, audit.Record{Kind: audit.Config, Outcome: audit.Failed, Error: err.Error()})
}

func (d *Daemon) note(ctx context.Context, r audit.Record) {
	if err := d.storage.Note(ctx, r); err != nil && ctx.Err() == nil {
		d.log.Error("the audit trail cannot be written", "error", err)
	}
}
