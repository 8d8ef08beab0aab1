package modeltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// An Invariant is what no history may break.
type Invariant string

// The invariants. The first ones are looked at with every write, the next ones after every step, the last ones when all
// is well again.
const (
	ClosesNobody  Invariant = "R1 nobody who is active and in scope is closed"
	StripsNobody  Invariant = "R1 nobody who is active and in scope is stripped or emptied"
	NoPart        Invariant = "R2 what broke off in the middle makes no plan"
	Unmanaged     Invariant = "R12 what nobody maps is not written"
	HandsOff      Invariant = "R5 an account that is nobody's of the company is not written"
	TakesOver     Invariant = "R5 nothing is written to one person's account for another"
	OpensNobody   Invariant = "R11 nobody who has left is given or enabled an account"
	HandClosed    Invariant = "R11 an account that somebody disabled in the application stays disabled"
	CreatesOnce   Invariant = "R7 nobody gets a second account"
	WritesOnce    Invariant = "R7 nothing is written twice without a cause"
	HoldsStand    Invariant = "R6 nobody who is held is closed"
	Limits        Invariant = "R6 no more are closed in a window than the limit says"
	EditedConfig  Invariant = "R14 an edit of the config alone closes nobody"
	SessionsEnd   Invariant = "R8 no closing step is left of a leaver's account that is called closed"
	SignInFirst   Invariant = "R4 no closing step is taken before sign-in is refused"
	MovedBack     Invariant = "S6 what closing an account kept is undone where it is enabled"
	Grace         Invariant = "R10 nothing is deleted before grace is over"
	InBooks       Invariant = "R8 a leaver's open account is in the books"
	ClosedAtOnce  Invariant = "R4 a leaver's account is closed where the application answers"
	NoFalseCalm   Invariant = "R21 a pass does not say that all is well while a leaver's account is open"
	BooksAreTrue  Invariant = "R21 the books call nothing closed that is open"
	Instants      Invariant = "R19 it happened, was noticed and was proven closed in this order, at instants that were"
	LinksAgree    Invariant = "R3 every link is to an account of that person"
	EveryoneHas   Invariant = "R3 in the end everybody has what they should have"
	LeaversClosed Invariant = "R8 in the end no leaver has an open account"
	SamePlan      Invariant = "R17 the same state is planned the same, and nothing is written by it"
	AsShown       Invariant = "R17 what was shown is done, or nothing"
	EndsQuiet     Invariant = "R17 in the end nothing is written any more"
	NothingOpen   Invariant = "R7 in the end no change is unsettled"
	Told          Invariant = "R16 the trail tells of every write, or an intent does"
	NoFailure     Invariant = "R20 a stop is nobody's failure"
	Settled       Invariant = "R20 what was answered when everything stops is settled, and what was not stays an intent"
	Secret        Invariant = "R15 no secret is in the trail or the state"
	TrailHolds    Invariant = "R16 the trail holds together"
	ToldIsDone    Invariant = "R9 what was told of somebody is done"
	MissesTold    Invariant = "R21 what a directory did not tell of is told"
	OnTime        Invariant = "R13 who turns by the clock is judged by a pass at that instant"
	Works         Invariant = "a pass can be made"
)

// A Violation is an invariant that a history broke.
type Violation struct {
	Invariant Invariant
	Step      int
	What      string
}

func (v Violation) String() string {
	return fmt.Sprintf("step %d: %s: %s", v.Step, v.Invariant, v.What)
}

func (w *world) broken(i Invariant, format string, args ...any) {
	v := Violation{i, w.step, fmt.Sprintf(format, args...)}
	if slices.ContainsFunc(w.violations, func(known Violation) bool { return known.Invariant == i && known.What == v.What }) {
		return // it stays broken
	}
	if w.tell != nil {
		fmt.Fprintf(w.tell, "    BROKEN %s\n", v)
	}
	w.violations = append(w.violations, v)
}

