// Package plan compares what an account should be, what dirsweep remembers of it and what the target holds, and says which changes lead from
// one to the other. It is pure: same inputs, same plan, same digest (R17).
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
	Digest  string // of every change, its values included; "" for an empty plan
}

// New sorts changes into a plan and computes its digest. It keeps and reorders the slice.
func New(changes []identity.Change) Plan {
	slices.SortStableFunc(changes, identity.Change.Compare)
	return Plan{Changes: changes, Digest: Digest(changes)}
}

// Digest names exactly these changes in this order: 16 hex digits of SHA-256, "" for none.
func Digest(changes []identity.Change) string {
	if len(changes) == 0 {
		return ""
	}
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, c := range changes {
		if err := enc.Encode(c); err != nil {
			panic(fmt.Sprintf("a change is plain data and always encodes: %v", err))
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Counts returns how many changes of each operation the plan has.
func (p Plan) Counts() map[identity.Op]int {
	counts := map[identity.Op]int{}
	for _, c := range p.Changes {
		counts[c.Op]++
	}
	return counts
}
