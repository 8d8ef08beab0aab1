package apply

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
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

const (
	readBacks = 3               // of an account that does not show yet what was written: some targets answer from a replica
	finish    = 5 * time.Second // for writing down a call that was under way when everything was stopped
)

// An Executor carries changes out on targets, one at a time each. It is safe for concurrent use.
type Executor struct {
	Ledger   *state.Ledger
	Trail    *audit.Trail
	Log      hclog.Logger
	Now      func() time.Time
	Pass     string    // id of the pass, for intents and audit
	InFlight *InFlight // what this and the other executors of the process have under way; never nil
}

// InFlight are the changes that a process has under way: whoever began one settles it, and what is left open without
// being under way is to be recovered. The zero value is ready, and safe for concurrent use.
type InFlight struct {
	mu      sync.Mutex
	intents map[uint64]bool             // by sequence number
	turns   map[accountAt]chan struct{} // closed once nobody is at work on the account any more
}

// An accountAt is an account at a target.
type accountAt struct {
	target  string
	account identity.AccountID
}

// turn waits until nobody else is at work on an account, and makes it the caller's until end is called (S4): two changes
// of one account at once would each read it back as the other leaves it. The error says that ctx ended before.
func (f *InFlight) turn(ctx context.Context, at accountAt) (end func(), err error) {
	for {
		f.mu.Lock()
		other, taken := f.turns[at]
		if !taken {
			mine := make(chan struct{})
			if f.turns == nil {
				f.turns = map[accountAt]chan struct{}{}
			}
			f.turns[at] = mine
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				delete(f.turns, at)
				close(mine)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// UnderWay reports whether somebody is at work on an intent.
func (f *InFlight) UnderWay(intent state.Intent) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.intents[intent.Seq]
}

// Busy reports whether somebody is at work on an account.
func (f *InFlight) Busy(target string, account identity.AccountID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, busy := f.turns[accountAt{target, account}]
	return busy
}

func (f *InFlight) begin(intent state.Intent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.intents == nil {
		f.intents = map[uint64]bool{}
	}
	f.intents[intent.Seq] = true
}

func (f *InFlight) end(intent state.Intent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.intents, intent.Seq)
}

// A Job is one change with what its doing needs beyond the change itself.
type Job struct {
	Change identity.Change
	Want   identity.Account // of a Create
	// Have is the account as last observed; at least its ID, but for a Create. Fresh says that it was read, and found
	// to be the one linked, just before: by the step before this one.
	Have    identity.Account
	Fresh   bool
	Link    state.Link // as recorded; zero for none
	Mapping uint64     // fingerprints of the target's expressions, for the link
	Scope   uint64
	Waiting []string // what is wanted and the application lacks, for the link
	// Also is done in the transaction that records the link; nil for nothing.
	Also func(*state.Writer) error
}

// A Result is how a change ended.
type Result struct {
	Kept    string           // of a closing step: what enabling the account needs to undo it
	Account identity.Account // as the target holds it now
	Link    state.Link       // as recorded now; zero where it was removed
	Seen    string           // of a sweeping operation: what the read-back saw
	At      time.Time
	Receipt targets.Receipt
	Refused []targets.Refusal      // attributes that the application did not take, while it took the rest
	Sent    []identity.Entitlement // taken away without proof: the application shows nobody's
	Found   bool                   // of a Create: the account was there, and what it holds is as it was
	// Unanswered says of a Create that it was asked to grant what the account is to have, and gave no answer.
	Unanswered bool
	Err        error
}

// ErrTaken says that a Create found its account in another person's hands; nothing was changed.
var ErrTaken = errors.New("the name is taken")

// ErrOvertaken says that a change rests on a judgement that is over. Nothing was done; the next pass plans anew.
var ErrOvertaken = errors.New("the person has been judged anew since this was planned")

// Do carries one change out: it looks at the account, writes the intent, calls, repeats where the target did not
// answer, reads back, and settles with an audit record. Its Err is an IdentityError where the identifier names another
// account than the linked one, an UnprovenError where the account cannot be read, and a SecondError where the person
// has another; nothing is written then.
func (x *Executor) Do(ctx context.Context, p *Pass, job Job) Result {
	if job.Change.Op.Sweeps() {
		ctx = ForLeavers(ctx)
	}
	r := Result{Account: job.Have, Link: job.Link}
	if r.Err = x.ready(ctx, p); r.Err != nil {
		return r
	}
	if job.Have.ID != "" {
		var end func()
		if end, r.Err = x.InFlight.turn(ctx, accountAt{job.Change.Target, job.Have.ID}); r.Err != nil {
			return r
		}
		defer end()
	}
	if op := job.Change.Op; op != identity.Create && op != identity.Link && !job.Fresh {
		if r = x.Look(ctx, p, job); r.Err != nil {
			return r
		}
		job.Have = r.Account
	}
	intent, err := x.begin(ctx, &job)
	if err != nil {
		r.Err = err
		return r
	}
	defer x.InFlight.end(intent)
	if r.Seen != SeenGone && r.Seen != SeenHidden || job.Change.Op == identity.Enable { // else there is nothing to call, only to tell
		r = x.perform(ctx, p, job)
	}
	r.At = x.Now()
	if unknown(ctx, job, r.Err) {
		return r
	}
	// A call that was answered is settled even while the pass is being stopped.
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	return x.settle(settling, p, intent, job, r)
}

// ready returns why nothing can be done now: the target is not to be called, or what would be done could not be told
// (R16).
func (x *Executor) ready(ctx context.Context, p *Pass) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	if err := x.Trail.Check(); err != nil {
		err = fmt.Errorf("the audit trail cannot be written: %w", err)
		p.Break(err)
		return err
	}
	return nil
}