// A place is one person at one target.
type place struct{ human, target int }

// strength is how surely somebody has left a target, by the truth.
func (m *model) strength(p place) identity.Strength {
	h := m.humans[p.human]
	switch {
	case m.config.in(h, p.target):
		return identity.Unproven
	case h.entry == nil, (h.entry.place == outside || !h.entry.on(m.now())) && len(h.gone) > 0: // of who they were
		return identity.ByAbsence
	case !h.entry.on(m.now()) && (h.entry.place != outside || h.entry.active): // whose time ends is so wherever they were told to be
		return identity.ByState
	}
	return identity.ByScope
}

// written judges a write at the moment of its effect. The lock is held.
func (w *world) written(one write, acc *account) {
	if w.tell != nil {
		fmt.Fprintf(w.tell, "    %s %s %s of %s %v\n", targetNames[one.target], one.op, one.id, w.who(one.owner), one.delta)
	}
	what := fmt.Sprintf("%s: %s of %s (%s), %s", targetNames[one.target], one.op, w.who(one.owner), one.before.UserName, one.id)
	if one.owner == stranger {
		w.broken(HandsOff, "%s", what)
		return
	}
	s := w.model.shares[one.owner][one.target]
	ordered := w.model.ordered[one.owner] && !w.model.keyless[one.owner]
	if one.idle && !acc.touched {
		w.broken(WritesOnce, "%s", what)
	}
	if !one.closes() && (w.cut.targets[one.target] || w.cut.sources[w.model.humans[one.owner].last().source]) {
		w.broken(NoPart, "%s", what)
	}
	switch one.op {
	case identity.Disable, identity.Delete:
		if one.before.Active {
			w.closes(one, acc, what)
		}
		if due := acc.closedAt.Add(grace); one.op == identity.Delete && (acc.closedBy != "engine" || due.After(one.at)) {
			w.broken(Grace, "%s, closed by %q, grace ends %s, now %s", what, acc.closedBy, due, one.at)
		}
	case identity.Enable, identity.Create:
		delete(w.closedBefore, place{one.owner, one.target})
		if !s.stays || ordered {
			w.broken(OpensNobody, "%s", what)
		}
		if one.op == identity.Enable && acc.closedBy == "hand" && acc.mine {
			w.broken(HandClosed, "%s", what)
		}
		for path := range one.want.Attributes {
			w.managed(path, what)
		}
		for id, other := range w.applications[one.target].accounts {
			if one.op == identity.Create && other.owner == one.owner && id != one.id && w.marked(other) {
				w.broken(CreatesOnce, "%s beside %s", what, id)
			}
		}
	case identity.Finish:
		if one.before.Active && !acc.touched {
			w.broken(SignInFirst, "%s", what)
		}
	case identity.Update:
		w.updates(one, s, what)
	}
}

func (w *world) who(n int) string {
	if n == stranger {
		return "a stranger"
	}
	return fmt.Sprintf("person %d", n)
}

func (w *world) bears(externalID string, n int) bool {
	owner, known := w.model.human(externalID)
	return known && owner == n
}

// marked reports whether an account carries the anchor by which its person is known now.
func (w *world) marked(acc *account) bool {
	h := w.model.humans[acc.owner]
	return h.entry != nil && acc.ExternalID == w.model.config.anchor(h.entry)
}

