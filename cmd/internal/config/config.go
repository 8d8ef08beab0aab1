// Package config reads dirsweep's config: HCL 2 in one file or a folder of *.hcl files. It finds every mistake at
// once, each with its line and, where something near was meant, with a suggestion. It touches no network.
package config

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/robfig/cron/v3"

	"github.com/dirsweep/dirsweep/sources"
	sourcekinds "github.com/dirsweep/dirsweep/sources/all"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
	targetkinds "github.com/dirsweep/dirsweep/targets/all"
)

// A Config is a whole config that was found good. Defaults are filled in.
type Config struct {
	Path     string          // as it was given
	Dir      string          // absolute; relative paths in the config start here
	Digest   string          // SHA-256 of the files' bytes, in hex
	Warnings hcl.Diagnostics // what is accepted, and still deserves a look; without any value
	State    State
	Schedule Schedule
	Guard    guard.Limits
	Audit    Audit
	Console  Console
	Sources  []Source // in the order of the files, files in the order of their names
	Targets  []Target

	files map[string]*hcl.File
}

// State is the state block.
type State struct {
	Path string // absolute
}

// Schedule is the schedule block.
type Schedule struct {
	Full, Delta                 string // as written
	FullSchedule, DeltaSchedule cron.Schedule
}

// Audit is the audit block.
type Audit struct {
	Keep time.Duration // how long the audit trail and the evidence are kept
}

// Console is the console block. Listen is "" where there is none.
type Console struct {
	Listen string // host:port
}

// A Source is a source block.
type Source struct {
	Name, Kind string
	Spec       sources.Spec
	Mapping    *mapping.Source
	Need       sources.Need // Attributes and Groups: what the source's own expressions and those of the targets that read it name
	At         string       // "config.hcl:12"
	// Lines says where each argument of the block is: "filter" at "config.hcl:17", "groups.base_dn" at "config.hcl:19".
	Lines map[string]string
	// AbsenceLeaves: absence = "leaves".
	AbsenceLeaves bool
	// Directory is the name that the block gives to the directory it reads, so that the people of several sources which
	// read one are one person each; "" for what the source itself says.
	Directory string
}

// A Target is a target block.
type Target struct {
	Name, Kind string
	Spec       targets.Spec
	Mapping    *mapping.Target
	Sources    []string // names, never empty
	Mode       string   // "enforce" or "observe"
	Correlate  []string
	Leaver     sweep.Policy
	OnOrphan   string // "report" or "disable"
	OnDrift    string // "repair", "report" or "enforce"
	Rate       apply.Rate
	Guard      guard.Limits // the general ones, overridden by the target's own
	At         string       // "config.hcl:31"
	LeaverAt   string       // where the leaver block stands, or At without one
}

// Load reads the file or folder at path. Mistakes in it are a *Problems.
func Load(path string) (*Config, error) {
	return LoadWith(path, sourcekinds.Kinds(), targetkinds.Kinds())
}

// LoadWith is Load with other kinds than those built in.
func LoadWith(path string, sourceKinds []sources.Kind, targetKinds []targets.Kind) (*Config, error) {
	return load(path, kinds{sourceKinds, targetKinds}, false)
}

func load(path string, k kinds, offline bool) (*Config, error) {
	texts, dir, err := read(path)
	if err != nil {
		return nil, pathError(path, err)
	}
	l := &loader{
		config: &Config{Path: path, Dir: dir, Digest: digest(texts), files: make(map[string]*hcl.File)},
		kinds:  k, offline: offline, eval: &hcl.EvalContext{Functions: functions(dir)}, clock: time.Now,
	}
	l.load(texts)
	suggestFunctions(l.diags, l.eval.Functions)
	l.diags = tidy(l.diags)
	if l.diags.HasErrors() {
		return nil, &Problems{Found: l.diags, files: l.config.files}
	}
	l.config.Warnings = l.diags
	return l.config, nil
}

// pathError says what is wrong with the path itself, and what to do about it.
func pathError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("config: there is no file or folder %s; `dirsweep sample ldap` prints what a config begins with", path)
	}
	return fmt.Errorf("config: %w", err)
}

// text is one file.
type text struct {
	name  string // without folders, as messages name it
	bytes []byte
}

func read(path string) (texts []text, dir string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	names, dir := []string{path}, filepath.Dir(path)
	if info.IsDir() {
		dir = path
		if names, err = listed(path); err != nil {
			return nil, "", err
		}
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, "", err
		}
		one := text{filepath.Base(name), b}
		if err := one.readable(); err != nil {
			return nil, "", err
		}
		texts = append(texts, one)
	}
	dir, err = filepath.Abs(dir)
	return texts, dir, err
}

// listed returns the *.hcl files of a folder, sorted; hidden ones, as editors leave them, are not the config.
func listed(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".hcl") && !strings.HasPrefix(name, ".") && !e.IsDir() {
			names = append(names, filepath.Join(dir, name))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no *.hcl file", dir)
	}
	return names, nil
}

// digest is the SHA-256 of a single file; of several, of their names and contents.
func digest(texts []text) string {
	h := sha256.New()
	for _, t := range texts {
		if len(texts) > 1 {
			_, _ = h.Write(append([]byte(t.name), 0))
			_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(t.bytes))))
		}
		_, _ = h.Write(t.bytes)
	}
	return hex.EncodeToString(h.Sum(nil))
}

type kinds struct {
	sources []sources.Kind
	targets []targets.Kind
}

