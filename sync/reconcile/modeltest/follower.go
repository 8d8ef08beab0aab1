package modeltest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// This file plays directories that are followed: between whole reads they tell what has changed alone, in batches that
// are late, out of order, repeated, spoiled or not all there is.

// A Batch is how a followed directory tells what has changed.
type Batch int

// The batches.
const (
	AtOnce    Batch = iota // all of it
	Trickling              // some of it; the rest later
	Reordered              // what changed later before what changed sooner
	Repeated               // all of it, and what was told last once more
	Poisoned               // all of it, and one entry of it cannot be read
	Unclear                // nobody can tell, so that everything is read anew
	Forgotten              // all of it but one change, which it never tells
	batchCount
)

var batchNames = [batchCount]string{"at once", "trickling", "reordered", "repeated", "poisoned", "unclear", "forgotten"}

func (b Batch) String() string { return batchNames[b] }

// MarshalText writes the name.
func (b Batch) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads it.
func (b *Batch) UnmarshalText(text []byte) error { return named(b, batchNames[:], text) }

// Follow makes the history of a seed one whose directories are followed, one of them or both: most histories are.
// A few steps more see to it that something is told: a process that has died, a directory that was down and a full pass
// begin with a whole read.
func (h *History) Follow(seed int) {
	r := rand.New(rand.NewPCG(uint64(seed), 0x666f6c6c6f77))
	switch r.IntN(6) {
	case 0:
		return
	case 1:
		h.Followed[r.IntN(sourceCount)] = true
	default:
		h.Followed = [sourceCount]bool{true, true}
	}
	for i := range h.Steps {
		h.Steps[i].Batch = Batch(r.IntN(int(batchCount)))
	}
	told := []Step{toldStep(r), toldStep(r), toldStep(r)}
	crashes := []Crash{NoCrash, BeforeStore, AfterStore, BeforeCall, BeforeCall, AfterCall, AfterCall, DuringRead}
	told[2].Crash, told[2].At = crashes[r.IntN(len(crashes))], r.IntN(4)
	if r.IntN(3) > 0 {
		told[1].Batch = told[2].Batch // what is out of order needs something that waits
	}
	h.Steps = slices.Insert(h.Steps, r.IntN(len(h.Steps)+1), told...)
}

// toldStep is a step in which people change and are told of.
func toldStep(r *rand.Rand) Step {
	edit := func() Edit { return Edit(1 + r.IntN(int(EditScope)-1)) }
	told := []Batch{ // the others come by themselves
		Trickling, Trickling, Reordered, Reordered, Reordered, Reordered, Poisoned, Poisoned, Forgotten,
	}
	return Step{
		Edits: [2]Edit{edit(), edit()}, Who: [2]int{r.IntN(12), r.IntN(12)}, To: r.IntN(60), Jump: r.IntN(len(jumps)), Lasts: 1,
		Do: Delta, Choice: r.IntN(12), Batch: told[r.IntN(len(told))],
	}
}

// missedByPush is the kind of finding that tells of changes which the directory had not told.
const missedByPush = "missed by push"

// A feed is what the world tells of its changes.
type feed struct {
	followed [sourceCount]bool
	replicas [sourceCount]*replica // nil while there is none
	batch    Batch                 // of this step
	choice   int
	changes  int  // so far
	whole    bool // this step reads everything anew
	came     [batchCount]bool
}

// begin is the beginning of a step.
func (f *feed) begin(s Step, kind Kind) {
	f.batch, f.choice, f.whole, f.came = s.Batch, s.Choice, kind == Full || kind == One, [batchCount]bool{}
}

// A replica is what a process has of a directory: everything as it was read at first, and what it was told of since.
type replica struct {
	number    bool             // people are known by their employee number: another source has another replica
	entries   []entry          // in the order in which they were read
	since     map[string]int   // which change made them otherwise, by anchor: of those who are not told yet
	last      []string         // anchors that were told last
	garbled   map[string]bool  // anchors of entries that could not be read
	forgotten map[string]entry // what became of those of whom that is never told; the zero entry of the deleted
	missed    sources.Sample   // what the directory had not told before everything was read anew
}

func newReplica(number bool, entries []entry) *replica {
	r := &replica{
		number: number, entries: entries, since: map[string]int{}, garbled: map[string]bool{}, forgotten: map[string]entry{},
	}
	if len(entries) > 0 {
		r.last = []string{entries[0].anchor} // it changed while everybody was read, and is told once more
	}
	return r
}