func (w *world) updates(one write, s *share, what string) {
	for _, c := range one.delta.Attributes {
		w.managed(c.Path, what)
		switch value := c.After.Text(); {
		case c.Path == "externalId":
			if !w.bears(value, one.owner) {
				w.broken(TakesOver, "%s: externalId = %q", what, value)
			}
		case value == "" && !s.values[c.Path][value]:
			w.broken(StripsNobody, "%s: %s is emptied", what, c.Path)
		case !s.values[c.Path][value] && w.anothers(one, c.Path, value):
			w.broken(TakesOver, "%s: %s = %q", what, c.Path, value)
		case !s.values[c.Path][value]:
			w.broken(StripsNobody, "%s: %s = %q, which it never was", what, c.Path, value)
		}
	}
	p := place{one.owner, one.target}
	for _, e := range one.delta.Withdraw {
		stays := !s.leaves && !w.model.ordered[one.owner] && !w.released[p] && !w.owed[p]
		switch {
		case stays && e.Name == guests:
			w.broken(Unmanaged, "%s: %s is withdrawn", what, e.Name)
		case stays && s.always[e.Name]:
			w.broken(StripsNobody, "%s: %s is withdrawn", what, e.Name)
		}
	}
	for _, e := range one.delta.Grant {
		if !s.granted[e.Name] {
			w.broken(OpensNobody, "%s: %s is granted", what, e.Name)
		}
	}
}

// managed judges that an attribute is written: nobody but the config says which.
func (w *world) managed(path, what string) {
	if !slices.Contains([]string{"userName", "externalId", "displayName", "title"}, path) {
		w.broken(Unmanaged, "%s: %s", what, path)
	}
}

// anothers reports whether a value is what somebody else's account should hold.
func (w *world) anothers(one write, path, value string) bool {
	for n := range w.model.humans {
		if n != one.owner && path != "title" && w.model.shares[n][one.target].values[path][value] {
			return true
		}
	}
	return false
}

// closes judges the closing of an account that was active.
func (w *world) closes(one write, acc *account, what string) {
	p := place{one.owner, one.target}
	s := w.model.shares[p.human][p.target]
	if w.model.ordered[p.human] {
		w.closedBefore[p] = true
		return
	}
	again := w.closedBefore[p] // enabled in the application since; closing it again never counts
	was, unknown := w.unknown[p]
	switch {
	case !s.leaves && w.owed[p]:
	case !s.leaves && unknown && was.account == one.id && was.anchor != w.model.humans[p.human].last().anchor:
		// By what is remembered nobody can tell that they are back: the account is who they were before our time.
	case !s.leaves && !w.released[p]: // an operator may take for true what is not
		w.broken(ClosesNobody, "%s", what)
		return
	case w.released[p]:
	case again:
	default:
		if held, waits := w.standing[p]; waits && s.left <= held.strength && one.id == held.account {
			w.broken(HoldsStand, "%s", what)
		}
		found := acc.made && !acc.kept // it was never theirs by any config: it is judged as what is found
		if len(s.edited) > 0 && w.linked[p] && !found {
			w.broken(EditedConfig, "%s", what)
		}
		at, waited := w.decided[p]
		if !waited {
			at = one.at
		}
		alone := s.left >= identity.ByState // proven of them alone
		directory := w.directory(w.model.humans[p.human].last().source)
		w.swept = append(w.swept, swept{p, at, alone, directory})
		went, few := map[place]bool{}, map[place]bool{}
		for _, other := range w.swept {
			if other.target != p.target || !other.at.After(at.Add(-window)) || other.at.After(at) {
				continue
			}
			if went[other.place] = true; other.alone && other.directory == directory {
				few[other.place] = true
			}
		}
		if len(went) > sweepCount && (!alone || len(few) > floor) {
			w.broken(Limits, "%s, number %d", what, len(went))
		}
	}
	w.closedBefore[p] = true
}

type swept struct {
	place
	at        time.Time
	alone     bool   // proven of them alone
	directory string // of which the floor is
}

// look is what one view of the state shows after a step.
type look struct {
	links     [targetCount][]state.Link
	ordered   map[int]bool
	keyless   map[int]bool // ordered under another anchor than theirs, and no rehire key says that it is they
	orders    map[identity.PersonID]bool
	people    map[identity.PersonID]state.Person // what is remembered of those who have a link
	cases     []state.Case
	holds     []hold
	unsettled []identity.Change
	findings  []state.Finding
}

