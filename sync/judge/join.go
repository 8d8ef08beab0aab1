package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Member is a source that takes part in a join, in the order of precedence.
type Member struct {
	Name string
	// Several: entries of it that bear one key are of one human, who leaves it with the last of them: several contracts.
	// Else they are disputed.
	Several bool
	Leaves  bool // its word ends: who is not active there has left
	Needed  bool // who has no entry there is not active
	Unread  bool // it could not be read: its word is unknown
}

// A Word is what one entry of a member says of a human.
type Word struct {
	Member  int // by its place among the members
	Anchor  string
	Active  bool
	Why     string    // why not: one clause, "" where nothing says
	Unknown string    // why nobody can tell whether they are active; "" where it can be told
	Ends    time.Time // when the entry's time is over, as far as that is known; zero for never
	// Human is what tells two humans apart who are given one key one after the other: a date of birth. "" where it is not
	// declared, or not filled in.
	Human string
}

// A Union is what all the words of one key say together.
type Union struct {
	Active   bool
	Why      string // why not: one clause
	Unknown  string // why nobody can tell; "" where it can be told
	Disputed string // why the entries may be of several humans; "" where they are of one
	By       []int  // the words whose source says that they are not active
}

// Join judges the words of one key, in the order of Precedence. A human leaves a source with the last of their entries in
// it, and leaves altogether with the first source of those whose word ends; where none of those has an entry of theirs,
// every word counts. What a source that was not read would say is unknown, and unknown is neither active nor a leaving: but where
// another one says that they left, they did.
func Join(members []Member, words []Word) Union {
	if why := several(members, words); why != "" {
		return Union{Disputed: why}
	}
	counts := func(m Member) bool { return m.Leaves }
	decided := slices.ContainsFunc(words, func(w Word) bool { return members[w.Member].Leaves })
	if !decided && !slices.ContainsFunc(members, func(m Member) bool { return m.Leaves && m.Unread }) {
		counts = func(Member) bool { return true }
	}
	u := Union{Active: true}
	var why []string
	for n, m := range members {
		mine := slices.DeleteFunc(slices.Clone(words), func(w Word) bool { return w.Member != n })
		switch said, reason := wordOf(mine); {
		case m.Unread && (counts(m) || m.Needed):
			u.Unknown = cmp.Or(u.Unknown, m.Name+" was not read")
		case m.Unread:
		case len(mine) == 0 && m.Needed:
			why = append(why, m.Name+" has nobody of that key")
		case len(mine) == 0 || !counts(m):
		case said == unknown:
			u.Unknown = cmp.Or(u.Unknown, m.Name+": "+reason)
		case said == gone:
			why = append(why, strings.TrimSuffix(m.Name+": "+reason, ": "))
			for i, w := range words {
				if w.Member == n {
					u.By = append(u.By, i)
				}
			}
		}
	}
	if len(why) > 0 {
		u.Active, u.Unknown, u.Why = false, "", strings.Join(why, "; ")
	}
	return u
}

// What the entries of one human in one source say.
type said uint8

const (
	active said = iota
	unknown
	gone
)

func wordOf(words []Word) (said, string) {
	var reasons []string
	doubt := ""
	for _, w := range words {
		switch {
		case w.Unknown != "":
			doubt = cmp.Or(doubt, w.Unknown)
		case w.Active:
			return active, ""
		case w.Why != "" && !slices.Contains(reasons, w.Why):
			reasons = append(reasons, w.Why)
		}
	}
	if doubt != "" {
		return unknown, doubt
	}
	return gone, strings.Join(reasons, "; ")
}

// several says why entries of one key may be of several humans; "" where they are of one.
func several(members []Member, words []Word) string {
	for n, m := range members {
		var anchors []string
		for _, w := range words {
			if w.Member == n {
				anchors = append(anchors, w.Anchor)
			}
		}
		if len(anchors) > 1 && !m.Several {
			slices.Sort(anchors)
			return fmt.Sprintf("%d entries of %s bear it (%s): give each human a key of their own, or say several = true "+
				"where one human may have several entries", len(anchors), m.Name, listed(anchors))
		}
	}
	known := -1
	for i, w := range words {
		switch {
		case w.Human == "":
		case known < 0:
			known = i
		case words[known].Human != w.Human:
			return fmt.Sprintf("%s %s and %s %s bear it, and `human` says that they are not one",
				members[words[known].Member].Name, words[known].Anchor, members[w.Member].Name, w.Anchor)
		}
	}
	return ""
}