// ready returns why nothing can be sent to the target now.
func (p *Pass) ready(ctx context.Context) error {
	if err := p.Down(); err != nil {
		return err
	}
	return p.s.paused(ctx)
}

// begin writes the intent. What the closing of an account that is to be enabled kept is read with it: a sweep that was
// under way may have kept something since the change was planned (S6).
func (x *Executor) begin(ctx context.Context, job *Job) (intent state.Intent, err error) {
	intent = state.Intent{Pass: x.Pass, Change: job.Change, At: x.Now(), Scope: job.Scope}
	err = x.Ledger.Update(ctx, func(w *state.Writer) error {
		if over, err := overtaken(&w.Reader, *job); err != nil || over {
			return errors.Join(err, ErrOvertaken)
		}
		if err := noteBegun(w, *job); err != nil {
			return err
		}
		if job.Link.Kept, err = kept(&w.Reader, job.Link); err != nil {
			return err
		}
		begun, err := w.Begin(intent)
		if err == nil {
			intent = begun[0]
			x.InFlight.begin(intent) // before anybody can see it
		}
		return err
	})
	if errors.Is(err, ErrOvertaken) {
		return intent, err
	}
	if err != nil {
		x.InFlight.end(intent)
		return intent, fmt.Errorf("write the intent: %w", err)
	}
	return intent, nil
}

// noteBegun notes of a linked account what holds whatever comes of a change, or if nobody ever learns it. One that
// dirsweep disabled once, and is about to disable again, is active: the earlier disable counts no more (R10). One that
// gets another userName is the person's under both, also where it has another identifier before the change is settled
// (R3).
func noteBegun(w *state.Writer, job Job) error {
	c, name := job.Change, ""
	if c.Op == identity.Update {
		name = c.Delta.UserName()
	}
	if name == "" && (c.Op != identity.Disable || !job.Have.Active) {
		return nil
	}
	link, linked, err := w.LinkByAccount(c.Target, job.Have.ID)
	if err != nil || !linked {
		return err
	}
	was := link
	if link.AskedName = cmp.Or(name, link.AskedName); c.Op == identity.Disable {
		link.SeenActive(link.Disabled)
	}
	if link.AskedName == was.AskedName && link.Opened == was.Opened {
		return nil
	}
	return w.PutLink(link)
}