func (w *world) look() (l look, err error) {
	l.people = map[identity.PersonID]state.Person{}
	err = w.ledger.View(context.Background(), func(r *state.Reader) error {
		for t, name := range targetNames {
			for link, err := range r.Links(name) {
				if err != nil {
					return err
				}
				l.links[t] = append(l.links[t], link)
				if l.people[link.Person], _, err = r.Person(link.Person); err != nil {
					return err
				}
			}
		}
		for c, err := range r.Cases() {
			if err != nil {
				return err
			}
			l.cases = append(l.cases, c)
		}
		l.ordered, l.keyless, l.orders = map[int]bool{}, map[int]bool{}, map[identity.PersonID]bool{}
		for c, err := range r.Closures() {
			if err != nil {
				return err
			}
			l.orders[c.Person] = true
			n, known := w.model.human(c.Person.Anchor)
			if !known {
				continue
			}
			p, _, err := r.Person(c.Person)
			if err != nil {
				return err
			}
			h := w.model.humans[n]
			other := h.entry != nil && w.model.config.anchor(h.entry) != c.Person.Anchor
			keyless, before := other && p.Rehire == "" && c.Rehire == "", l.ordered[n]
			l.keyless[n] = keyless && (!before || l.keyless[n])
			l.ordered[n] = true
		}
		for f, err := range r.Findings() {
			if err != nil {
				return err
			}
			l.findings = append(l.findings, f)
		}
		for intent, err := range r.Intents() {
			if err != nil {
				return err
			}
			l.unsettled = append(l.unsettled, intent.Change)
		}
		l.holds, err = w.readHolds(r)
		return err
	})
	return l, err
}

// step is what the books say of a person's account in a target; the zero Step where they say nothing.
func (w *world) stepOf(l look, p place, id identity.AccountID) (found state.Step) {
	for _, c := range l.cases {
		if !w.bears(c.Person.Anchor, p.human) {
			continue
		}
		for _, s := range c.Steps {
			if s.Target == targetNames[p.target] && (s.Account == id || found.Status == "") {
				found = s
			}
		}
	}
	return found
}

// check looks at everything after a step; completed says that it was made to its end.
func (w *world) check(kind Kind, completed bool) error {
	l, err := w.look()
	if err != nil {
		return err
	}
	for _, h := range l.holds {
		if w.tell != nil {
			fmt.Fprintf(w.tell, "    hold %s %v\n", h.text, h.members)
		}
	}
	w.model.ordered, w.model.keyless = l.ordered, l.keyless
	w.noteRemembered(l)
	w.noteKept(l, completed && w.fault.Fault == NoFault)
	for t, links := range l.links {
		for _, link := range links {
			w.checkLink(t, link)
		}
	}
	read := completed && (kind == Full || kind == Delta)
	if read {
		w.checkMissed(l)
		if err := w.checkDone(l); err != nil {
			return err
		}
		if err := w.checkTurns(l); err != nil {
			return err
		}
	}
	for _, app := range w.applications {
		app.keep(completed && kind == Full && w.fault.Fault == NoFault && !w.doubted(l))
	}
	for t, app := range w.applications {
		for _, id := range slices.Sorted(maps.Keys(app.accounts)) {
			if acc := app.accounts[id]; acc.owner != stranger {
				w.checkAccount(l, place{acc.owner, t}, acc, kind, read)
			}
		}
	}
	if read {
		w.began = w.began || kind == Full && w.fault.Fault == NoFault
		if kind == Full && w.fault.Fault == NoFault && !w.doubted(l) {
			w.model.accepted = nil
		}
		for n, h := range w.model.humans {
			for t := range targetCount {
				if !w.honest(h) || w.fault.Fault != NoFault || w.doubts(l, h) {
					continue
				}
				w.model.known(n, t)
				if !w.linked[place{n, t}] {
					w.model.shares[n][t].edited = nil // they had no account to be held
				}
				if p := (place{n, t}); w.model.strength(p) == identity.Unproven && !w.anchorEdited() {
					delete(w.released, p) // an approval stands until they are seen where they should be
				}
			}
		}
	}
	if kind == Full {
		w.lack()
	}
	if !slices.Contains(w.model.accepted, w.model.config) {
		w.model.accepted = append(w.model.accepted, w.model.config)
	}
	w.stand(l)
	for n, h := range w.model.humans {
		for t := range targetCount {
			p := place{n, t}
			open := w.stepOf(l, p, "").Status == state.StepOpen
			w.owed[p] = open && w.doubts(l, h)
			if _, known := w.decided[p]; open && !known {
				w.decided[p] = time.Now()
			} else if !open {
				delete(w.decided, p)
			}
		}
	}
	return nil
}

