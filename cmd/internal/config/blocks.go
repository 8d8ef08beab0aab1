package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// partial reads what every source or target block may have, and returns the rest for the kind.
func (l *loader) partial(b *hcl.Block, attributes, blocks []string) (reader, map[string]hcl.Blocks, hcl.Body) {
	schema := &hcl.BodySchema{}
	for _, name := range attributes {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	for _, name := range blocks {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: name})
	}
	content, rest, diags := b.Body.PartialContent(schema)
	l.diags = append(l.diags, diags...)
	return reader{l, content.Attributes}, content.Blocks.ByType(), rest
}

func (l *loader) env() mapping.Env { return mapping.Env{Files: l.config.files, Clock: l.clock} }

func (l *loader) source(b *hcl.Block) {
	common := []string{"absence", "active", "rehire", "directory", "leave_date", "enter_date", "time_zone"}
	r, _, rest := l.partial(b, common, nil)
	s := Source{Kind: b.Labels[0], Name: b.Labels[1], At: place(b.DefRange), Directory: r.text("directory", "")}
	s.Lines = lines(b.Body, "")
	s.AbsenceLeaves = r.choice("absence", "proven", "proven", "leaves") == "leaves"
	names := make([]string, 0, len(l.kinds.sources))
	schema := mapping.Schema{Open: true} // where the block could not be decoded: one mistake is enough
	for _, k := range l.kinds.sources {
		names = append(names, k.Name)
		if k.Name != s.Kind {
			continue
		}
		spec, diags := k.Decode(rest, sources.Env{Name: s.Name, Dir: l.config.Dir, Eval: l.eval})
		suggest(diags, l.config.files, common)
		l.diags = append(l.diags, diags...)
		if s.Spec = spec; spec != nil {
			schema = mapping.Schema{Attributes: spec.Attributes(), CaseSensitive: spec.CaseSensitive(), Exact: spec.Exact()}
		}
	}
	l.kind(b, names)
	if _, twice := l.schemas[s.Name]; !twice {
		l.schemas[s.Name] = schema
	}
	var diags hcl.Diagnostics
	s.Mapping, diags = mapping.CompileSource(mapping.SourceExpressions{
		Active: r.expr("active"), Rehire: r.expr("rehire"), Leave: r.expr("leave_date"), Enter: r.expr("enter_date"), Zone: r.zone("time_zone"),
	}, schema, l.env())
	l.diags = append(l.diags, diags...)
	l.untold(b, s.Mapping.Untold())
	l.config.Sources = append(l.config.Sources, s)
}

// untold warns of expressions that look at the clock in a way which tells nobody when their value changes.
func (l *loader) untold(b *hcl.Block, expressions []string) {
	for _, at := range expressions {
		l.warn(b.DefRange, "No instant to wait for", at+" looks at now() otherwise than by comparing it with a date (date_before, "+
			"date_after), so that nobody can tell when its value changes: it is evaluated in each pass, by schedule { delta }.")
	}
}

// lines says where each argument of a block, and of those in it, is.
func lines(body hcl.Body, prefix string) map[string]string {
	list := map[string]string{}
	if native, ok := body.(*hclsyntax.Body); ok {
		for name, a := range native.Attributes {
			list[prefix+name] = place(a.NameRange)
		}
		for _, inner := range native.Blocks {
			maps.Copy(list, lines(inner.Body, prefix+inner.Type+"."))
		}
	}
	return list
}

// kind complains where a block's first label is none of names.
func (l *loader) kind(b *hcl.Block, names []string) {
	if kind := b.Labels[0]; !slices.Contains(names, kind) {
		l.fail(b.LabelRanges[0], "Unknown kind of "+b.Type, fmt.Sprintf("There is no %s of the kind %q; the kinds are %s.%s",
			b.Type, kind, quoted(names), didYouMean(kind, names)))
	}
}

func (l *loader) target(b *hcl.Block) {
	attributes := []string{"mode", "sources", "scope", "correlate", "account", "entitlements", "manage", "on_orphan", "on_drift", "rate"}
	blocks := []string{"leaver", "guard"}
	r, inner, rest := l.partial(b, attributes, blocks)
	t := Target{Kind: b.Labels[0], Name: b.Labels[1], At: place(b.DefRange)}
	names := make([]string, 0, len(l.kinds.targets))
	for _, k := range l.kinds.targets {
		names = append(names, k.Name)
		if k.Name != t.Kind {
			continue
		}
		spec, diags := k.Decode(rest, targets.Env{Name: t.Name, Dir: l.config.Dir, Eval: l.eval})
		suggest(diags, l.config.files, append(attributes, blocks...))
		l.diags = append(l.diags, diags...)
		t.Spec = spec
	}
	l.kind(b, names)
	t.Sources = l.sourcesOf(r)
	t.Mapping = l.mapping(b, r, t)
	t.Mode = r.choice("mode", "enforce", "enforce", "observe")
	t.OnOrphan = r.choice("on_orphan", "report", "report", "disable")
	t.OnDrift = r.choice("on_drift", "repair", "repair", "report", "enforce")
	t.Correlate = l.correlate(r, t)
	t.Rate = l.rate(r)
	leaver := l.single(inner["leaver"])
	t.Leaver, t.LeaverAt = l.leaver(leaver, sweep.Default(t.Mapping.MapsEntitlements())), t.At
	if leaver != nil {
		t.LeaverAt = place(leaver.DefRange)
	}
	t.Guard = l.guard(l.single(inner["guard"]), l.config.Guard)
	l.config.Targets = append(l.config.Targets, t)
}