// unknown reports whether nobody knows what came of a change. Its intent stays, and Recover looks: a call that was cut
// short may have had its effect, and an account may have been made that nothing points to yet.
func unknown(ctx context.Context, job Job, err error) bool {
	if err == nil {
		return false
	}
	return ctx.Err() != nil || job.Change.Op == identity.Create && errors.Is(err, targets.ErrUnavailable)
}

func outcome(err error) string {
	if err != nil {
		return audit.Failed
	}
	return audit.Done
}

// Look reads the account that a change is about to be made to. It has to be the one that is linked (R5): Err is an
// IdentityError where it is not, an UnprovenError where it cannot be read, a SecondError where the person has another
// one instead. Seen is "gone" or "hidden" where that is proven (R8); a change that takes nothing away has ErrNotFound
// then.
func (x *Executor) Look(ctx context.Context, p *Pass, job Job) Result {
	r := Result{Account: job.Have, Link: job.Link, At: x.Now()}
	link := expected(job)
	have, err := p.Account(ctx, link.Account)
	switch {
	case err == nil && !Bears(link, have):
		r.Err = &IdentityError{Link: link, Now: have}
	case err == nil:
		p.s.cleared(link.Account)
		p.s.noteGood(link)
		r.Seen = seen(have)
		r.Account.ID, r.Account.Active, r.Account.ActiveShown = have.ID, have.Active, have.ActiveShown
		r.Account.Unlisted = have.Unlisted
		r.Account.UserName, r.Account.ExternalID = have.UserName, have.ExternalID
	case !p.absent(link.Account, err):
		r.Err = fmt.Errorf("read before it is written: %w", err)
	default:
		r.judged(x.prove(ctx, p, link, err, Facts{Disabled: p.hidden(link)}), link, err)
		hidden := r.Seen == SeenHidden && job.Change.Op == identity.Enable // the one write that has to do without a look
		if r.Err == nil && !job.Change.Op.Sweeps() && !hidden {
			r.Err = fmt.Errorf("read before it is written: %w", err)
		}
	}
	r.At = x.Now()
	return r
}

// Asked is when dirsweep asked for the account of a link to be disabled and never learned what came of it: it had no
// answer, or was cut short; zero where it did not. Who finds such an account disabled has found dirsweep's own doing.
func (x *Executor) Asked(ctx context.Context, link state.Link) (at time.Time, err error) {
	if !link.Asked.IsZero() {
		return link.Asked, nil
	}
	err = x.Ledger.View(ctx, func(r *state.Reader) error {
		for intent, err := range r.Intents() {
			if err != nil {
				return err
			}
			if c := intent.Change; c.Op == identity.Disable && c.Target == link.Target && c.Account == link.Account {
				at = intent.At
			}
		}
		return nil
	})
	if err != nil {
		return at, fmt.Errorf("read the state: %w", err)
	}
	return at, nil
}

// hidden reports whether an account is likely to be invisible because dirsweep disabled it.
func (p *Pass) hidden(link state.Link) bool {
	return link.State == identity.LinkDisabled && p.s.HidesInactive()
}

// absent reports whether err may mean that there is no such account: the application's own word, or no answer about one
// that whole lists have lacked since.
func (p *Pass) absent(id identity.AccountID, err error) bool {
	return errors.Is(err, targets.ErrNotFound) || errors.Is(err, targets.ErrUnavailable) && !errors.Is(err, ErrPaused) && p.unlisted(id)
}

// judged takes in what an absence proves.
func (r *Result) judged(v Verdict, link state.Link, err error) {
	switch {
	case v.Second != nil:
		r.Err = &SecondError{Linked: link.Account, Second: *v.Second}
	case v.Seen == "":
		r.Err = &UnprovenError{Account: link.Account, Why: v.Why, Last: v.Last, Err: err}
	default:
		r.Account, r.Seen, r.Err = identity.Account{ID: link.Account, UserName: link.UserName}, v.Seen, nil
	}
}

// expected is the identity that the account of a job has to bear. What is nobody's yet has to be what was observed.
func expected(job Job) state.Link {
	link := job.Link
	if link.Account == "" || link.Account != job.Have.ID && job.Have.ID != "" {
		link = state.Link{
			Person: job.Change.Person, Account: job.Have.ID, UserName: job.Have.UserName, ExternalID: job.Have.ExternalID,
		}
	}
	if link.UserName == "" {
		link.UserName = job.Change.UserName
	}
	return link
}

