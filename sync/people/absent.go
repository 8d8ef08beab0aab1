package people

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// judgePeople finds out about everybody who has an account somewhere and is missing from what was read, whether so
// many may be missing, and who of those that left came back under another anchor. It changes nothing but memory.
func (r *Read) JudgePeople(ctx context.Context) error {
	if err := r.takeOver(ctx); err != nil {
		return err
	}
	if err := r.swapped(); err != nil {
		return err
	}
	absent, err := r.absent(ctx)
	if err != nil {
		return err
	}
	if err := r.askAll(ctx, absent); err != nil {
		return err
	}
	r.keepAlike(absent)
	if err := r.askHeirs(ctx); err != nil {
		return err
	}
	if err := r.renameLate(ctx); err != nil {
		return err
	}
	for n := range r.o.Sources {
		if r.readings[n] != nil && r.readings[n].complete {
			if err := r.accept(ctx, n); err != nil {
				r.withdraw(n, err)
			}
		}
		if !r.whole[n] {
			r.disbelieve(n)
		}
	}
	r.tellStranded()
	for _, l := range r.Views {
		if err := r.returns(ctx, l); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// readersOf are the sources of a directory.
func (r *Read) readersOf(directory string) (list []int) {
	for n, d := range r.directories {
		if d.name == directory {
			list = append(list, n)
		}
	}
	return list
}

// completely reports whether every source of a directory was read to its end and is believed: nobody is missing from
// half of them.
func (r *Read) completely(directory string) bool {
	return r.every(directory, func(n int) bool { return r.readings[n] != nil && r.readings[n].complete })
}

// every reports whether something is so of every source of a directory, and there is one.
func (r *Read) every(directory string, is func(n int) bool) bool {
	list := r.readersOf(directory)
	return len(list) > 0 && !slices.ContainsFunc(list, func(n int) bool { return !is(n) })
}

// A missing person has, or had, an account somewhere, and is not among those who were read.
type missing struct {
	state.Person
	open bool // an account of theirs is not closed
}

// absent lists the linked people whom the reads lack and who have not been proven gone before.
func (r *Read) absent(ctx context.Context) (absent []missing, err error) {
	seen := map[identity.PersonID]int{} // where in absent
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, l := range r.Views {
			for link, err := range v.Links(l.Name) {
				if err != nil {
					return err
				}
				if i, here := r.Roster.Find(link.Person); here {
					l.Linked.Set(i)
					continue
				}
				if link.State == identity.LinkActive {
					r.open[link.Person] = true
				}
				if !r.completely(link.Person.Directory) && !r.renamed(link.Person.Directory) {
					continue
				}
				if at, twice := seen[link.Person]; twice {
					if at >= 0 {
						absent[at].open = absent[at].open || link.State == identity.LinkActive
					}
					continue
				}
				p, ok, err := v.Person(link.Person)
				if err != nil {
					return err
				}
				if elsewhere, err := r.rekeyed(v, p); err != nil {
					return err
				} else if elsewhere {
					seen[p.ID] = -1
					continue
				}
				key := roster.HashOf(p.Rehire)
				wanted := p.InScope(l.Name) || key != 0 && r.activeKeys()[key] // it is about to be opened, or to be a rehire's
				if !r.o.Full && link.State != identity.LinkActive && !wanted {
					continue // closed already: a full pass asks about them again
				}
				if !ok {
					p = state.Person{ID: link.Person, Name: link.Name}
				}
				seen[p.ID] = -1
				r.keys[p.ID] = key
				if r.heir(p.ID) && !r.inactiveHeir(p.ID, link) {
					r.noteStranded(p)
					continue
				}
				if p.Proven {
					r.gone[p.ID] = provenBefore(p)
					continue
				}
				seen[p.ID] = len(absent)
				absent = append(absent, missing{p, link.State == identity.LinkActive})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return absent, nil
}

// askHeirs asks for those who are remembered under another anchor than somebody who left and has an account open, by the
// rehire key, and whom the reads lack: as long as nobody knows that they have left, what they had is not closed.
func (r *Read) askHeirs(ctx context.Context) error {
	left := map[uint64]identity.PersonID{}
	for id := range r.open {
		if a, asked := r.absentOf(id); asked && a.Outcome == judge.Left && r.keys[id] != 0 {
			left[r.keys[id]] = id
		}
	}
	if len(left) == 0 {
		return nil
	}
	var heirs []missing
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, d := range r.directoryNames() {
			for p, err := range v.People(d) {
				if err != nil {
					return err
				}
				former, wanted := left[roster.HashOf(p.Rehire)]
				if _, here := r.Roster.Find(p.ID); here || !wanted || former == p.ID || !p.Active || p.Proven {
					continue
				}
				heirs = append(heirs, missing{p, true})
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	unasked := slices.DeleteFunc(slices.Clone(heirs), func(m missing) bool { // who has an account linked was asked for
		_, asked := r.absentOf(m.ID)
		return asked
	})
	if err := r.askAll(ctx, unasked); err != nil {
		return err
	}
	for _, m := range heirs {
		if a, _ := r.absentOf(m.ID); a.Outcome != judge.Left {
			r.unseen[roster.HashOf(m.Rehire)] = true
		}
	}
	return nil
}

// directoryNames are the names of the directories that the sources read, sorted.
func (r *Read) directoryNames() (names []string) {
	for _, d := range r.directories {
		names = append(names, d.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// anew reports whether somebody whom the reads lack is there and active under another anchor, by the rehire key.
func (r *Read) anew(id identity.PersonID) bool {
	key := r.keyOf(id)
	return key != 0 && r.activeKeys()[key]
}

// keyOf is the rehire key of somebody whom the reads lack; 0 for none.
func (r *Read) keyOf(id identity.PersonID) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[id]
}

// keysOfActive are the rehire keys of everybody who was read and is active.
func (r *Read) keysOfActive() map[uint64]bool {
	keys := map[uint64]bool{}
	for i := range r.Roster.Len() {
		if row := r.Roster.Row(i); row.Key != 0 && row.Active {
			keys[row.Key] = true
		}
	}
	return keys
}

// heir reports whether a source knows somebody by another anchor by now, and an operator has yet to say so.
func (r *Read) heir(id identity.PersonID) bool {
	return slices.ContainsFunc(r.readersOf(id.Directory), func(n int) bool {
		return r.readings[n] != nil && r.readings[n].heirs[id] != identity.PersonID{}
	})
}

// renamed reports whether every source of a directory was read to its end, and some know people by another attribute
// than before: who is known to none of them can be asked for by the old one.
func (r *Read) renamed(directory string) bool {
	return r.every(directory, func(n int) bool {
		g := r.readings[n]
		return g != nil && (g.complete || g.heirs != nil)
	})
}

// knownBy are the attributes by which somebody may have been known, other than the one by which a source knows people
// now: sources of one directory may differ in it.
func (r *Read) knownBy(n int, p state.Person) (list []string) {
	own, _ := r.o.Sources[n].selection()
	add := func(by string) {
		if by != "" && by != own && !slices.Contains(list, by) {
			list = append(list, by)
		}
	}
	add(p.KnownBy)
	for _, other := range r.readersOf(p.ID.Directory) {
		if r.anchorEdited(other) {
			add(r.readings[other].record.Anchor)
		}
	}
	return list
}

// stranded are people with accounts who cannot be asked for under the anchors by which they are known.
type stranded struct {
	count int
	names []string // of a few, in order
}

// mostNamed is how many of them are named.
const mostNamed = 3

func (r *Read) noteStranded(p state.Person) {
	s := r.stranded[p.ID.Directory]
	if s == nil {
		s = &stranded{}
		r.stranded[p.ID.Directory] = s
	}
	s.count++
	s.names = append(s.names, cmp.Or(p.Name, p.ID.Anchor))
	slices.Sort(s.names)
	s.names = s.names[:min(len(s.names), mostNamed)]
}

// named are a few of them, as text.
func (s stranded) named() string {
	if s.count > len(s.names) {
		return strings.Join(s.names, ", ") + ", …"
	}
	return strings.Join(s.names, ", ")
}

// tellStranded says which sources have people whom nobody can ask for, and makes no accounts for anybody new of
// theirs: they may be the same.
func (r *Read) tellStranded() {
	for n, s := range r.o.Sources {
		left := r.stranded[r.directories[n].name]
		if left == nil {
			continue
		}
		anchor, _ := s.selection()
		remedy := "or see to the accounts of each: `dirsweep unlink PERSON TARGET`, and `dirsweep link` for whoever has it now"
		if g := r.readings[n]; g != nil && g.relink != "" {
			remedy = "or `dirsweep approve " + g.relink + "` has them known by the new one"
		}
		r.o.Find(identity.Finding{
			Kind: "anchor edited", Subject: s.Name, Source: s.Name,
			Detail: fmt.Sprintf("%d people with accounts (%s) are known by another anchor than %s, by which the source reads now: "+
				"none of them leaves by that, and no account is made for anybody new of it. "+
				"Give the source its old anchor back (%s), %s",
				left.count, left.named(), anchor, s.line("anchor"), remedy),
		})
		for _, li := range r.readers(n) {
			for i := range r.Roster.Of(n) {
				if l := r.Views[li]; l.Scope.Has(i) && !l.Linked.Has(i) {
					l.Scope.Clear(i)
					l.Unsure.Set(i)
				}
			}
		}
	}
}
