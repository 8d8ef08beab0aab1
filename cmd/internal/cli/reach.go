package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// configPath returns the config to read: --config, $DIRSWEEP_CONFIG, or the first default that exists.
func (a *app) configPath() (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	if path := os.Getenv("DIRSWEEP_CONFIG"); path != "" {
		return path, nil
	}
	for _, path := range []string{"config.hcl", "dirsweep.hcl", platformConfig()} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look for a config: %w", err)
		}
	}
	return "", fmt.Errorf("no config: neither ./config.hcl nor ./dirsweep.hcl nor %s exists; name one with --config, "+
		"or begin with `dirsweep sample ldap > config.hcl`", platformConfig())
}

func platformConfig() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "dirsweep", "config.hcl")
	}
	return "/etc/dirsweep/config.hcl"
}

func (a *app) loadConfig() (*config.Config, error) {
	path, err := a.configPath()
	if err != nil {
		return nil, err
	}
	return config.Load(path)
}

// loadOffline loads the config without its secrets and certificates.
func (a *app) loadOffline() (*config.Config, error) {
	path, err := a.configPath()
	if err != nil {
		return nil, err
	}
	return config.LoadOffline(path)
}

// startPatience is how long a command waits for a daemon that has the state and does not answer yet.
const startPatience = 3 * time.Second

// A connection is who answers commands, and how to hang up.
type connection struct {
	control.Client
	daemon *control.Process // who answers; nil for this process
	close  func() error
}

// name tells who answers.
func (c *connection) name() string {
	if c.daemon == nil {
		return "by this process"
	}
	return fmt.Sprintf("by the running daemon (pid %d) with its own config %s", c.daemon.PID, c.daemon.Config)
}

// setup is what every way to reach the state needs: the outline of the config, and a log that is off unless it was
// asked for.
func (a *app) setup() (config.Outline, hclog.Logger, error) {
	outline, err := a.outline()
	if err != nil {
		return outline, nil, err
	}
	log, err := a.logger(a.err, hclog.Off)
	return outline, log, err
}

// records reaches whoever answers commands that need the state alone: the daemon, otherwise the state itself. No secret
// is read.
func (a *app) records(ctx context.Context) (*connection, error) {
	outline, log, err := a.setup()
	if err != nil {
		return nil, err
	}
	return a.reach(ctx, outline.State, func() (*control.Instance, error) { return control.BuildRecords(ctx, outline, log) }, nil)
}

// whole reaches whoever runs passes: the daemon, with its own config, otherwise this process.
func (a *app) whole(ctx context.Context, progress reconcile.Progress) (*connection, error) {
	outline, log, err := a.setup()
	if err != nil {
		return nil, err
	}
	return a.reach(ctx, outline.State, func() (*control.Instance, error) {
		cfg, err := a.loadConfig()
		if err != nil {
			return nil, err
		}
		a.warn(cfg)
		return control.Build(ctx, cfg, log)
	}, progress)
}

// preview reaches whoever can tell what the config that was asked for would do, writing nothing: the daemon where that
// is the config that it uses, otherwise this process, on a copy of the daemon's state where one runs.
func (a *app) preview(ctx context.Context, progress reconcile.Progress) (*connection, error) {
	outline, log, err := a.setup()
	if err != nil {
		return nil, err
	}
	cfg, bad := a.loadConfig()
	here := func(running control.Client) (*control.Instance, error) {
		if bad != nil {
			return nil, bad
		}
		a.warn(cfg)
		return control.BuildPreview(ctx, cfg, running, log)
	}
	c, err := a.reach(ctx, outline.State, func() (*control.Instance, error) { return here(nil) }, progress)
	switch {
	case err != nil || c.daemon == nil:
		return c, err
	case bad == nil && cfg.Digest == c.daemon.Digest:
		return c, nil
	case bad != nil && sameFile(outline.Path, c.daemon.Config):
		a.tell("%s does not load here: %s\nThe daemon answers with the version that it loaded %s.",
			outline.Path, firstLine(bad), clock(c.daemon.Loaded))
		return c, nil
	}
	instance, err := here(c.Client)
	if err := errors.Join(err, c.close()); err != nil {
		return nil, err
	}
	return local(instance, progress), nil
}

// reach dials the daemon that holds the state at path, and where none runs answers itself.
func (a *app) reach(
	ctx context.Context, path string, here func() (*control.Instance, error), progress reconcile.Progress,
) (*connection, error) {
	if path == "" { // the config is torn where it might say; what is wrong there is what there is to tell
		if _, err := a.loadConfig(); err != nil {
			return nil, err
		}
		return nil, errors.New("the config does not say plainly where the state is: write state { path = \"…\" } as a plain text")
	}
	patience := time.Now().Add(startPatience)
	for {
		client, err := control.Dial(ctx, path)
		if err == nil {
			return remote(ctx, client)
		}
		if !errors.Is(err, control.ErrNoDaemon) {
			return nil, err
		}
		instance, err := here()
		if err == nil {
			return local(instance, progress), nil
		}
		if !errors.Is(err, state.ErrLocked) || time.Now().After(patience) {
			return nil, err
		}
	}
}

func local(instance *control.Instance, progress reconcile.Progress) *connection {
	service := control.New(instance, control.Hooks{})
	service.Progress = progress
	return &connection{Client: service, close: service.Close}
}

func remote(ctx context.Context, client *control.SocketClient) (*connection, error) {
	process := &control.Process{}
	if err := client.Call(ctx, control.CmdDaemon, control.Request{}, process); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &connection{Client: client, daemon: process, close: client.Close}, nil
}

func (a *app) outline() (config.Outline, error) {
	path, err := a.configPath()
	if err != nil {
		return config.Outline{}, err
	}
	return config.ReadOutline(path)
}

// statePath is where the state is.
func (a *app) statePath() (string, error) {
	outline, err := a.outline()
	if err == nil && outline.State == "" {
		err = fmt.Errorf("%s does not say where the state is; `dirsweep check` says what is wrong with it", outline.Path)
	}
	return outline.State, err
}

func (a *app) warn(cfg *config.Config) {
	for _, w := range warnings(cfg) {
		a.tell("warning: %s", w)
	}
}

// tell prints a line on standard error.
func (a *app) tell(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format+"\n", args...) }

// sameFile reports whether two paths name the same file or folder.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// call has one command about the state answered by whoever has the state.
func (a *app) call(ctx context.Context, command control.Command, request control.Request, answer any) (err error) {
	c, err := a.records(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	request.Actor = actor()
	return c.Call(ctx, command, request, answer)
}

// actor is who runs this command, for the trail.
func actor() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if by := os.Getenv("SUDO_USER"); by != "" && by != name {
		return by + " as " + name
	}
	return name
}