// noteRemembered notes of the accounts what the state says of them.
func (w *world) noteRemembered(l look) {
	for t, app := range w.applications {
		for _, acc := range app.accounts {
			acc.asked = false
		}
		for _, link := range l.links[t] {
			if acc := app.accounts[link.Account]; acc != nil {
				acc.asked = !link.Asked.IsZero()
				if link.State == identity.LinkActive || link.Opened {
					acc.unseen = "" // that was written down
				}
			}
		}
	}
	for _, c := range l.unsettled {
		acc := w.applications[slices.Index(targetNames[:], c.Target)].accounts[c.Account]
		if acc != nil && (c.Op == identity.Disable || c.Op == identity.Enable) {
			acc.asked = true
		}
	}
	for _, c := range l.cases {
		for _, s := range c.Steps {
			if acc := w.applications[slices.Index(targetNames[:], s.Target)].accounts[s.Account]; acc != nil {
				acc.listed = true
			}
		}
	}
}

// lack forgets what was known of people whom full reads have lacked for a day and who never had an account: as new ones
// they have lost nothing when they are back.
func (w *world) lack() {
	for n, h := range w.model.humans {
		linked := slices.ContainsFunc([]int{wiki, chat, crm}, func(t int) bool { return w.linked[place{n, t}] })
		switch now := w.now(); {
		case h.entry != nil && h.entry.place != outside:
			h.lacked = time.Time{}
		case h.lacked.IsZero() || h.lacked.After(now):
			h.lacked = now
		case !linked && !w.model.ordered[n] && now.Sub(h.lacked) >= 24*time.Hour:
			h.read = ""
		}
	}
}

func (w *world) checkLink(t int, link state.Link) {
	acc, there := w.applications[t].accounts[link.Account]
	owner, known := w.model.human(link.Person.Anchor)
	w.known[t][link.Account] = true
	if known {
		w.linked[place{owner, t}] = true
	}
	if there && known && w.model.config.in(w.model.humans[owner], t) {
		acc.kept = true
	}
	switch {
	case !there || acc.touched:
	case !known || acc.owner != owner:
		w.broken(LinksAgree, "%s: %s (%s) is linked to %s (%s)", targetNames[t], acc.UserName, w.who(acc.owner), w.who(owner), link.Person)
	}
}

// honest reports whether what the last pass read of somebody's directory was the truth.
func (w *world) honest(h *human) bool {
	return w.faultOf(h.last().source, true) == NoFault && (!w.shared || !w.fault.ofSource()) &&
		(w.feed.whole || w.told(h)) // a full pass finds what was not told
}

// unread reports whether a target reads nothing of somebody's directory: nobody tells it that they have left. An order
// does, but under another anchor than that of their account, of whom no rehire key is remembered, it leads to nobody.
func (w *world) unread(l look, p place) bool {
	if p.target != crm || w.shared || w.model.humans[p.human].last().source == 0 {
		return false
	}
	return !w.model.ordered[p.human] || slices.ContainsFunc(l.links[p.target], func(link state.Link) bool {
		return w.bears(link.Person.Anchor, p.human) && !l.orders[link.Person] && l.people[link.Person].Rehire == ""
	})
}

