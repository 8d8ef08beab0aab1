// Package plan compares what an account should be, what dirsweep remembers of it and what the target holds, and says
// which changes lead from one to the other. It is pure: same inputs, same plan, same digest (R17).
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Plan is an ordered set of changes, leavers first (R4).
type Plan struct {
	Changes []identity.Change
	Digest  string // see Digest
}

// New sorts changes into a plan and computes its digest. It keeps and reorders the slice.
func New(changes []identity.Change) Plan {
	slices.SortStableFunc(changes, identity.Change.Compare)
	return Plan{Changes: changes, Digest: Digest(changes)}
}

// Digest names exactly these changes in this order, their values included: 16 hex digits of SHA-256, "" where there is
// none. What closes a leaver's accounts is outside it: that never waits for a plan to be agreed to. A creation is named
// by its fingerprint, since a pass that carries plans out keeps no values of a hundred thousand of them.
func Digest(changes []identity.Change) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	n := 0
	for _, c := range changes {
		if c.Op.Sweeps() {
			continue
		}
		if c.Op == identity.Create {
			c.Delta = identity.Delta{}
		}
		if err := enc.Encode(c); err != nil {
			panic(fmt.Sprintf("a change is plain data and always encodes: %v", err))
		}
		n++
	}
	if n == 0 {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Digests are the digests of each target's changes by themselves; a target without any is not in it.
func Digests(changes []identity.Change) map[string]string {
	byTarget := map[string][]identity.Change{}
	for _, c := range changes {
		byTarget[c.Target] = append(byTarget[c.Target], c)
	}
	digests := map[string]string{}
	for target, changes := range byTarget {
		if digest := New(changes).Digest; digest != "" {
			digests[target] = digest
		}
	}
	return digests
}

// Counts returns how many changes of each operation the plan has.
func (p Plan) Counts() map[identity.Op]int {
	counts := map[identity.Op]int{}
	for _, c := range p.Changes {
		counts[c.Op]++
	}
	return counts
}