func byAnchor(list []entry) map[string]entry {
	entries := map[string]entry{}
	for _, e := range list {
		entries[e.anchor] = e
	}
	return entries
}

// untold are the anchors of those who are otherwise now, as far as that will be told, in the order in which it was noted.
func (r *replica) untold(now map[string]entry, change int) (anchors []string) {
	had := byAnchor(r.entries)
	either := maps.Clone(now)
	maps.Copy(either, had)
	for anchor := range either {
		forgotten, never := r.forgotten[anchor]
		switch {
		case had[anchor] == now[anchor]:
			delete(r.since, anchor)
		case !never || forgotten != now[anchor]:
			if _, known := r.since[anchor]; !known {
				r.since[anchor] = change
			}
			anchors = append(anchors, anchor)
		}
	}
	slices.SortFunc(anchors, func(a, b string) int { return cmp.Or(cmp.Compare(r.since[a], r.since[b]), cmp.Compare(a, b)) })
	return anchors
}

// note notes who is otherwise by an edit.
func (w *world) note() {
	w.feed.changes++
	for n, r := range w.feed.replicas {
		if r != nil {
			r.untold(byAnchor(w.model.base(n)), w.feed.changes)
		}
	}
}

// base is everybody whom a source reads.
func (m *model) base(source int) (list []entry) {
	for _, h := range m.humans {
		if h.entry != nil && h.entry.source == source && h.entry.place != outside {
			list = append(list, *h.entry)
		}
	}
	return list
}

// read reads one entry anew, whatever was told of it: it is the last one from then on, or not there any more.
func (r *replica) read(anchor string, now map[string]entry) {
	r.entries = slices.DeleteFunc(slices.Clone(r.entries), func(e entry) bool { return e.anchor == anchor })
	if e, there := now[anchor]; there {
		r.entries = append(r.entries, e)
	}
	delete(r.since, anchor)
	delete(r.garbled, anchor)
	delete(r.forgotten, anchor)
}

// tell takes in what is told of what is true now. came says that the batch was of its kind.
func (r *replica) tell(b Batch, choice int, now map[string]entry, change int) (came bool) {
	changed := r.untold(now, change)
	told, spoiled := slices.Clone(changed), ""
	switch b {
	case Trickling:
		told = nil
		for i, anchor := range changed {
			if (i+choice)%2 == 0 {
				told = append(told, anchor)
			}
		}
		came = len(told) < len(changed)
	case Reordered:
		told = told[min(1, len(told)):]
		came = len(told) > 0 && r.since[changed[0]] < r.since[told[len(told)-1]]
	case Repeated:
		came = len(r.last) > 0
		told = append(told, r.last...)
	case Forgotten:
		if came = len(told) > 0; came {
			spoiled = told[choice%len(told)]
			told = slices.DeleteFunc(told, func(anchor string) bool { return anchor == spoiled })
		}
	case Poisoned:
		spoiled, came = somebody(changed, choice, now)
	}
	for _, anchor := range told {
		r.read(anchor, now)
	}
	if len(told) > 0 {
		r.last = told
	}
	switch {
	case b == Forgotten && came:
		r.forgotten[spoiled] = now[spoiled]
	case b == Poisoned && came:
		r.garbled[spoiled] = true
	}
	return came
}

// somebody picks one of those who have changed and are there: nothing of the deleted has to be read.
func somebody(changed []string, choice int, now map[string]entry) (anchor string, ok bool) {
	there := slices.DeleteFunc(slices.Clone(changed), func(anchor string) bool { return now[anchor] == entry{} })
	if len(there) == 0 {
		return "", false
	}
	return there[choice%len(there)], true
}

// A follower is a source that follows its directory.
type follower struct{ source }

var _ sources.Follower = follower{}

// sourceOf is a source as the engine gets it.
func (w *world) sourceOf(n int) sources.Source {
	if w.feed.followed[n] {
		return follower{source{world: w, n: n}}
	}
	return source{world: w, n: n}
}

// trouble is what is wrong with reading; followable says that it does not keep a source from following: what somebody
// cannot see any more, or sees at another server, is read as any other source reads it.
func (f follower) trouble() (trouble Fault, followable bool) {
	trouble = f.world.faultOf(f.n, true)
	return trouble, trouble == NoFault || trouble == LookupDown
}