// placeless reports whether an account is linked to somebody of whom no place is remembered, because they were never
// read under that anchor: that they have left cannot be proven, and that is told.
func (w *world) placeless(l look, p place, id identity.AccountID) bool {
	return slices.ContainsFunc(l.links[p.target], func(link state.Link) bool {
		return link.Account == id && l.people[link.Person].DN == ""
	}) && slices.ContainsFunc(l.findings, func(f state.Finding) bool {
		return f.Kind == "unproven" && f.Target == "" && w.bears(f.Person.Anchor, p.human)
	})
}

// provable reports whether absence from the directory can be proven at all: not without a trace and from an empty
// container.
func (w *world) provable(h *human) bool {
	if h.entry != nil {
		return true
	}
	if h.read == "" {
		return false // nobody knows where they were
	}
	last := h.last()
	if h.gone[last.anchor].seen && !w.model.renumbered[last.source] {
		return true
	}
	return slices.ContainsFunc(w.model.humans, func(other *human) bool {
		return other.entry != nil && other.entry.source == last.source && other.entry.place == last.place
	})
}

func (w *world) checkAccount(l look, p place, acc *account, kind Kind, read bool) {
	h, s := w.model.humans[p.human], w.model.shares[p.human][p.target]
	out := !w.model.config.in(h, p.target) || w.model.ordered[p.human]
	step := w.stepOf(l, p, acc.ID)
	if step.Status == state.StepProven && step.Account == acc.ID && acc.Active && !acc.touched && out && !s.stays {
		w.broken(BooksAreTrue, "%s: %s of %s is proven closed and open", targetNames[p.target], acc.ID, w.who(p.human))
	}
	if step.Status == state.StepProven && step.Account == acc.ID && !acc.Active && !acc.touched && out && !s.stays {
		w.checkSteps(p, acc)
	}
	nobodyKnows := w.model.keyless[p.human] || w.unread(l, p) || w.placeless(l, p, acc.ID) || !w.provable(h)
	if !read || !out || !acc.Active || !w.known[p.target][acc.ID] || nobodyKnows {
		return
	}
	if !w.honest(h) || w.anchorEdited() || w.doubts(l, h) {
		return
	}
	if (kind == Full || !acc.touched) && w.worked[len(w.worked)-1].outcome == reconcile.Converged {
		w.broken(NoFalseCalm, "%s: %s of %s is open, and the books say %q", targetNames[p.target], acc.ID, w.who(p.human), step.Status)
	}
	fault := w.faultOf(p.target, false)
	switch {
	case !step.Status.Open() || step.Status == "":
		if w.undecidedOf(l, p, acc) {
			return
		}
		if !acc.touched && w.fault.Fault != StoreFails {
			w.broken(InBooks, "%s: %s of %s is open, and the books say %q", targetNames[p.target], acc.ID, w.who(p.human), step.Status)
		}
	case step.Next.After(w.now()) && !step.Next.After(w.now().Add(time.Hour)): // it is tried again soon
	case step.Status == state.StepOpen && fault == NoFault && w.fault.Fault != StoreFails && !w.paused(p.target):
		w.broken(ClosedAtOnce, "%s: %s of %s: %s", targetNames[p.target], acc.ID, w.who(p.human), step.Error)
	}
}

// undecidedOf reports whether nobody can tell whether somebody who is back may keep their account: under the anchor
// that they have now they were first read when the group that lets people in had lost everybody, or many. While that
// waits for an operator, nothing is decided of them (F4).
func (w *world) undecidedOf(l look, p place, acc *account) bool {
	h := w.model.humans[p.human]
	former := slices.ContainsFunc(l.links[p.target], func(link state.Link) bool {
		return link.Account == acc.ID && h.entry != nil && link.Person.Anchor != w.model.config.anchor(h.entry)
	})
	waits := func(one hold) bool { return one.group && !one.approved && !one.rejected }
	return former && p.target == chat && slices.ContainsFunc(l.holds, waits)
}

