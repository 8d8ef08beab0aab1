package arguments

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/gocty"
)

// Expressions evaluate the arguments of a block whose shape is a struct of expressions, and keep every mistake at its
// line.
type Expressions struct {
	Eval        *hcl.EvalContext
	Dir         string // the config's folder: relative paths start here
	Diagnostics hcl.Diagnostics
}

// Decode takes a block apart into the fields of a struct, by their tags. gohcl takes every expression for optional: see
// Require.
func Decode(body hcl.Body, into any, eval *hcl.EvalContext, dir string) *Expressions {
	return &Expressions{Eval: eval, Dir: dir, Diagnostics: gohcl.DecodeBody(body, eval, into)}
}

// Absent reports whether an argument is not there, or null.
func Absent(e hcl.Expression) bool {
	v, diags := e.Value(nil)
	return !diags.HasErrors() && v.IsNull()
}

// Require reports whether an argument is there, and complains where it is not.
func (x *Expressions) Require(e hcl.Expression, name string) bool {
	if Absent(e) {
		x.Fail(e, "Missing argument", name+" is required.")
		return false
	}
	return true
}

// Value evaluates an argument, and reports whether it is there and of that type.
func (x *Expressions) Value(e hcl.Expression, want cty.Type, into any) bool {
	v, diags := e.Value(x.Eval)
	x.Diagnostics = append(x.Diagnostics, diags...)
	if diags.HasErrors() {
		return false
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() {
		return false
	}
	v, err := convert.Convert(v, want)
	if err == nil && !v.IsWhollyKnown() {
		return false
	}
	if err == nil {
		err = gocty.FromCtyValue(v, into)
	}
	if err != nil {
		x.Fail(e, "Wrong kind of value", fmt.Sprintf("Expected %s: %s.", want.FriendlyName(), err))
	}
	return err == nil
}

// Text reads a text, as it is written.
func (x *Expressions) Text(e hcl.Expression) (text string) {
	x.Value(e, cty.String, &text)
	return text
}

// Path reads a file name; relative ones start at the config's folder.
func (x *Expressions) Path(e hcl.Expression) string { return within(x.Dir, x.Text(e)) }

// Fail keeps a mistake at an argument.
func (x *Expressions) Fail(e hcl.Expression, summary, detail string) {
	x.add(hcl.DiagError, e, summary, detail)
}

// Warn keeps a warning, likewise.
func (x *Expressions) Warn(e hcl.Expression, summary, detail string) {
	x.add(hcl.DiagWarning, e, summary, detail)
}

func (x *Expressions) add(severity hcl.DiagnosticSeverity, e hcl.Expression, summary, detail string) {
	x.Diagnostics = append(x.Diagnostics, &hcl.Diagnostic{
		Severity: severity, Summary: summary, Detail: detail, Subject: e.Range().Ptr(),
	})
}
