package modeltest

import (
	"fmt"
	"slices"
	"sync"
)

// A Counts says how often what came up together. It is safe for concurrent use.
type Counts struct {
	mu   sync.Mutex
	came [faultCount][kindCount][crashCount]int
}

func (c *Counts) add(f Fault, k Kind, crash Crash, died bool) {
	if !died {
		crash = NoCrash
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came[f][k][crash]++
}

// Below lists the combinations that are possible and came up less often than n times.
func (c *Counts) Below(n int) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range faultCount {
		for k := range kindCount {
			for crash := range crashCount {
				if f == NoFault {
					continue
				}
				if came := c.came[f][k][crash]; came < n && possible(f, k, crash) {
					list = append(list, fmt.Sprintf("%s x %s x %s: %d", f, k, crash, came))
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// possible reports whether a process can die there in such a step at all.
func possible(f Fault, k Kind, crash Crash) bool {
	switch k {
	case Approve, Reject, Release: // they write to the state alone
		return crash == NoCrash || crash == BeforeStore || crash == AfterStore
	}
	return true
}
