package modeltest

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// This file plays an application whose groups people are put into by hand, and a config that comes to manage them.

// managed: in one of so many histories groups are managed.
const managed = 10

// Manage has chat's groups managed in the history of a seed, from a step on, and has people put into them, and taken out of
// them, by hand before and after that.
func (h *History) Manage(seed int) {
	if seed%managed != 0 {
		return
	}
	r := rand.New(rand.NewPCG(uint64(seed), 0x6d616e616765))
	h.Managed = 1 + r.IntN(len(h.Steps))*r.IntN(2)
	for i := range h.Steps {
		if r.IntN(4) == 0 {
			h.Steps[i].Joined = 1 + r.IntN(24)
		}
	}
}

// manage is what of a step is about groups that are managed, or come to be.
func (w *world) manage(s Step) {
	if w.step == w.manages {
		w.model.edit(func(c *config) { c.managed = true })
		w.reload()
	}
	if s.Joined > 0 && w.manages > 0 {
		w.applications[chat].join(s.Joined)
	}
}

// join puts an account into one of the groups that stand for some of the directory's, or takes it out.
func (a *application) join(which int) {
	ids := slices.Sorted(maps.Keys(a.accounts))
	if len(ids) == 0 {
		return
	}
	held := a.accounts[ids[which/2%len(ids)]]
	had, group := held.Entitlements, []identity.Entitlement{{Name: groupNames[1+which%2]}}
	held.Entitlements, held.touched = identity.WithoutEntitlements(had, group), true
	if len(held.Entitlements) == len(had) {
		held.Entitlements = identity.SortedEntitlements(slices.Concat(had, group))
	}
}
