// Package arguments reads what a block of the config says, and keeps every mistake at its line: what the kinds of both
// sides share.
package arguments

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Reader reads the arguments of one block by their names. Each method returns preset, or nothing, where the argument
// is absent, null or wrong; wrong ones are in Diagnostics.
type Reader struct {
	Arguments   hcl.Attributes
	Eval        *hcl.EvalContext
	Dir         string // the config's folder: relative paths start here
	Diagnostics hcl.Diagnostics
	Missing     hcl.Range       // where the mistake is that something is absent
	Bad         map[string]bool // arguments that have been complained about
}

// Read takes a block apart. What schema does not know, or lacks, is a mistake.
func Read(body hcl.Body, schema *hcl.BodySchema, eval *hcl.EvalContext, dir string) (*Reader, hcl.Blocks) {
	content, diags := body.Content(schema)
	return &Reader{
		Arguments: content.Attributes, Eval: eval, Dir: dir, Diagnostics: diags, Missing: body.MissingItemRange(),
		Bad: map[string]bool{},
	}, content.Blocks
}

// Inner takes a block within the block apart. Its mistakes are its own: the caller adds them.
func (r *Reader) Inner(body hcl.Body, schema *hcl.BodySchema) *Reader {
	inner, _ := Read(body, schema, r.Eval, r.Dir)
	return inner
}

// Fail keeps a mistake at an argument, or at the block where it has none of that name.
func (r *Reader) Fail(name, summary, detail string) {
	r.Bad[name] = true
	r.say(hcl.DiagError, name, summary, detail)
}

// Warn keeps a warning, likewise.
func (r *Reader) Warn(name, summary, detail string) { r.say(hcl.DiagWarning, name, summary, detail) }

func (r *Reader) say(severity hcl.DiagnosticSeverity, name, summary, detail string) {
	diag := &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: r.Missing.Ptr()}
	if attr := r.Arguments[name]; attr != nil {
		diag.Subject, diag.Context = attr.Expr.Range().Ptr(), attr.Range.Ptr()
	}
	r.Diagnostics = r.Diagnostics.Append(diag)
}

// Has reports whether the block has an argument.
func (r *Reader) Has(name string) bool { return r.Arguments[name] != nil }

// Either is the first of names that the block has, for a place to complain at.
func (r *Reader) Either(names ...string) string {
	for _, name := range names {
		if r.Has(name) {
			return name
		}
	}
	return names[0]
}

// Value evaluates an argument; ok is false where it is absent, null or wrong.
func (r *Reader) Value(name string, want cty.Type) (v cty.Value, ok bool) {
	attr := r.Arguments[name]
	if attr == nil {
		return cty.NilVal, false
	}
	v, diags := attr.Expr.Value(r.Eval)
	r.Diagnostics = r.Diagnostics.Extend(diags)
	if diags.HasErrors() {
		r.Bad[name] = true
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() || !v.IsWhollyKnown() {
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		r.Fail(name, "Wrong type", fmt.Sprintf("%s: %s.", name, err))
		return cty.NilVal, false
	}
	return v, true
}

// Text reads a text, without the space around it.
func (r *Reader) Text(name, preset string) string {
	if v, ok := r.Value(name, cty.String); ok {
		return strings.TrimSpace(v.AsString())
	}
	return preset
}

// Texts reads a list of texts, or one text that stands for a list of one. Empty ones are left out.
func (r *Reader) Texts(name string) []string {
	attr := r.Arguments[name]
	if attr == nil {
		return nil
	}
	if v, diags := attr.Expr.Value(r.Eval); !diags.HasErrors() && v.Type() == cty.String {
		if one := r.Text(name, ""); one != "" {
			return []string{one}
		}
		return nil
	}
	v, ok := r.Value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	var list []string
	for _, item := range v.AsValueSlice() {
		if !item.IsNull() && item.AsString() != "" {
			list = append(list, item.AsString())
		}
	}
	return list
}

// Flag reads true or false.
func (r *Reader) Flag(name string, preset bool) bool {
	if v, ok := r.Value(name, cty.Bool); ok {
		return v.True()
	}
	return preset
}

// Count reads a whole number from least to most.
func (r *Reader) Count(name string, preset, least, most int) int {
	v, ok := r.Value(name, cty.Number)
	if !ok {
		return preset
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < int64(least) || n > int64(most) {
		r.Fail(name, "Number out of range", fmt.Sprintf("%s is a whole number from %d to %d.", name, least, most))
		return preset
	}
	return int(n)
}

// Duration reads a time span of a millisecond or more.
func (r *Reader) Duration(name string, preset time.Duration) time.Duration {
	text := r.Text(name, "")
	if text == "" {
		return preset
	}
	span, err := time.ParseDuration(text)
	if err != nil || span < time.Millisecond {
		r.Fail(name, "Not a duration", fmt.Sprintf(`%s is a time span such as "30s" or "2m".`, name))
		return preset
	}
	return span
}

// Path reads a file name; relative ones start at the config's folder.
func (r *Reader) Path(name string) string { return within(r.Dir, r.Text(name, "")) }

// within is a file name as it is seen from anywhere; "" for none.
func within(dir, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

// Secret reads a secret, and warns of one that is written into the config itself.
func (r *Reader) Secret(name string) identity.Secret {
	v, ok := r.Value(name, cty.String)
	if !ok {
		return identity.Secret{}
	}
	expr := r.Arguments[name].Expr
	if _, diags := hcl.ExprCall(expr); diags.HasErrors() && len(expr.Variables()) == 0 && v.AsString() != "" {
		r.Warn(name, "A secret in the config", fmt.Sprintf(
			`Whoever may read the config can read it. Write %s = env("NAME"), file("path") or credential("name").`, name))
	}
	return identity.NewSecret(v.AsString())
}
