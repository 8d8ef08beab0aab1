//go:build unix

package bench

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// yearVariable is how many people the company of TestYear has.
const yearVariable = "YEAR_PEOPLE" // 1000

const (
	day      = 24 * time.Hour
	week     = 7 * day
	weeks    = 52
	keep     = 13 * week // audit { keep }
	grace    = 4 * week  // delete_after of one application
	tidied   = 8 * week  // after so long, locked entries and disabled accounts are deleted by hand
	turnover = 15        // percent of the people leave in the year, and as many come
	movers   = 5         // percent get another title
)

// TestYear plays a year of a company through the engine, on a simulated clock, at one full pass a week, with a real
// state file, trail and evidence, and holds their sizes to what docs/operations.md says (R18).
func TestYear(t *testing.T) {
	people := 1000
	if text := os.Getenv(yearVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		people = n
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		y := newYear(t, people)
		for n := range weeks + 1 {
			y.pass(n)
		}
		y.end()
	})
	t.Logf("%s of real time, at most %.0f MB resident, the company and its applications included",
		time.Since(began).Round(time.Second), megabytes(peak()))
}

// peak is the most memory that this process has had.
func peak() (bytes int64) {
	stop := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(stop) })
	return watchPeak(os.Getpid(), stop)
}

// A year is one under way.
type year struct {
	t       *testing.T
	people  int
	company *company
	apps    map[string]*application
	storage *control.Storage
	engine  *reconcile.Engine

	left, removed, told []int // by week: people who left, accounts that were deleted, and how many records that may take
	most                int64 // what the state may have been at its largest
}

// What docs/operations.md promises, in bytes.
const (
	stateBase    = 2 << 20 // pages that the file grows by
	perPerson    = 600     // in the state: whoever is in the directory, and who left while something of theirs is kept
	perLink      = 600     // in the state: an account that an application has
	perCase      = 2000    // in the state, until it was kept long enough
	perTombstone = 600     // in the state, likewise
	perRecord    = 1 << 10 // in the trail
	perFile      = 2 << 10 // of evidence
	perAccount   = 4 << 10 // in a file of evidence
)

// bounded holds what there is to what is promised of it.
func (y *year) bounded(n int, f footprint) {
	y.t.Helper()
	within := func(list []int, of int) (sum int) {
		for _, one := range list[max(0, len(list)-of):] {
			sum += one
		}
		return sum
	}
	const kept = int(keep/week) + 1 // what is looked at once a week goes up to a week late
	accounts := 0
	for _, app := range y.apps {
		accounts += len(app.accounts)
	}
	y.most = max(y.most, stateBase+int64(perPerson*f.people+perLink*f.links+perCase*f.cases+perTombstone*f.tombstones))
	for what, c := range map[string]struct{ got, most int64 }{
		"links":                  {int64(f.links), int64(accounts)},
		"cases":                  {int64(f.cases), int64(within(y.left, kept))},
		"names of gone accounts": {int64(f.tombstones), int64(2 * within(y.removed, kept))},
		"people":                 {int64(f.people), int64(len(y.company.people) + within(y.left, kept+int(tidied/week)+1))},
		"bytes of state":         {f.state, y.most},
		"records":                {int64(f.records), int64(within(y.told, kept+int(audit.MaxAge/week)+1))},
		"bytes of trail":         {f.trail, int64(perRecord * f.records)},
		"files of evidence":      {int64(f.files), int64(2 * within(y.left, kept+int(grace/week)+1))},
		"bytes of evidence":      {f.evidence, int64(f.files * (perFile + len(y.apps)*perAccount))},
	} {
		if c.got > c.most {
			y.t.Errorf("week %d: %d %s, more than the %d that there may be", n, c.got, what, c.most)
		}
	}
}

