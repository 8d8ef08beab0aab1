// Package mapping turns people into the accounts they should have, by the HCL expressions of a config. It is pure:
// expressions see one person, the clock that was passed in and the logins already taken, and can reach no file, no
// environment and no network.
package mapping

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Schema is the attribute names that expressions over one source may use.
type Schema struct {
	Attributes    []string // in the source's own spelling
	CaseSensitive bool     // whether names that differ in letter case are different attributes
	Exact         []string // those of Attributes whose values compare letter for letter; all others compare without letter case
	Open          bool     // every name is accepted, as it is written
}

// Env is what compiling needs besides the expressions.
type Env struct {
	Files map[string]*hcl.File // the files the expressions were parsed from, by the name in their ranges; fingerprints are of their text
	Clock func() time.Time     // what now() returns; time.Now where nil
}

// SourceExpressions are a source block's expressions; nil where the block has none.
type SourceExpressions struct {
	Active hcl.Expression
	Rehire hcl.Expression
	Leave  hcl.Expression // leave_date
	Enter  hcl.Expression // enter_date
	// Zone is where dates without an offset are; nil for UTC.
	Zone *time.Location
}

// TargetExpressions are a target block's expressions; nil where the block has none.
type TargetExpressions struct {
	Scope        hcl.Expression
	Account      hcl.Expression // an object: path = expression
	Entitlements hcl.Expression
	Manage       hcl.Expression // patterns over the names of the entitlements that the mapping owns; names no person
	// Normal spells a value of a path as the target does; nil for as it is.
	Normal func(path string, v identity.Value) identity.Value
}

// Logins tells unique_login what is taken on the target.
type Logins struct {
	// Current is the login that the person already has there, "" for a joiner. unique_login returns it as it is.
	Current string
	// Taken reports whether another account has the login. nil: none is taken.
	Taken func(login string) (bool, error)
}

// An Error says why an expression has no usable result for one person. It names no attribute's value.
type Error struct {
	At     string // "config.hcl:31"
	Path   string // the mapped path, or "scope", "active", "rehire", "leave_date", "enter_date", "entitlements"
	Person string // the person's short name
	Reason string // what failed, and what to do about it
	Err    error  // where looking a login up failed: that error; nil otherwise
}

