package mapping

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// unit is what all expressions of one block share. It does not change once they are compiled.
type unit struct {
	schemas []schema
	files   map[string]*hcl.File
	clock   func() time.Time
	base    *hcl.EvalContext // every pure function
	check   *hcl.EvalContext // the same, and unknown results for what needs a person
	names   map[string][]string
	folding operators // == and != without letter case
}

func newUnit(schemas []Schema, env Env) *unit {
	u := &unit{files: env.Files, clock: env.Clock, names: make(map[string][]string), folding: foldingOperators()}
	if u.clock == nil {
		u.clock = time.Now
	}
	for _, s := range schemas {
		u.schemas = append(u.schemas, newSchema(s))
	}
	u.base = &hcl.EvalContext{Functions: Functions()}
	functions := maps.Clone(u.base.Functions)
	maps.Copy(functions, personFunctions(nil))
	u.check = &hcl.EvalContext{Functions: functions}
	return u
}

// expression is one compiled expression.
type expression struct {
	unit   *unit
	path   string
	at     string
	expr   hcl.Expression
	print  uint64
	reads  []read  // the attributes it names
	groups bool    // asks for groups
	judged bool    // asks for the kind's own judgement: person.active
	timed  bool    // calls now()
	flips  []flip  // its comparisons of now() with dates
	untold bool    // looks at now() in another way as well
	unique bool    // calls unique_login()
	fast   closure // nil where only the interpreter can run it
}

// A read is one attribute that an expression names.
type read struct {
	spelled string
	names   []string // its spelling in each schema that has it, without duplicates
}

// frame is the evaluation of one block's expressions for one person.
type frame struct {
	unit   *unit
	person *identity.Person
	login  *Logins
	now    string
	names  []string // of the person's groups, made when first asked for
	locals []val    // of the closures' for expressions
	calls  map[string]function.Function
}

func (u *unit) frame(p *identity.Person, login *Logins) *frame {
	return &frame{unit: u, person: p, login: login}
}

// frameAt is a frame at an instant, whatever the clock says.
func (u *unit) frameAt(p *identity.Person, login *Logins, at time.Time) *frame {
	f := u.frame(p, login)
	f.now = at.UTC().Format(time.RFC3339)
	return f
}

// clock returns one instant for all expressions of the frame.
func (f *frame) clock() string {
	if f.now == "" {
		f.now = f.unit.clock().UTC().Format(time.RFC3339)
	}
	return f.now
}

func (f *frame) groups() []string {
	if f.names == nil {
		f.names = make([]string, len(f.person.Groups))
		for i, g := range f.person.Groups {
			f.names[i] = nfc(g.Name)
		}
	}
	return f.names
}

// attribute returns the values of the attribute that has one of names.
func (f *frame) attribute(names []string) []string {
	for _, name := range names {
		if list, ok := f.person.Attributes[name]; ok {
			return list
		}
	}
	return nil
}

// interpret runs e in HCL's own interpreter.
func (e *expression) interpret(f *frame) (cty.Value, error) {
	v, diags := e.expr.Value(e.context(f))
	if diags.HasErrors() {
		return cty.NilVal, e.failure(f, diags)
	}
	return v, nil
}

// context is what e, or a part of it, sees of the frame's person.
func (e *expression) context(f *frame) *hcl.EvalContext {
	if f.calls == nil {
		f.calls = personFunctions(f)
	}
	person := make(map[string]cty.Value, len(e.reads)+5)
	for _, r := range e.reads {
		person[r.spelled] = cty.NullVal(cty.String)
		if list := f.attribute(r.names); len(list) > 0 {
			person[r.spelled] = cty.StringVal(list[0])
		}
	}
	person["active"] = cty.BoolVal(f.person.Active)
	person["dn"] = cty.StringVal(f.person.DN)
	person["anchor"] = cty.StringVal(f.person.ID.Anchor)
	person["source"] = cty.StringVal(f.person.Source)
	if e.groups {
		person["groups"] = ctyTexts(f.groups())
	}
	ctx := e.unit.base.NewChild()
	ctx.Functions = f.calls
	ctx.Variables = map[string]cty.Value{"person": cty.ObjectVal(person)}
	return ctx
}

func ctyTexts(list []string) cty.Value {
	if len(list) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	out := make([]cty.Value, len(list))
	for i, s := range list {
		out[i] = cty.StringVal(s)
	}
	return cty.ListVal(out)
}

// unreadable returns the first attribute that e names and that the person has in no readable form. Nothing that e
// gives can then be relied on: default(), try() and a comparison with null would take such a value for an absent
// one.
func (e *expression) unreadable(f *frame) (name string, found bool) {
	if len(f.person.Unreadable) == 0 {
		return "", false
	}
	for _, r := range e.reads {
		for _, name := range r.names {
			if slices.Contains(f.person.Unreadable, name) {
				return name, true
			}
		}
	}
	return "", false
}

// refuse is the error of an expression that names an unreadable attribute; nil where it names none.
func (e *expression) refuse(f *frame) error {
	if name, found := e.unreadable(f); found {
		return e.fail(f, unreadableReason(name))
	}
	return nil
}

func unreadableReason(name string) string {
	return name + " holds bytes that are not UTF-8 text: correct the entry"
}

