package config

import (
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// An Outline is what is known of a config without its secrets, its certificates and everything else that may not
// be there or may be wrong: where the state is, and what the sources and targets are called. Commands that only
// read the state need no more.
type Outline struct {
	Path    string // as it was given
	State   string // the state file, absolute; "" where that cannot be told
	Sources []Named
	Targets []Named
}

// A Named is the head of a source or target block.
type Named struct {
	Name, Kind string
	Mode       string // of a target: "enforce" or "observe"
}

// Outline is what ReadOutline would say of the config.
func (c *Config) Outline() Outline {
	o := Outline{Path: c.Path, State: c.State.Path}
	for _, s := range c.Sources {
		o.Sources = append(o.Sources, Named{Name: s.Name, Kind: s.Kind})
	}
	for _, t := range c.Targets {
		o.Targets = append(o.Targets, Named{Name: t.Name, Kind: t.Kind, Mode: t.Mode})
	}
	return o
}

// ReadOutline reads what it can of the file or folder at path. Its error says that there is nothing to read;
// mistakes in the text are not its business.
func ReadOutline(path string) (Outline, error) {
	texts, dir, err := read(path)
	if err != nil {
		return Outline{}, pathError(path, err)
	}
	o := Outline{Path: path}
	context := &hcl.EvalContext{Functions: functions(dir)}
	parser := hclparse.NewParser()
	torn, named := false, false
	joined := map[string]bool{} // sources that are part of a join
	for _, t := range texts {
		file, diags := t.parse(parser)
		torn = torn || diags.HasErrors()
		if file == nil {
			continue
		}
		content, _, _ := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
			{Type: "state"},
			{Type: "source", LabelNames: []string{"kind", "name"}},
			{Type: "target", LabelNames: []string{"kind", "name"}},
			{Type: "join", LabelNames: []string{"name"}},
		}})
		for _, b := range content.Blocks {
			attributes, _ := b.Body.JustAttributes()
			switch b.Type {
			case "source":
				o.Sources = append(o.Sources, Named{Name: b.Labels[1], Kind: b.Labels[0]})
			case "join":
				o.Sources = append(o.Sources, Named{Name: b.Labels[0], Kind: joinKind})
				inner, _, _ := b.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "source", LabelNames: []string{"name"}}}})
				for _, m := range inner.Blocks {
					joined[m.Labels[0]] = true
				}
			case "target":
				mode, _ := plainText(attributes["mode"], context, "enforce")
				o.Targets = append(o.Targets, Named{Name: b.Labels[1], Kind: b.Labels[0], Mode: mode})
			case "state":
				if named = attributes["path"] != nil; named {
					o.State, _ = plainText(attributes["path"], context, "")
				}
			}
		}
	}
	o.Sources = slices.DeleteFunc(o.Sources, func(s Named) bool { return joined[s.Name] && s.Kind != joinKind })
	switch {
	case o.State != "" && !filepath.IsAbs(o.State):
		o.State = filepath.Join(dir, o.State)
	case o.State == "" && !named && !torn: // where a part cannot be read, it may be the part that says where
		o.State = defaultState()
	}
	return o, nil
}

// plainText evaluates an argument that needs nothing but itself.
func plainText(a *hcl.Attribute, context *hcl.EvalContext, preset string) (text string, ok bool) {
	if a == nil {
		return preset, true
	}
	v, diags := a.Expr.Value(context)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() {
		return "", false
	}
	v, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", false
	}
	return v.AsString(), true
}
