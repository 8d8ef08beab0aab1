package reconcile_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/bolt"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A lab is a real directory, real applications and a real state file, with the engine between them.
type lab struct {
	t       *testing.T
	dir     string
	ledger  *state.Ledger
	trail   *audit.Trail
	files   *evidence.Folder
	sources []reconcile.Source
	targets []reconcile.Target
	schemas map[string]mapping.Schema
	now     func() time.Time
	wrap    func(targets.Target) targets.Target // what a target that is opened becomes; nil for itself
	follow  bool                                // sources are opened to follow their directory
	guard   guard.Limits                        // the general ones; as a target's, where that has some
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), schemas: map[string]mapping.Schema{}, guard: guard.Default()}
	l.open()
	t.Cleanup(l.close)
	return l
}

// open opens the state as a process does that starts.
func (l *lab) open() {
	l.t.Helper()
	store, err := bolt.Open(filepath.Join(l.dir, "state.db"), bolt.Options{})
	l.must(err)
	l.ledger = state.NewLedger(store)
	var head state.AuditHead
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) (err error) {
		head, _, err = r.AuditHead()
		return err
	}))
	l.trail, err = audit.Open(l.trailPath(), audit.Head(head), 0)
	l.must(err)
	key, err := evidence.OpenKey(filepath.Join(l.dir, "evidence.key"))
	l.must(err)
	l.files, err = evidence.Open(filepath.Join(l.dir, "evidence"), key, l.trail, func(ctx context.Context, records ...audit.Record) error {
		return apply.Told(ctx, l.ledger, l.trail, records...)
	})
	l.must(err)
}

func (l *lab) trailPath() string { return filepath.Join(l.dir, "audit.jsonl") }

func (l *lab) close() {
	l.t.Helper()
	for _, s := range l.sources {
		l.must(s.Source.Close())
	}
	for _, t := range l.targets {
		l.must(t.Session.Close())
	}
	l.verify()
	l.must(l.trail.Close())
	l.must(l.ledger.Verify(context.WithoutCancel(l.t.Context())))
	l.must(l.ledger.Close())
}