// flag evaluates an expression that must say yes or no.
func (e *expression) flag(f *frame) (bool, error) {
	if err := e.refuse(f); err != nil {
		return false, err
	}
	if v, ok := e.run(f); ok && v.kind == flag {
		return v.b, nil
	}
	v, err := e.interpret(f)
	if err != nil {
		return false, err
	}
	if v.IsNull() {
		return false, e.fail(f, "the result is null, neither true nor false: wrap it in coalesce(…, false)")
	}
	if v, err = convert.Convert(v, cty.Bool); err != nil {
		return false, e.fail(f, "the result is neither true nor false: compare it with a value")
	}
	return v.True(), nil
}

// value evaluates an attribute's expression.
func (e *expression) value(f *frame) (identity.Value, error) {
	if err := e.refuse(f); err != nil {
		return "", err
	}
	if v, ok := e.run(f); ok {
		return v.value(), nil
	}
	v, err := e.interpret(f)
	if err != nil {
		return "", err
	}
	out, err := fromCty(v)
	if err != nil {
		return "", e.fail(f, err.Error())
	}
	return out, nil
}

// texts evaluates an expression that must give a list of names: sorted, without duplicates and empty ones, never nil.
func (e *expression) texts(f *frame) ([]string, error) {
	if err := e.refuse(f); err != nil {
		return nil, err
	}
	list := []string{}
	if v, ok := e.run(f); ok && v.kind == texts {
		list = append(list, v.l...)
	} else {
		v, err := e.interpret(f)
		if err != nil {
			return nil, err
		}
		if v.IsNull() {
			return nil, e.fail(f, "the result is null, not a list: wrap it in coalesce(…, [])")
		}
		if v, err = convert.Convert(v, cty.List(cty.String)); err != nil {
			return nil, e.fail(f, "the result is not a list of texts")
		}
		for _, item := range v.AsValueSlice() {
			if !item.IsNull() {
				list = append(list, item.AsString())
			}
		}
	}
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list), nil
}

// run tries the compiled form. Where it has no answer the interpreter has, or has the error.
func (e *expression) run(f *frame) (val, bool) {
	if e.fast == nil {
		return val{}, false
	}
	f.locals = f.locals[:0]
	return e.fast(f)
}

func (e *expression) fail(f *frame, reason string) error {
	return &Error{At: e.at, Path: e.path, Person: f.name(), Reason: reason}
}

// tell is the text of fail.
func (e *expression) tell(f *frame, reason string) string { return e.fail(f, reason).Error() }

func (f *frame) name() string {
	if f.person.Name != "" {
		return f.person.Name
	}
	return f.person.ID.String()
}

// plainError is an error of one of our own functions. Its text is fixed but for what the config itself says, so it
// may be shown.
type plainError struct {
	text  string
	cause error
}

func plain(format string, args ...any) error { return &plainError{text: fmt.Sprintf(format, args...)} }

func (e *plainError) Error() string { return e.text }

func (e *plainError) Unwrap() error { return e.cause }

// failure turns diagnostics into an *Error without any attribute's value: HCL's own details may quote values, its
// summaries don't.
func (e *expression) failure(f *frame, diags hcl.Diagnostics) error {
	d := diags.Errs()[0].(*hcl.Diagnostic) //nolint:forcetypeassert // Errs returns nothing else
	out := &Error{At: e.at, Path: e.path, Person: f.name(), Reason: strings.ToLower(d.Summary)}
	where := ""
	detail := ""
	if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
		where = extra.CalledFunctionName() + "(): "
		var own *plainError
		if errors.As(extra.FunctionCallError(), &own) {
			out.Reason, out.Err = where+own.text, own.cause
			return out
		}
		if _, ours := ownFunctions()[extra.CalledFunctionName()]; ours {
			_, detail, _ = strings.Cut(d.Detail, " parameter: ") // ours show no values
		}
	}
	switch {
	case d.Summary == "Invalid template interpolation value", strings.Contains(d.Detail, "null"):
		out.Reason = where + "a value is null, which the text or function around it cannot take: wrap it in default() or coalesce()"
	case detail != "":
		out.Reason = where + strings.TrimSuffix(detail, ".")
	case where != "":
		out.Reason = where + "an argument is not of the form that the function takes: wrap the call in try(…, null)"
	}
	return out
}

// fromCty renders any value that an attribute can have.
func fromCty(v cty.Value) (identity.Value, error) {
	t := v.Type()
	switch {
	case v.IsNull():
		return "", nil
	case t == cty.String:
		return identity.Text(v.AsString()), nil
	case t == cty.Bool:
		return identity.Bool(v.True()), nil
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		if list, ok := plainTexts(v); ok {
			return identity.Texts(list...), nil
		}
	}
	item, err := toAny(v)
	if err != nil {
		return "", err
	}
	return identity.NewValue(item)
}

func plainTexts(v cty.Value) ([]string, bool) {
	list := make([]string, 0, v.LengthInt())
	for _, item := range v.AsValueSlice() {
		switch {
		case item.IsNull():
		case item.Type() == cty.String:
			list = append(list, item.AsString())
		default:
			return nil, false
		}
	}
	return list, true
}
