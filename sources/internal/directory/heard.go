package directory

import (
	"fmt"
	"maps"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// A hearing is what a source hears of changes while it is watched. OpenLDAP may tell of a change by itself, and go on
// naming the one before as its last when it is asked (its contextCSN then stays one behind, until it is restarted): what
// was heard is looked at in any case.
type hearing struct {
	mu    sync.Mutex
	count uint64 // of all that was ever heard
	by    map[*heard]bool
}

// heard is what one who follows has heard since they last looked.
type heard struct {
	changes changes
	lost    bool // more was heard than is kept
}

// open begins to keep what is heard, for one who follows.
func (h *hearing) open() *heard {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := &heard{changes: changes{now: map[uuid]string{}}}
	if h.by == nil {
		h.by = map[*heard]bool{}
	}
	h.by[one] = true
	return one
}

func (h *hearing) close(one *heard) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.by, one)
}

// hear takes in a message that tells of a change. One that does not say of what is no more than a sign.
func (h *hearing) hear(r ldap.Response) {
	told := changes{now: map[uuid]string{}, ignored: []string{"*"}}
	if _, err := told.note(r); err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	for one := range h.by {
		maps.Copy(one.changes.now, told.now)
		for _, id := range told.gone {
			one.changes.delete(id)
		}
		if one.changes.tooMany() {
			one.changes, one.lost = changes{now: map[uuid]string{}}, true
		}
	}
}

// position counts what was heard, for a Currency.
func (h *hearing) position() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("%020d", h.count)
}

// take hands out what one has heard since they last took it.
func (h *hearing) take(one *heard, into *changes) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.changes.handOver(into)
	if one.lost {
		one.lost = false
		return &rereadError{"more was heard to have changed than is read one by one"}
	}
	return nil
}