// Renew implements sources.Follower.
func (f follower) Renew(ctx context.Context, read func(n int)) (followed bool, err error) {
	w := f.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.reads(ctx); err != nil {
		return false, err
	}
	switch trouble, followable := f.trouble(); {
	case trouble == SourceDown:
		return false, errDown
	case trouble == ReadCut:
		return false, fmt.Errorf("%w: the connection was cut", sources.ErrIncomplete)
	case !followable:
		w.feed.replicas[f.n] = nil
		return false, nil
	}
	fresh := newReplica(w.model.config.number[f.n], w.model.base(f.n))
	if old := f.replica(); old != nil {
		now := byAnchor(fresh.entries)
		old.tell(AtOnce, 0, now, w.feed.changes) // what was late by then is not missed
		for anchor := range old.forgotten {
			if byAnchor(old.entries)[anchor] != now[anchor] {
				fresh.missed.Add(anchor)
			}
		}
	}
	w.feed.replicas[f.n] = fresh
	read(len(fresh.entries))
	return true, nil
}

// replica is what is followed; nil for nothing.
func (f follower) replica() *replica {
	r := f.world.feed.replicas[f.n]
	if r == nil || r.number != f.world.model.config.number[f.n] {
		return nil
	}
	return r
}

// Latest implements sources.Follower.
func (f follower) Latest(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		latest := f.source
		latest.replica = f.catchUp()
		for p, err := range latest.PeopleAndFacts(ctx, facts) {
			if !yield(p, err) {
				return
			}
		}
	}
}

// catchUp takes in what is told; nil where everything has to be read as any other source reads it.
func (f follower) catchUp() *replica {
	w := f.world
	w.mu.Lock()
	defer w.mu.Unlock()
	r := f.replica()
	_, followable := f.trouble()
	switch {
	case !followable:
		r = nil
	case r == nil || w.feed.batch == Unclear:
		w.feed.came[Unclear] = w.feed.came[Unclear] || r != nil
		r = newReplica(w.model.config.number[f.n], w.model.base(f.n))
	default:
		came := r.tell(w.feed.batch, w.feed.choice, byAnchor(w.model.base(f.n)), w.feed.changes)
		w.feed.came[w.feed.batch] = w.feed.came[w.feed.batch] || came
	}
	if w.feed.replicas[f.n] = r; r != nil {
		w.believe(f.n, r)
	}
	return r
}

// shown is what a read shows in place of what a server holds, where the source follows it.
func (s source) shown(snap snapshot) snapshot {
	if s.replica != nil {
		snap.entries = s.replica.entries
	}
	return snap
}

// missed is what a source had not been told of.
func (s source) missed() (none sources.Sample) {
	if s.replica == nil {
		return none
	}
	return s.replica.missed
}

// garbles reports whether an entry could not be read.
func (s source) garbles(e entry) bool { return s.replica != nil && s.replica.garbled[e.anchor] }

// believe takes people also for what a source shows of them that was not told of everything: under the config of now.
// The lock is held.
func (w *world) believe(n int, r *replica) {
	for _, e := range r.entries {
		who, _ := w.model.human(e.anchor)
		h := w.model.humans[who]
		if h.entry != nil && *h.entry == e || r.garbled[e.anchor] {
			continue
		}
		seen := *h
		seen.entry = &e
		for t, s := range w.model.shares[who] {
			w.model.learn(&seen, t, s)
			if w.model.config.in(&seen, t) {
				w.back(place{who, t})
			}
			w.applications[t].claimedBy(who, e.login)
		}
	}
	shown := byAnchor(r.entries)
	for who, h := range w.model.humans {
		if h.entry == nil || h.entry.source != n || len(h.anchors) == 1 || h.read == h.entry.anchor {
			continue
		}
		if _, there := shown[h.entry.anchor]; !there || r.garbled[h.entry.anchor] {
			w.missOne(who) // nobody sees that they are back, under another anchor: who they were may be proven deleted
			for _, s := range w.model.shares[who] {
				s.left = identity.ByAbsence
			}
		}
	}
}