func (e *Error) Error() string {
	text := e.At + ": " + e.Path + " of " + e.Person + ": " + e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Source is the compiled part of one source block: who is active, and the rehire key. It is safe for concurrent use.
type Source struct {
	unit       *unit
	active     *expression
	conditions []Condition // of active, and the dates
	rehire     *expression
	leave      *date
	enter      *date
	zone       *time.Location
}

// CompileSource checks and compiles a source block's expressions against the source's own schema. The diagnostics
// hold every mistake and warning found; the Source is usable where they hold no error.
func CompileSource(in SourceExpressions, schema Schema, env Env) (*Source, hcl.Diagnostics) {
	u, diags := newUnit([]Schema{schema}, env), hcl.Diagnostics(nil)
	s := &Source{unit: u}
	if in.Active != nil {
		s.active = u.compile("active", in.Active, wantFlag, &diags)
		if !diags.HasErrors() {
			s.conditions = u.conditions(in.Active)
		}
	}
	if in.Rehire != nil {
		s.rehire = u.compile("rehire", in.Rehire, wantText, &diags)
	}
	s.zone = cmp.Or(in.Zone, time.UTC)
	s.leave = u.compileDate("leave_date", in.Leave, ends, s.zone, &diags)
	s.enter = u.compileDate("enter_date", in.Enter, begins, s.zone, &diags)
	if !diags.HasErrors() {
		s.conditions = append(s.conditions, dateConditions(s.leave, s.enter)...)
	}
	return s, diags
}

// Active reports whether the person is active now: Presence.
func (s *Source) Active(p identity.Person) (bool, error) {
	now, err := s.Presence(p, s.unit.clock())
	return now.Active, err
}

// Contradicts says in one sentence that the config's expression calls somebody active whom the kind's own
// judgement takes to be locked; "" where it does not. active is what Active said. An expression that looks at
// person.active knows what it overrules.
func (s *Source) Contradicts(p identity.Person, active bool) string {
	if !active || p.Active || s.active == nil || s.active.judged {
		return ""
	}
	return fmt.Sprintf("%s: active says that they work here, but %s: write active = person.active && …, or fix the entry",
		s.active.at, cmp.Or(p.Inactive, "the directory calls them inactive"))
}

// Rehire returns the key by which a returning person is recognised under a new anchor, "" where none is declared
// or the person has none.
func (s *Source) Rehire(p identity.Person) (string, error) {
	if s.rehire == nil {
		return "", nil
	}
	v, err := s.rehire.value(s.unit.frame(&p, nil))
	return v.Text(), err
}

// Print fingerprints the text of the expressions; white space and comments do not count.
func (s *Source) Print() uint64 {
	return combine(printOf(s.active, s.rehire), s.leave.print(), s.enter.print())
}

// Settings are the fingerprints of what makes people active, by what the config calls it.
func (s *Source) Settings() map[string]uint64 {
	settings := map[string]uint64{"active": printOf(s.active, s.rehire)}
	for name, d := range map[string]*date{"leave_date": s.leave, "enter_date": s.enter} {
		if d != nil {
			settings[name] = d.print()
		}
	}
	return settings
}

// Timed reports whether a result depends on the clock, and so may change while the person does not.
func (s *Source) Timed() bool { return timed(s.active, s.rehire) || s.leave != nil || s.enter != nil }

// all are the block's expressions, of which some may be nil.
func (s *Source) all() []*expression { return append(s.deciding(), s.rehire) }

// deciding are those that say who is active.
func (s *Source) deciding() []*expression {
	list := []*expression{s.active}
	for _, d := range []*date{s.leave, s.enter} {
		if d != nil {
			list = append(list, d.expression)
		}
	}
	return list
}

// Needs returns the attributes of schema that the expressions name, in its spelling, sorted.
func (s *Source) Needs(schema Schema) []string { return needs(schema, s.all()...) }

// NeedsGroups reports whether an expression asks for the person's groups.
func (s *Source) NeedsGroups() bool { return needsGroups(s.all()...) }

// Target is the compiled part of one target block. It is safe for concurrent use.
type Target struct {
	unit         *unit
	scope        *expression
	attributes   []*expression // sorted by path
	entitlements *expression
	manage       *expression      // only read for where it is, and its text
	managed      identity.Managed // what it says
	normal       func(path string, v identity.Value) identity.Value

	print, scopePrint uint64 // asked for with every account of a pass
}

// CompileTarget checks and compiles a target block's expressions against the schemas of all sources that the
// target reads: a name that one of them has is accepted, and null for the people of the others. The diagnostics
// hold every mistake and warning found; the Target is usable where they hold no error.
func CompileTarget(in TargetExpressions, schemas []Schema, env Env) (*Target, hcl.Diagnostics) {
	u, diags := newUnit(schemas, env), hcl.Diagnostics(nil)
	t := &Target{unit: u, normal: in.Normal}
	if t.normal == nil {
		t.normal = func(_ string, v identity.Value) identity.Value { return v }
	}
	if in.Scope != nil {
		t.scope = u.compile("scope", in.Scope, wantFlag, &diags)
	}
	if in.Account != nil {
		for _, kv := range accountPairs(in.Account, &diags) {
			t.attributes = append(t.attributes, u.compile(kv.path, kv.expr, wantValue, &diags))
		}
	}
	if in.Entitlements != nil {
		t.entitlements = u.compile("entitlements", in.Entitlements, wantTexts, &diags)
	}
	t.compileManage(in.Manage, &diags)
	slices.SortFunc(t.attributes, func(a, b *expression) int { return strings.Compare(a.path, b.path) })
	t.print, t.scopePrint = printOf(append(t.all(), t.manage)...), printOf(t.scope)
	return t, diags
}

// InScope evaluates the scope expression at an instant, and nothing else: whether the person should have an account if
// they are active. It is true where the config has no scope.
func (t *Target) InScope(p identity.Person, at time.Time) (bool, error) {
	if t.scope == nil {
		return true, nil
	}
	return t.scope.flag(t.unit.frameAt(&p, nil, at))
}

// Account returns the account that the person should have: every mapped attribute and the entitlements, Active
// true. ExternalID is the person's anchor where the config does not map it. Paths that have no value to write now,
// because an attribute behind them cannot be read as text or because it is a distinguished name where an id
// belongs, are Withheld (R9, R12). An error is an *Error, about this person only.
func (t *Target) Account(p identity.Person, login Logins) (identity.Account, error) {
	f := t.unit.frame(&p, &login)
	a := identity.Account{
		Active:     true,
		ExternalID: p.ID.Anchor,
		Attributes: make(map[string]identity.Value, len(t.attributes)),
	}
	for _, e := range t.attributes {
		if reason := e.withheld(f); reason != "" {
			a.Withheld = append(a.Withheld, identity.Withheld{Path: e.path, Reason: reason})
			continue
		}
		v, err := e.value(f)
		if err != nil {
			return identity.Account{}, err
		}
		v = t.normal(e.path, v)
		switch e.path {
		case "userName":
			if a.UserName = v.Text(); a.UserName == "" {
				return identity.Account{}, e.fail(
					f,
					"it is empty, and an account needs a login: fill the attribute, or leave such people out by scope",
				)
			}
		case "externalId":
			a.ExternalID = v.Text()
		}
		switch {
		case wantsID(e.path) && isDN(v):
			a.Withheld = append(a.Withheld, identity.Withheld{
				Path: e.path, Reason: e.tell(f, "a distinguished name is no id of an account: take a part of it with dn_part()"),
			})
		case v != "":
			a.Attributes[e.path] = v
		}
	}
	if t.entitlements == nil {
		return a, nil
	}
	if reason := t.entitlements.withheld(f); reason != "" {
		a.Withheld = append(a.Withheld, identity.Withheld{Path: t.entitlements.path, Reason: reason})
		slices.SortFunc(a.Withheld, func(a, b identity.Withheld) int { return strings.Compare(a.Path, b.Path) })
		return a, nil
	}
	list, err := t.entitlements.texts(f)
	if err != nil {
		return identity.Account{}, err
	}
	a.Entitlements = identity.NamedEntitlements(list...)
	return a, nil
}

// withheld says why the path has no value now, "" where it has one. A login and the mark by which an account is
// known are never left out.
func (e *expression) withheld(f *frame) string {
	name, found := e.unreadable(f)
	if !found || e.path == "userName" || e.path == "externalId" {
		return ""
	}
	return e.tell(f, unreadableReason(name))
}

// wantsID reports whether path refers to another account, as SCIM's manager does (RFC 7643 §4.3): by the
// application's own id.
func wantsID(path string) bool {
	path = strings.TrimSuffix(strings.ToLower(path), ".value")
	return path == "manager" || strings.HasSuffix(path, ":manager") || strings.HasSuffix(path, ".managerid")
}

// isDN reports whether v is, or has as its "value", a distinguished name of more than one component.
func isDN(v identity.Value) bool {
	text := v.Any()
	if object, ok := text.(map[string]any); ok {
		text = object["value"]
	}
	s, ok := text.(string)
	if !ok || !strings.Contains(s, "=") {
		return false
	}
	parts, err := parseDN(s)
	return err == nil && len(parts) > 1
}

// Paths returns the mapped paths, sorted.
func (t *Target) Paths() []string {
	paths := make([]string, len(t.attributes))
	for i, e := range t.attributes {
		paths[i] = e.path
	}
	return paths
}

// MapsEntitlements reports whether the config maps entitlements.
func (t *Target) MapsEntitlements() bool { return t.entitlements != nil }

// UsesUnique reports whether a login comes from unique_login.
func (t *Target) UsesUnique() bool {
	return slices.ContainsFunc(t.all(), func(e *expression) bool { return e != nil && e.unique })
}

// Print fingerprints the text of all expressions; white space and comments do not count.
func (t *Target) Print() uint64 { return t.print }

// ScopePrint fingerprints the text of the scope expression alone.
func (t *Target) ScopePrint() uint64 { return t.scopePrint }

// PrintOf fingerprints the text of the expressions for the paths that begin with any of some attributes.
func (t *Target) PrintOf(attributes []string) uint64 {
	var some []*expression
	for _, e := range t.attributes {
		of := func(attribute string) bool { return strings.HasPrefix(e.path, attribute) }
		if slices.ContainsFunc(attributes, of) {
			some = append(some, e)
		}
	}
	return printOf(some...)
}

// ScopeAt returns where the scope stands, "config.hcl:31", or "" where there is none.
func (t *Target) ScopeAt() string {
	if t.scope == nil {
		return ""
	}
	return t.scope.at
}

// At returns where path is mapped, "config.hcl:33"; "" where it is not. "entitlements" and "manage" are paths here.
func (t *Target) At(path string) string {
	if e := t.find(path); e != nil {
		return e.at
	}
	return ""
}

// Range returns where path is mapped, for diagnostics; nil where it is not.
func (t *Target) Range(path string) *hcl.Range {
	if e := t.find(path); e != nil {
		return e.expr.Range().Ptr()
	}
	return nil
}

func (t *Target) find(path string) *expression {
	switch path {
	case "entitlements":
		return t.entitlements
	case "manage":
		return t.manage
	}
	for _, e := range t.attributes {
		if e.path == path {
			return e
		}
	}
	return nil
}

// Timed reports whether any result depends on now(), and so may change while the person does not.
func (t *Target) Timed() bool { return timed(t.all()...) }

// ScopeTimed reports whether the scope depends on now().
func (t *Target) ScopeTimed() bool { return timed(t.scope) }

// Needs returns the attributes of schema that the expressions name, in its spelling, sorted.
func (t *Target) Needs(schema Schema) []string { return needs(schema, t.all()...) }

// NeedsGroups reports whether an expression asks for the person's groups.
func (t *Target) NeedsGroups() bool { return needsGroups(t.all()...) }

func (t *Target) all() []*expression {
	return append(slices.Clone(t.attributes), t.scope, t.entitlements)
}

// pair is one entry of an account object.
type pair struct {
	path string
	expr hcl.Expression
}

func accountPairs(account hcl.Expression, diags *hcl.Diagnostics) []pair {
	kvs, found := hcl.ExprMap(account)
	if found.HasErrors() {
		*diags = append(*diags, problem(account.Range(), "The account is not an object",
			`Write account = { userName = …, displayName = … }.`))
		return nil
	}
	if len(kvs) == 0 {
		*diags = append(
			*diags,
			problem(account.Range(), "Empty account", "Map at least the login: userName = lower(person.uid)."),
		)
	}
	var pairs []pair
	seen := make(map[string]hcl.Range)
	for _, kv := range kvs {
		key, keyDiags := kv.Key.Value(nil)
		if keyDiags.HasErrors() || key.IsNull() || !key.IsKnown() || key.Type().FriendlyName() != "string" {
			*diags = append(*diags, problem(kv.Key.Range(), "A path must be a plain name",
				`Quote paths that have dots, brackets or colons: "name.givenName" = ….`))
			continue
		}
		path := key.AsString()
		if why := refusePath(path); why != "" {
			*diags = append(*diags, problem(kv.Key.Range(), "This path cannot be mapped", why))
			continue
		}
		folded := strings.ToLower(path)
		if first, twice := seen[folded]; twice {
			*diags = append(
				*diags,
				problem(kv.Key.Range(), "Mapped twice", fmt.Sprintf("%q is mapped at %s already.", path, place(first))),
			)
			continue
		}
		seen[folded] = kv.Key.Range()
		pairs = append(pairs, pair{path, kv.Value})
	}
	return pairs
}

func refusePath(path string) string {
	switch strings.ToLower(path) {
	case "":
		return "A path is a name."
	case "active":
		return "Whether an account is active follows from scope and from the source's active, never from the mapping."
	case "id":
		return "The target itself gives every account its id."
	}
	for _, fixed := range []string{"userName", "externalId", "entitlements"} {
		if path != fixed && strings.EqualFold(path, fixed) {
			return fmt.Sprintf("Letter case counts. Did you mean %q?", fixed)
		}
	}
	if path == "entitlements" {
		return "Write entitlements = [ … ] beside the account, not in it."
	}
	return ""
}

// place renders a range as "config.hcl:31".
func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", filepath.Base(r.Filename), r.Start.Line) }

func problem(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

func warning(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: detail, Subject: &at}
}
