// Package plan compares what an account should be, what dirsweep remembers of it and what the target holds, and says
// which changes lead from one to the other. It is pure: same inputs, same plan, same digest (R17).
package plan

import (
	"bytes"
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

// New sorts changes into a plan and computes its digest, with what is planned besides and not listed. It keeps and
// reorders the slice.
func New(changes []identity.Change, unlisted ...Mark) Plan {
	slices.SortStableFunc(changes, identity.Change.Compare)
	return Plan{Changes: changes, Digest: Digest(changes, unlisted...)}
}

// A Mark names one change, its values included.
type Mark [16]byte

// MarkOf is the first half of a change's SHA-256. A creation is named by its fingerprint, since a pass that carries
// plans out keeps no values of a hundred thousand of them.
func MarkOf(c identity.Change) (m Mark) {
	if c.Op == identity.Create {
		c.Delta = identity.Delta{}
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a change is plain data and always encodes: %v", err))
	}
	sum := sha256.Sum256(text)
	copy(m[:], sum[:])
	return m
}

// Digest names exactly these changes, in whatever order: 16 hex digits of the SHA-256 of their sorted marks, "" where
// there is none. What closes a leaver's accounts is outside it: that never waits for a plan to be agreed to.
func Digest(changes []identity.Change, unlisted ...Mark) string {
	marks := slices.Grow(slices.Clone(unlisted), len(changes))
	for _, c := range changes {
		if !c.Op.Sweeps() {
			marks = append(marks, MarkOf(c))
		}
	}
	if len(marks) == 0 {
		return ""
	}
	slices.SortFunc(marks, func(a, b Mark) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, m := range marks {
		h.Write(m[:])
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
