// Package survey reads one target and compares it with what its people should have there: what is to be done, which
// leavers show themselves only in the listing, and what somebody has to look at. It asks correlate and plan, and writes
// nothing to the target.
package survey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/holds"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/people"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/sync/roster"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/targets"
)

// chunk is how many accounts share one look at the state.
const chunk = 256

// A Target is one target block, opened.
type Target struct {
	Name      string
	Session   *apply.Session // over its application; the caller closes it
	Mapping   *mapping.Target
	Parallel  int      // changes under way at once
	Sources   []string // names of the sources it reads; never empty
	Observe   bool     // plan and report, write nothing
	Correlate []string // attributes tried, in this order, for accounts not linked yet
	Leaver    sweep.Policy
	LeaverAt  string // where the config says so, for `explain`
	OnOrphan  string // "report" or "disable"
	OnDrift   string // "repair", "report" or "enforce"
	Guard     guard.Limits
}

// View is the view of the target on people, for a pass that perhaps leaves it out.
func (t Target) View(skip bool) *people.View {
	return &people.View{
		Name: t.Name, Mapping: t.Mapping, Sources: t.Sources, LeaverAt: t.LeaverAt, Window: t.Guard.Window, Skip: skip,
	}
}

// Reports says that leavers are only reported.
func (t Target) Reports() bool { return t.Leaver.Action == sweep.ActionReport }

// Closing is how an account that has to be closed is closed: as the config says, but an orphan keeps what it has.
func (t Target) Closing(out people.Leaver) sweep.Account {
	policy := t.Leaver
	if out.Person.IsZero() {
		policy = sweep.Policy{Action: sweep.ActionDisable, Revoke: policy.Revoke}
	}
	return sweep.Account{Change: out.Change(""), Link: out.Link, Policy: policy.Closing()}
}

// Options are what a Survey is made of.
type Options struct {
	Target   Target
	View     *people.View
	People   *people.Read
	App      *apply.Pass
	Executor *apply.Executor
	Book     *holds.Book
	Ledger   *state.Ledger
	Spool    *roster.Spool
	Limits   guard.Limits // for what arises in a source
	Log      hclog.Logger
	Now      time.Time
	Full     bool                   // read everything; else the accounts of people who changed
	One      bool                   // the pass is for one person
	Write    bool                   // what is planned is to be carried out
	Find     func(identity.Finding) // is told of findings, from several goroutines
	Reading  func(n, of int)        // is told how the listing gets on; of is 0 while it is not known

	Accepted []people.Leaver            // to be closed, known before the target was read
	Delayed  map[identity.PersonID]bool // left alone: it cannot be told what came of a change to their account
}

// A Survey is one target read and compared.
type Survey struct {
	Target
	o      Options
	view   *people.View
	people *people.Read
	app    *apply.Pass
	caps   identity.Capabilities
	paths  []string // mapped, sorted

	Work     []Work
	Changes  []identity.Change // what the work consists of
	Late     []people.Leaver   // who only now shows that their account has to be closed
	Refresh  []state.Link      // links whose fingerprints are to be written anew
	opened   []state.Link      // links of closed accounts that are active again, and left so
	Unlinked []state.Unlinked  // after a whole listing
	Count    int               // accounts read
	Listed   bool              // every account of it was read
	Seen     roster.Bits       // rows of people whose account was seen
	Left     bool              // something was left to the next pass

	matcher   *correlate.Matcher
	fitting   uint64                        // fingerprint of the config by which accounts are fitted to people
	parked    map[identity.AccountID]parked // unlinked accounts
	taken     roster.Logins                 // in use
	joiners   []int                         // rows of people in scope without an account
	makings   []making                      // of those, beyond what Changes lists
	lost      map[int]state.Link            // by row, of joiners whose account has vanished
	marks     map[string]identity.AccountID
	logins    map[string]identity.AccountID     // of unlinked accounts, in lower case
	rivals    map[identity.AccountID]state.Link // by unlinked account: a link of an account that bore the same userName
	relinked  map[identity.AccountID]bool       // unlinked accounts that turned out to be a linked person's
	linksSeen int                               // links to active accounts that the list holds
	holders   map[string]int                    // linked accounts that were listed with an entitlement, by its name; of managed targets
	marked    map[string]state.Link             // by externalId, links of people where an unlinked account bears it
	asked     int                               // accounts that nothing is remembered of whose people were asked for
	unasked   bool                              // there were more
	// closedSeen are hashes of the identifiers of linked accounts that are not active and that the list holds.
	closedSeen map[uint64]struct{}

	mu      sync.Mutex      // guards what follows
	waiting map[string]wish // by name, entitlements that are wanted and cannot be given
}

// A parked account is one that waits to be fitted to somebody.
type parked struct {
	at     int64 // in the spool
	active bool
}

