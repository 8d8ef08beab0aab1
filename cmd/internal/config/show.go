package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dirsweep/dirsweep/sync/guard"
)

// Show prints the config as it is understood: defaults filled in, expressions as they are written, secrets as
// (secret).
func (c *Config) Show() string {
	p := &printer{}
	p.block("state", func() { p.set("path", strconv.Quote(c.State.Path)) })
	p.block("schedule", func() {
		p.set("full", strconv.Quote(c.Schedule.Full))
		p.set("delta", strconv.Quote(c.Schedule.Delta))
	})
	p.guard(c.Guard)
	p.block("audit", func() { p.set("keep", strconv.Quote(span(c.Audit.Keep))) })
	if c.Console.Listen != "" {
		p.block("console", func() { p.set("listen", strconv.Quote(c.Console.Listen)) })
	}
	for _, s := range c.Sources {
		if joined, ok := s.Spec.(*joinSpec); ok {
			for _, m := range joined.members {
				p.block(fmt.Sprintf("source %q %q", m.Kind, m.Name), func() { p.body(c.find("source", m.Kind, m.Name), c.files, nil) })
			}
			p.block(fmt.Sprintf("join %q", s.Name), func() {
				p.body(c.find("join", s.Name), c.files, nil)
				p.set("# reads", list(s.Need.Attributes))
			})
			continue
		}
		p.block(fmt.Sprintf("source %q %q", s.Kind, s.Name), func() {
			p.body(c.find("source", s.Kind, s.Name), c.files, nil)
			p.set("# reads", list(s.Need.Attributes))
		})
	}
	for _, t := range c.Targets {
		p.block(fmt.Sprintf("target %q %q", t.Kind, t.Name), func() { p.target(c, t) })
	}
	return p.b.String()
}

func (p *printer) target(c *Config, t Target) {
	shown := []string{"mode", "sources", "correlate", "on_orphan", "on_drift", "rate", "leaver", "guard"}
	p.body(c.find("target", t.Kind, t.Name), c.files, shown)
	p.set("mode", strconv.Quote(t.Mode))
	p.set("sources", list(t.Sources))
	p.set("correlate", list(t.Correlate))
	p.set("on_orphan", strconv.Quote(t.OnOrphan))
	p.set("on_drift", strconv.Quote(t.OnDrift))
	p.set("rate", fmt.Sprintf("{ per_second = %s, parallel = %d }", number(t.Rate.PerSecond), t.Rate.Parallel))
	p.block("leaver", func() {
		p.set("action", strconv.Quote(string(t.Leaver.Action)))
		p.set("revoke", strconv.FormatBool(t.Leaver.Revoke))
		p.set("strip", strconv.FormatBool(t.Leaver.Strip))
		if t.Leaver.DeleteAfter > 0 {
			p.set("delete_after", strconv.Quote(span(t.Leaver.DeleteAfter)))
		}
	})
	p.guard(t.Guard)
}

// find returns the body of a source, join or target block.
func (c *Config) find(block string, labels ...string) *hclsyntax.Body {
	for _, f := range c.files {
		body, ok := f.Body.(*hclsyntax.Body)
		if !ok {
			continue
		}
		for _, b := range body.Blocks {
			if b.Type == block && slices.Equal(b.Labels, labels) {
				return b.Body
			}
		}
	}
	return &hclsyntax.Body{}
}

// printer writes HCL.
type printer struct {
	b     strings.Builder
	depth int
}

func (p *printer) block(header string, inner func()) {
	p.line(header + " {")
	p.depth++
	inner()
	p.depth--
	p.line("}")
}

func (p *printer) set(name, value string) { p.line(name + " = " + value) }

func (p *printer) line(s string) { p.b.WriteString(strings.Repeat("  ", p.depth) + s + "\n") }

func (p *printer) guard(g guard.Limits) {
	p.block("guard", func() {
		p.set("max_sweep_percent", number(g.MaxSweepPercent))
		p.set("max_sweep_count", strconv.Itoa(g.MaxSweepCount))
		p.set("window", strconv.Quote(span(g.Window)))
		p.set("max_shrink_percent", number(g.MaxShrinkPercent))
		p.set("max_change_percent", number(g.MaxChangePercent))
		p.set("max_delete_count", strconv.Itoa(g.MaxDeleteCount))
		p.set("protect", list(g.Protect))
	})
}

// body prints a block's arguments and blocks as they are written, but for those that are printed with their defaults.
func (p *printer) body(body *hclsyntax.Body, files map[string]*hcl.File, without []string) {
	attrs := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		if !slices.Contains(without, a.Name) {
			attrs = append(attrs, a)
		}
	}
	slices.SortFunc(attrs, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	for _, a := range attrs {
		if secretName(a.Name) {
			p.set(a.Name, "(secret)")
			continue
		}
		file := files[a.SrcRange.Filename]
		at := a.Expr.Range()
		if file == nil || !at.CanSliceBytes(file.Bytes) {
			continue
		}
		p.set(a.Name, maskAddresses(string(at.SliceBytes(mask(file)))))
	}
	for _, b := range body.Blocks {
		if slices.Contains(without, b.Type) {
			continue
		}
		header := b.Type
		for _, label := range b.Labels {
			header += " " + strconv.Quote(label)
		}
		p.block(header, func() { p.body(b.Body, files, nil) })
	}
}

func list(items []string) string { return "[" + quoted(items) + "]" }

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
