package reconcile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// anomalyHold is the kind of hold that keeps people as they are because of an anomaly; its Container is what looks odd.
const anomalyHold = "anomaly"

// A suspicion is an anomaly of a source and whom it keeps as they are.
type suspicion struct {
	what, detail, remedy string
	anomaly              judge.Anomaly
	strength             identity.Strength
	people               int    // who are kept as they are or held
	print                uint64 // of who they are
	held                 map[*lane][]leaver
	counted              map[identity.PersonID]bool // of an emptied container, whose people are found at one target after the other
}

func suspect(a judge.Anomaly) *suspicion {
	return &suspicion{
		what: a.What(), detail: a.Detail, remedy: a.Remedy, anomaly: a, strength: a.Strength, held: map[*lane][]leaver{},
	}
}

// add counts one whom it binds.
func (s *suspicion) add(id identity.PersonID) {
	k := roster.KeyOf(id)
	s.people++
	s.print ^= binary.LittleEndian.Uint64(k[:])
}

// suspects takes out of a target's leavers those who leave by an anomaly: they are held, however few they are. What an earlier pass let go
// goes on, and whoever left by a stronger proof does not leave by this.
func (r *run) suspects(l *lane, leavers []leaver) (rest []leaver) {
	for _, out := range leavers {
		s := r.suspicionOf(l, out)
		if s == nil || out.owed || out.strength > s.strength {
			rest = append(rest, out)
			continue
		}
		s.held[l] = append(s.held[l], out)
	}
	return rest
}

func (r *run) suspicionOf(l *lane, out leaver) *suspicion {
	if i, here := r.roster.Find(out.Person); here {
		return l.bound[i]
	}
	a, asked := r.gone[out.Person]
	if !asked || a.Outcome != judge.Left || !a.Emptied {
		return nil
	}
	n := r.readersOf(out.Person.Directory)[0]
	g := r.readings[n]
	what := "container " + out.Container
	if g.approved[what] {
		return nil
	}
	at := slices.IndexFunc(g.suspicions, func(s *suspicion) bool { return strings.EqualFold(s.what, what) })
	if at < 0 {
		at = len(g.suspicions)
		g.suspicions = append(g.suspicions, &suspicion{
			what: what, detail: "nobody is seen in it any more, and those who were there are gone", strength: identity.ByAbsence,
			remedy: "check that the source may read what is in it", held: map[*lane][]leaver{}, counted: map[identity.PersonID]bool{},
		})
	}
	s := g.suspicions[at]
	if !s.counted[out.Person] {
		s.counted[out.Person] = true
		s.add(out.Person)
	}
	return s
}

// holdAnomalies tells of what looks odd, and holds whoever leaves by it until an operator takes it as it is, or it is over.
func (r *run) holdAnomalies(ctx context.Context) error {
	stands := map[string]bool{}
	var fresh []state.Hold
	for n, g := range r.readings {
		if g == nil || !g.complete {
			continue
		}
		for _, s := range g.suspicions {
			if s.people == 0 {
				continue
			}
			h, old, err := r.anomalyHold(ctx, n, s)
			if err != nil {
				return err
			}
			stands[h.Digest] = true
			if !old {
				fresh = append(fresh, h)
			}
			r.report.Held = append(r.report.Held, h)
			r.find(identity.Finding{
				Kind: "anomaly", Subject: h.Source + ": " + s.what, Source: h.Source,
				Detail: h.Reason + "; `dirsweep approve " + h.Digest + "` takes it as it is now",
			})
			if err := r.oweHeld(ctx, s); err != nil {
				return err
			}
		}
	}
	if !r.write {
		return nil
	}
	// What was approved has been taken as it is, and what nobody lacks any more is over.
	if err := r.o.Ledger.Update(ctx, func(w *state.Writer) error {
		return dropHoldsWhere(w, func(h state.Hold) bool {
			n := slices.IndexFunc(r.o.Sources, func(s Source) bool { return s.Name == h.Source })
			return h.Kind == anomalyHold && !stands[h.Digest] && (n < 0 || r.whole[n])
		})
	}); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return r.tellHolds(ctx, fresh)
}

func (r *run) anomalyHold(ctx context.Context, n int, s *suspicion) (h state.Hold, old bool, err error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "anomaly\x00%s\x00%s\x00%d", r.o.Sources[n].Name, s.what, s.print))
	h = state.Hold{
		Digest: hex.EncodeToString(sum[:8]), Kind: anomalyHold, Source: r.o.Sources[n].Name, Container: s.what, Since: r.now,
		Reason: fmt.Sprintf("%s: %s; %d people stay as they are: %s", s.what, s.detail, s.people, s.remedy),
	}
	for l, list := range s.held {
		if l.Observe {
			continue
		}
		for _, out := range list {
			h.People = append(h.People, state.HeldPerson{Person: out.Person, Name: out.Name, Account: out.Account, UserName: out.UserName})
		}
	}
	slices.SortFunc(h.People, func(a, b state.HeldPerson) int {
		return cmp.Or(cmp.Compare(a.Person.String(), b.Person.String()), cmp.Compare(a.Account, b.Account))
	})
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		known, ok, err := v.Hold(h.Digest)
		if old = ok; ok {
			h.Since, h.Approved, h.Rejected = known.Since, known.Approved, known.Rejected
		}
		return err
	})
	if err != nil {
		return h, old, fmt.Errorf("read the state: %w", err)
	}
	return h, old, nil
}

// oweHeld notes on the cases of those who are held that they are.
func (r *run) oweHeld(ctx context.Context, s *suspicion) error {
	for l, list := range s.held {
		if !r.write || l.Observe {
			continue
		}
		for batch := range slices.Chunk(list, chunk) {
			err := r.o.Ledger.Update(ctx, func(w *state.Writer) error { return r.owe(w, l, batch, state.StepHeld) })
			if err != nil {
				return fmt.Errorf("write the state: %w", err)
			}
		}
	}
	return nil
}
