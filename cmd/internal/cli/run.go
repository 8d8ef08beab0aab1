package cli

import (
	"context"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/daemon"
)

func (a *app) runCommand() *cobra.Command {
	var service string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon, in the foreground or under a service manager",
		Long: "It reloads its config when the file changes, and stops within 10 s on SIGTERM or Ctrl-C.\n" +
			"A config that is bad, a state in use or a socket that cannot be made end it at once.",
		Example: "  dirsweep run\n  dirsweep --config /etc/dirsweep run --json",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			if service != "" {
				return a.runService(service)
			}
			log, err := a.logger(a.err, hclog.Info)
			if err != nil {
				return err
			}
			d, err := a.startDaemon(c.Context(), log)
			if err != nil {
				return err
			}
			return runDaemon(c.Context(), d, log)
		},
	}
	// Only the service manager of Windows is given this: it cannot be told reliably from inside whether one is a
	// service there.
	c.Flags().StringVar(&service, "as-service", "", "run as this Windows service")
	_ = c.Flags().MarkHidden("as-service")
	return c
}

func (a *app) startDaemon(ctx context.Context, log hclog.Logger) (*daemon.Daemon, error) {
	private()
	path, err := a.configPath()
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return daemon.Start(ctx, daemon.Options{Path: path, Version: a.version, Log: log})
}

func runDaemon(ctx context.Context, d *daemon.Daemon, log hclog.Logger) error {
	stop := onHangup(d.Reload)
	defer stop()
	if err := notify("READY=1"); err != nil {
		log.Warn("the service manager could not be told that we are ready", "error", err)
	}
	err := d.Run(ctx)
	if err == nil {
		log.Info("stopped")
	}
	return err
}
