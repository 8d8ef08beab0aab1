package exec

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dirsweep/dirsweep/sources/arguments"
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
	d := decoder{arguments.Decode(body, &b, env.Eval, env.Dir)}
	if d.Diagnostics.HasErrors() {
		return nil, d.Diagnostics
	}
	p := Program{
		Folder: env.Dir, Directory: env.Dir, Parallel: defaultParallel,
		Timeout: d.duration(b.Timeout, defaultTimeout), StartTimeout: d.duration(b.StartTimeout, defaultStartTimeout),
	}
	d.Value(b.Command, cty.List(cty.String), &p.Command)
	if directory := d.Path(b.Directory); directory != "" {
		p.Directory = directory
	}
	d.Value(b.Environment, cty.Map(cty.String), &p.Environment)
	for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(p.Environment[name], "\x00") {
			d.Fail(b.Environment, "Not an environment variable",
				fmt.Sprintf("%q cannot be one: its name holds =, or it holds NUL.", name))
		}
	}
	d.Value(b.Processes, cty.Number, &p.Parallel)
	if p.Parallel < 1 || p.Parallel > 16 {
		d.Fail(b.Processes, "processes out of range",
			"The program runs 1 to 16 times at once, and once more where accounts are listed.")
	}
	switch {
	case d.Diagnostics.HasErrors():
	case len(p.Command) == 0 || p.Command[0] == "":
		d.Fail(b.Command, "No program",
			`command is a list: the program, then its arguments, as in ["./wiki-accounts", "--live"].`)
	case len(p.Command) == 1 && strings.Contains(p.Command[0], " "):
		d.Warn(b.Command, "A blank in the program's name",
			"No shell splits it: arguments are elements of the list of their own.")
	case slices.ContainsFunc(p.Command, func(s string) bool { return strings.Contains(s, "\x00") }):
		d.Fail(b.Command, "NUL in the command", "No program can be given it.")
	}
	return &spec{p}, d.Diagnostics
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

// A decoder reads the arguments of this kind.
type decoder struct{ *arguments.Expressions }

func (d decoder) duration(e hcl.Expression, otherwise time.Duration) time.Duration {
	text := d.Text(e)
	if text == "" {
		return otherwise
	}
	span, err := time.ParseDuration(text)
	if err != nil || span <= 0 || span > time.Hour {
		d.Fail(e, "Not a duration", `A timeout is written like "30s", and is at most an hour.`)
	}
	return span
}