// perform makes the call of a change and reads back what the call must have done.
func (x *Executor) perform(ctx context.Context, p *Pass, job Job) Result {
	c := job.Change
	r := Result{Account: job.Have, Link: job.Link}
	write := func(call func(context.Context) error) {
		r.Err = p.call(ctx, job.Have.ID, call)
	}
	switch c.Op {
	case identity.Link:
	case identity.Create:
		x.create(ctx, p, job, &r)
	case identity.Update, identity.Strip:
		write(func(ctx context.Context) (err error) {
			r.Account, r.Receipt, err = p.in.Update(ctx, job.Have, c.Delta)
			return err
		})
		x.afterUpdate(ctx, p, job, &r)
	case identity.Enable:
		write(func(ctx context.Context) (err error) {
			r.Receipt, err = p.in.Enable(ctx, job.Have, toUndo(job.Link))
			return err
		})
		x.readBack(ctx, p, job, &r, enabled)
	case identity.Disable:
		write(func(ctx context.Context) (err error) { r.Receipt, err = p.in.Disable(ctx, job.Have); return err })
		x.readBack(ctx, p, job, &r, disabled)
	case identity.Finish:
		x.finish(ctx, p, job, &r)
	case identity.Delete:
		write(func(ctx context.Context) (err error) { r.Receipt, err = p.in.Delete(ctx, job.Have); return err })
		x.readBack(ctx, p, job, &r, deleted)
	default:
		r.Err = fmt.Errorf("%q is no operation", c.Op)
	}
	return r
}

// create makes an account. Whatever goes wrong between the call and its answer, the account that is made in the end is
// the one returned.
func (x *Executor) create(ctx context.Context, p *Pass, job Job, r *Result) {
	unanswered := false
	r.Err = p.call(ctx, "", func(ctx context.Context) (err error) {
		r.Account, r.Receipt, err = p.in.Create(ctx, job.Want)
		if err != nil && r.Account.ID != "" && ctx.Err() == nil {
			// The account is there, its entitlements are not: it is linked, and the next pass finds them missing.
			x.Log.Warn("created without entitlements", "target", p.s.o.Target, "account", r.Account.UserName, "error", err)
			return nil
		}
		if err == nil || !errors.Is(err, targets.ErrConflict) && !errors.Is(err, targets.ErrUnavailable) {
			return err
		}
		unanswered = unanswered || errors.Is(err, targets.ErrUnavailable)
		found, findErr := x.Own(ctx, p, job.Change.Person, job.Want)
		switch {
		case errors.Is(findErr, ErrTaken):
			return findErr
		case findErr == nil && found.ID != "" && found.ExternalID == "" && !unanswered:
			return fmt.Errorf("%w: %s is there already, and nothing says whose it is", ErrTaken, found.UserName)
		case findErr == nil && found.ID != "":
			r.Account, r.Found = found, true
			return nil
		}
		return err
	})
	r.Refused = r.Receipt.Refused
	if r.Err != nil || len(job.Want.Entitlements) == 0 {
		return
	}
	grant := identity.WithoutEntitlements(job.Want.Entitlements, r.Account.Entitlements)
	if len(grant) == 0 {
		return
	}
	made := r.Account
	err := p.call(ctx, made.ID, func(ctx context.Context) error {
		granted, _, err := p.in.Update(ctx, made, identity.Delta{Grant: grant})
		if err == nil {
			r.Account = granted
		}
		return err
	})
	if err != nil {
		// The account exists: it is linked, and the next pass, finding the entitlements missing, repeats this part
		// alone.
		r.Unanswered = errors.Is(err, targets.ErrUnavailable)
		x.Log.Warn("created without entitlements", "target", p.s.o.Target, "account", made.UserName, "error", err)
	}
}

