package mapping

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Text is one compiled expression over people that gives a text. It is safe for concurrent use.
type Text struct{ *expression }

// CompileText compiles one against a source's own schema. name is what the config calls it.
func CompileText(name string, expr hcl.Expression, schema Schema, env Env) (Text, hcl.Diagnostics) {
	u, diags := newUnit([]Schema{schema}, env), hcl.Diagnostics(nil)
	t := Text{u.compile(name, expr, wantText, &diags)}
	if t.timed {
		diags = append(diags, problem(expr.Range(), "A "+name+" that moves", name+" tells who somebody is, and now() is another "+
			"instant at each pass: name the attribute that holds it."))
	}
	return t, diags
}

// Of is the text of one person, "" where they have none.
func (t Text) Of(p identity.Person) (string, error) {
	v, err := t.value(t.unit.frame(&p, nil))
	return v.Text(), err
}

// Print fingerprints the expression; white space and comments do not count.
func (t Text) Print() uint64 { return printOf(t.expression) }

// Needs returns the attributes of schema that the expression names, in its spelling, sorted.
func (t Text) Needs(schema Schema) []string { return needs(schema, t.expression) }

// NeedsGroups reports whether the expression asks for the person's groups.
func (t Text) NeedsGroups() bool { return needsGroups(t.expression) }
