package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/kardianos/service"
	"golang.org/x/sys/windows/svc"
)

// runService runs the daemon under the service control manager. kardianos/service's own Run asks svc.IsWindowsService,
// which says no where the manager lives in another session than 0 (Wine); its service is an svc.Handler, so it can be
// run without asking.
func (a *app) runService(name string) error {
	p := &program{}
	s, err := service.New(p, &service.Config{Name: name})
	if err != nil {
		return err
	}
	events, err := s.SystemLogger(nil)
	if err != nil {
		return fmt.Errorf("open the event log: %w", err)
	}
	log, err := a.logger(eventLog{events}, hclog.Info)
	if err != nil {
		return err
	}
	p.start = func(ctx context.Context) (func(context.Context) error, error) {
		d, err := a.startDaemon(ctx, log)
		if err != nil {
			log.Error("not started", "error", err)
			return nil, err
		}
		return d.Run, nil
	}
	handler, ok := s.(svc.Handler)
	if !ok {
		return errors.New("kardianos/service's service is no svc.Handler")
	}
	return svc.Run(name, handler)
}

// A program is the daemon as kardianos/service drives it.
type program struct {
	start  func(ctx context.Context) (run func(context.Context) error, err error)
	cancel context.CancelFunc
	ended  chan error
}

// Start implements service.Interface. It fails where the daemon cannot start, so that the service manager and an
// installer see it.
func (p *program) Start(service.Service) error {
	ctx, cancel := context.WithCancel(context.Background())
	run, err := p.start(ctx)
	if err != nil {
		cancel()
		return err
	}
	p.cancel, p.ended = cancel, make(chan error, 1)
	go func() { p.ended <- run(ctx) }()
	return nil
}

// Stop implements service.Interface; Daemon.Run ends within 10 s (R20).
func (p *program) Stop(service.Service) error {
	p.cancel()
	return <-p.ended
}

// An eventLog writes log lines to the Windows event log.
type eventLog struct{ events service.Logger }

func (l eventLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	switch priority(line) {
	case "3":
		return len(line), l.events.Error(text)
	case "4":
		return len(line), l.events.Warning(text)
	}
	return len(line), l.events.Info(text)
}

// private does nothing: files take their rights from the folder, which the installer closes to all but the system and
// administrators.
func private() {}

func isJournal(io.Writer) bool { return false }

func onHangup(func()) (stop func()) { return func() {} }

func notify(string) error { return nil }