// Own finds the account that a Create of want would make, or has made: one that carries its mark, or its name and no
// mark, and that is nobody else's. The zero account says that there is none; ErrTaken that the name is another
// person's.
func (x *Executor) Own(ctx context.Context, p *Pass, person identity.PersonID, want identity.Account) (identity.Account, error) {
	for _, key := range [][2]string{{"externalId", want.ExternalID}, {"userName", want.UserName}} {
		if key[1] == "" {
			continue
		}
		found, err := p.in.Find(ctx, key[0], key[1])
		if err != nil {
			return identity.Account{}, fmt.Errorf("look for %s %q: %w", key[0], key[1], err)
		}
		for _, a := range found {
			if a.ExternalID != "" && a.ExternalID != want.ExternalID {
				return identity.Account{}, fmt.Errorf("%w: %s is the account of another person (externalId %q)", ErrTaken, a.UserName, a.ExternalID)
			}
			holder, linked, err := x.holder(ctx, p.s.o.Target, a.ID)
			switch {
			case err != nil:
				return identity.Account{}, err
			case linked && holder.Person != person:
				return identity.Account{}, fmt.Errorf("%w: %s is linked to %s (%s)", ErrTaken, a.UserName, holder.Name, holder.Person)
			case a.ExternalID == want.ExternalID || a.ExternalID == "":
				return a, nil
			}
		}
	}
	return identity.Account{}, nil
}

