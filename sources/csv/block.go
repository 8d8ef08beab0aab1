// Package csv is the source kind for files of people, as personnel systems export them.
package csv

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/arguments"
)

//go:embed sample.hcl
var sample string

// Kind is the `source "csv"` kind.
func Kind() sources.Kind { return sources.Kind{Name: "csv", Sample: sample, Decode: decode} }

// The defaults.
const (
	defaultMaxAge = 8 * 24 * time.Hour
	defaultSettle = 5 * time.Second
)

// A block is a decoded source block.
type block struct {
	dir        string   // where relative paths start
	patterns   []string // of the files, as the config writes them
	newest     bool     // of what a pattern finds, the newest file alone is read
	columns    map[string]string
	attributes []string // the keys of columns, sorted
	anchor     string
	name       string
	encoding   string // "" where the file tells
	delimiter  byte   // 0 where the header tells
	maxAge     time.Duration
	settle     time.Duration
	status     *status
	complete   completeness
}

// status says who still works here, by one column. Values are in plain form (plainName).
type status struct {
	column       string
	active, left []string
}

// completeness is how the export says that a file is whole; "" for what it does not do.
type completeness struct {
	trailer, done, sha256 string
}

// declared reports whether anything says that a file is whole.
func (c completeness) declared() bool { return c != completeness{} }

// shape is that of the block. Expressions are kept, so that mistakes are told at their place.
type shape struct {
	Files     hcl.Expression `hcl:"files"`
	Newest    hcl.Expression `hcl:"newest,optional"`
	Columns   hcl.Expression `hcl:"columns"`
	Anchor    hcl.Expression `hcl:"anchor"`
	Name      hcl.Expression `hcl:"name,optional"`
	Encoding  hcl.Expression `hcl:"encoding,optional"`
	Delimiter hcl.Expression `hcl:"delimiter,optional"`
	MaxAge    hcl.Expression `hcl:"max_age,optional"`
	Settle    hcl.Expression `hcl:"settle,optional"`
	Status    *struct {
		Column hcl.Expression `hcl:"column"`
		Active hcl.Expression `hcl:"active"`
		Left   hcl.Expression `hcl:"left"`
	} `hcl:"status,block"`
	Complete *struct {
		Trailer hcl.Expression `hcl:"trailer,optional"`
		Done    hcl.Expression `hcl:"done,optional"`
		SHA256  hcl.Expression `hcl:"sha256,optional"`
	} `hcl:"complete,block"`
}

// spec is a block with its name.
type spec struct {
	block
	source string
}

// Attributes implements sources.Spec: the columns that the block declares, so that no file has to be opened.
func (s spec) Attributes() []string { return s.attributes }

// CaseSensitive implements sources.Spec.
func (s spec) CaseSensitive() bool { return false }

// Exact implements sources.Spec: an anchor is never the same as another one that differs in letter case.
func (s spec) Exact() []string { return []string{s.anchor} }

// noGroups is said where an expression asks for groups: it may be meant for another source of the same target.
const noGroups = "a file of people has no groups, and an expression asks for them: member_of() holds nobody of it, and " +
	"person.groups is empty; ask for a column, such as person.department, or give that target other sources"

// Open implements sources.Spec.
func (s spec) Open(need sources.Need) (sources.Source, error) {
	log := need.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if need.Groups {
		log.Warn(noGroups, "source", s.source)
	}
	return &source{block: s.block, name: s.source, need: need, log: log, now: time.Now, look: lookEach}, nil
}

func decode(body hcl.Body, env sources.Env) (sources.Spec, hcl.Diagnostics) {
	var a shape
	d := decoder{arguments.Decode(body, &a, env.Eval, env.Dir)}
	if d.Diagnostics.HasErrors() {
		return nil, d.Diagnostics
	}
	s := spec{source: env.Name}
	d.Require(a.Files, "files")
	d.Require(a.Columns, "columns")
	d.Require(a.Anchor, "anchor")
	if d.Diagnostics.HasErrors() {
		return nil, d.Diagnostics
	}
	s.dir = env.Dir
	s.patterns = d.patterns(a.Files)
	d.Value(a.Newest, cty.Bool, &s.newest)
	d.columns(a.Columns, &s.block)
	s.anchor = d.attribute(a.Anchor, "anchor", "", &s.block)
	s.name = d.attribute(a.Name, "name", s.anchor, &s.block)
	s.encoding = strings.ToLower(d.text(a.Encoding))
	if s.encoding != "" && !slices.Contains(encodings(), s.encoding) {
		d.Fail(
			a.Encoding, "Unknown encoding", fmt.Sprintf("%q is none of %s.", s.encoding, strings.Join(encodings(), ", ")),
		)
	}
	s.delimiter = d.delimiter(a.Delimiter)
	s.maxAge = d.duration(a.MaxAge, defaultMaxAge)
	s.settle = d.duration(a.Settle, defaultSettle)
	if s.settle > time.Minute {
		d.Fail(
			a.Settle, "Too long to wait",
			"A pass waits for a file to be left alone, and leavers of other sources with it: a minute at most.",
		)
	}
	if a.Status != nil {
		s.status = &status{
			column: d.attribute(a.Status.Column, "column", "", &s.block),
			active: d.values(a.Status.Active, "active"), left: d.values(a.Status.Left, "left"),
		}
		for _, value := range s.status.active {
			if slices.Contains(s.status.left, value) {
				d.Fail(a.Status.Left, "Both active and left", fmt.Sprintf("%q is in both lists.", value))
			}
		}
	}
	if a.Complete != nil {
		s.complete = completeness{d.text(a.Complete.Trailer), d.text(a.Complete.Done), d.text(a.Complete.SHA256)}
		if !s.complete.declared() {
			d.Fail(
				a.Files, "An empty complete block",
				"Say how the export tells that a file is whole: trailer, done or sha256; or take complete away.",
			)
		}
	}
	return s, d.Diagnostics
}

