package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/robfig/cron/v3"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
)

func (l *loader) state(b *hcl.Block) {
	r := l.open(b, "path")
	file := r.text("path", defaultState())
	if file == "" {
		r.fail("path", "Empty path", "Leave path out for the platform's own data folder.")
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(l.config.Dir, file)
	}
	l.config.State.Path = file
}

// defaultState is where the platform keeps a service's data.
func defaultState() string {
	switch runtime.GOOS {
	case "windows":
		return filepath.Join(os.Getenv("ProgramData"), "dirsweep", "state.db")
	case "darwin":
		return "/Library/Application Support/dirsweep/state.db"
	default:
		return "/var/lib/dirsweep/state.db"
	}
}

func (l *loader) schedule(b *hcl.Block) {
	r := l.open(b, "full", "delta")
	s := &l.config.Schedule
	s.Full, s.FullSchedule = l.cron(r, "full", "0 2 * * *")
	s.Delta, s.DeltaSchedule = l.cron(r, "delta", "@every 1m")
}

func (l *loader) cron(r reader, name, preset string) (string, cron.Schedule) {
	spec := r.text(name, preset)
	schedule, err := parseCron(spec, l.clock())
	if err != nil {
		if r.attrs[name] != nil {
			r.fail(name, "Not a schedule", fmt.Sprintf(
				`%s: %v. Write five fields as cron does ("0 2 * * *"), or "@daily", "@hourly", "@every 1m".`, name, err))
		}
		return preset, nil
	}
	return spec, schedule
}

func parseCron(spec string, now time.Time) (cron.Schedule, error) {
	zone, rest, found := strings.Cut(strings.TrimSpace(spec), " ")
	if strings.Contains(zone, "TZ=") && (!found || strings.TrimSpace(rest) == "") {
		return nil, fmt.Errorf("a time zone alone says nothing") // the parser would panic
	}
	schedule, err := cron.ParseStandard(strings.TrimSpace(spec))
	if err != nil {
		return nil, err
	}
	if schedule.Next(now).IsZero() {
		return nil, fmt.Errorf("that day never comes")
	}
	return schedule, nil
}

// guard reads a guard block over the limits that hold without it. Protected accounts add up: a target's block
// protects more, never less.
func (l *loader) guard(b *hcl.Block, limits guard.Limits) guard.Limits {
	r := l.open(b, "max_sweep_percent", "max_sweep_count", "window", "max_shrink_percent", "max_change_percent", "max_delete_count", "protect")
	limits.MaxSweepPercent = r.percent("max_sweep_percent", limits.MaxSweepPercent)
	limits.MaxSweepCount = r.whole("max_sweep_count", limits.MaxSweepCount, 0, 1_000_000_000)
	limits.Window = r.duration("window", limits.Window, time.Minute)
	limits.MaxShrinkPercent = r.percent("max_shrink_percent", limits.MaxShrinkPercent)
	limits.MaxChangePercent = r.percent("max_change_percent", limits.MaxChangePercent)
	limits.MaxDeleteCount = r.whole("max_delete_count", limits.MaxDeleteCount, 0, 1_000_000_000)
	limits.Protect = slices.Clone(limits.Protect)
	for _, glob := range r.texts("protect") {
		if identity.GlobError(glob) != nil {
			r.fail("protect", "Not a pattern", fmt.Sprintf(`%q is no pattern such as "svc-*".`, glob))
		}
		if !slices.Contains(limits.Protect, glob) {
			limits.Protect = append(limits.Protect, glob)
		}
	}
	return limits
}

const year = 365 * 24 * time.Hour

func (l *loader) audit(b *hcl.Block) {
	r := l.open(b, "keep")
	l.config.Audit.Keep = r.duration("keep", 7*year, 24*time.Hour)
}

func (l *loader) console(b *hcl.Block) {
	if b == nil {
		return
	}
	r := l.open(b, "listen")
	listen := r.text("listen", "127.0.0.1:8686")
	_, port, err := net.SplitHostPort(listen)
	if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || n == 0 && port != "0" {
		r.fail("listen", "Not an address", `listen is a host and a port: "127.0.0.1:8686".`)
		return
	}
	l.config.Console.Listen = listen
	l.warn(b.DefRange, "No console yet", "Nothing listens there: this version has no console. `dirsweep status` and the other commands tell the same.")
}
