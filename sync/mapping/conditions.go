package mapping

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Condition is one of the parts that an `active` expression joins by &&, or a date. Whoever does not meet one of them
// is not active, whatever becomes of the others.
type Condition struct {
	At    string // "config.hcl:10"
	Print uint64 // fingerprint of its text
	*expression
	met func(p identity.Person, at time.Time) (bool, error)
}

// Names returns the attributes that the condition names, in the source's spelling, sorted.
func (c Condition) Names() []string { return namesOf(c.expression) }

// Conditions are those of the `active` expression and of the dates that rest on a person's own attributes alone: neither on groups nor
// on the kind's own judgement.
func (s *Source) Conditions() []Condition { return s.conditions }

// Unmet are the conditions that somebody does not meet at an instant.
func (s *Source) Unmet(p identity.Person, at time.Time) (list []Condition) {
	for _, c := range s.conditions {
		if met, err := c.met(p, at); err == nil && !met {
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
	met := func(p identity.Person, at time.Time) (bool, error) { return e.flag(u.frameAt(&p, nil, at)) }
	return []Condition{{At: e.at, Print: e.print, expression: e, met: met}}
}

// dateConditions are the conditions of dates that are set.
func dateConditions(leave, enter *date) (list []Condition) {
	add := func(d *date, holds func(at, date time.Time) bool) {
		if d == nil || d.groups || d.judged || d.expression.print == 0 {
			return
		}
		met := func(p identity.Person, at time.Time) (bool, error) {
			date, err := d.instant(d.unit.frame(&p, nil))
			return date.IsZero() || holds(at, date), err
		}
		list = append(list, Condition{At: d.at, Print: d.print(), expression: d.expression, met: met})
	}
	add(leave, func(at, date time.Time) bool { return at.Before(date) })
	add(enter, func(at, date time.Time) bool { return !at.Before(date) })
	return list
}