// verify checks the audit trail against what the state knows of it, after every test.
func (l *lab) verify() {
	l.t.Helper()
	_, err := l.trail.Verify(context.WithoutCancel(l.t.Context()))
	l.must(err)
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// hclBody parses the inside of a block.
func (l *lab) hclBody(text, name string) (hcl.Body, map[string]*hcl.File) {
	l.t.Helper()
	parser := hclparse.NewParser()
	file, diags := parser.ParseHCL([]byte(text), name)
	if diags.HasErrors() {
		l.t.Fatal(diags)
	}
	return file.Body, parser.Files()
}

// split takes the named expressions out of a block and leaves the kind's part.
func (l *lab) split(body hcl.Body, names ...string) (map[string]hcl.Expression, hcl.Body) {
	l.t.Helper()
	schema := &hcl.BodySchema{}
	for _, name := range names {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, rest, diags := body.PartialContent(schema)
	if diags.HasErrors() {
		l.t.Fatal(diags)
	}
	out := map[string]hcl.Expression{}
	for name, attr := range content.Attributes {
		out[name] = attr.Expr
	}
	return out, rest
}

// directory adds slapd as a source; extra is HCL for its block.
func (l *lab) directory(name string, s *slapdtest.Server, extra string) {
	l.t.Helper()
	l.source(name, fmt.Sprintf(`
		url           = %q
		bind_dn       = %q
		bind_password = %q
		base_dn       = %q
		filter        = "(objectClass=inetOrgPerson)"
		%s
	`, s.URL(), s.ReaderDN(), s.Password(), s.PeopleDN(), extra))
}

// attributes are what this package's mappings may name; the sources are asked for all of them, as a config that names
// them would.
func attributes() []string {
	return []string{"cn", "departmentNumber", "displayName", "employeeNumber", "givenName", "mail", "sn", "title", "uid"}
}

func (l *lab) source(name, text string) {
	l.t.Helper()
	l.sourceOf(ldap.Kind(), attributes(), name, text)
}

// sourceOf adds a source of any kind, which is asked for some attributes.
func (l *lab) sourceOf(kind sources.Kind, attributes []string, name, text string) {
	l.t.Helper()
	body, files := l.hclBody(text, name+".hcl")
	exprs, rest := l.split(body, "active", "rehire", "leave_date", "enter_date", "time_zone")
	zone := time.UTC
	if expr := exprs["time_zone"]; expr != nil {
		v, diags := expr.Value(nil)
		if diags.HasErrors() {
			l.t.Fatal(diags)
		}
		var err error
		zone, err = mapping.LoadZone(v.AsString())
		l.must(err)
	}
	spec, diags := kind.Decode(rest, sources.Env{Name: name, Dir: l.dir, Eval: &hcl.EvalContext{}})
	if diags.HasErrors() {
		l.t.Fatal(diags)
	}
	schema := mapping.Schema{Attributes: spec.Attributes(), CaseSensitive: spec.CaseSensitive()}
	compiled, diags := mapping.CompileSource(mapping.SourceExpressions{
		Active: exprs["active"], Rehire: exprs["rehire"], Leave: exprs["leave_date"], Enter: exprs["enter_date"], Zone: zone,
	}, schema, mapping.Env{Files: files})
	if diags.HasErrors() {
		l.t.Fatal(diags)
	}
	opened, err := spec.Open(sources.Need{
		Attributes: attributes, Groups: strings.Contains(text, "groups {"), Log: hclog.NewNullLogger(), Follow: l.follow, Scratch: l.dir,
	})
	l.must(err)
	l.schemas[name] = schema
	l.sources = slices.DeleteFunc(l.sources, func(s reconcile.Source) bool { return s.Name == name && s.Source.Close() == nil })
	l.sources = append(l.sources, reconcile.Source{Name: name, Source: opened, Mapping: compiled})
}

// application adds a SCIM application as a target; extra is HCL for its block, adjust changes what has no expression.
func (l *lab) application(name string, app *scimtest.Server, extra string, adjust func(*reconcile.Target)) {
	l.t.Helper()
	l.target(name, app.Block(), extra, adjust)
}

// plainAccount is the mapping of most tests.
const plainAccount = `
	account = {
		userName          = person.uid
		displayName       = person.cn
		"name.givenName"  = person.givenName
		"name.familyName" = person.sn
		emails            = values("mail")
	}
`

func (l *lab) target(name, block, extra string, adjust func(*reconcile.Target)) {
	l.t.Helper()
	if !strings.Contains(extra, "account ") {
		extra += plainAccount
	}
	body, files := l.hclBody(block+extra, name+".hcl")
	exprs, rest := l.split(body, "scope", "account", "entitlements", "manage")
	spec, diags := scim.Kind().Decode(rest, targets.Env{Name: name, Dir: l.dir, Eval: &hcl.EvalContext{}})
	if diags.HasErrors() {
		l.t.Fatal(diags)
	}
	t := reconcile.Target{
		Name: name, Parallel: 8, Correlate: spec.Correlate(), OnOrphan: "report", OnDrift: "repair", Guard: guard.Default(), LeaverAt: name + ".hcl",
	}
	var schemas []mapping.Schema
	for _, s := range l.sources {
		t.Sources = append(t.Sources, s.Name)
		schemas = append(schemas, l.schemas[s.Name])
	}
	t.Mapping, diags = mapping.CompileTarget(mapping.TargetExpressions{
		Scope: exprs["scope"], Account: exprs["account"], Entitlements: exprs["entitlements"], Manage: exprs["manage"],
	}, schemas, mapping.Env{Files: files})
	if diags.HasErrors() {
		l.t.Fatal(diags)
	}
	t.Leaver = sweep.Default(t.Mapping.MapsEntitlements())
	if adjust != nil {
		adjust(&t)
		l.guard = t.Guard
	}
	paths := slices.Concat(t.Mapping.Paths(), t.Correlate)
	slices.Sort(paths)
	var err error
	l.targets = slices.DeleteFunc(l.targets, func(old reconcile.Target) bool { return old.Name == name && old.Session.Close() == nil })
	t.Session, err = apply.OpenSession(apply.SessionOptions{
		Target: name, Paths: t.Mapping.Paths(), Memory: labMemory{l}, Now: func() time.Time {
			if l.now != nil {
				return l.now()
			}
			return time.Now()
		},
	}, func(pace func(context.Context) error) (targets.Target, error) {
		opened, err := spec.Open(targets.Need{
			Paths: slices.Compact(paths), Entitlements: t.Mapping.MapsEntitlements() || t.Leaver.Strip, Pace: pace, Log: hclog.NewNullLogger(),
		})
		if err == nil && l.wrap != nil {
			opened = l.wrap(opened)
		}
		return opened, err
	})
	l.must(err)
	l.targets = append(l.targets, t)
}

// engine makes the engine anew, as a process does that starts.
func (l *lab) engine() *reconcile.Engine {
	out := io.Discard
	if os.Getenv("DIRSWEEP_TEST_LOG") != "" {
		out = l.t.Output()
	}
	return reconcile.New(reconcile.Options{
		Sources: l.sources, Targets: l.targets, Guard: l.guard, Ledger: l.ledger, Trail: l.trail, Evidence: l.files, Scratch: l.dir, Now: l.now,
		Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: out}),
	})
}

