package mapping

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Condition is one of the parts that an `active` expression joins by &&. Whoever does not meet one of them is not
// active, whatever becomes of the others.
type Condition struct {
	At    string // "config.hcl:10"
	Print uint64 // fingerprint of its text
	*expression
}

// Names returns the attributes that the condition names, in the source's spelling, sorted.
func (c Condition) Names() []string { return namesOf(c.expression) }

// Conditions are those of the `active` expression that rest on a person's own attributes alone: neither on groups nor
// on the kind's own judgement.
func (s *Source) Conditions() []Condition { return s.conditions }

// Unmet are the conditions that somebody does not meet.
func (s *Source) Unmet(p identity.Person) (list []Condition) {
	f := s.unit.frame(&p, nil)
	for _, c := range s.conditions {
		if met, err := c.flag(f); err == nil && !met {
			list = append(list, c)
		}
	}
	return list
}

// conditions compiles the parts of an expression that is fit for use.
func (u *unit) conditions(expr hcl.Expression) (list []Condition) {
	switch node := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return u.conditions(node.Expression)
	case *hclsyntax.BinaryOpExpr:
		if node.Op == hclsyntax.OpLogicalAnd {
			return append(u.conditions(node.LHS), u.conditions(node.RHS)...)
		}
	}
	var diags hcl.Diagnostics // what there is to be said was said of the whole
	e := u.compile("active", expr, wantFlag, &diags)
	if diags.HasErrors() || e.groups || e.judged || e.print == 0 {
		return nil
	}
	return []Condition{{At: e.at, Print: e.print, expression: e}}
}
