package config

import (
	"errors"
	"io/fs"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	sourcekinds "github.com/dirsweep/dirsweep/sources/all"
	targetkinds "github.com/dirsweep/dirsweep/targets/all"
)

// LoadOffline is Load where neither secrets nor certificates have to be there, as in CI or in the shell of
// somebody who has no business with them. What could not be read is a warning; the config is good for being shown
// and checked, not for being run.
func LoadOffline(path string) (*Config, error) {
	return load(path, kinds{sourcekinds.Kinds(), targetkinds.Kinds()}, true)
}

// unread takes back the complaints about arguments whose env(), file() or credential() has no answer here, and
// warns of those instead.
func (l *loader) unread() {
	for _, file := range l.config.files {
		body, ok := file.Body.(*hclsyntax.Body)
		if !ok {
			continue
		}
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			if a, ok := n.(*hclsyntax.Attribute); ok {
				if why := l.unanswered(a.Expr); why != nil {
					l.absent = append(l.absent, a.SrcRange)
					l.forget(a.SrcRange)
					l.warn(a.SrcRange, "Not read here", a.Name+": "+why.Detail)
				}
			}
			return nil
		})
	}
}

// unanswered is what is wrong with the first call in an expression that reaches for a secret in vain; nil where
// none does.
func (l *loader) unanswered(e hclsyntax.Expression) (why *hcl.Diagnostic) {
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && fetches(call.Name) && why == nil {
			_, diags := call.Value(l.eval)
			if diags.HasErrors() && !unusable(diags) {
				why = diags.Errs()[0].(*hcl.Diagnostic)
			}
		}
		return nil
	})
	return why
}

// unusable reports whether a secret is here and is wrong, which is a mistake wherever the config is looked at.
func unusable(diags hcl.Diagnostics) bool {
	for _, d := range diags {
		if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok && errors.Is(extra.FunctionCallError(), errUnusable) {
			return true
		}
	}
	return false
}

// forget drops what was said about a range.
func (l *loader) forget(about hcl.Range) {
	var rest hcl.Diagnostics
	for _, d := range l.diags {
		if d.Subject == nil || !inside(*d.Subject, about) {
			rest = append(rest, d)
		}
	}
	l.diags = rest
}

func inside(r, outer hcl.Range) bool {
	return r.Filename == outer.Filename && r.Start.Byte >= outer.Start.Byte && r.End.Byte <= outer.End.Byte
}

// excused reports whether a block that could not be opened is excused: a part of it was not read, or names a file
// that is not there.
func (l *loader) excused(b *hcl.Block, err error) bool {
	if !l.offline {
		return false
	}
	for _, r := range l.absent {
		if body, ok := b.Body.(*hclsyntax.Body); ok && inside(r, body.SrcRange) {
			return true
		}
	}
	return errors.Is(err, fs.ErrNotExist)
}