// Linked reports whether a person has a link at a target.
func (x *Executor) Linked(ctx context.Context, target string, person identity.PersonID) (linked bool, err error) {
	err = x.Ledger.View(ctx, func(r *state.Reader) error {
		_, linked, err = r.Link(target, person)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read the state: %w", err)
	}
	return linked, nil
}

func (x *Executor) holder(ctx context.Context, target string, id identity.AccountID) (link state.Link, linked bool, err error) {
	err = x.Ledger.View(ctx, func(r *state.Reader) error {
		link, linked, err = r.LinkByAccount(target, id)
		return err
	})
	return link, linked, err
}

// afterUpdate sees to what an update has to have done. What it took away is read back (R8): an answer of 200 is no
// proof, and what the application shows must never be more than what was asked for.
func (x *Executor) afterUpdate(ctx context.Context, p *Pass, job Job, r *Result) {
	if r.Err != nil {
		return
	}
	r.Refused = r.Receipt.Refused
	x.untouched(ctx, p, job, r)
	cleared := clears(job.Change.Delta, r.Refused)
	if len(cleared) == 0 && len(job.Change.Delta.Withdraw) == 0 && Bears(bearing(job), r.Account) {
		return // the application's answer shows the account as it is; where it does not, it is read
	}
	x.readBack(ctx, p, job, r, func(a identity.Account) error {
		for _, path := range cleared {
			if left := a.Get(path); left != "" {
				return fmt.Errorf("%w: read back, %s is still %s", targets.ErrConflict, path, left)
			}
		}
		if a.EntitlementsUnknown {
			r.Sent = job.Change.Delta.Withdraw
			return nil
		}
		r.Sent = nil
		return withdrawn(a, job.Change.Delta.Withdraw)
	})
}

// untouched takes the attributes that the application answered well about, and shows as they were before, for refused
// ones: what it makes of a value is its own matter, that it makes nothing of it is told.
func (x *Executor) untouched(ctx context.Context, p *Pass, job Job, r *Result) {
	still := func() (paths []string) {
		for _, a := range job.Change.Delta.Attributes {
			now := r.Account.Get(a.Path)
			told := slices.ContainsFunc(r.Refused, func(r targets.Refusal) bool { return r.Path == a.Path })
			if a.After != "" && !told && now == a.Before && !a.After.Covers(now) {
				paths = append(paths, a.Path)
			}
		}
		return paths
	}
	if len(still()) == 0 {
		return
	}
	have, err := p.Account(ctx, r.Account.ID) // the answer to the write may be from before it
	if err != nil {
		return // nothing is known: the next pass sees it
	}
	have.Entitlements, have.EntitlementsUnknown = r.Account.Entitlements, r.Account.EntitlementsUnknown
	r.Account = have
	for _, path := range still() {
		why := "it answered that all is well, and the value is as it was before"
		r.Refused = append(r.Refused, targets.Refusal{Path: path, Why: why})
	}
}

// clears are the attributes that a delta empties, less those that were refused.
func clears(d identity.Delta, refused []targets.Refusal) (paths []string) {
	for _, a := range d.Attributes {
		if a.After == "" && !slices.ContainsFunc(refused, func(r targets.Refusal) bool { return r.Path == a.Path }) {
			paths = append(paths, a.Path)
		}
	}
	return paths
}

// bearing is the identity that an account has once its change is made, whatever of it the application took.
func bearing(job Job) state.Link {
	link := expected(job)
	for _, a := range job.Change.Delta.Attributes {
		switch a.Path {
		case "userName":
			link.UserName = ""
		case "externalId":
			link.ExternalID = ""
		}
	}
	return link
}

// readBack reads the account until proof holds, a few times. What cannot be read any more has to be proven gone, or
// hidden.
func (x *Executor) readBack(ctx context.Context, p *Pass, job Job, r *Result, proof func(identity.Account) error) {
	if r.Err != nil && !errors.Is(r.Err, targets.ErrNotFound) {
		return
	}
	link := bearing(job)
	for try := 1; ; try++ {
		have, err := p.Account(ctx, link.Account)
		have.Entitlements, have.EntitlementsUnknown = r.Account.Entitlements, r.Account.EntitlementsUnknown
		if err == nil && len(job.Change.Delta.Withdraw) > 0 {
			have, err = p.Entitlements(ctx, have)
		}
		switch {
		case err == nil && !Bears(link, have):
			r.Err = &IdentityError{Link: link, Now: have}
			return
		case err == nil:
			r.Account, r.Seen = have, seen(have)
			r.Err = proof(have)
		case errors.Is(err, targets.ErrNotFound):
			x.vanished(ctx, p, job, r, link, err)
			return
		default:
			r.Account, r.Seen, r.Err = identity.Account{ID: link.Account}, "", fmt.Errorf("read back: %w", err)
			return
		}
		if r.Err == nil || try == readBacks {
			return
		}
		if err := sleep(ctx, firstBackoff<<try); err != nil {
			return
		}
	}
}

// vanished judges an account that is invisible after a write.
func (x *Executor) vanished(ctx context.Context, p *Pass, job Job, r *Result, link state.Link, err error) {
	taken := r.Err == nil
	v := x.prove(ctx, p, link, err, Facts{
		Disabled: job.Change.Op == identity.Disable && taken && job.Have.Active || p.hidden(job.Link),
		Deleted:  job.Change.Op == identity.Delete && taken,
	})
	r.judged(v, link, err)
	switch {
	case r.Err != nil:
	case !job.Change.Op.Sweeps():
		r.Err, r.Seen = fmt.Errorf("read back: %w", err), ""
	case job.Change.Op == identity.Delete && r.Seen != SeenGone:
		r.Err = fmt.Errorf("%w: read back, the account is still there (%s)", targets.ErrConflict, r.Seen)
	}
}

func seen(a identity.Account) string {
	if a.Active {
		return SeenActive
	}
	return SeenInactive
}

func disabled(a identity.Account) error {
	if !a.Active {
		return nil
	}
	return fmt.Errorf("%w: read back, the account is still active%s", targets.ErrConflict, shown(a))
}

func enabled(a identity.Account) error {
	if a.Active {
		return nil
	}
	return fmt.Errorf("%w: read back, the account is still inactive", targets.ErrConflict)
}

func deleted(identity.Account) error {
	return fmt.Errorf("%w: read back, the account is still there", targets.ErrConflict)
}

// shown is what the application shows as active, where that is neither true nor false.
func shown(a identity.Account) string {
	if a.ActiveShown == "" {
		return ""
	}
	return fmt.Sprintf(": it shows active as %s, which is neither true nor false", a.ActiveShown)
}

func withdrawn(a identity.Account, what []identity.Entitlement) error {
	left := identity.WithoutEntitlements(what, identity.WithoutEntitlements(what, a.Entitlements))
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("%w: read back, the account still has %s", targets.ErrConflict, strings.Join(identity.EntitlementNames(left), ", "))
}
