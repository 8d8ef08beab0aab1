package people

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// A suspicion is an anomaly of a source and whom it keeps as they are.
type suspicion struct {
	what, detail, remedy string
	anomaly              judge.Anomaly
	strength             identity.Strength
	people               int                        // who are kept as they are or held
	leavers              map[identity.PersonID]bool // who leave by it
}

// suspect makes a suspicion of an anomaly of a source, and says which lines of the config rest on what was lost.
func (r *Read) suspect(n int, a judge.Anomaly) *suspicion {
	s := &suspicion{
		what: a.What(), detail: a.Detail, remedy: a.Remedy, anomaly: a, strength: a.Strength, leavers: map[identity.PersonID]bool{},
	}
	if rest := r.restingOn(n, a); len(rest) > 0 {
		s.detail += "; on it rest " + strings.Join(rest, ", ")
	}
	return s
}

// restingOn are the lines of the config that ask for what was lost: "scope at config.hcl:18".
func (r *Read) restingOn(n int, a judge.Anomaly) (list []string) {
	src := r.o.Sources[n].Mapping
	switch a.Trait {
	case judge.Attribute:
		list = src.AttributeAt(a.Name)
	case judge.Group:
		list = src.GroupAt(a.Name)
	case judge.Mark:
		if at := src.ActiveAt(); at != "" {
			list = []string{"active at " + at}
		}
	}
	for _, li := range r.readers(n) {
		switch m := r.Views[li].Mapping; a.Trait {
		case judge.Attribute:
			list = append(list, m.AttributeAt(a.Name)...)
		case judge.Group:
			list = append(list, m.GroupAt(a.Name)...)
		}
	}
	if more := len(list) - mostLines; more > 0 {
		list = append(list[:mostLines], fmt.Sprintf("%d more", more))
	}
	return list
}

// approval says what it is to approve a hold over an anomaly.
func approval(h identity.Hold) string {
	text := "`dirsweep approve " + h.Digest + "` takes it as it is now"
	switch n := len(h.Members); n {
	case 0:
		return text
	case 1:
		return text + ", and closes 1 account"
	default:
		return text + fmt.Sprintf(", and closes %d accounts", n)
	}
}

// mostLines is how many lines of the config a message names.
const mostLines = 5

func (s *suspicion) reason() string {
	return fmt.Sprintf("%s; %d people stay as they are", s.detail, s.people)
}

// Suspect finds out who of the leavers leaves by an anomaly: the guard holds them, however few they are.
func (r *Read) Suspect(leavers []Leaver) (list []guard.Anomaly) {
	for _, out := range leavers {
		if s := r.suspicionOf(r.View(out.Target), out); s != nil {
			s.leavers[out.Person] = true
		}
	}
	for n, g := range r.readings {
		if g == nil {
			continue
		}
		for _, s := range g.suspicions {
			a := guard.Anomaly{What: s.what, Detail: s.reason(), Directory: r.o.Sources[n].Name, Remedy: s.remedy, Strength: s.strength}
			for id := range s.leavers {
				a.People = append(a.People, id)
			}
			list = append(list, a)
		}
	}
	return list
}

func (r *Read) suspicionOf(l *View, out Leaver) *suspicion {
	if i, here := r.Roster.Find(out.Person); here {
		return l.bound[i]
	}
	a, asked := r.absentOf(out.Person)
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
			remedy: "check that the source may read what is in it", leavers: map[identity.PersonID]bool{},
		})
	}
	s := g.suspicions[at]
	if !s.leavers[out.Person] {
		s.people++
	}
	return s
}

// HoldAnomalies tells of what looks odd. Where nobody leaves by it, so that the guard has nobody to hold, there is a
// hold all the same: by approving it an operator says that it is to be taken as it is.
func (r *Read) HoldAnomalies(ctx context.Context) error {
	odd := map[string]bool{}
	for n, g := range r.readings {
		if g == nil || !g.complete && !r.half[n] {
			continue
		}
		name := r.o.Sources[n].Name
		for _, s := range g.suspicions {
			if s.people == 0 {
				continue
			}
			odd[name+"\x00"+s.what] = true
			h, known := r.o.Keeper.Over(name, s.what)
			if !known {
				var err error
				if h, _, err = r.o.Keeper.Hold(ctx, identity.Hold{
					Kind: identity.HoldAnomaly, Directory: name, Anomaly: s.what, Count: s.people,
					Reason: fmt.Sprintf("%s: %s; %s", s.what, s.reason(), s.remedy),
				}); err != nil {
					return err
				}
			}
			r.o.Find(identity.Finding{
				Kind: "anomaly", Subject: name + ": " + s.what, Source: name,
				Detail: strings.TrimPrefix(h.Reason, s.what+": ") + "; " + approval(h),
			})
		}
	}
	// What has been taken as it is, or is over, of sources that were read, is forgotten. Those who still wait in a
	// hold stay.
	return r.o.Keeper.Drop(ctx, func(h identity.Hold) bool {
		n := slices.IndexFunc(r.o.Sources, func(s Source) bool { return s.Name == h.Directory })
		return h.Kind == identity.HoldAnomaly && len(h.Members) == 0 && !odd[h.Directory+"\x00"+h.Anomaly] && (n < 0 || r.whole[n])
	})
}
