package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// Traits are what a read shows of a person, as far as it matters whether they still show it.
type Traits struct {
	Container  string
	Attributes []string  // those that they have of the ones that the config names
	Groups     []string  // those that they are in of the ones that the config names
	Inactive   bool      // the entry itself says that they are not active
	Changed    time.Time // when the entry was last changed, by the directory's own clock; zero where it does not say
	Fresh      bool      // that was just before it was read
}

// A Trait is one of them.
type Trait string

// The traits.
const (
	Attribute Trait = "attribute"
	Group     Trait = "group"
	Mark      Trait = "mark" // by which an entry says that its person is not active
)

// An Anomaly is something that many people lost at once, or that somebody lost though their entry is as it was: a right
// may be lost, and not the thing. Whom it binds does not leave by it, and is not enabled, emptied or stripped.
type Anomaly struct {
	Trait     Trait
	Name      string            // of the attribute or group, as the config spells it
	Container string            // where it is of one container only
	Had, Lost int               // people who had it, and who had it and have it no more
	Unchanged bool              // it binds only those whose entry is as it was
	Detail    string            // what was seen: one clause
	Remedy    string            // what to look at
	Strength  identity.Strength // the strongest proof of leaving that it may feign
}

// What names the anomaly: "group wiki-users", "attribute mail in ou=lab,dc=example,dc=org".
func (a Anomaly) What() string {
	what := string(a.Trait) + " " + a.Name
	if a.Trait == Mark {
		what = "mark of inactive people"
	}
	if a.Container != "" {
		what += " in " + a.Container
	}
	return what
}

// Binds reports whether somebody who was as before, and is as now, is bound by it.
func (a Anomaly) Binds(before, now Traits) bool {
	if a.Container != "" && !strings.EqualFold(a.Container, before.Container) {
		return false
	}
	switch a.Trait {
	case Attribute:
		return slices.Contains(before.Attributes, a.Name) && !slices.Contains(now.Attributes, a.Name)
	case Group:
		return slices.Contains(before.Groups, a.Name) && !slices.Contains(now.Groups, a.Name)
	}
	return before.Inactive && !now.Inactive
}

// Certain reports whether one of the conditions that somebody does not meet has nothing to do with what was lost. unmet
// are the attributes that each of these conditions names, lost those that the person had and that nobody may believe
// lost.
func Certain(unmet [][]string, lost []string) bool {
	return slices.ContainsFunc(unmet, func(names []string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(lost, name) })
	})
}

// settling is how long after a change an entry may be changed once more and show the same time, where that is told to
// the second.
const settling = 2 * time.Second

// Fresh reports whether an entry had been changed just before it was read, so that another change since may show the
// same time.
func Fresh(changed, read time.Time) bool {
	return changed.Nanosecond() == 0 && read.Sub(changed) < settling
}

// dated says what the directory's own clock tells of an entry: whether it is known to be as it was, or to have been
// changed since.
func dated(before, now Traits) (same, changed bool) {
	if before.Changed.IsZero() || now.Changed.IsZero() {
		return false, false
	}
	equal := now.Changed.Equal(before.Changed)
	return equal && !before.Fresh, !equal
}

// A GroupSeen is what a read showed of a group beside who is in it.
type GroupSeen struct {
	Name    string // as Traits name it
	DN      string // where it is, or was last seen
	Hidden  bool   // no member can be seen where there has to be one
	Missing bool   // no such group was read
	Renamed string // the name that the group has now, where it had this one in the last accepted read; "" for none
}

// A Survey counts what people had and have, one after the other, in a few dozen bytes for each group and each attribute
// in each container. Its zero value is ready. It is not safe for concurrent use.
type Survey struct {
	// Deciding are the attributes and groups that the `active` expression names, or by which the source judges who is
	// active.
	Deciding func(Trait, string) bool

	// Faded are attributes by which the source itself judges, and which many entries no longer show.
	Faded []Fade

	tallies map[spot]*tally
}

