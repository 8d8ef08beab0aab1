// Package people reads the sources and finds out what became of everybody: who is there and in scope where, who left,
// with which proof, who is back, and of whom nobody can tell. It asks judge, and is the only writer of people's
// records. No target is asked for anything.
package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/judge"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/roster"
)

// A Source is one source block, opened.
type Source struct {
	Name    string
	Source  sources.Source
	Mapping *mapping.Source
	// AbsenceLeaves: of a source that cannot look one person up, whoever a whole read lacks has left.
	AbsenceLeaves bool
	At            string // where the config has it: "config.hcl:12"
	// Lines says where each argument of its block is, by the name in it: "groups.base_dn" at "config.hcl:19".
	Lines map[string]string
	// Directory is declared: that it reads, by which people are known whatever source read them (R3); "" for what the
	// source says.
	Directory string
}

// A View is what one target holds of the people of a read.
type View struct {
	Name     string
	Mapping  *mapping.Target
	Sources  []string      // names of the sources that the target reads; never empty
	LeaverAt string        // where the config says what is done about leavers
	Window   time.Duration // over which the target's limits count
	Skip     bool          // the pass leaves the target out

	// One bit a row of the roster: in scope, not known to be in scope or out of it, linked, linked and changed since, and of
	// those who are unsure: in scope for sure, and only what they should have there is not known.
	Scope, Unsure, Linked, Stale, Stays roster.Bits

	bound   map[int]*suspicion                      // by row: who leaves by an anomaly, and by which
	rehired map[identity.PersonID]identity.PersonID // who left and has an account here → who came back as somebody new, and has none
}

// A Keeper keeps holds over what a source shows. An error is one of the state.
type Keeper interface {
	// Hold puts something on hold that is no matter of numbers, unless an operator has approved it. An approval is used
	// up by it. It returns the hold as it stands.
	Hold(ctx context.Context, h identity.Hold) (standing identity.Hold, released bool, err error)
	// Size judges the size of a read (R2), and keeps what becomes of the holds over it.
	Size(ctx context.Context, read guard.Read) (guard.Belief, error)
	// Drop forgets the holds that are over.
	Drop(ctx context.Context, over func(identity.Hold) bool) error
	// Over returns the hold of this pass over an anomaly of a source; false where there is none.
	Over(source, anomaly string) (identity.Hold, bool)
}

// Options are what a Read is made of.
type Options struct {
	Sources []Source
	Views   []*View
	Limits  guard.Limits // for what arises in a source
	Ledger  *state.Ledger
	Keeper  Keeper
	Spool   *roster.Spool // the caller closes it
	Log     hclog.Logger
	Now     time.Time
	Full    bool                           // a full pass: also asks about people whose accounts are closed
	Renewed []Renewal                      // by source; nil where none was read anew before
	Write   bool                           // keep what was learned
	Person  string                         // the pass is for this one: a login, DN, anchor or source/anchor; "" for everyone
	Find    func(identity.Finding)         // is told of findings, from several goroutines
	Reading func(source string, n, of int) // is told how a read gets on, from several goroutines; of is 0 while it is not known
}

// A Part is one source's share of a read.
type Part struct {
	Name  string
	Count int    // people
	Err   string // why it took no part, "" where it did
}

