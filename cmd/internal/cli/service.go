package cli

import (
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

//go:embed dirsweep.service
var systemdUnit string

// A serviceFlags names the service and its account.
type serviceFlags struct{ name, user string }

func (a *app) serviceCommand() *cobra.Command {
	var f serviceFlags
	c := family("service", "Install and control the daemon as a service of this system")
	c.PersistentFlags().StringVar(&f.name, "name", "dirsweep", "the service's name")
	install := a.serviceAction(&f, "install", "Install the service, with the config that is in use now", a.install)
	install.Long = "The secrets are the service's own, not those of this shell. With systemd: what the config takes by env(\"NAME\") stands as NAME=… in\n" +
		environmentFile + "; what it takes by credential(\"NAME\") is the file " + credentialFolder + "/NAME. Both are root's, mode 0600.\n" +
		"The service may write to its state's folder and nowhere else; with --user, that account owns the folder."
	install.Example = "  sudo dirsweep --config /etc/dirsweep/config.hcl service install --user dirsweep"
	install.Flags().StringVar(&f.user, "user", "", "the account to run as; it must exist (default: root, or the local system)")
	c.AddCommand(install,
		a.serviceAction(&f, "uninstall", "Remove the service; config and state stay", service.Service.Uninstall),
		a.serviceAction(&f, "start", "Start the service", service.Service.Start),
		a.serviceAction(&f, "stop", "Stop the service", service.Service.Stop),
		a.serviceStatusCommand(&f),
	)
	return c
}

func (a *app) serviceAction(f *serviceFlags, use, short string, act func(service.Service) error) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  dirsweep service " + use,
		Args:    nothing,
		RunE: func(*cobra.Command, []string) error {
			s, err := a.service(f, use == "install")
			if err != nil {
				return err
			}
			if err := act(s); err != nil {
				return fmt.Errorf("service %s %s: %w", f.name, use, err)
			}
			return a.show(map[string]string{"service": f.name, "done": use}, func() {
				a.printf("%s: %s done.\n", f.name, use)
				if use == "install" {
					a.printSecrets()
				}
			})
		},
	}
}

// install takes a half-made service away again on Windows, where it stays behind if setting its recovery fails.
func (a *app) install(s service.Service) error {
	if runtime.GOOS == "linux" && s.Platform() != "linux-systemd" {
		return errors.New("systemd does not run on this machine: " +
			"let what supervises services here run `dirsweep --config … run`")
	}
	switch _, err := s.Status(); {
	case err == nil:
		return errors.New("it is installed already; uninstall it first")
	case !errors.Is(err, service.ErrNotInstalled):
		return fmt.Errorf("whether it is installed already: %w", err)
	}
	err := s.Install()
	if err != nil && runtime.GOOS == "windows" {
		_ = s.Uninstall()
	}
	return err
}

func (a *app) serviceStatusCommand(f *serviceFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Say whether the service is installed and runs",
		Long:    "Exit code 0: it runs, 1: it does not.",
		Example: "  dirsweep service status",
		Args:    nothing,
		RunE: func(*cobra.Command, []string) error {
			s, err := a.service(f, false)
			if err != nil {
				return err
			}
			text, err := serviceState(s)
			if err != nil {
				return fmt.Errorf("service %s: %w", f.name, err)
			}
			if err := a.show(map[string]string{"service": f.name, "status": text}, func() { a.printf("%s: %s\n", f.name, text) }); err != nil {
				return err
			}
			if text != "running" {
				return exit(ExitFailed)
			}
			return nil
		},
	}
}

func serviceState(s service.Service) (string, error) {
	switch status, err := s.Status(); {
	case errors.Is(err, service.ErrNotInstalled):
		return "not installed", nil
	case err != nil:
		return "", err
	case status == service.StatusRunning:
		return "running", nil
	default:
		return "stopped", nil
	}
}

// Where the systemd unit takes secrets from.
const (
	environmentFile  = "/etc/dirsweep/environment"
	credentialFolder = "/etc/dirsweep/credentials"
)

// printSecrets says what the service needs to have before it is started.
func (a *app) printSecrets() {
	cfg, err := a.loadOffline()
	if err != nil {
		return
	}
	for _, s := range cfg.Secrets() {
		switch {
		case s.Function == "file":
			a.printf("The service reads the file %s; its account has to be able to.\n", clean(s.Name))
		case runtime.GOOS == "windows":
			a.printf("The service reads %s(%q).\n", s.Function, s.Name)
		case s.Function == "env":
			a.printf("The service reads %s from %s: a line %s=…, mode 0600.\n", clean(s.Name), environmentFile, clean(s.Name))
		default:
			a.printf("The service reads the credential %s from the file %s/%s, mode 0600.\n", clean(s.Name), credentialFolder, clean(s.Name))
		}
	}
	a.printf("`dirsweep service start` starts it.\n")
}

// unit is the systemd unit of a config: with its credentials, and with leave to write to its state's folder.
func unit(cfg *config.Config) string {
	var extra strings.Builder
	for _, s := range cfg.Secrets() {
		if s.Function == "credential" {
			fmt.Fprintf(&extra, "LoadCredential=%s:%s/%s\n", specifiers(s.Name), credentialFolder, specifiers(s.Name))
		}
	}
	if folder := filepath.Dir(cfg.State.Path); folder != "/var/lib/dirsweep" { // which StateDirectory= makes
		fmt.Fprintf(&extra, "ReadWritePaths=%q\n", specifiers(folder))
	}
	return strings.Replace(systemdUnit, "@EXTRA@", extra.String(), 1)
}

// specifiers keeps a text from being read as systemd's specifiers (systemd.unit(5)).
func specifiers(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// service describes the service; only an install needs a config that loads, since its path is written into the service.
func (a *app) service(f *serviceFlags, withConfig bool) (service.Service, error) {
	c := &service.Config{
		Name: f.name, DisplayName: f.name, UserName: f.user,
		Description: "Keeps application accounts true to the company directory",
		Option: service.KeyValue{
			"ReloadSignal":     "HUP",
			"DelayedAutoStart": true, "OnFailure": "restart", "OnFailureDelayDuration": "5s", "OnFailureResetPeriod": 3600,
		},
	}
	if withConfig {
		cfg, err := a.loadOffline() // the secrets are the service's, not this shell's
		if err != nil {
			return nil, err
		}
		c.Option["SystemdScript"] = unit(cfg)
		path, err := filepath.Abs(cfg.Path)
		if err != nil {
			return nil, err
		}
		c.Arguments = []string{"run", "--config", path}
		c.WorkingDirectory = filepath.Dir(path)
		if runtime.GOOS == "windows" {
			c.Arguments = append(c.Arguments, "--as-service", f.name)
		}
	}
	s, err := service.New(nil, c)
	if err != nil {
		return nil, fmt.Errorf("this system's service manager: %w", err)
	}
	return s, nil
}
