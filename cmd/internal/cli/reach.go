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
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/state"
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

// startPatience is how long a command waits for a daemon that has the state and does not answer yet.
const startPatience = 3 * time.Second

// A connection is who answers commands, and how to hang up.
type connection struct {
	control.Client
	remote bool // a daemon answers
	close  func() error
}

// reach returns the daemon where one runs, otherwise a service on the state itself. progress is what a service here tells of long work.
func (a *app) reach(ctx context.Context, progress *progress) (*connection, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return a.reachPast(ctx, err)
	}
	log, err := a.logger(a.err, hclog.Off)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings(cfg) {
		_, _ = fmt.Fprintln(a.err, "warning: "+w)
	}
	give := time.Now().Add(startPatience)
	for {
		client, err := control.Dial(ctx, cfg.State.Path)
		if err == nil {
			return &connection{Client: client, remote: true, close: client.Close}, nil
		}
		if !errors.Is(err, control.ErrNoDaemon) {
			return nil, err
		}
		instance, err := control.Build(ctx, cfg, log)
		if err == nil {
			service := control.New(instance, control.Hooks{})
			if progress != nil {
				service.Progress = progress
			}
			return &connection{Client: service, close: service.Close}, nil
		}
		if !errors.Is(err, state.ErrLocked) || time.Now().After(give) {
			return nil, err
		}
	}
}

// reachPast returns the daemon that goes on with an older config than the bad one on disk (R14): an emergency does not wait for a typo.
func (a *app) reachPast(ctx context.Context, bad error) (*connection, error) {
	path, err := a.configPath()
	if err != nil {
		return nil, bad
	}
	where := statePath(path)
	if where == "" {
		return nil, bad
	}
	client, err := control.Dial(ctx, where)
	if err != nil {
		return nil, bad
	}
	_, _ = fmt.Fprintln(a.err, "the config on disk has mistakes (`dirsweep check`); the daemon goes on with the one it has")
	return &connection{Client: client, remote: true, close: client.Close}, nil
}

// call runs one command whoever answers it.
func (a *app) call(ctx context.Context, command control.Command, request control.Request, answer any) (err error) {
	l, err := a.reach(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	return l.Call(ctx, command, request, answer)
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