// A Read is one read of every source, and what it is judged to mean.
type Read struct {
	o      Options
	Roster *roster.Roster
	Views  []*View
	Parts  []Part // by source

	programs []uint64   // by source: fingerprint of everything that is evaluated for its people
	selected []uint64   // by source: fingerprint of all the settings by which it selects people
	readings []*reading // by source: what was read
	names    *names     // what people's records are written in
	// directories are the directories that the sources read.
	directories []directory
	whole       []bool     // by source: read whole and believed, people's number included
	half        []bool     // by source: a join of which some sources were read: who is not active by those leaves
	picked      roster.Key // of Options.Person
	meant       Candidates // for Options.Person, among those read
	match       identity.PersonID

	// activeKeys are the rehire keys of everybody who was read and is active; collected once, when first asked for.
	activeKeys func() map[uint64]bool
	// unseen are the rehire keys of people who are remembered under another anchor than somebody who left, and who were
	// neither read nor are known to have left.
	unseen      map[uint64]bool
	orders      map[identity.PersonID]state.Closure // who is ordered closed
	stranded    map[string]*stranded                // by directory
	holders     holders
	populations *Populations // nil until they are counted

	mu   sync.Mutex                         // guards what follows, and the views' bits while sources are read
	gone map[identity.PersonID]judge.Absent // what became of people whom the reads lack
	keys map[identity.PersonID]uint64       // the rehire keys of those; 0 for none
	open map[identity.PersonID]bool         // of those, who have an active account somewhere
	// late is from who people were to who they are by another anchor, where only a look-up has told.
	late map[identity.PersonID]identity.PersonID
	// foundBy is the attribute by which a look-up found somebody, wherever they are.
	foundBy map[identity.PersonID]string
	// asked is what the config asked, when they last stayed, of those who seem to be inactive by another anchor.
	asked        map[identity.PersonID][]uint64
	records      []state.Person
	own          []identity.Own                        // people as whom sources sign in
	missingParts map[identity.PersonID][]identity.Part // who was read and lacks entries that they had: as absent as who was not
	newRows      map[identity.Part][]int               // by entry, of those whose entries are not as they were: their rows
	formerRows   map[identity.Part][]int               // by entry, the rows of those who were made of it and are not any more
}

// New begins a read.
func New(o Options) *Read {
	r := &Read{
		o: o, Roster: roster.New(o.Spool), Views: o.Views, Parts: make([]Part, len(o.Sources)),
		whole: make([]bool, len(o.Sources)), half: make([]bool, len(o.Sources)), programs: make([]uint64, len(o.Sources)),
		selected: make([]uint64, len(o.Sources)), readings: make([]*reading, len(o.Sources)),
		gone: map[identity.PersonID]judge.Absent{}, keys: map[identity.PersonID]uint64{},
		open: map[identity.PersonID]bool{}, stranded: map[string]*stranded{},
		late: map[identity.PersonID]identity.PersonID{}, foundBy: map[identity.PersonID]string{},
		asked:        map[identity.PersonID][]uint64{},
		missingParts: map[identity.PersonID][]identity.Part{}, newRows: map[identity.Part][]int{}, formerRows: map[identity.Part][]int{},
		orders: map[identity.PersonID]state.Closure{}, holders: newHolders(), unseen: map[uint64]bool{},
	}
	r.activeKeys = sync.OnceValue(r.keysOfActive)
	r.meant.Who = o.Person
	for _, v := range o.Views {
		v.rehired, v.bound = map[identity.PersonID]identity.PersonID{}, map[int]*suspicion{}
	}
	for n, s := range o.Sources {
		r.Parts[n].Name = s.Name
		r.programs[n] = s.Mapping.Print()
		r.selected[n] = s.selectionPrint()
		for _, v := range r.Views {
			if slices.Contains(v.Sources, s.Name) {
				r.programs[n] = mix(r.programs[n], xxhash.Sum64String(v.Name), v.Mapping.Print(), v.Mapping.ScopePrint())
			}
		}
	}
	return r
}

// mix combines fingerprints; the order counts.
func mix(prints ...uint64) (out uint64) {
	for _, p := range prints {
		out = (out ^ p) * 0x9E3779B97F4A7C15
		out ^= out >> 29
	}
	return out
}