// run makes one pass.
func (l *lab) run(p reconcile.Pass) reconcile.Report {
	l.t.Helper()
	report, err := l.engine().Run(l.t.Context(), p)
	l.must(err)
	return report
}

// full makes a full pass that must converge.
func (l *lab) full() reconcile.Report {
	l.t.Helper()
	report := l.run(reconcile.Pass{})
	if got := report.Outcome(); got != reconcile.Converged {
		l.t.Fatalf("the pass ended %q: sources %+v, targets %+v, failures %+v, held %+v", got, report.Sources, report.Targets, report.Failures, report.Held)
	}
	return report
}

// held makes a full pass that must end with something that waits for an operator.
func (l *lab) held() reconcile.Report {
	l.t.Helper()
	report := l.run(reconcile.Pass{})
	if got := report.Outcome(); got != reconcile.Held {
		l.t.Fatalf("the pass ended %q: sources %+v, targets %+v, failures %+v", got, report.Sources, report.Targets, report.Failures)
	}
	return report
}

// findings of one kind in a report.
func findings(r reconcile.Report, kind string) (out []identity.Finding) {
	for _, f := range r.Findings {
		if f.Kind == kind {
			out = append(out, f)
		}
	}
	return out
}

// active are the userNames of active accounts, sorted.
func active(t *testing.T, app *scimtest.Server) (names []string) {
	t.Helper()
	for name, doc := range app.Users(t) {
		if doc["active"] == true {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// labMemory is the sessions' memory in the state that is open now.
type labMemory struct{ l *lab }

func (m labMemory) Load(ctx context.Context, target string) (apply.Record, error) {
	return apply.LedgerMemory{Ledger: m.l.ledger}.Load(ctx, target)
}

func (m labMemory) Save(ctx context.Context, target string, r apply.Record) error {
	return apply.LedgerMemory{Ledger: m.l.ledger}.Save(ctx, target, r)
}

func (m labMemory) Witnesses(ctx context.Context, target string, except identity.AccountID, n int) ([]state.Link, error) {
	return apply.LedgerMemory{Ledger: m.l.ledger}.Witnesses(ctx, target, except, n)
}

// findings are those on record.
func (l *lab) findings() (out []state.Finding) {
	l.t.Helper()
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) error {
		for f, err := range r.Findings() {
			if err != nil {
				return err
			}
			out = append(out, f)
		}
		return nil
	}))
	return out
}

// orphans are those on record of a target.
func (l *lab) orphans(target string) (out []state.Unlinked) {
	l.t.Helper()
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) error {
		for o, err := range r.Orphans(target) {
			if err != nil {
				return err
			}
			out = append(out, o)
		}
		return nil
	}))
	return out
}