// mostListed is how many of a list are named.
const mostListed = 4

func listed(names []string) string {
	if more := len(names) - mostListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostListed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// Precedence is in which order the words of one key have a say about attributes: by their source; within one the active
// before the others, then who stays longest, then by anchor.
func Precedence(a, b Word) int {
	until := func(w Word) int64 {
		if w.Ends.IsZero() {
			return 1<<63 - 1
		}
		return w.Ends.Unix()
	}
	flag := func(is bool) int {
		if is {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Member, b.Member), cmp.Compare(flag(a.Active), flag(b.Active)),
		cmp.Compare(until(b), until(a)), cmp.Compare(a.Anchor, b.Anchor),
	)
}

// Lost are the entries of which somebody was made and of whose source, as far as its word ends or it has to know them, and
// it was read, they have none any more: as far as that source goes they are missing, whatever the others show (R1). So are
// they where they were active and what is left of their entries in it is over: that they left would be by what it lacks.
func Lost(members []Member, active bool, before, now []identity.Part) (lost []identity.Part) {
	of := func(p identity.Part) int {
		return slices.IndexFunc(members, func(m Member) bool { return m.Name == p.Source })
	}
	// As in Join: of whom no source knows whose word ends, every source counts.
	decided := slices.ContainsFunc(slices.Concat(before, now), func(p identity.Part) bool {
		n := of(p)
		return n >= 0 && members[n].Leaves
	})
	for _, p := range before {
		n := of(p)
		if n < 0 || members[n].Unread || decided && !members[n].Leaves && !members[n].Needed {
			continue
		}
		if !slices.ContainsFunc(now, func(q identity.Part) bool {
			return q.Source == p.Source && (!active || !q.Over || q.Anchor == p.Anchor)
		}) {
			lost = append(lost, p)
		}
	}
	return lost
}

// LeftElsewhere reports whether somebody of whom entries are missing has left by what a source says that lacks none of
// them: nobody has to be asked for the others.
func LeftElsewhere(members []Member, now, lost []identity.Part) bool {
	return slices.ContainsFunc(members, func(m Member) bool {
		mine := func(p identity.Part) bool { return p.Source == m.Name }
		stays := func(p identity.Part) bool { return mine(p) && !p.Over }
		return m.Leaves && slices.ContainsFunc(now, mine) && !slices.ContainsFunc(now, stays) && !slices.ContainsFunc(lost, mine)
	})
}

// Succeeded says why somebody who left and is shown as active again by their key may be another human: not one of the
// entries that they were made of is among those of now, or `human` says so. "" where they are one, or nobody can think otherwise.
func Succeeded(left bool, before, now []identity.Part) string {
	if !left || len(before) == 0 || len(now) == 0 {
		return ""
	}
	same := false
	for _, p := range before {
		for _, q := range now {
			if p.Human != q.Human && p.Human != 0 && q.Human != 0 {
				return fmt.Sprintf("%s left, and `human` says that %s is not one with them", Named(before), Named(now))
			}
			same = same || p.Source == q.Source && p.Anchor == q.Anchor
		}
	}
	if same {
		return ""
	}
	return fmt.Sprintf("%s left, and %s has the key now", Named(before), Named(now))
}

// Named lists entries: "hr 17, corp cn=Bob,ou=people,dc=example,dc=org".
func Named(parts []identity.Part) string {
	var list []string
	for _, p := range parts {
		list = append(list, p.Source+" "+cmp.Or(p.DN, p.Anchor))
	}
	return listed(list)
}

// Missing judges somebody of whom entries are missing by what each source says of those of its own that are: one source
// that says that they left is enough, whatever the others say.
func Missing(said []Absent) Absent {
	if len(said) == 0 {
		return unproven("", "nothing is remembered of the entries that they were made of")
	}
	best := 0
	for i, a := range said {
		if worth(a) > worth(said[best]) {
			best = i
		}
	}
	a := said[best]
	a.First = a.Outcome == Unproven && slices.ContainsFunc(said, func(one Absent) bool { return one.First })
	return a
}

// worth orders what sources say: a tombstone before a list that lacks somebody, that before no answer, and that before
// somebody who is there.
func worth(a Absent) int {
	switch {
	case a.Outcome == Left && !a.Unlisted:
		return 3
	case a.Outcome == Left:
		return 2
	case a.Outcome == Unproven:
		return 1
	}
	return 0
}
