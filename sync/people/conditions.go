package people

import (
	"maps"
	"slices"
	"strings"

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
		stay := state.Stay{
			ScopePrint: r.ScopePrint(r.Views[li], n), Conditions: conditions, Settings: r.settings(r.Views[li], n),
		}
		list = slices.DeleteFunc(list, func(s state.Stay) bool { return s.ScopePrint == stay.ScopePrint })
		list = append(list, stay)
	}
	return list[max(0, len(list)-mostStays):]
}

// settings are fingerprints of all that makes people of a source stay at a target, by what the config calls it.
func (r *Read) settings(l *View, n int) map[string]uint64 {
	_, settings := r.o.Sources[n].selection()
	all := map[string]uint64{"scope": l.Mapping.ScopePrint()}
	maps.Copy(all, r.o.Sources[n].Mapping.Settings())
	maps.Copy(all, settings)
	return all
}

// edits says where the config was edited since a link's person last stayed, of that by which they did: "filter at
// config.hcl:17"; "" where that is not known.
func (r *Read) edits(l *View, link state.Link, sources []int) string {
	var list []string
	for _, n := range sources {
		before, known := r.stayOf(n, link)
		if !known {
			continue
		}
		now := r.settings(l, n)
		for _, name := range sortedKeys(now) {
			switch {
			case before.Settings[name] == now[name]:
			case name == "scope" && l.Mapping.ScopeAt() != "":
				list = append(list, "scope at "+l.Mapping.ScopeAt())
			case name == "scope":
				list = append(list, "scope of "+l.Name)
			default:
				list = append(list, r.o.Sources[n].line(name))
			}
		}
	}
	return strings.Join(list, ", ")
}

// stayOf is what the config asked of a link's person when they last stayed.
func (r *Read) stayOf(n int, link state.Link) (stay state.Stay, known bool) {
	if r.readings[n] == nil {
		return stay, false
	}
	list := r.readings[n].record.Stays
	at := slices.IndexFunc(list, func(s state.Stay) bool { return s.ScopePrint == link.ScopePrint })
	if at < 0 {
		return stay, false
	}
	return list[at], true
}

// conditionsOf are what the config asked of a link's person when they last stayed.
func (r *Read) conditionsOf(n int, link state.Link) []uint64 {
	stay, _ := r.stayOf(n, link)
	return stay.Conditions
}

// unmet is where the config asks what a person does not meet and was asked before, too; "" where that is nowhere.
func (r *Read) unmet(n int, p identity.Person, before []uint64) string {
	list := r.o.Sources[n].Mapping.Unmet(p, r.o.Now)
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
		if now, err := src.Presence(p, r.o.Now); err == nil && !now.Active {
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