// park keeps an account for correlation.
func (s *Survey) park(a identity.Account) error {
	at, err := s.o.Spool.Add(a)
	s.parked[a.ID], s.logins[strings.ToLower(a.UserName)] = parked{at, a.Active}, a.ID
	return err
}

// parkedAccount reads one back.
func (s *Survey) parkedAccount(id identity.AccountID) (a identity.Account, err error) {
	err = s.o.Spool.Get(s.parked[id].at, &a)
	return a, err
}

// Open reports whether a whole listing shows an active account that nobody is linked to. That it lacks one says nothing
// where it shows no linked account either (R2).
func (s *Survey) Open(id identity.AccountID) bool {
	a, listed := s.parked[id]
	return a.active || !listed && s.linksSeen == 0
}

// Work is what is to be done to one account: so many steps of the survey's changes, in order. There may be one for
// everybody.
type Work struct {
	row          int // of the person
	first, steps int
	there        *there   // nil for an account that is yet to be made
	waiting      []string // what the application lacks of what is wanted
	partly       bool     // some of what is wanted waits for an operator
}

// mostListed is for how many accounts that are to be made a pass that writes keeps the changes. A first pass makes as
// many as there are people, and the trail tells of each.
const mostListed = 1000

// A making is an account that is to be made and whose change is not kept: what it takes to compute it again.
type making struct {
	row      int
	userName string
	mark     plan.Mark
}

// Unlisted are the accounts to be made whose changes are not among Changes.
func (s *Survey) Unlisted() []plan.Mark {
	marks := make([]plan.Mark, len(s.makings))
	for i, m := range s.makings {
		marks[i] = m.mark
	}
	return marks
}

// Forget lets go of everything that was planned.
func (s *Survey) Forget() { s.Changes, s.Work, s.makings = nil, nil, nil }

// Units is on how many accounts there is work to do.
func (s *Survey) Units() int { return len(s.Work) + len(s.makings) }

// Unit is the work on one account, of Units, and the changes that it consists of, in their order.
func (s *Survey) Unit(n int) (w Work, steps []identity.Change, err error) {
	if n < len(s.Work) {
		return s.Work[n], s.Steps(s.Work[n]), nil
	}
	m := s.makings[n-len(s.Work)]
	e, err := s.people.Roster.Entry(m.row)
	if err != nil {
		return w, nil, err
	}
	c := s.joining(m.row, e)
	c.Name, c.UserName = e.Person.Name, m.userName
	return Work{row: m.row}, []identity.Change{c}, nil
}

// there is an account that the target has.
type there struct {
	have identity.Account
	link state.Link // zero for none
}

// ErrHeld says that a target is held whole: it lists far fewer accounts than are linked there.
var ErrHeld = errors.New("the target is held")

// New begins a survey.
func New(o Options) *Survey {
	return &Survey{
		Target: o.Target, o: o, view: o.View, people: o.People, app: o.App, caps: o.App.Capabilities(), paths: o.Target.Mapping.Paths(),
		matcher: correlate.New(o.Target.Correlate), fitting: o.People.FittingPrint(o.View, o.Target.Correlate),
		parked: map[identity.AccountID]parked{}, taken: roster.Logins{},
		lost: map[int]state.Link{}, marks: map[string]identity.AccountID{}, relinked: map[identity.AccountID]bool{},
		waiting: map[string]wish{}, holders: map[string]int{}, marked: map[string]state.Link{}, closedSeen: map[uint64]struct{}{},
		logins: map[string]identity.AccountID{}, rivals: map[identity.AccountID]state.Link{},
	}
}

// everyone reports whether every account is read, of whomever.
func (s *Survey) everyone() bool { return s.o.Full && !s.o.One }

// Read reads the target and plans what is to be done there: in a full pass every account, else those of people who
// changed. Its error is ErrHeld, or says why the target takes no part.
func (s *Survey) Read(ctx context.Context) (err error) {
	if s.everyone() {
		s.Late, err = s.readAll(ctx)
	} else {
		s.Late, err = s.readSome(ctx)
	}
	if err != nil {
		return err
	}
	more, err := s.matchUnlinked(ctx)
	if err != nil {
		return err
	}
	s.Late = append(s.Late, more...)
	if err := s.planJoiners(ctx); err != nil {
		return err
	}
	s.tellWaiting()
	s.breakCycles()
	return s.limitChanges(ctx)
}

// Start is the account that work begins with, and its link; zero where there is none yet.
func (s *Survey) Start(w Work) (have identity.Account, link state.Link) {
	if w.there != nil {
		return w.there.have, w.there.link
	}
	return have, s.lost[w.row]
}

// Steps are the changes that work consists of, in their order.
func (s *Survey) Steps(w Work) []identity.Change { return s.Changes[w.first : w.first+w.steps] }

