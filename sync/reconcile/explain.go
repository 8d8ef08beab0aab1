package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// Explain says, target by target, how things stand for one person: what the source says, whether they are in scope and by which line, which
// account is theirs and why, and what a pass would do. It writes nothing.
func (e *Engine) Explain(ctx context.Context, who string) ([]Explanation, error) {
	r, err := e.begin(Pass{Mode: Delta, Person: who}, false)
	if err != nil {
		return nil, err
	}
	defer r.spool.Close()
	if err := r.judge(ctx); err != nil {
		return nil, err
	}
	r.serveTargets(ctx)
	id := r.matches[0]
	history, err := e.history(ctx, id)
	if err != nil {
		return nil, err
	}
	base := Explanation{Person: id, Name: id.Anchor}
	remembered := state.Person{ID: id}
	err = e.o.Ledger.View(ctx, func(v *state.Reader) error {
		p, known, err := v.Person(id)
		if known {
			remembered, base.Name = p, cmp.Or(p.Name, base.Name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	base.Where = r.whereabouts(ctx, id, remembered)
	if i, ok := r.roster.Find(id); ok {
		entry, err := r.roster.Entry(i)
		if err != nil {
			return nil, err
		}
		base.Name, base.DN = entry.Person.Name, entry.Person.DN
	}
	var out []Explanation
	for _, l := range r.lanes {
		x := base
		x.Target = l.Name
		for _, rec := range history {
			if rec.Target == l.Name {
				x.History = append(x.History, rec)
			}
		}
		if err := r.explain(ctx, l, id, &x); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// whereabouts says what the sources know of a person.
func (r *run) whereabouts(ctx context.Context, id identity.PersonID, known state.Person) string {
	if i, ok := r.roster.Find(id); ok {
		if r.roster.Row(i).Active {
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
	a, asked := r.gone[id]
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

// explain fills in one target's part.
func (r *run) explain(ctx context.Context, l *lane, id identity.PersonID, x *Explanation) error {
	var link state.Link
	var linked bool
	err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		link, linked, err = v.Link(l.Name, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	i, here := r.roster.Find(id)
	x.InScope = here && l.scope.Has(i)
	switch {
	case r.closure[id] != "":
		x.InScope, x.Because = false, "swept by an operator: "+r.closure[id]
	case !here:
		said, _, _ := strings.Cut(x.Where, " (")
		x.Because = "the source says: " + said
	case l.unsure.Has(i):
		x.Because = "not known: an expression failed, see the findings"
	case !r.roster.Row(i).Active:
		x.Because = "the person is not active"
	case l.Mapping.ScopeAt() == "":
		x.Because = "the target has no scope, so everyone active is in scope"
	default:
		x.Because = "scope at " + l.Mapping.ScopeAt()
	}
	for _, c := range l.changes {
		if c.Person == id {
			x.Changes = append(x.Changes, c)
		}
	}
	for _, h := range r.report.Held {
		if slices.ContainsFunc(h.Members, func(m identity.Member) bool { return m.Person == id && m.Target == l.Name }) {
			x.Held = h.Digest + ": " + h.Reason
		}
	}
	switch {
	case linked:
		x.Situation, x.Account, x.UserName = identity.Linked, link.Account, link.UserName
		x.Why = "linked since dirsweep adopted it"
		if link.Created {
			x.Why = "linked since dirsweep created it"
		}
		if link.State != identity.LinkActive {
			x.Why += ", now " + link.State.String()
		}
	case len(x.Changes) > 0 && x.Changes[0].Account != "":
		x.Situation, x.Account, x.UserName = identity.Unlinked, x.Changes[0].Account, x.Changes[0].UserName
		x.Why = "the only account that fits by " + fmt.Sprint(l.Correlate)
	}
	for _, f := range r.findings {
		// A dispute over one account is about everybody whom it fits; it names them.
		if f.Target == l.Name && (f.Person == id || f.Kind == "disputed" && strings.Contains(f.Detail, id.String())) {
			x.Why = f.Detail
			if f.Kind == "disputed" {
				x.Situation = identity.Disputed
			}
		}
	}
	if l.err != nil {
		x.Why = "the target could not be read: " + l.err.Error()
	}
	return nil
}

func (e *Engine) history(ctx context.Context, id identity.PersonID) (out []audit.Record, err error) {
	if e.o.Trail == nil {
		return nil, nil
	}
	for rec, err := range e.o.Trail.Person(id) {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		out = append(out, rec)
	}
	return out, nil
}

// Evidence returns a leaver's file: of an open case as it stands, else the last one that was written about them, also when they have returned
// since.
func (e *Engine) Evidence(ctx context.Context, who string) ([]byte, error) {
	if e.o.Evidence == nil {
		return nil, errors.New("there is no evidence yet: nobody was ever closed here")
	}
	id, unknown := e.leaverNamed(ctx, who)
	var c state.Case
	err := e.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		c, _, err = v.Case(id)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the state: %w", err)
	case !c.Opened.IsZero() && c.Closed.IsZero():
		return e.o.Evidence.Draft(ctx, c, e.o.Now())
	case !c.Opened.IsZero():
		path, err := e.o.Evidence.Write(ctx, c) // where a crash kept it from being written
		if err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	}
	raw, err := e.o.Evidence.Latest(ctx, id, who)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return raw, err
	case unknown != nil:
		return nil, unknown
	}
	return nil, fmt.Errorf("%q has not left, so there is no evidence; `dirsweep explain` tells how they stand", who)
}

// ended writes the evidence of a case that was closed.
func (e *Engine) ended(ctx context.Context, c state.Case) {
	if e.o.Evidence == nil {
		return
	}
	if _, err := e.o.Evidence.Write(ctx, c); err != nil {
		e.o.Log.Error("the evidence was not written; it is, at the next start", "person", c.Name, "error", err)
	}
}

// leaverNamed looks a person up among the cases first: a leaver's login may be somebody else's by now.
func (e *Engine) leaverNamed(ctx context.Context, who string) (id identity.PersonID, err error) {
	left := candidates{who: who}
	err = e.o.Ledger.View(ctx, func(v *state.Reader) error {
		for c, err := range v.Cases() {
			if err != nil {
				return err
			}
			names := []string{c.Name}
			for _, s := range c.Steps {
				names = append(names, s.UserName)
			}
			left.consider(identity.FitsOf(who, c.Person, c.DN, names...), c.Person, c.DN)
		}
		return nil
	})
	if err != nil {
		return id, fmt.Errorf("read the state: %w", err)
	}
	if id, err = left.one(); !errors.Is(err, ErrNobody) {
		return id, err
	}
	return e.remembered(ctx, who)
}
