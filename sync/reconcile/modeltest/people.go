package modeltest

import (
	"slices"
	"time"
)

// login is somebody's, or was when they left.
func (h *human) login() string { return h.last().login }

// last is the entry of now, or else the one that was deleted last.
func (h *human) last() entry {
	if h.entry != nil {
		return *h.entry
	}
	return h.gone[h.anchors[len(h.anchors)-1]].entry
}

// delete takes somebody's entry away; told says that the directory keeps a tombstone.
func (h *human) delete(told bool, at time.Time) {
	h.gone[h.entry.anchor] = tombstone{*h.entry, told, at}
	h.entry, h.told = nil, append(h.told, at)
}

// stamp notes when somebody's entry was changed.
func (h *human) stamp(at time.Time) { h.entry.changed, h.told = at, append(h.told, at) }

// restore gives the deleted entry back.
func (h *human) restore() {
	e := h.last()
	delete(h.gone, e.anchor)
	h.entry = &e
}

// change is one edit of an entry.
func (e *entry) change(edit Edit, to int) {
	switch edit {
	case Retitle:
		e.title = []string{"t0", "t1", "t2", "t3"}[to%4]
	case Untitle:
		e.title = ""
	case Redepartment:
		e.dept = departments[to%len(departments)]
	case Join, Leave:
		e.groups[to%groupCount] = edit == Join
	case Deactivate, Activate:
		e.active = edit == Activate
	case Move, MoveBack:
		if e.place != outside || edit == MoveBack {
			e.place = to % outside
		}
	case MoveOver:
		if e.place != outside {
			e.source = 1 - e.source
		}
	case MoveOut:
		e.place = outside
	}
}

// used reports whether somebody has a login now.
func (m *model) used(login string) bool {
	return slices.ContainsFunc(m.humans, func(h *human) bool { return h.entry != nil && h.entry.login == login })
}

// names are every name by which an order may know somebody.
func (m *model) names(n int) (list []string) {
	h := m.humans[n]
	return append(append(list, h.anchors...), h.last().number)
}

// inBase is how many people a source reads.
func (m *model) inBase(source int) (n int) {
	for _, h := range m.humans {
		if h.entry != nil && h.entry.source == source && h.entry.place != outside {
			n++
		}
	}
	return n
}
