package people

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/join"
	"github.com/dirsweep/dirsweep/sync/judge"
)

// A listing is a source that cannot be asked for one person, or one entry, and what a read of it has shown.
type listing struct {
	source string
	leaves bool // absence = "leaves"
	facts  *sources.ReadFacts
	before sources.Currency // how current the list was that lacked the person first
	lacks  string           // for evidence: "40 people, lacks them"
	one    string           // what it cannot be asked for: "person"
}

// unlisted is what a list says of somebody whom it lacks.
func (r *Read) unlisted(l listing, p state.Person) judge.Sighting {
	out := judge.Sighting{
		Source: l.source, Where: judge.Unlisted, Order: judge.Current, Same: true, At: r.o.Now,
		Version: l.facts.Version, Lacked: p.Lacked, Later: renewed(l.facts.Until, l.before),
		Proof: fmt.Sprintf("a complete read of source %s, with %s, as one before it did; it cannot be asked for one %s, and "+
			"absence = \"leaves\" takes that for leaving", l.source, l.lacks, l.one),
	}
	if !l.leaves {
		out.Where, out.Proof = judge.NoAnswer, ""
		out.Trouble = fmt.Sprintf(`the source cannot look one %s up; absence = "leaves" takes absence for leaving`, l.one)
	}
	if i, here := r.withoutZeros(p.ID); here {
		if e, err := r.Roster.Entry(i); err == nil {
			out.Alike = e.Person.ID.Anchor
		}
	}
	return out
}

// renewed compares a list with the one that lacked somebody first: each part of it has to be written anew before it
// counts for another one.
func renewed(now, before sources.Currency) judge.Order {
	if len(now) == 0 && len(before) == 0 {
		return judge.Undated
	}
	order := judge.Current
	for sequence, position := range now {
		switch was, known := before[sequence]; {
		case !known || len(was) != len(position):
			return judge.Incomparable
		case position <= was:
			order = judge.Older
		}
	}
	if len(now) == 0 {
		return judge.Incomparable
	}
	return order
}

// lacked is what is to be remembered of somebody whom a list lacks for the first time.
func (r *Read) lacked(p state.Person) state.Person {
	p.Lacked, p.LackedIn = r.o.Now, map[string]string{}
	if n, j := r.joinOf(p.ID.Directory); j != nil {
		for i, m := range j.Members() {
			of, lost := r.readings[n].facts.Members[i], r.missingParts[p.ID]
			lacks := lost == nil || slices.ContainsFunc(lost, func(part identity.Part) bool { return part.Source == m.Name })
			if of.Err != nil || !lacks {
				continue
			}
			for sequence, position := range of.Facts.Until {
				p.LackedIn[join.Sequence(m.Name, sequence)] = position
			}
		}
		return p
	}
	for _, n := range r.readersOf(p.ID.Directory) {
		maps.Copy(p.LackedIn, r.readings[n].facts.Until)
	}
	return p
}

// mostZeros is how many zeros a number may have lost, or got.
const mostZeros = 12

// withoutZeros finds who was read by an anchor that differs from one in leading zeros alone, and has no account linked: a
// spreadsheet may have eaten them.
func (r *Read) withoutZeros(id identity.PersonID) (row int, here bool) {
	bare := strings.TrimLeft(id.Anchor, "0")
	if bare == "" {
		return 0, false
	}
	for zeros := range mostZeros + 1 {
		anchor := strings.Repeat("0", zeros) + bare
		if anchor == id.Anchor {
			continue
		}
		i, here := r.Roster.Find(identity.PersonID{Directory: id.Directory, Anchor: anchor})
		if here && !slices.ContainsFunc(r.Views, func(l *View) bool { return l.Linked.Has(i) }) {
			return i, true
		}
	}
	return 0, false
}

// keepAlike makes no account for whoever may be somebody with an account, less the zeros before their number.
func (r *Read) keepAlike(absent []missing) {
	for _, m := range absent {
		if slices.ContainsFunc(r.readersOf(m.ID.Directory), r.finds) {
			continue
		}
		if a, asked := r.absentOf(m.ID); !asked || a.Outcome != judge.Unproven {
			continue
		}
		i, here := r.withoutZeros(m.ID)
		if !here {
			continue
		}
		for _, l := range r.Views {
			if l.Scope.Has(i) {
				l.Scope.Clear(i)
				l.Unsure.Set(i)
			}
		}
	}
}

// finds reports whether a source can be asked for one person. Of a join, that some of its sources may be lists is reason
// enough to say no.
func (r *Read) finds(n int) bool {
	_, finder := r.o.Sources[n].Source.(sources.Finder)
	return finder && r.o.Sources[n].join() == nil
}