func newYear(t *testing.T, people int) *year {
	apps := map[string]*application{"wiki": newApplication(), "mail": newApplication()}
	y := &year{t: t, people: people, company: newCompany(), apps: apps}
	var err error
	y.storage, err = control.OpenStorage(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	y.must(err)
	schema := mapping.Schema{Attributes: []string{"cn", "departmentNumber", "mail", "title", "uid"}}
	expressions, env := y.parse(`
		scope   = person.departmentNumber != "plant"
		account = { userName = person.uid, displayName = person.cn, title = person.title, emails = values("mail") }
	`)
	source, diags := mapping.CompileSource(mapping.SourceExpressions{}, schema, env)
	y.diagnosed(diags)
	wanted := mapping.TargetExpressions{Scope: expressions["scope"], Account: expressions["account"]}
	target, diags := mapping.CompileTarget(wanted, []mapping.Schema{schema}, env)
	y.diagnosed(diags)
	limits := guard.Default()
	limits.MaxSweepCount, limits.MaxDeleteCount = people, people // a week is more than a day
	o := reconcile.Options{
		Sources: []reconcile.Source{{Name: "corp", Source: y.company, Mapping: source, Directory: "corp"}},
		Guard:   limits, Log: hclog.NewNullLogger(),
		Ledger: y.storage.Ledger, Trail: y.storage.Trail, Evidence: y.storage.Evidence,
	}
	o.Scratch, err = y.storage.Scratch()
	y.must(err)
	for name, app := range y.apps {
		session, err := apply.OpenSession(apply.SessionOptions{
			Target: name, Paths: target.Paths(), Memory: apply.LedgerMemory{Ledger: y.storage.Ledger}, Now: time.Now,
		}, func(func(context.Context) error) (targets.Target, error) { return app, nil })
		y.must(err)
		leaver := sweep.Default(false)
		if name == "mail" {
			leaver.DeleteAfter = grace
		}
		o.Targets = append(o.Targets, reconcile.Target{
			Name: name, Session: session, Mapping: target, Parallel: 8, Sources: []string{"corp"},
			Correlate: []string{"externalId", "userName"}, Leaver: leaver, LeaverAt: "config.hcl:1",
			OnOrphan: "report", OnDrift: "repair", Guard: limits,
		})
	}
	y.engine = reconcile.New(o)
	return y
}

func (y *year) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

func (y *year) diagnosed(diags hcl.Diagnostics) {
	y.t.Helper()
	if diags.HasErrors() {
		y.t.Fatal(diags)
	}
}

func (y *year) parse(text string) (map[string]hcl.Expression, mapping.Env) {
	y.t.Helper()
	parser := hclparse.NewParser()
	file, diags := parser.ParseHCL([]byte(text), "config.hcl")
	y.diagnosed(diags)
	attributes, diags := file.Body.JustAttributes()
	y.diagnosed(diags)
	expressions := map[string]hcl.Expression{}
	for name, attribute := range attributes {
		expressions[name] = attribute.Expr
	}
	return expressions, mapping.Env{Files: parser.Files()}
}

// pass is one week: people come, go and move, a full pass is made, and what was kept long enough is removed.
func (y *year) pass(n int) {
	y.t.Helper()
	if n == 0 {
		y.company.hire(y.people)
	} else {
		time.Sleep(week)
		now := time.Now()
		share := func(percent int) int { return y.people*percent*n/100/weeks - y.people*percent*(n-1)/100/weeks }
		y.company.leave(share(turnover), now)
		y.left = append(y.left, share(turnover))
		y.company.move(share(movers))
		y.company.hire(share(turnover))
		y.company.tidy(now.Add(-tidied), now)
		y.apps["wiki"].tidy(now.Add(-tidied))
	}
	writes := 0
	for _, app := range y.apps {
		writes -= app.writes
	}
	report, err := y.engine.Run(y.t.Context(), reconcile.Pass{})
	y.must(err)
	if got := report.Outcome(); got != reconcile.Converged {
		y.t.Fatalf("week %d: the pass ended %q: %+v, %+v, failures %+v, held %+v", n, got, report.Sources, report.Targets,
			report.Failures, report.Held)
	}
	y.date()
	y.must(y.storage.Maintain(y.t.Context(), time.Now(), keep))
	y.date()
	removed := 0
	for _, app := range y.apps {
		writes += app.writes
		removed, app.removed = removed+app.removed, 0
	}
	y.removed = append(y.removed, removed)
	y.told = append(y.told, writes+5)
	if n > 0 { // beside the writes, two accounts are proven closed, and so is the case; one is deleted, and all that again
		y.told[n] += 5 * y.left[n-1]
	}
	f := y.measure()
	y.bounded(n, f)
	if n%4 == 0 {
		y.t.Logf("week %d: %+v", n, f)
	}
}

// date gives files of evidence the time of the simulated clock: the disk knows another.
func (y *year) date() {
	y.t.Helper()
	now := time.Now()
	entries, err := os.ReadDir(y.storage.Evidence.Dir())
	y.must(err)
	for _, entry := range entries {
		info, err := entry.Info()
		y.must(err)
		if info.ModTime().After(now) {
			y.must(os.Chtimes(filepath.Join(y.storage.Evidence.Dir(), entry.Name()), now, now))
		}
	}
}

// A footprint is what there is, and how many bytes of it are on disk.
type footprint struct {
	people, links, cases, tombstones int
	files                            int // of evidence
	records                          int // of the trail
	state, trail, evidence           int64
}

func (y *year) measure() (f footprint) {
	y.t.Helper()
	y.must(y.storage.Ledger.View(y.t.Context(), func(r *state.Reader) error {
		f.people, f.cases, f.tombstones = count(y, r.People("corp")), count(y, r.Cases()), count(y, r.Tombstones())
		for name := range y.apps {
			f.links += count(y, r.Links(name))
		}
		return nil
	}))
	summary, err := y.storage.Trail.Verify(y.t.Context())
	y.must(err)
	f.records = summary.Records
	size := func(pattern string) (bytes int64, files int) {
		paths, err := filepath.Glob(filepath.Join(filepath.Dir(y.storage.Path), pattern))
		y.must(err)
		for _, path := range paths {
			info, err := os.Stat(path)
			y.must(err)
			bytes += info.Size()
		}
		return bytes, len(paths)
	}
	f.state, _ = size("state.db")
	f.trail, _ = size("audit*.jsonl")
	f.evidence, f.files = size("evidence/*.json")
	return f
}

func count[T any](y *year, seq func(func(T, error) bool)) (n int) {
	for _, err := range seq {
		y.must(err)
		n++
	}
	return n
}

func (y *year) end() {
	y.must(y.storage.Ledger.Verify(y.t.Context()))
	y.must(y.storage.Close())
}