// told reports whether what the last pass read of somebody is the truth, as far as what is followed goes.
func (w *world) told(h *human) bool {
	for n, r := range w.feed.replicas {
		if r == nil {
			continue
		}
		shown := byAnchor(r.entries)
		for _, anchor := range h.anchors {
			var now entry
			if h.entry != nil && h.entry.anchor == anchor && h.entry.source == n && h.entry.place != outside {
				now = *h.entry
			}
			if shown[anchor] != now || r.garbled[anchor] {
				return false
			}
		}
	}
	return true
}

// checkMissed looks at whether it is said that a directory did not tell of everything.
func (w *world) checkMissed(l look) {
	for n, r := range w.feed.replicas {
		if r == nil || w.faultOf(n, true) != NoFault || w.fault.Fault == StoreFails || w.anchorEdited() || w.doubted(l) {
			continue // nothing is said of what is not believed
		}
		said := false
		for _, f := range l.findings {
			said = said || f.Kind == missedByPush && f.Source == sourceNames[n]
		}
		if said != (r.missed.Count > 0) {
			w.broken(MissesTold, "%s: %d missed, said %v", sourceNames[n], r.missed.Count, said)
		}
	}
}

// checkDone looks at whether what was told of people was done, by what nothing but their entry decides: the title.
func (w *world) checkDone(l look) error {
	if w.fault.Fault != NoFault || w.away || w.anchorEdited() || w.doubted(l) {
		return nil
	}
	for t, links := range l.links {
		if rests, err := w.rests(t); err != nil {
			return err
		} else if rests {
			continue
		}
		for _, link := range links {
			n, _ := w.model.human(link.Person.Anchor)
			acc, p := w.applications[t].accounts[link.Account], place{n, t}
			if acc == nil || acc.owner != n || !w.plain(acc, link, p) || w.waits(l, p) {
				continue
			}
			if got, want := acc.Attributes["title"].Text(), w.model.humans[n].entry.title; got != want {
				w.broken(ToldIsDone, "%s: %s of %s has the title %q, wants %q", targetNames[t], acc.ID, w.who(n), got, want)
			}
		}
	}
	return nil
}

// plain reports whether an account is in use, and nothing decides of it but what a directory that is followed tells.
func (w *world) plain(acc *account, link state.Link, p place) bool {
	h := w.model.humans[p.human]
	switch {
	case acc.touched, !acc.Active, link.State != identity.LinkActive:
		return false
	case w.model.ordered[p.human], !w.model.config.in(h, p.target), h.entry.anchor != link.Person.Anchor:
		return false
	}
	return w.feed.replicas[h.entry.source] != nil && w.honest(h) && !w.disputed(w.own(p), h, p.target)
}

// waits reports whether something is open of somebody at a target.
func (w *world) waits(l look, p place) bool {
	step := w.stepOf(l, p, "")
	return step.Status.Open() || slices.ContainsFunc(l.holds, func(h hold) bool {
		return slices.ContainsFunc(h.members, func(m member) bool { return m.place == p })
	}) || slices.ContainsFunc(l.unsettled, func(c identity.Change) bool {
		return c.Target == targetNames[p.target] && w.bears(c.Person.Anchor, p.human)
	})
}

// rests reports whether a target is left alone for a while.
func (w *world) rests(t int) (rests bool, err error) {
	err = w.ledger.View(context.Background(), func(r *state.Reader) error {
		rec, _, err := r.Target(targetNames[t])
		rests = rec.Next.After(w.now()) || rec.PausedUntil.After(w.now())
		return err
	})
	return rests, err
}

// took counts the batches of a step.
func (c *Counts) took(came [batchCount]bool, crash Crash, died bool) {
	if !died {
		crash = NoCrash
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for b, yes := range came {
		c.batches[b][crash] += index(yes)
	}
}

// BatchesBelow lists the kinds of batches that came up less often than n times, with each point where the process died.
func (c *Counts) BatchesBelow(n int) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := AtOnce + 1; b < batchCount; b++ {
		for crash := range crashCount {
			if came := c.batches[b][crash]; came < n {
				list = append(list, fmt.Sprintf("%s x %s: %d", b, crash, came))
			}
		}
	}
	return list
}

// claimedBy gives an account that nobody has ever seen, and that names nobody, to who is read with its login.
func (a *application) claimedBy(who int, login string) {
	for _, held := range a.accounts {
		if !held.listed && held.ExternalID == "" && !a.world.known[a.n][held.ID] && held.UserName == login {
			held.owner = who
		}
	}
}