// ReadOrders reads whom an operator has swept.
func (r *Read) ReadOrders(ctx context.Context) error {
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for c, err := range v.Closures() {
			if err != nil {
				return err
			}
			c.Reason = cmp.Or(c.Reason, "no reason given")
			if p, known, err := v.Person(c.Person); err != nil {
				return err
			} else if known && p.Rehire != "" {
				c.Rehire = p.Rehire
			}
			r.orders[c.Person] = c
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// FollowOrders lets orders go with people who are back under another anchor, by their rehire key, and with those of
// whom nothing was remembered when they were ordered, by the anchor that their accounts name: who is swept stays closed
// until released, whatever the sources say, and under whatever name they say it.
func (r *Read) FollowOrders(ctx context.Context) error {
	if len(r.orders) == 0 {
		return nil
	}
	byKey := map[uint64]state.Closure{}
	for _, c := range r.orders {
		if key := roster.HashOf(c.Rehire); key != 0 {
			byKey[key] = c
		}
	}
	var followed []state.Closure
	follow := func(c state.Closure, id identity.PersonID) {
		if r.Ordered(id) == "" {
			c.Person, c.At = id, r.o.Now
			r.orders[id] = c
			followed = append(followed, c)
		}
	}
	for i := range r.Roster.Len() {
		if order, ordered := byKey[r.Roster.Row(i).Key]; ordered {
			e, err := r.Roster.Entry(i)
			if err != nil {
				return err
			}
			follow(order, e.Person.ID)
		}
	}
	nameless, err := r.namelessOrders(ctx)
	if err != nil {
		return err
	}
	for _, c := range nameless {
		for _, directory := range r.directoryNames() {
			id := identity.PersonID{Directory: directory, Anchor: c.Person.Anchor}
			if _, here := r.Roster.Find(id); here {
				follow(c, id)
			}
		}
	}
	if !r.o.Write || len(followed) == 0 {
		return nil
	}
	return r.update(ctx, func(w *state.Writer) error {
		for _, c := range followed {
			if err := w.PutClosure(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// namelessOrders are the orders for people whom nobody has ever read: they are known by the anchor on their accounts
// alone, and their directory was guessed.
func (r *Read) namelessOrders(ctx context.Context) (list []state.Closure, err error) {
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for id, c := range r.orders {
			_, known, err := v.Person(id)
			if err != nil {
				return err
			}
			if _, here := r.Roster.Find(id); !known && !here {
				list = append(list, c)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return list, nil
}

// Ordered is why an operator has somebody's accounts closed; "" where none has.
func (r *Read) Ordered(id identity.PersonID) string { return r.orders[id].Reason }

// OrderedAt is why an operator has the account closed that somebody has at a target, under whatever anchor they are
// known now; "" where none has.
func (r *Read) OrderedAt(l *View, id identity.PersonID) string {
	return cmp.Or(r.Ordered(id), r.Ordered(l.Heir(id)))
}

// pick settles whom Options.Person means.
func (r *Read) pick(ctx context.Context) error {
	if r.o.Person == "" {
		return nil
	}
	id, err := r.meant.One()
	if errors.Is(err, ErrNobody) {
		var names []string
		for _, v := range r.Views {
			names = append(names, v.Name)
		}
		id, err = Remembered(ctx, r.o.Ledger, r.o.Sources, names, r.o.Person)
	}
	if err != nil {
		return err
	}
	r.match, r.picked = id, roster.KeyOf(id)
	return nil
}

// Match is whom Options.Person means.
func (r *Read) Match() identity.PersonID { return r.match }

// Selected reports whether the pass is for this person.
func (r *Read) Selected(id identity.PersonID) bool {
	return r.o.Person == "" || roster.KeyOf(id) == r.picked
}

// SourceWhole reports whether a source was read whole and is believed.
func (r *Read) SourceWhole(source string) bool {
	i := slices.IndexFunc(r.o.Sources, func(s Source) bool { return s.Name == source })
	return i >= 0 && r.whole[i]
}

// directoryWhole reports whether every source of a directory was read whole and is believed.
func (r *Read) directoryWhole(directory string) bool {
	return r.every(directory, func(n int) bool { return r.whole[n] })
}

// Claimable reports whether every source of the target was read and is believed, under the config that it was accepted
// under: only then can be told who else has a claim to an account, and so whose it is (R2).
func (r *Read) Claimable(l *View) bool {
	return !slices.ContainsFunc(r.o.Sources, func(s Source) bool {
		return slices.Contains(l.Sources, s.Name) && !r.SourceWhole(s.Name)
	})
}

// RowsOf are the rows of everybody whom a target reads, of sources that were read whole.
func (r *Read) RowsOf(l *View) iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := range r.o.Sources {
			if !r.reads(l, n) {
				continue
			}
			for i := range r.Roster.Of(n) {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// reads reports whether the target reads a source that was read whole.
func (r *Read) reads(l *View, n int) bool {
	return r.whole[n] && slices.Contains(l.Sources, r.o.Sources[n].Name)
}

func (r *Read) update(ctx context.Context, fn func(*state.Writer) error) error {
	if err := r.o.Ledger.Update(ctx, fn); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}
