package people

import (
	"context"
	"fmt"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// Whereabouts says what the sources know of a person: "in scope", "elsewhere", "gone", …
func (r *Read) Whereabouts(ctx context.Context, id identity.PersonID, known state.Person) string {
	if i, ok := r.Roster.Find(id); ok {
		if r.Roster.Row(i).Active {
			return string(sources.InScope)
		}
		return "in scope, not active"
	}
	if len(r.readersOf(id.Directory)) == 0 {
		return "its source is not in the config"
	}
	if !r.completely(id.Directory) {
		return "not known: the source could not be read whole"
	}
	a, asked := r.absentOf(id)
	if !asked {
		a = r.ask(ctx, known)
	}
	switch a.Outcome {
	case judge.Unproven:
		return "not known: " + a.Why
	case judge.Missed:
		return string(sources.InScope)
	}
	return fmt.Sprintf("%s (%s)", a.Cause, a.Proof)
}

// Next is when the clock alone changes what somebody who was read is or is to have, and how; "" for never.
func (r *Read) Next(id identity.PersonID) string {
	if i, here := r.Roster.Find(id); here {
		if e, err := r.Roster.Entry(i); err == nil {
			return e.Record.Turn
		}
	}
	return ""
}

// overOf is the date that has the person of a row not active; "" for none.
func (r *Read) overOf(i int) string {
	e, err := r.Roster.Entry(i)
	if err != nil {
		return ""
	}
	return r.over(r.Roster.Source(i), e)
}

// Because says whether a person is in a target's scope, and the config line, or the source's word in where, that
// decides.
func (r *Read) Because(l *View, id identity.PersonID, where string) (inScope bool, why string) {
	i, here := r.Roster.Find(id)
	switch {
	case r.Ordered(id) != "":
		return false, "swept by an operator: " + r.Ordered(id)
	case !here:
		said, _, _ := strings.Cut(where, " (")
		return false, "the source says: " + said
	case l.Unsure.Has(i) && r.anchorEdited(r.Roster.Source(i)):
		n := r.Roster.Source(i)
		why = fmt.Sprintf("not known: %s was edited, so that %s knows everybody by another anchor: see `dirsweep holds`",
			r.o.Sources[n].line("anchor"), r.o.Sources[n].Name)
	case l.Unsure.Has(i):
		why = "not known: an expression failed, see the findings"
	case !r.Roster.Row(i).Active:
		why = "the person is not active"
		if over := r.overOf(i); over != "" {
			why += ": " + over
		} else if at := r.o.Sources[r.Roster.Source(i)].Mapping.ActiveAt(); at != "" {
			why += ", by active at " + at
		}
	case l.Mapping.ScopeAt() == "":
		why = "the target has no scope, so everyone active is in scope"
	default:
		why = "scope at " + l.Mapping.ScopeAt()
	}
	return l.Scope.Has(i), why
}