// A Fade is an attribute that entries no longer show.
type Fade struct {
	Name      string
	Had, Lost int // entries that showed it, and how many fewer do
}

// Fades are the attributes that more entries no longer show than may lose something at once, sorted, by how many
// showed them in the last accepted read, and by how many people were read then and are now.
func Fades(before, now map[string]int, peopleBefore, peopleNow int) (list []Fade) {
	for name, had := range before {
		if peopleNow < peopleBefore {
			had = had * peopleNow / peopleBefore
		}
		if has, asked := now[name]; asked && had-has > many(had) {
			list = append(list, Fade{name, had, had - has})
		}
	}
	slices.SortFunc(list, func(a, b Fade) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// fades are those that the people do not explain who lost the mark and whose entries are known to have been changed.
func (s *Survey) fades(t *tally) (names []string) {
	for _, f := range s.Faded {
		if f.Lost-t.changed > many(f.Had) {
			names = append(names, f.Name)
		}
	}
	return names
}

type spot struct {
	trait     Trait
	name      string
	container string // in lower case; "" for the whole source
}

type tally struct {
	had, lost int
	same      int // of lost, those whose entry is as it was
	changed   int // of lost, those whose entry is known to have been changed
	now       int // who have it, new people included
	container string
}

// Note counts somebody who was known, as they were and as they are.
func (s *Survey) Note(before, now Traits) { s.NoteMany(before, now, 1) }

// NoteMany counts so many people who were, and are, alike.
func (s *Survey) NoteMany(before, now Traits, people int) {
	same, changed := dated(before, now)
	note := func(trait Trait, name, container string, had, has bool) {
		var t tally
		if had {
			t.had = people
		}
		if has {
			t.now = people
		}
		if had && !has {
			t.lost = people
			if same {
				t.same = people
			}
			if changed {
				t.changed = people
			}
		}
		s.count(trait, name, container, t)
	}
	each := func(trait Trait, container string, before, now []string) {
		for _, name := range before {
			note(trait, name, container, true, slices.Contains(now, name))
		}
		for _, name := range now {
			if !slices.Contains(before, name) {
				note(trait, name, container, false, true)
			}
		}
	}
	each(Attribute, before.Container, before.Attributes, now.Attributes)
	each(Group, "", before.Groups, now.Groups)
	if before.Inactive || now.Inactive {
		note(Mark, "", before.Container, before.Inactive, now.Inactive)
	}
}

// New counts somebody who was not known.
func (s *Survey) New(now Traits) {
	for _, name := range now.Attributes {
		s.count(Attribute, name, "", tally{now: 1})
	}
	for _, name := range now.Groups {
		s.count(Group, name, "", tally{now: 1})
	}
}

func (s *Survey) count(trait Trait, name, container string, more tally) {
	places := []string{""}
	if container != "" {
		places = append(places, container)
	}
	for _, place := range places {
		t := s.tally(spot{trait, name, strings.ToLower(place)})
		if t.container == "" || place < t.container { // of several spellings always the same
			t.container = place
		}
		t.had, t.lost, t.same, t.changed, t.now = t.had+more.had, t.lost+more.lost, t.same+more.same, t.changed+more.changed, t.now+more.now
	}
}

func (s *Survey) tally(at spot) *tally {
	if s.tallies == nil {
		s.tallies = map[spot]*tally{}
	}
	t := s.tallies[at]
	if t == nil {
		t = &tally{}
		s.tallies[at] = t
	}
	return t
}

// Members is how many people have a trait now.
func (s *Survey) Members(trait Trait, name string) int {
	if t := s.tallies[spot{trait, name, ""}]; t != nil {
		return t.now
	}
	return 0
}

// Names are those of what was counted of one trait, sorted.
func (s *Survey) Names(trait Trait) (list []string) {
	for at := range s.tallies {
		if at.trait == trait && at.container == "" {
			list = append(list, at.name)
		}
	}
	slices.Sort(list)
	return list
}

// many is how many may lose something at once and be believed: three, or a tenth of those who had it.
func many(had int) int { return max(3, had/10) }

// Anomalies are what many lost at once, sorted by name: a group that lost everybody who is still read or more than
// may be believed, or that hides its members; an attribute, or the mark of inactive people, that more lost than may
// be believed, in all or in one container, or that somebody lost whose entry is as it was. A mark that was taken from
// an entry which is known to have been changed was taken on purpose. groups are what the read showed of groups, by
// name.
func (s *Survey) Anomalies(groups map[string]GroupSeen) []Anomaly {
	var list []Anomaly
	whole := map[spot]bool{} // found in the source already
	for _, at := range s.sortedSpots() {
		t := s.tallies[at]
		if t.lost == 0 || at.container != "" && whole[spot{at.trait, at.name, ""}] || !s.odd(at, groups[at.name].Hidden) {
			continue
		}
		whole[at] = at.container == ""
		a := Anomaly{Trait: at.trait, Name: at.name, Container: t.container, Had: t.had, Lost: t.lost, Strength: identity.ByScope}
		if at.trait == Mark || s.Deciding != nil && s.Deciding(at.trait, at.name) {
			a.Strength = identity.ByState
		}
		a.Detail, a.Remedy = t.words()
		if names := s.fades(t); at.trait == Mark && len(names) > 0 {
			a.Detail += ", and many entries no longer show " + strings.Join(names, ", ")
		}
		if at.trait == Group {
			a.Detail, a.Remedy = groupWords(t, groups[at.name])
		}
		list = append(list, a)
	}
	return list
}

// odd reports whether what was lost at one spot is more than can be believed.
func (s *Survey) odd(at spot, hidden bool) bool {
	t := s.tallies[at]
	switch at.trait {
	case Group:
		return hidden || t.now == 0 || t.lost > many(t.had)
	case Mark:
		return t.same > 0 || len(s.fades(t)) > 0 || t.lost-t.changed > many(t.had)
	}
	return t.same > 0 || t.lost > many(t.had)
}

func (t *tally) words() (detail, remedy string) {
	detail = fmt.Sprintf("%d of the %d people who had it have it no more", t.lost, t.had)
	if t.same > 0 {
		detail += fmt.Sprintf(", %d of them though their entries are as they were", t.same)
	}
	return detail, "check that the source may read it: once it may, the next pass goes on as before"
}

func groupWords(t *tally, seen GroupSeen) (detail, remedy string) {
	which := cmp.Or(seen.DN, "it")
	detail = fmt.Sprintf("%s lost %d of its %d members at once", which, t.lost, t.had)
	if t.lost == t.had {
		detail = fmt.Sprintf("%s lost all its %d members at once", which, t.had)
	}
	switch {
	case seen.Renamed != "":
		return detail + ": it is called " + seen.Renamed + " now", "give the group its name back, or name it anew in the config"
	case seen.Missing:
		return detail + ": no group of that name is read any more",
			"check that the group is there and that the source may see it: once it does, the next pass goes on as before"
	case seen.Hidden:
		return detail + ": it shows no member, and has to have one",
			"check that the source may read its members: once it may, the next pass goes on as before"
	}
	return detail, "check who is in the group, and that the source may read its members"
}

func (s *Survey) sortedSpots() []spot {
	list := make([]spot, 0, len(s.tallies))
	for at := range s.tallies {
		list = append(list, at)
	}
	slices.SortFunc(list, func(a, b spot) int { // what is of the whole source before what is of a container
		return cmp.Or(cmp.Compare(a.trait, b.trait), cmp.Compare(a.name, b.name), cmp.Compare(a.container, b.container))
	})
	return list
}

// Kept are the groups that somebody is in by a name that they had before and that nobody has now: they were renamed,
// and have not left (R3). before are the groups that they were in, now those that they are in, former those that name
// somebody by their old DN or login.
func Kept(before, now, former []string) (kept []string) {
	for _, name := range former {
		if slices.Contains(before, name) && !slices.Contains(now, name) && !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return kept
}