// A decoder reads the arguments of this kind.
type decoder struct{ *arguments.Expressions }

// text reads a text, without the space around it.
func (d decoder) text(e hcl.Expression) string {
	return strings.TrimSpace(d.Text(e))
}

// texts reads a list, or one text that stands for a list of one.
func (d decoder) texts(e hcl.Expression) (list []string) {
	if v, diags := e.Value(d.Eval); !diags.HasErrors() && v.Type() == cty.String {
		if text := d.text(e); text != "" {
			list = []string{text}
		}
		return list
	}
	d.Value(e, cty.List(cty.String), &list)
	return list
}

func (d decoder) patterns(e hcl.Expression) []string {
	before := len(d.Diagnostics)
	list := d.texts(e)
	if len(list) == 0 && len(d.Diagnostics) == before {
		d.Fail(e, "No file", `Write files = ["hr/people.csv"].`)
	}
	for i, pattern := range list {
		if _, err := filepath.Match(pattern, ""); err != nil || strings.TrimSpace(pattern) == "" {
			d.Fail(e, "Not a file name", fmt.Sprintf(`%q is no pattern such as "hr/people-*.csv".`, pattern))
		}
		if slices.Contains(list[:i], pattern) {
			d.Fail(e, "Named twice", fmt.Sprintf("%q is in the list already.", pattern))
		}
	}
	return list
}

func (d decoder) columns(e hcl.Expression, b *block) {
	b.columns = map[string]string{}
	if !d.Value(e, cty.Map(cty.String), &b.columns) {
		return
	}
	called := map[string]string{} // plain to as it is written: of attributes, and of headers
	for attribute := range b.columns {
		b.attributes = append(b.attributes, attribute)
	}
	slices.Sort(b.attributes)
	for _, attribute := range b.attributes {
		column := b.columns[attribute]
		if !hclsyntax.ValidIdentifier(attribute) {
			d.Fail(
				e, "Not a name for expressions",
				fmt.Sprintf("%q cannot be written as person.NAME: use letters, digits, - and _.", attribute),
			)
		}
		if plainName(column) == "" {
			d.Fail(e, "A column without a name", fmt.Sprintf("%s has to name a column of the header.", attribute))
		}
		if other, twice := called["attribute "+strings.ToLower(attribute)]; twice {
			d.Fail(e, "Two attributes of one name", fmt.Sprintf("%s and %s differ in letter case alone.", other, attribute))
		}
		called["attribute "+strings.ToLower(attribute)] = attribute
		if other, twice := called[plainName(column)]; twice {
			d.Fail(
				e, "One column twice", fmt.Sprintf("%s and %s are both %q: one of them is enough.", other, attribute, column),
			)
		}
		called[plainName(column)] = attribute
	}
}

// attribute reads an argument that names one of columns.
func (d decoder) attribute(e hcl.Expression, argument, preset string, b *block) string {
	name := d.text(e)
	if name == "" {
		name = preset
	}
	if len(b.columns) > 0 && b.columns[name] == "" {
		d.Fail(
			e, "Not among columns",
			fmt.Sprintf("%s = %q has to be one of %s.", argument, name, strings.Join(b.attributes, ", ")),
		)
	}
	return name
}

func (d decoder) values(e hcl.Expression, argument string) (list []string) {
	for _, value := range d.texts(e) {
		list = append(list, plainName(value))
	}
	if len(list) == 0 {
		d.Fail(e, "Nothing listed", fmt.Sprintf("%s lists the values that mean it.", argument))
	}
	return list
}

func (d decoder) delimiter(e hcl.Expression) byte {
	var text string
	if !d.Value(e, cty.String, &text) {
		return 0
	}
	if text == "tab" {
		text = "\t"
	}
	if len(text) != 1 || text[0] == '"' || text[0] == '\r' || text[0] == '\n' || text[0] >= 0x80 {
		d.Fail(e, "Not a delimiter", `A delimiter is one character, such as ",", ";", "|" or "tab".`)
		return 0
	}
	return text[0]
}

func (d decoder) duration(e hcl.Expression, preset time.Duration) time.Duration {
	text := d.text(e)
	if text == "" {
		return preset
	}
	span, err := time.ParseDuration(text)
	if days, whole := strings.CutSuffix(text, "d"); whole {
		span, err = time.ParseDuration(days + "h")
		span *= 24
	}
	if err != nil || span <= 0 {
		d.Fail(e, "Not a duration", `Write a time span such as "5s", "36h" or "8d".`)
		return preset
	}
	return span
}
