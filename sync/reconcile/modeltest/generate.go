package modeltest

import (
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"
)

// Histories generates histories of n steps.
func Histories(n int) *rapid.Generator[History] {
	edits := weighted(map[int]int{int(NoEdit): 18, int(EditAnchor): 1, int(EditScope): 1, int(EditMapping): 1, int(EmptyGroup): 1, int(HireWithOldLogin): 1}, int(Untitle), 2)
	faults := weighted(map[int]int{int(NoFault): 4}, int(AccountGone), 1)
	deeds := weighted(map[int]int{int(NoFault): 6}, int(faultCount), 1)
	deeds = slices.DeleteFunc(deeds, func(f int) bool { return f > int(NoFault) && !Fault(f).once() })
	person := rapid.Custom(func(t *rapid.T) Person {
		return Person{
			Source: small(t, sourceCount), Place: small(t, 2), Dept: small(t, 3), Groups: small(t, 8), Account: small(t, 4),
		}
	})
	step := rapid.Custom(func(t *rapid.T) Step {
		return Step{
			Edits: [2]Edit{Edit(pick(t, edits)), Edit(pick(t, edits))}, Who: [2]int{small(t, 12), small(t, 12)}, To: small(t, 60),
			Jump: small(t, len(jumps)), Fault: Fault(pick(t, faults)), Deed: Fault(pick(t, deeds)), Where: small(t, 36), Lasts: 1 + small(t, 3),
			Do: Kind(small(t, int(kindCount))), Choice: small(t, 12), Crash: Crash(max(0, small(t, int(crashCount)+2)-2)), At: small(t, 3) * small(t, 5),
		}
	})
	return rapid.Custom(func(t *rapid.T) History {
		h := History{
			Shared: rapid.Bool().Draw(t, ""),
			People: rapid.SliceOfN(person, 2, 7).Draw(t, "people"),
			Steps:  rapid.SliceOfN(step, n, n).Draw(t, "steps"),
		}
		for i := range h.Steps { // drawn last: what is above stays what it was of each seed
			beside(t, &h.Steps[i])
		}
		return h
	})
}

// beside draws what happens in a step besides.
func beside(t *rapid.T, s *Step) {
	if small(t, 10) == 0 {
		s.Then = Untitle
	}
	s.Tend = max(0, small(t, 60)-30)
	s.Shown = max(0, small(t, 6)-3)
	s.Stop = max(0, small(t, 80)-60)
}

// Aims are combinations that steps of histories are made for.
type Aims []Combination

// NewAims lists every combination, the rarer ones more often.
func NewAims() (list Aims) {
	for _, c := range (&Counts{}).Below(1) {
		for range c.weight() {
			list = append(list, c)
		}
	}
	return list
}

// aimed is how many steps of four are made for a combination.
const aimed = 2

// At makes half of the steps of the history of a seed for combinations that come up too rarely by themselves.
// Histories of seeds in a row take turns: each combination of the list comes up once before one does so again.
func (a Aims) At(h History, seed int) {
	next := seed * len(h.Steps) * aimed / 4
	round, order := -1, []int(nil)
	for i := range h.Steps {
		if (i+seed)%4 >= aimed {
			continue
		}
		if now := next / len(a); now != round {
			round, order = now, rand.New(rand.NewPCG(uint64(now), 0)).Perm(len(a))
		}
		a[order[next%len(a)]].at(h.Steps, i)
		next++
	}
}

// weight is how often a combination is aimed at. Rarer than others are those in which a process dies over a write to an
// application, most of all for one person; those in which something has to wait for an operator; and those with a fault
// that comes only once everybody was read.
func (c Combination) weight() (n int) {
	late := c.Fault.ofRight() || c.Fault == StaleServer || c.Fault == AnchorHidden
	call, ruling := c.Crash == BeforeCall || c.Crash == AfterCall, c.Kind == Approve || c.Kind == Reject
	switch {
	case c.Fault.once(), c.Crash == NoCrash && !ruling:
		return 0 // they come with the others
	case call && c.Kind == One && c.Fault == StoreFails:
		n = 12
	case call && (c.Kind == One || c.Kind == Retry || c.Fault == StoreFails):
		n = 8
	case ruling && c.Crash != NoCrash:
		n = 4
	case call:
		n = 5
	case c.Kind == Full, c.Kind == Delta, ruling:
		n = 2
	default:
		n = 3
	}
	switch {
	case c.Fault == StaleServer:
		return 3 * n
	case late:
		return 2 * n
	}
	return n
}

// at makes one of the steps bring the combination about: what is wrong before it has ended by then.
func (a Combination) at(steps []Step, i int) {
	s := &steps[i]
	s.Do, s.Crash, s.At = a.Kind, a.Crash, 0
	s.Fault, s.Lasts = a.Fault, 1
	for j := range i {
		steps[j].Lasts = min(steps[j].Lasts, i-j)
	}
}

func small(t *rapid.T, n int) int { return rapid.IntRange(0, n-1).Draw(t, "") }

func pick(t *rapid.T, from []int) int { return from[small(t, len(from))] }

// weighted lists 0 to n-1, each as often as weights says, or else usual times.
func weighted(weights map[int]int, n, usual int) (list []int) {
	for i := range n {
		times, given := weights[i]
		if !given {
			times = usual
		}
		for range times {
			list = append(list, i)
		}
	}
	return list
}
