package people

import (
	"slices"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// mostStays bounds what is remembered of configs of before. A person whose config is older is held when an edit is all
// that has them inactive, and when it is not.
const mostStays = 64

// stays are what makes people of a source stay at the targets that read it, after what did before.
func (r *Read) stays(n int) []state.Stay {
	var conditions []uint64
	for _, c := range r.o.Sources[n].Mapping.Conditions() {
		conditions = append(conditions, c.Print)
	}
	list := slices.Clone(r.readings[n].record.Stays)
	for _, li := range r.readers(n) {
		stay := state.Stay{ScopePrint: r.ScopePrint(r.Views[li], n), Conditions: conditions}
		list = slices.DeleteFunc(list, func(s state.Stay) bool { return s.ScopePrint == stay.ScopePrint })
		list = append(list, stay)
	}
	return list[max(0, len(list)-mostStays):]
}

// conditionsOf are what the config asked of a link's person when they last stayed.
func (r *Read) conditionsOf(n int, link state.Link) []uint64 {
	list := r.readings[n].record.Stays
	at := slices.IndexFunc(list, func(s state.Stay) bool { return s.ScopePrint == link.ScopePrint })
	if at < 0 {
		return nil
	}
	return list[at].Conditions
}

// unmet is where the config asks what a person does not meet and was asked before, too; "" where that is nowhere.
func (r *Read) unmet(n int, p identity.Person, before []uint64) string {
	list := r.o.Sources[n].Mapping.Unmet(p)
	at := slices.IndexFunc(list, func(c mapping.Condition) bool { return slices.Contains(before, c.Print) })
	if at < 0 {
		return ""
	}
	return list[at].At
}

// inactive says why somebody whom a source has found is not active, and would not be without an edit of the config; ""
// where they are, or that cannot be told.
func (r *Read) inactive(n int, p identity.Person, before []uint64) string {
	src := r.o.Sources[n].Mapping
	if src.Judged() && p.Inactive != "" {
		if active, err := src.Active(p); err == nil && !active {
			return p.Inactive
		}
	}
	if at := r.unmet(n, p, before); at != "" {
		return "they do not meet what `active` asks at " + at
	}
	return ""
}

// inactiveHeir reports whether a source knows somebody by another anchor by now, and as not active: that they are the
// same is to be had from the directory, asked by the anchor of before.
func (r *Read) inactiveHeir(id identity.PersonID, link state.Link) bool {
	for _, n := range r.readersOf(id.Directory) {
		g := r.readings[n]
		if g == nil || g.heirs[id] == (identity.PersonID{}) {
			continue
		}
		i, here := r.Roster.Find(g.heirs[id])
		if !here || r.Roster.Row(i).Active {
			return false
		}
		before := r.conditionsOf(n, link)
		if other, twice := r.asked[id]; twice { // of another target
			before = slices.DeleteFunc(slices.Clone(before), func(c uint64) bool { return !slices.Contains(other, c) })
		}
		r.asked[id] = before
	}
	return true
}
