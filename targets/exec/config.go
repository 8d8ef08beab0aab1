package exec

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/gocty"

	"github.com/dirsweep/dirsweep/targets"
)

//go:embed sample.hcl
var sample string

// Kind is the target kind "exec".
func Kind() targets.Kind { return targets.Kind{Name: "exec", Sample: sample, Decode: decode} }

// A spec is a decoded block.
type spec struct{ program Program }

// block is the shape of the kind's part of a target block. Expressions are kept, so that mistakes are told at their
// place.
type block struct {
	Command      hcl.Expression `hcl:"command"`
	Directory    hcl.Expression `hcl:"directory,optional"`
	Environment  hcl.Expression `hcl:"environment,optional"`
	Timeout      hcl.Expression `hcl:"timeout,optional"`
	StartTimeout hcl.Expression `hcl:"start_timeout,optional"`
	Processes    hcl.Expression `hcl:"processes,optional"`
}

func decode(body hcl.Body, env targets.Env) (targets.Spec, hcl.Diagnostics) {
	var b block
	d := &decoder{env: env}
	d.diags = gohcl.DecodeBody(body, env.Eval, &b)
	if d.diags.HasErrors() {
		return nil, d.diags
	}
	p := Program{
		Folder: env.Dir, Directory: env.Dir, Parallel: defaultParallel,
		Timeout: d.duration(b.Timeout, defaultTimeout), StartTimeout: d.duration(b.StartTimeout, defaultStartTimeout),
	}
	d.value(b.Command, cty.List(cty.String), &p.Command)
	var directory string
	if d.value(b.Directory, cty.String, &directory); directory != "" {
		p.Directory = directory
		if !filepath.IsAbs(directory) {
			p.Directory = filepath.Join(env.Dir, directory)
		}
	}
	d.value(b.Environment, cty.Map(cty.String), &p.Environment)
	for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(p.Environment[name], "\x00") {
			d.fail(b.Environment, "Not an environment variable",
				fmt.Sprintf("%q cannot be one: its name holds =, or it holds NUL.", name))
		}
	}
	d.value(b.Processes, cty.Number, &p.Parallel)
	if p.Parallel < 1 || p.Parallel > 16 {
		d.fail(b.Processes, "processes out of range",
			"The program runs 1 to 16 times at once, and once more where accounts are listed.")
	}
	switch {
	case d.diags.HasErrors():
	case len(p.Command) == 0 || p.Command[0] == "":
		d.fail(b.Command, "No program",
			`command is a list: the program, then its arguments, as in ["./wiki-accounts", "--live"].`)
	case len(p.Command) == 1 && strings.Contains(p.Command[0], " "):
		d.warn(b.Command, "A blank in the program's name",
			"No shell splits it: arguments are elements of the list of their own.")
	case slices.ContainsFunc(p.Command, func(s string) bool { return strings.Contains(s, "\x00") }):
		d.fail(b.Command, "NUL in the command", "No program can be given it.")
	}
	return &spec{p}, d.diags
}

// Accepts leaves it to the program what it keeps: its hello says so.
func (s *spec) Accepts(path string) error {
	switch {
	case path == "active":
		return errors.New("active is not mapped: dirsweep decides it")
	case path == "id":
		return errors.New("id belongs to the application and can't be written")
	case path == "groups":
		return errors.New("groups are given by entitlements")
	case path == "" || unprintable(path):
		return fmt.Errorf("%q is no name of an attribute", path)
	}
	return nil
}

func (s *spec) Required() []string { return []string{"userName"} }

func (s *spec) Correlate() []string { return []string{"externalId", "userName"} }

func (s *spec) Open(need targets.Need) (targets.Target, error) { return Open(s.program, need) }

// A decoder evaluates expressions and gathers every mistake.
type decoder struct {
	env   targets.Env
	diags hcl.Diagnostics
}

func (d *decoder) value(e hcl.Expression, want cty.Type, into any) {
	v, diags := e.Value(d.env.Eval)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() {
		return
	}
	v, err := convert.Convert(v, want)
	if err == nil && v.IsWhollyKnown() {
		err = gocty.FromCtyValue(v, into)
	}
	if err != nil {
		d.fail(e, "Wrong kind of value", fmt.Sprintf("Expected %s: %s.", want.FriendlyName(), err))
	}
}

func (d *decoder) duration(e hcl.Expression, otherwise time.Duration) time.Duration {
	var text string
	if d.value(e, cty.String, &text); text == "" {
		return otherwise
	}
	span, err := time.ParseDuration(text)
	if err != nil || span <= 0 || span > time.Hour {
		d.fail(e, "Not a duration", `A timeout is written like "30s", and is at most an hour.`)
	}
	return span
}

func (d *decoder) fail(e hcl.Expression, summary, detail string) {
	d.add(hcl.DiagError, e, summary, detail)
}

func (d *decoder) warn(e hcl.Expression, summary, detail string) {
	d.add(hcl.DiagWarning, e, summary, detail)
}

func (d *decoder) add(severity hcl.DiagnosticSeverity, e hcl.Expression, summary, detail string) {
	at := e.Range()
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &at})
}