// loader is one Load under way.
type loader struct {
	config *Config
	kinds  kinds
	eval   *hcl.EvalContext // for everything but expressions over people
	clock  func() time.Time
	diags  hcl.Diagnostics

	schemas map[string]mapping.Schema // by source
	joined  map[string]string         // by source that is part of a join: the join

	offline bool        // secrets and files that are not there are no mistakes
	absent  []hcl.Range // arguments that were not read for want of one
}

func (l *loader) load(texts []text) {
	parser := hclparse.NewParser()
	var bodies []*hcl.File
	for _, t := range texts {
		file, diags := t.parse(parser)
		l.diags = append(l.diags, diags...)
		if file != nil {
			bodies = append(bodies, file)
		}
	}
	l.config.files = parser.Files()
	if l.diags.HasErrors() {
		return // what the parser made of the rest is guesswork
	}
	content, diags := hcl.MergeFiles(bodies).Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "state"},
		{Type: "schedule"},
		{Type: "guard"},
		{Type: "audit"},
		{Type: "console"},
		{Type: "source", LabelNames: []string{"kind", "name"}},
		{Type: "join", LabelNames: []string{"name"}},
		{Type: "target", LabelNames: []string{"kind", "name"}},
	}})
	l.diags = append(l.diags, diags...)
	blocks := content.Blocks.ByType()
	l.state(l.single(blocks["state"]))
	l.schedule(l.single(blocks["schedule"]))
	l.config.Guard = l.guard(l.single(blocks["guard"]), guard.Default())
	l.audit(l.single(blocks["audit"]))
	l.console(l.single(blocks["console"]))
	l.schemas, l.joined = make(map[string]mapping.Schema), make(map[string]string)
	l.names(blocks["source"])
	l.names(blocks["target"])
	for _, b := range blocks["source"] {
		l.source(b)
	}
	read := l.joins(blocks["join"], blocks["source"])
	for _, b := range blocks["target"] {
		l.target(b)
	}
	for _, kind := range []string{"source", "target"} {
		if len(blocks[kind]) == 0 && !diags.HasErrors() {
			l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "No " + kind, Detail: fmt.Sprintf(
				"Without a %s block there is nothing to do; `dirsweep sample KIND` prints one.", kind), Subject: l.start(texts)})
		}
	}
	l.literals()
	l.secrets()
	l.referenced()
	l.needs()
	if l.offline {
		l.unread()
	}
	if !l.diags.HasErrors() {
		l.try(read, blocks["target"])
	}
}

func (l *loader) start(texts []text) *hcl.Range {
	return &hcl.Range{Filename: texts[0].name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// single returns the one block of its kind, and complains about a second.
func (l *loader) single(blocks []*hcl.Block) *hcl.Block {
	if len(blocks) == 0 {
		return nil
	}
	for _, b := range blocks[1:] {
		l.fail(b.DefRange, "Duplicate "+b.Type+" block", "The first one stands at "+place(blocks[0].DefRange)+".")
	}
	return blocks[0]
}

// names checks the second labels of source or target blocks.
func (l *loader) names(blocks []*hcl.Block) {
	seen := make(map[string]hcl.Range)
	for _, b := range blocks {
		name, at := b.Labels[1], b.LabelRanges[1]
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			l.fail(at, "Not a name", fmt.Sprintf("The name of a %s is made of a-z, 0-9, - and _.", b.Type))
		}
		if first, twice := seen[name]; twice {
			l.fail(at, "Duplicate name", fmt.Sprintf("There is a %s %q already, at %s.", b.Type, name, place(first)))
			continue
		}
		seen[name] = at
	}
}

func (l *loader) fail(at hcl.Range, summary, detail string) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at})
}

func (l *loader) warn(at hcl.Range, summary, detail string) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: detail, Subject: &at})
}

// needs fills in what each source must read: what its own expressions name, and those of the targets that read it.
func (l *loader) needs() {
	for i := range l.config.Sources {
		s := &l.config.Sources[i]
		schema := l.schemas[s.Name]
		names, groups := s.Mapping.Needs(schema), s.Mapping.NeedsGroups()
		for _, t := range l.config.Targets {
			if slices.Contains(t.Sources, s.Name) {
				names, groups = append(names, t.Mapping.Needs(schema)...), groups || t.Mapping.NeedsGroups()
			}
		}
		slices.Sort(names)
		s.Need = sources.Need{Attributes: slices.Compact(names), Groups: groups}
	}
}

// try makes every source and target, and lets them go again. That touches no network, and finds what no single
// line shows: files that are not there, member_of() without a groups block.
func (l *loader) try(sourceBlocks, targetBlocks []*hcl.Block) {
	for i, s := range l.config.Sources {
		need := s.Need
		need.Log = hclog.NewNullLogger()
		opened, err := s.Spec.Open(need)
		if err == nil {
			err = opened.Close()
		}
		if err != nil && !l.excused(sourceBlocks[i], err) {
			l.fail(sourceBlocks[i].DefRange, "This source cannot work", err.Error())
		}
	}
	for i, t := range l.config.Targets {
		paths := slices.Concat(t.Mapping.Paths(), t.Correlate)
		slices.Sort(paths)
		opened, err := t.Spec.Open(targets.Need{
			Paths: slices.Compact(paths), Entitlements: t.Mapping.MapsEntitlements() || t.Leaver.Strip,
			Pace: func(ctx context.Context) error { return ctx.Err() }, Log: hclog.NewNullLogger(),
		})
		if err == nil {
			err = opened.Close()
		}
		if err != nil && !l.excused(targetBlocks[i], err) {
			l.fail(targetBlocks[i].DefRange, "This target cannot work", err.Error())
		}
	}
}

// place renders a range as "config.hcl:31".
func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }
