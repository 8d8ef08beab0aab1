package sql

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/arguments"
	"github.com/dirsweep/dirsweep/sources/sqlclient"
)

// A block is a decoded source block.
type block struct {
	sqlclient.Access
	columns   []string
	anchor    string
	name      string  // the column of Person.Name
	container string  // as well; "" for none
	status    *status // nil where everybody is active
	maxPeople int
	overlap   time.Duration

	query, find, complete, groups, changes statement
}

// A status is how a column says who still works here.
type status struct {
	column       string
	active, left []string // its values; letter case does not count
}

// The defaults.
const (
	defaultMaxPeople = 10_000_000
	defaultOverlap   = 10 * time.Minute
)

// spec is a block with its name.
type spec struct {
	block
	source string
}

// Attributes implements sources.Spec.
func (s spec) Attributes() []string { return s.columns }

// CaseSensitive implements sources.Spec: names of columns are not.
func (s spec) CaseSensitive() bool { return false }

// Exact implements sources.Spec.
func (s spec) Exact() []string { return []string{s.anchor} }

// Open implements sources.Spec.
func (s spec) Open(need sources.Need) (sources.Source, error) {
	if need.Groups && !s.groups.given() {
		return nil, fmt.Errorf(`%s: member_of() and person.groups need a statement: groups = "SELECT employee_id, role FROM roles"`,
			s.source)
	}
	if !need.Groups {
		s.groups = statement{}
	}
	client, err := s.Access.Open(nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.source, err)
	}
	if need.Log == nil {
		need.Log = hclog.NewNullLogger()
	}
	return newSource(&s.block, s.source, need, client), nil
}

func decode(body hcl.Body, env sources.Env) (sources.Spec, hcl.Diagnostics) {
	list := sqlclient.Arguments()
	for _, name := range []string{"query", "columns", "anchor"} {
		list = append(list, hcl.AttributeSchema{Name: name, Required: true})
	}
	for _, name := range []string{"name", "container", "find", "complete", "groups", "changes", "overlap", "max_people"} {
		list = append(list, hcl.AttributeSchema{Name: name})
	}
	schema := &hcl.BodySchema{Attributes: list, Blocks: []hcl.BlockHeaderSchema{{Type: "status"}}}
	read, blocks := arguments.Read(body, schema, env.Eval, env.Dir)
	d := decoder{sqlclient.Decoder{Reader: read}}
	s := spec{source: env.Name}
	s.Access = d.Access()
	s.anchor = d.column("anchor", "")
	s.name = d.column("name", s.anchor)
	s.container = d.column("container", "")
	others := []string{s.anchor, s.name, s.container}
	if s.status = d.status(blocks); s.status != nil {
		others = append(others, s.status.column)
	}
	s.columns = d.columns(others...)
	s.maxPeople = d.Count("max_people", defaultMaxPeople, 1, 1_000_000_000)
	s.overlap = d.Duration("overlap", defaultOverlap)
	s.query = d.statement("query", s.Driver)
	s.complete = d.statement("complete", s.Driver)
	s.groups = d.statement("groups", s.Driver)
	s.find = d.statement("find", s.Driver, "anchor")
	s.changes = d.statement("changes", s.Driver, "since")
	if d.Has("overlap") && !d.Has("changes") {
		d.Fail("overlap", "Unused argument", "overlap is for changes: take it away, or write changes.")
	}
	switch strings.ToLower(s.anchor) {
	case "login", "username", "user_name", "uid", "mail", "email", "e_mail", "name":
		d.Warn("anchor", "An anchor that can change", fmt.Sprintf("Whoever gets another %s would read as a leaver and a joiner. "+
			"Anchors never change: the number of the employee, or the key of the row, where it is never given twice.", s.anchor))
	}
	return s, d.Diagnostics
}

// A decoder reads the arguments of this kind.
type decoder struct{ sqlclient.Decoder }

// column reads the name of a column.
func (d decoder) column(name, preset string) string {
	column := d.Text(name, preset)
	if d.Has(name) && column == "" {
		d.Fail(name, "No column", fmt.Sprintf("%s is the name of a column of query's result.", name))
	}
	return column
}

// columns reads those that expressions may name, and adds the others that the block names.
func (d decoder) columns(others ...string) []string {
	list := d.Texts("columns")
	if d.Has("columns") && len(list) == 0 {
		d.Fail("columns", "No columns", `Write the columns of query's result that expressions name: columns = ["login", "mail"].`)
	}
	for i, column := range list {
		if isAmong(list[:i], column) {
			d.Fail("columns", "A column twice", fmt.Sprintf("%s is there already; letter case does not count.", column))
		}
	}
	for _, column := range others {
		if column != "" && !isAmong(list, column) {
			list = append(list, column)
		}
	}
	return list
}

// isAmong reports whether a text is in a list, where letter case does not count.
func isAmong(list []string, text string) bool {
	return slices.ContainsFunc(list, func(one string) bool { return strings.EqualFold(one, text) })
}

// status reads the block of that name; nil where there is none.
func (d decoder) status(blocks hcl.Blocks) *status {
	if len(blocks) == 0 {
		return nil
	}
	inner := decoder{sqlclient.Decoder{Reader: d.Inner(blocks[0].Body, &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
		{Name: "column", Required: true}, {Name: "active", Required: true}, {Name: "left", Required: true},
	}})}}
	s := &status{column: inner.column("column", ""), active: inner.Texts("active"), left: inner.Texts("left")}
	for _, value := range s.left {
		if isAmong(s.active, value) {
			inner.Fail("left", "Both active and left", fmt.Sprintf("%q is in both lists.", value))
		}
	}
	if len(blocks) > 1 {
		inner.Diagnostics = inner.Diagnostics.Append(&hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "A second status block", Detail: "One is enough: its lists may be of any length.",
			Subject: blocks[1].DefRange.Ptr(),
		})
	}
	d.Diagnostics = d.Diagnostics.Extend(inner.Diagnostics)
	return s
}

// statement reads one, and refuses what is no single query with just these parameters.
func (d decoder) statement(name string, driver sqlclient.Driver, parameters ...string) statement {
	text := d.Text(name, "")
	if text == "" {
		if d.Has(name) {
			d.Fail(name, "No statement", fmt.Sprintf("%s is a query, such as \"SELECT employee_id, login FROM people\".", name))
		}
		return statement{}
	}
	s, err := parseStatement(driver, text, parameters...)
	if err != nil {
		d.Fail(name, "Not one query", fmt.Sprintf("%s: %v.", name, err))
	}
	s.argument = name
	return s
}