// sourcesOf returns the sources that a target reads: those it names, else all.
func (l *loader) sourcesOf(r reader) []string {
	var all []string
	for _, s := range l.config.Sources {
		all = append(all, s.Name)
	}
	if r.attrs["sources"] == nil {
		return all
	}
	names := r.texts("sources")
	if names != nil && len(names) == 0 {
		r.fail("sources", "No source", "A target without sources has no people. Leave sources out to read every source.")
	}
	var chosen []string
	for _, name := range names {
		switch {
		case l.joined[name] != "":
			r.fail("sources", "A joined source", fmt.Sprintf("The people of %q are those of the join %q: name that.", name, l.joined[name]))
		case !slices.Contains(all, name):
			r.fail("sources", "Unknown source", fmt.Sprintf("There is no source named %q.%s", name, didYouMean(name, all)))
		case slices.Contains(chosen, name):
			r.fail("sources", "Named twice", fmt.Sprintf("%q is named twice.", name))
		default:
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return all
	}
	return chosen
}

// mapping compiles a target's expressions and holds the paths against what its kind takes.
func (l *loader) mapping(b *hcl.Block, r reader, t Target) *mapping.Target {
	var schemas []mapping.Schema
	for _, name := range t.Sources {
		schemas = append(schemas, l.schemas[name])
	}
	if len(schemas) == 0 {
		schemas = []mapping.Schema{{Open: true}}
	}
	account := r.expr("account")
	expressions := mapping.TargetExpressions{
		Scope: r.expr("scope"), Account: account, Entitlements: r.expr("entitlements"), Manage: r.expr("manage"),
	}
	if spec, ok := t.Spec.(targets.Normaliser); ok {
		expressions.Normal = spec.Normal
	}
	m, diags := mapping.CompileTarget(expressions, schemas, l.env())
	l.diags = append(l.diags, diags...)
	l.untold(b, m.Untold())
	if account == nil {
		l.fail(b.DefRange, "No account", "Say what accounts look like: account = { userName = lower(person.uid) }.")
		return m
	}
	if t.Spec == nil {
		return m
	}
	paths := m.Paths()
	for _, path := range paths {
		if err := t.Spec.Accepts(path); err != nil {
			l.fail(*m.Range(path), "This path cannot be mapped", fmt.Sprintf("%s: %v.", path, err))
		}
	}
	for _, path := range t.Spec.Required() {
		if !slices.Contains(paths, path) && len(paths) > 0 {
			l.fail(account.Range(), "A path is missing", fmt.Sprintf("A target of the kind %q needs %s to be mapped.", t.Kind, path))
		}
	}
	return m
}

func (l *loader) correlate(r reader, t Target) []string {
	if r.attrs["correlate"] == nil {
		if t.Spec == nil {
			return nil
		}
		return t.Spec.Correlate()
	}
	known := append([]string{"userName", "externalId"}, t.Mapping.Paths()...)
	list := r.texts("correlate")
	for _, name := range list {
		if !slices.Contains(known, name) {
			r.fail("correlate", "Unknown attribute", fmt.Sprintf("%q is neither userName, externalId nor a mapped path.%s", name, didYouMean(name, known)))
		}
	}
	return list
}

// rate reads rate = { per_second = 20, parallel = 8 }.
func (l *loader) rate(r reader) apply.Rate {
	rate := apply.DefaultRate()
	expr := r.expr("rate")
	if expr == nil {
		return rate
	}
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		r.fail("rate", "Not a rate", "Write rate = { per_second = 20, parallel = 8 }.")
		return rate
	}
	for _, kv := range pairs {
		key := hcl.ExprAsKeyword(kv.Key)
		if v, diags := kv.Key.Value(nil); key == "" && !diags.HasErrors() && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			key = v.AsString()
		}
		if key != "per_second" && key != "parallel" {
			l.fail(kv.Key.Range(), "Unsupported argument", fmt.Sprintf("rate has per_second and parallel, no %q.%s", key,
				didYouMean(key, []string{"per_second", "parallel"})))
			continue
		}
		v, ok := l.evaluate(key, kv.Value, cty.Number)
		if !ok {
			continue
		}
		n, _ := v.AsBigFloat().Float64()
		switch {
		case key == "per_second" && n > 0 && n <= 10_000:
			rate.PerSecond = n
		case key == "parallel" && n >= 1 && n <= 256 && n == float64(int(n)):
			rate.Parallel = int(n)
		default:
			l.fail(kv.Value.Range(), "Number out of range", "per_second is more than 0 and at most 10000, parallel a whole number from 1 to 256.")
		}
	}
	return rate
}

func (l *loader) leaver(b *hcl.Block, policy sweep.Policy) sweep.Policy {
	r := l.open(b, "action", "revoke", "strip", "delete_after")
	policy.Action = sweep.Action(r.choice("action", string(policy.Action),
		string(sweep.ActionDisable), string(sweep.ActionDelete), string(sweep.ActionReport)))
	policy.Revoke = r.flag("revoke", policy.Revoke)
	policy.Strip = r.flag("strip", policy.Strip)
	policy.DeleteAfter = r.duration("delete_after", 0, time.Minute)
	if policy.DeleteAfter > 0 && policy.Action != sweep.ActionDisable {
		r.fail("delete_after", "No grace to wait for", fmt.Sprintf(
			"delete_after counts from the proven disable, and action = %q disables nothing.", strings.ToLower(string(policy.Action))))
	}
	return policy
}