func (w *world) anchorEdited() bool {
	return w.model.config.number != [sourceCount]bool{}
}

// doubts reports whether what a source of a person's directory says is not believed until an operator decides, or was
// rejected.
func (w *world) doubts(l look, h *human) bool {
	source := sourceNames[h.last().source]
	return slices.ContainsFunc(l.holds, func(one hold) bool {
		return !one.approved && one.source != "" && (w.shared || one.source == source)
	})
}

// doubted reports whether what some source says is not believed.
func (w *world) doubted(l look) bool {
	return slices.ContainsFunc(l.holds, func(one hold) bool { return !one.approved && one.source != "" })
}

// paused reports whether an application asked to be left alone lately.
func (w *world) paused(t int) bool { return w.now().Before(w.pauses[t]) }

// inHold is somebody in one hold.
type inHold struct {
	place
	digest string
}

// stand remembers who is held, and forgets those of whom that is over.
func (w *world) stand(l look) {
	listed := map[inHold]bool{}
	for _, h := range l.holds {
		for _, m := range h.members {
			listed[inHold{m.place, h.digest}] = true
			if w.model.strength(m.place) == identity.Unproven && !w.stepOf(l, m.place, m.account).Status.Waits() {
				w.returned[inHold{m.place, h.digest}] = true
			}
			if !h.closes {
				continue
			}
			if _, known := w.standing[m.place]; !known && !w.released[m.place] && !h.approved && !m.former {
				w.standing[m.place] = m
			}
		}
	}
	for p, held := range w.standing {
		in := inHold{p, held.hold}
		acc := w.applications[p.target].accounts[held.account]
		closed := acc != nil && !acc.Active // by hand: there is nothing to hold any more, and opening it is another matter
		if (w.returned[in] || closed) && !listed[in] {
			delete(w.standing, p) // they were seen back, and have left once more, unseen, by the time the hold lets go of them
		}
	}
	w.forget()
}

// forget takes back what was held of those who are in scope again, or have left more surely since.
func (w *world) forget() {
	for p, held := range w.standing {
		surer := w.model.shares[p.human][p.target].left > held.strength
		if surer || w.model.strength(p) == identity.Unproven || w.model.ordered[p.human] {
			delete(w.standing, p)
		}
	}
}

// decide approves or rejects a hold.
func (w *world) decide(ctx context.Context, digest string, approve bool) error {
	l, err := w.look()
	if err != nil {
		return err
	}
	for _, h := range l.holds {
		w.lossApproved = w.lossApproved || approve && h.digest == digest && h.attribute
		for _, m := range h.members {
			if approve && h.digest == digest {
				w.released[m.place] = true
				delete(w.standing, m.place)
				if m.unknown {
					w.unknown[m.place] = m
				}
			}
		}
	}
	if !approve {
		_, err = w.engine.Reject(ctx, digest, "test")
		return err
	}
	if _, err = w.engine.Approve(ctx, digest, "test"); err != nil {
		return err
	}
	_, err = w.engine.Retry(ctx) // what is approved is due at once
	return err
}

// A hold is what of a hold concerns us.
type hold struct {
	digest             string
	source             string // that is not believed, where it is over one
	approved, rejected bool
	closes             bool // what it keeps from happening is closing
	enables            bool // or enabling
	attribute          bool // it is over an attribute that many have lost
	group              bool // or a group
	members            []member
	text               string // for those who read about it
}

type member struct {
	place
	hold     string // its digest
	account  identity.AccountID
	strength identity.Strength
	former   bool // it is about who they were under another anchor, or in another directory
	anchor   string
	unknown  bool // nothing is remembered by which they would be known under another anchor
}

func (w *world) holds() []hold {
	l, err := w.look()
	if err != nil {
		return nil
	}
	return l.holds
}
