package modeltest

import (
	"fmt"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// This file is the reference model: who works where by the directories' own truth, and what may therefore be done to
// whose accounts. It knows nothing of sources, targets or the engine.

// The company's sources and targets, by index.
const (
	sourceCount = 2
	targetCount = 3
	wiki        = 0 // everybody's
	chat        = 1 // of the members of staff, with entitlements; leavers lose them
	crm         = 2 // of the sales people of the first source; leavers' accounts are deleted after grace
)

var targetNames = [targetCount]string{"wiki", "chat", "crm"}

// A human is one of the company's people, whatever entries they have or had.
type human struct {
	entry   *entry   // nil once it was deleted
	anchors []string // of every entry that they ever had
	gone    map[string]tombstone
	read    string      // the anchor under which they were last read, honestly; "" once they may have been forgotten
	lacked  time.Time   // since when full reads lack them; zero where none does
	bare    bool        // they may have been read without a department since, and been believed to have none
	moved   bool        // they have been elsewhere since
	seen    [2]int      // of which source, and in which container of it, they were last read
	told    []time.Time // every instant at which the directory says that their entry was changed, or their time ends
	now     func() time.Time
}

// A tombstone is what a directory keeps of a deleted entry; seen says whether it says so.
type tombstone struct {
	entry entry
	seen  bool
	at    time.Time // when the directory says that it was deleted
}

// An entry is a person's in a directory.
type entry struct {
	anchor, number, login, name, dept, title string
	source, place                            int // whose base it is under, and which container of it; outside is the one beside the base
	groups                                   [groupCount]bool
	active                                   bool
	ends, begins                             time.Time // their time; zero where it does not
	changed                                  time.Time // when the directory says that it was
}

// outside is the container that no source reads.
const outside = 2

const groupCount = 3

// The groups: the first decides about chat, the others are granted there.
var groupNames = [groupCount]string{"staff", "chat-dev", "chat-ops"}

// A config is what of the config file is edited.
type config struct {
	narrow  [targetCount]bool // the target's scope leaves out people of department ops
	long    [targetCount]bool // the target's display name carries the department
	number  [sourceCount]bool // the source's anchor is the employee number
	managed bool              // chat's groups are managed: nobody has one but by the directory
}

// works reports whether somebody is there and active, for whatever target.
func (h *human) works() bool {
	return h.entry != nil && h.entry.on(h.now()) && h.entry.place != outside
}

// in reports whether somebody should have an account in a target.
func (c config) in(h *human, target int) bool {
	if !h.works() || c.narrow[target] && h.entry.dept == "ops" {
		return false
	}
	switch target {
	case chat:
		return h.entry.groups[0]
	case crm:
		return h.entry.source == 0 && h.entry.dept != "lab"
	}
	return true
}

// wants are the values that somebody's account should have, by path.
func (c config) wants(h *human, target int) map[string]string {
	display := h.entry.name
	if c.long[target] {
		display += " (" + h.entry.dept + ")"
	}
	return map[string]string{"userName": h.entry.login, "displayName": display, "title": h.entry.title}
}

// granted are the groups that somebody should have in a target.
func (c config) granted(h *human, target int) (names []string) {
	for g := 1; g < groupCount && target == chat && h.entry != nil; g++ {
		if h.entry.groups[g] {
			names = append(names, groupNames[g])
		}
	}
	return names
}

// anchor is the identifier of an entry under a config.
func (c config) anchor(e *entry) string {
	if c.number[e.source] {
		return e.number
	}
	return e.anchor
}

// A share is one person at one target: what of the truth may be acted upon. Truth that nobody could have read yet, or
// that was read and has changed since, may be acted upon as well as that of now.
type share struct {
	leaves  bool                       // they are, or were, out of scope
	stays   bool                       // they are, or were, in scope
	values  map[string]map[string]bool // by path: what their account should hold or should have held
	granted map[string]bool            // groups that they should have or should have had
	always  map[string]bool            // those of them that they should have had all the time
	edited  []config                   // where an edit alone put them out: the configs that may be the last accepted one
	left    identity.Strength          // how surely they have, or had, left: who was proven deleted is not asked for again
}

// A model is the truth, and what the engine can know of it.
type model struct {
	config     config
	now        func() time.Time
	accepted   []config          // those under which the last accepted read may have been
	renumbered [sourceCount]bool // people of it were known by another anchor for a time
	humans     []*human
	shares     [][targetCount]*share // by human
	ordered    map[int]bool          // swept by an operator, until released
	keyless    map[int]bool          // of those, whom nothing tells to be who was swept
	logins     int                   // given out so far
	anchors    map[string]int        // whose they are
}

func (m *model) human(anchor string) (n int, known bool) {
	n, known = m.anchors[anchor]
	return n, known
}

// hire adds somebody; login "" gives them a new one.
func (m *model) hire(e entry) int {
	n := len(m.humans)
	m.logins++
	e.number, e.active = fmt.Sprintf("E%d", m.logins), true
	if e.login == "" {
		e.login = fmt.Sprintf("p%d", m.logins)
	}
	e.name, e.title = "Name "+e.number, "t0"
	m.humans = append(m.humans, &human{gone: map[string]tombstone{}, now: m.now})
	m.shares = append(m.shares, [targetCount]*share{{}, {}, {}})
	m.enter(n, e)
	return n
}

// enter gives somebody an entry under a new anchor.
func (m *model) enter(n int, e entry) {
	h := m.humans[n]
	e.anchor = fmt.Sprintf("u%d-%d", n, len(h.anchors))
	h.anchors, h.entry = append(h.anchors, e.anchor), &e
	m.anchors[e.anchor], m.anchors[e.number] = n, n
}

// changed takes in what is true now, beside what was.
func (m *model) changed() {
	for n, h := range m.humans {
		h.moved = h.moved || h.entry != nil && h.seen != [2]int{h.entry.source, h.entry.place}
		for t, s := range m.shares[n] {
			m.learn(h, t, s)
			s.left = max(s.left, m.strength(place{n, t}))
		}
	}
}

func (m *model) learn(h *human, t int, s *share) {
	in := m.config.in(h, t)
	s.leaves, s.stays = s.leaves || !in, s.stays || in
	if in || slices.ContainsFunc(s.edited, func(c config) bool { return !c.in(h, t) }) {
		s.edited = nil
	}
	if s.values == nil {
		s.values, s.granted, s.always = map[string]map[string]bool{}, map[string]bool{}, nil
	}
	if !in {
		return
	}
	for path, value := range m.config.wants(h, t) {
		if s.values[path] == nil {
			s.values[path] = map[string]bool{}
		}
		s.values[path][value] = true
	}
	now := m.config.granted(h, t)
	if s.always == nil {
		s.always = map[string]bool{}
		for _, g := range now {
			s.always[g] = true
		}
	}
	for _, g := range now {
		s.granted[g] = true
	}
	for g := range s.always {
		if !slices.Contains(now, g) {
			delete(s.always, g)
		}
	}
}

// known forgets what was: the truth of now has been read, and everything that was to be done about it could be.
func (m *model) known(n, t int) {
	s := m.shares[n][t]
	if e := m.humans[n].entry; e != nil && e.place != outside {
		m.humans[n].read, m.humans[n].seen, m.humans[n].moved = e.anchor, [2]int{e.source, e.place}, false
		m.humans[n].bare = false
	}
	*s = share{edited: s.edited, left: m.strength(place{n, t})}
	m.learn(m.humans[n], t, s)
}

// edit changes the config, and notes whom that alone puts out of scope.
func (m *model) edit(change func(*config)) {
	old := m.config
	change(&m.config)
	for n := range sourceCount {
		m.renumbered[n] = m.renumbered[n] || m.config.number[n]
	}
	for n, h := range m.humans {
		for t, s := range m.shares[n] {
			if old.in(h, t) && !m.config.in(h, t) && !s.leaves { // who may have left besides has a cause of their own
				s.edited = slices.Clone(m.accepted)
			}
		}
	}
}
