package plan

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A Rename is an account's login as it is and as it is to be.
type Rename struct {
	Now, Next string
}

// Cycles finds the accounts that cannot be renamed one after the other, because each wants a login that the next one
// still has: swapped logins, and longer rings. Letter case is no difference. Each cycle lists indices of renames, from
// the lowest, in the order in which the logins are handed on.
func Cycles(renames []Rename) (cycles [][]int) {
	holder := map[string]int{}
	for i, r := range renames {
		holder[foldLogin(r.Now)] = i
	}
	done := make([]bool, len(renames))
	for i := range renames {
		var path []int
		for at := i; !done[at]; {
			done[at] = true
			path = append(path, at)
			next, ok := holder[foldLogin(renames[at].Next)]
			if !ok || next == at {
				break
			}
			if start := slices.Index(path, next); start >= 0 {
				cycles = append(cycles, fromLowest(path[start:]))
			}
			at = next
		}
	}
	slices.SortFunc(cycles, func(a, b []int) int { return a[0] - b[0] })
	return cycles
}

// fromLowest turns a ring so that it begins with its lowest member.
func fromLowest(ring []int) []int {
	at := slices.Index(ring, slices.Min(ring))
	return slices.Concat(ring[at:], ring[:at])
}

func foldLogin(login string) string { return strings.ToLower(norm.NFC.String(login)) }
