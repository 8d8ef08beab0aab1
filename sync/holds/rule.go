package holds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// Ruled is what an operator's word on a hold came to.
type Ruled struct {
	Hold     identity.Hold     // as it was, with the ruling
	Released []identity.Member // closed as soon as their targets answer, or at the next pass where only that shows them
	Kept     []identity.Member // not closed until they have returned and left again
	Staying  []identity.Member // no longer leaving, so that nothing was to be decided about them
}

// Rule writes an operator's ruling down on one hold, exactly as its digest names it: first on the hold, where it counts
// for every member, and then on the steps of those of its members who still leave. Approved ones are released, once.
// Rejected ones are kept as they are until they have returned and left again, or leave by a stronger proof; so is, of
// an approved hold, who is named by except, by login, name, DN or anchor.
func Rule(
	ctx context.Context, ledger *state.Ledger, trail *audit.Trail, digest string, ruling identity.Ruling, except ...string,
) (out Ruled, err error) {
	err = ledger.Update(ctx, func(w *state.Writer) error {
		h, ok, err := w.Hold(digest)
		switch {
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf("there is no hold %q; `dirsweep holds` lists them", digest)
		}
		if err := excepted(w, &h, ruling, except); err != nil {
			return err
		}
		h.Ruling = ruling
		out = Ruled{Hold: h}
		return w.PutHold(h)
	})
	if err != nil {
		return out, err
	}
	for batch := range slices.Chunk(out.Hold.Members, batchSize) {
		var part Ruled
		err := ledger.Update(ctx, func(w *state.Writer) error {
			part = Ruled{}
			for _, m := range batch {
				if err := part.carryOut(w, out.Hold, m, ruling.At); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return out, fmt.Errorf("write the state: %w", err)
		}
		out.Released, out.Kept, out.Staying = append(out.Released, part.Released...), append(out.Kept, part.Kept...), append(out.Staying, part.Staying...)
	}
	return out, tellRuling(ctx, ledger, trail, out)
}

// excepted gives each member that has a ruling of its own, or is to have one, that ruling.
func excepted(w *state.Writer, h *identity.Hold, ruling identity.Ruling, except []string) error {
	rest := slices.Clone(except)
	for i, m := range h.Members {
		p, _, err := w.Person(m.Person)
		if err != nil {
			return err
		}
		names := func(who string) bool {
			return identity.FitsOf(who, m.Person, p.DN, m.Name, m.UserName) != identity.NoFit
		}
		own := ruling
		if slices.ContainsFunc(except, names) {
			own.What = identity.Rejected
			rest = slices.DeleteFunc(rest, names)
		} else if m.Ruling.What == "" {
			continue
		}
		h.Members[i].Ruling = own
		if err := w.PutMembers(h.Digest, h.Members[i]); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%q is not in hold %s; `dirsweep holds %s` lists who is", rest[0], h.Digest, h.Digest)
	}
	return nil
}

// carryOut does to one member's step what was ruled.
func (r *Ruled) carryOut(w *state.Writer, h identity.Hold, m identity.Member, now time.Time) error {
	ruling := h.RulingOf(m)
	if h.Kind == identity.HoldDelete && ruling.What == identity.Approved {
		r.Released = append(r.Released, m)
		return sweep.Note(w, m.Person, m.Target, m.Account, func(s *state.Step) {
			if !s.Delete.IsZero() {
				s.Delete = now
			}
		}, now)
	}
	if h.Kind != identity.HoldCohort && h.Kind != identity.HoldAnomaly || m.Person.IsZero() {
		return nil // what has no step is carried out by the pass that finds it
	}
	kase, _, err := w.Case(m.Person)
	if err != nil {
		return err
	}
	step := sweep.StepOf(kase, m.Target, m.Account)
	waits := step != nil && (step.Status == state.StepHeld || step.Status == state.StepKept)
	switch {
	case !waits:
		r.Staying = append(r.Staying, m)
		return w.DeleteMember(h.Digest, m)
	case ruling.What == identity.Rejected:
		r.Kept = append(r.Kept, m)
		return sweep.Note(w, m.Person, m.Target, m.Account, func(s *state.Step) {
			s.Status, s.At = state.StepKept, now
			s.Error = kept(h.Digest, ruling)
		}, now)
	}
	r.Released = append(r.Released, m)
	if err := sweep.Note(w, m.Person, m.Target, m.Account, func(s *state.Step) {
		s.Status, s.At, s.Next, s.Attempts, s.Error = state.StepOpen, now, time.Time{}, 0, ""
	}, now); err != nil {
		return err
	}
	return w.DeleteMember(h.Digest, m)
}

// Overrule takes somebody out of what waits for an operator: one has ordered their accounts closed, and what they have
// left or come back by is judged afresh once that is released.
func Overrule(w *state.Writer, person identity.PersonID) error {
	all, err := state.Collect(w.Holds())
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Kind != identity.HoldCohort && h.Kind != identity.HoldAnomaly && h.Kind != identity.HoldEnable {
			continue
		}
		for _, m := range h.Members {
			if m.Person != person {
				continue
			}
			if err := w.DeleteMember(h.Digest, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// kept says why an account that an operator keeps is not closed.
func kept(digest string, ruling identity.Ruling) string {
	return fmt.Sprintf("kept by %s, who rejected %s on %s", ruling.By, digest, ruling.At.UTC().Format(time.RFC3339))
}

// tellRuling tells the audit trail who ruled, and about whom.
func tellRuling(ctx context.Context, ledger *state.Ledger, trail *audit.Trail, out Ruled) error {
	h := out.Hold
	kind := audit.Approve
	if h.Ruling.What == identity.Rejected {
		kind = audit.Reject
	}
	note := h.Digest + ": " + h.Reason
	for _, part := range []struct {
		what    string
		members []identity.Member
	}{{"released", out.Released}, {"kept", out.Kept}, {"no longer leaving", out.Staying}} {
		if len(part.members) > 0 {
			note += fmt.Sprintf("; %d %s: %s", len(part.members), part.what, userNames(part.members))
		}
	}
	return apply.Told(ctx, ledger, trail, audit.Record{
		At: h.Ruling.At, Kind: kind, Target: h.Target, Cause: string(h.Cause), Actor: h.Ruling.By, Note: note,
	})
}

// mostNamed bounds how many accounts a record of the trail names (R18).
const mostNamed = 100

func userNames(members []identity.Member) string {
	names := make([]string, 0, mostNamed)
	for _, m := range members[:min(len(members), mostNamed)] {
		names = append(names, m.Target+" "+m.UserName)
	}
	slices.Sort(names)
	text := strings.Join(names, ", ")
	if more := len(members) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
