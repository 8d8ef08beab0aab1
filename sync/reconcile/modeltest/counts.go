package modeltest

import (
	"fmt"
	"sync"
)

// A Counts says how often what came up together. It is safe for concurrent use.
type Counts struct {
	mu      sync.Mutex
	came    [faultCount][kindCount][crashCount]int
	batches [batchCount][crashCount]int
}

func (c *Counts) add(f Fault, k Kind, crash Crash, died bool) {
	if !died {
		crash = NoCrash
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came[f][k][crash]++
}

// A Combination is what Counts counts: a fault, in a kind of step, with a process that dies there.
type Combination struct {
	Fault Fault
	Kind  Kind
	Crash Crash
	Came  int
}

func (c Combination) String() string {
	return fmt.Sprintf("%s x %s x %s: %d", c.Fault, c.Kind, c.Crash, c.Came)
}

// Below lists the combinations that are possible and came up less often than n times.
func (c *Counts) Below(n int) (list []Combination) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := NoFault + 1; f < faultCount; f++ {
		for k := range kindCount {
			for crash := range crashCount {
				if came := c.came[f][k][crash]; came < n && possible(f, k, crash) {
					list = append(list, Combination{f, k, crash, came})
				}
			}
		}
	}
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
