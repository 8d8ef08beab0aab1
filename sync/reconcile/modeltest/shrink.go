package modeltest

import "slices"

// Shrink makes a history smaller for as long as it still breaks what it broke: steps and people are left out, then what
// is in a step.
func Shrink(h History, breaks func(History) bool) History {
	for smaller := true; smaller; {
		smaller = false
		for _, next := range append(shorter(h), simpler(h)...) {
			if breaks(next) {
				h, smaller = next, true
				break
			}
		}
	}
	return h
}

// shorter are the histories that lack half of the steps, a quarter, …, one of them, or one person.
func shorter(h History) (list []History) {
	for size := len(h.Steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(h.Steps); at += size {
			list = append(list, h.with(h.People, slices.Delete(slices.Clone(h.Steps), at, at+size)))
		}
	}
	for at := len(h.People) - 1; at >= 0 && len(h.People) > 1; at-- {
		list = append(list, h.with(slices.Delete(slices.Clone(h.People), at, at+1), h.Steps))
	}
	return list
}

// with is the history of other people and steps.
func (h History) with(people []Person, steps []Step) History {
	h.People, h.Steps = people, steps
	return h
}

// simpler are the histories in which one thing of one step, or of one person, is left out.
func simpler(h History) (list []History) {
	for at, s := range h.Steps {
		for _, simplify := range []func(*Step){
			func(s *Step) { s.Edits[0] = NoEdit },
			func(s *Step) { s.Edits[1] = NoEdit },
			func(s *Step) { s.Then, s.Tend, s.Shown, s.Stop = NoEdit, 0, 0, 0 },
			func(s *Step) { s.Term = noTerm },
			func(s *Step) { s.Fault = NoFault },
			func(s *Step) { s.Deed = NoFault },
			func(s *Step) { s.Crash = NoCrash },
			func(s *Step) { s.Jump = 0 },
			func(s *Step) { s.Batch = AtOnce },
			func(s *Step) { s.Lasts = 1 },
			func(s *Step) { s.Do = Full },
			func(s *Step) { s.Do = Delta },
		} {
			one := s
			if simplify(&one); one != s && one.Do <= s.Do {
				steps := slices.Clone(h.Steps)
				steps[at] = one
				list = append(list, h.with(h.People, steps))
			}
		}
	}
	for at, p := range h.People {
		if p.Account != 0 {
			p.Account = 0
			people := slices.Clone(h.People)
			people[at] = p
			list = append(list, h.with(people, h.Steps))
		}
	}
	return list
}

// Without is the history less the edits, faults, kinds of step, crashes and batches of those names.
func (h History) Without(names []string) History {
	steps := slices.Clone(h.Steps)
	for i := range steps {
		s := &steps[i]
		for e := range s.Edits {
			if slices.Contains(names, s.Edits[e].String()) {
				s.Edits[e] = NoEdit
			}
		}
		if slices.Contains(names, s.Then.String()) {
			s.Then = NoEdit
		}
		if slices.Contains(names, s.Fault.String()) {
			s.Fault = NoFault
		}
		if slices.Contains(names, s.Deed.String()) {
			s.Deed = NoFault
		}
		if slices.Contains(names, s.Do.String()) {
			s.Do = Delta
		}
		if slices.Contains(names, s.Crash.String()) {
			s.Crash = NoCrash
		}
		if slices.Contains(names, s.Batch.String()) {
			s.Batch = AtOnce
		}
	}
	return h.with(h.People, steps)
}