// Job is one step of work as it is carried out on an account as the steps before it left it. What an account that is to
// be made needs is computed again: the plan of a hundred thousand keeps none of it.
func (s *Survey) Job(ctx context.Context, w Work, c identity.Change, have identity.Account, link state.Link) (apply.Job, error) {
	job := apply.Job{
		Change: c, Have: have, Link: link, Waiting: w.waiting, Mapping: s.Mapping.Print(),
		Scope: s.people.ScopePrint(s.view, s.people.Roster.Source(w.row)),
	}
	if w.partly {
		_, start := s.Start(w)
		job.Mapping = start.Mapping
	}
	if c.Op != identity.Create {
		return job, nil
	}
	e, want, err := s.want(ctx, w.row, c.UserName) // the login that was planned
	if err != nil {
		return job, err
	}
	waiting, err := s.resolve(ctx, &want)
	if err != nil {
		return job, err
	}
	job.Waiting = waitingFor(waiting)
	job.Want = want
	job.Change = s.creation(c, e, want)
	return job, nil
}

// Reopen makes of an intent the job it was, under the scope that had the person then: what was edited since is judged
// as an edit. Under which mapping it was planned is not known any more, so that the account is looked at again.
func Reopen(intent state.Intent) apply.Job {
	c := intent.Change
	job := apply.Job{Change: c, Have: identity.Account{ID: c.Account, UserName: c.UserName}, Scope: intent.Scope}
	if c.Op != identity.Create {
		return job
	}
	job.Want = identity.Account{
		UserName: c.UserName, ExternalID: c.Person.Anchor, Active: true, Attributes: map[string]identity.Value{},
	}
	for _, a := range c.Delta.Attributes {
		job.Want.Attributes[a.Path] = a.After
		if a.Path == "externalId" {
			job.Want.ExternalID = a.After.Text()
		}
	}
	job.Want.Entitlements = c.Delta.Grant
	return job
}

// Disputed is the finding that a change was not made because it is not clear whose the account is.
func Disputed(c identity.Change, detail string) identity.Finding {
	return identity.Finding{
		Kind: "disputed", Subject: c.Target + ": " + c.UserName, Target: c.Target, Person: c.Person, Account: c.Account, Detail: detail,
	}
}

// NotDone is the finding that the application does not take a change, with what it said. ok is false where that says
// nothing of the change: it had no answer, or is repeated soon.
func NotDone(c identity.Change, err error) (f identity.Finding, ok bool) {
	for _, class := range []error{targets.ErrRejected, targets.ErrForbidden, targets.ErrConflict} {
		ok = ok || errors.Is(err, class)
	}
	return identity.Finding{
		Kind: "not done", Subject: c.Target + ": " + cmp.Or(c.UserName, c.Name), Target: c.Target, Person: c.Person, Account: c.Account,
		Detail: fmt.Sprintf("%s: %v", c.Op, err),
	}, ok && !c.Op.Sweeps()
}

// linksOf is how many links the target has.
func (s *Survey) linksOf(ctx context.Context) (p guard.Population, err error) {
	err = s.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		p.Now, err = v.CountLinks(s.Name)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("read the state: %w", err)
	}
	return p, nil
}

// isAccepted reports whether an account is to be closed already.
func (s *Survey) isAccepted(id identity.AccountID) bool {
	return slices.ContainsFunc(s.o.Accepted, func(out people.Leaver) bool { return out.Account == id })
}

// bulk is how many links share one transaction where all of them are at hand: they lie all over the state, so that a
// small one writes a page of it for each.
const bulk = 10_000

// PutRefreshed writes links that turned out to be as wanted though something about them had changed, and notes which
// closed accounts are active again.
func (s *Survey) PutRefreshed(ctx context.Context) error {
	if s.Observe {
		return nil
	}
	err := s.rewrite(ctx, s.Refresh, func(now *state.Link, read state.Link) {
		read.Kept = now.Kept
		*now = read
	})
	if err != nil {
		return err
	}
	return s.rewrite(ctx, s.opened, func(now *state.Link, read state.Link) { now.SeenActive(read.Disabled) })
}

// rewrite changes links as they are now, less those whose account was closed, or opened, since it was looked at.
func (s *Survey) rewrite(ctx context.Context, read []state.Link, change func(now *state.Link, read state.Link)) error {
	for links := range slices.Chunk(read, bulk) {
		err := s.o.Ledger.Update(ctx, func(w *state.Writer) error {
			for _, link := range links {
				now, ok, err := w.Link(link.Target, link.Person)
				if err != nil {
					return err
				}
				if !ok || now.State != link.State || now.Account != link.Account {
					continue
				}
				change(&now, link)
				if err := w.PutLink(now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write the state: %w", err)
		}
	}
	return nil
}
