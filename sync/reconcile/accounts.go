package reconcile

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unique"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/correlate"
	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/plan"
	"github.com/dirsweep/dirsweep/targets"
)

// survey reads the target and plans what is to be done there: in a full pass every account, else those of people who changed.
func (r *run) survey(ctx context.Context, l *lane) error {
	l.matcher = correlate.New(l.Correlate)
	l.parked = map[identity.AccountID]int64{}
	l.taken = logins{}
	l.lost = map[int]state.Link{}
	var late []leaver
	var err error
	if r.pass.Mode == Full && r.pass.Person == "" {
		late, err = r.readAll(ctx, l)
	} else {
		late, err = r.readSome(ctx, l)
	}
	if err != nil {
		return err
	}
	more, err := r.matchUnlinked(ctx, l)
	if err != nil {
		return err
	}
	late = append(late, more...)
	if err := r.planJoiners(ctx, l); err != nil {
		return err
	}
	before := len(l.watched)
	accepted, err := r.guard(ctx, l, late)
	if err != nil {
		return err
	}
	for _, out := range append(slices.Clone(accepted), l.watched[before:]...) {
		l.changes = append(l.changes, l.account(out).Changes(l.caps)...)
	}
	l.accepted = append(l.accepted, accepted...)
	return nil
}

// readAll streams every account of the target. It returns the leavers that only now show themselves.
func (r *run) readAll(ctx context.Context, l *lane) (late []leaver, err error) {
	l.listed = true
	batch := make([]identity.Account, 0, chunk)
	flush := func() error {
		found, err := r.meet(ctx, l, batch)
		late = append(late, found...)
		l.count += len(batch)
		batch = batch[:0]
		r.alive(l)
		if r.pass.Progress != nil {
			r.pass.Progress.Reading(l.Name, l.count, 0)
		}
		return err
	}
	for a, err := range l.Target.Target.Accounts(ctx) {
		if err != nil {
			return nil, err
		}
		if batch = append(batch, a); len(batch) == chunk {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if r.pass.Progress != nil {
		r.pass.Progress.Reading(l.Name, l.count, l.count)
	}
	return late, r.vanished(ctx, l)
}

func (r *run) alive(l *lane) {
	r.planned.alive(l.Name)
	r.swept.alive(l.Name)
}

// meet looks at a chunk of accounts: those that are linked are compared, the others parked for correlation.
func (r *run) meet(ctx context.Context, l *lane, batch []identity.Account) (late []leaver, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for _, a := range batch {
			link, linked, err := v.LinkByAccount(l.Name, a.ID)
			if err != nil {
				return err
			}
			if l.taken.add(a.UserName); !linked {
				if _, twice := l.parked[a.ID]; twice {
					continue
				}
				if l.parked[a.ID], err = r.spool.add(a); err != nil {
					return err
				}
				l.matcher.Account(a)
				continue
			}
			out, reopened, err := r.compare(ctx, v, l, link, a)
			if err != nil {
				return err
			}
			if reopened {
				late = append(late, out)
			}
		}
		return nil
	})
	return late, err
}

// compare plans one linked account. It returns a leaver where the account of one was opened again behind our back (R11).
func (r *run) compare(ctx context.Context, v *state.Reader, l *lane, link state.Link, have identity.Account) (out leaver, reopened bool, err error) {
	id := l.heir(link.Person)
	i, here := r.roster.find(id)
	if here {
		if l.seen.has(i) {
			return out, false, nil // a search, or a page that repeats itself, finds some twice
		}
		l.seen.set(i)
	}
	if !here || !l.scope.has(i) || r.closure[link.Person] != "" {
		if !r.selected(link.Person) || link.State != identity.LinkDisabled || !have.Active || slices.ContainsFunc(l.accepted, func(o leaver) bool { return o.Account == link.Account }) {
			return out, false, nil
		}
		if out, reopened = r.departure(l, link); !reopened {
			return out, false, nil
		}
		c, _, err := v.Case(link.Person)
		if err != nil {
			return out, false, err
		}
		out.left = r.now
		if c.Proof != "" && out.proof == "" {
			out.proof = c.Proof
		}
		out.rule, out.again = "R11", true
		r.find(identity.Finding{
			Kind: "drift", Subject: l.Name + ": " + link.UserName, Target: l.Name, Person: link.Person, Account: link.Account,
			Detail: "a leaver's account was enabled again behind our back; it is swept again",
		})
		return out, true, nil
	}
	if !r.selected(id) {
		return out, false, nil
	}
	print := r.roster.rows[i].print
	if current(l, link, print, id) && have.Active && link.Have == have.Fingerprint(l.apply.Paths) {
		return out, false, nil
	}
	return out, false, r.planLinked(ctx, l, i, link, have)
}

// planLinked compares an account with what it should be, and plans the difference.
func (r *run) planLinked(ctx context.Context, l *lane, i int, link state.Link, have identity.Account) error {
	e, want, err := r.want(ctx, l, i, have.UserName)
	if err != nil {
		r.expression(l, e, err)
		return nil
	}
	wantPrint := want.Fingerprint(l.apply.Paths)
	havePrint := have.Fingerprint(l.apply.Paths)
	unchanged := link.Want == wantPrint && link.Mapping == l.Mapping.Print()
	steps, reported := plan.Steps(plan.Intended{
		Want: want, Have: have, Paths: l.apply.Paths, Granted: link.Entitlements, Known: true,
		Disabled:  link.State == identity.LinkDisabled,
		Unchanged: unchanged,
		Settled:   unchanged && link.Have == havePrint,
		Repair:    l.OnDrift != "report",
	})
	if reported != nil {
		r.find(identity.Finding{
			Kind: "drift", Subject: l.Name + ": " + have.UserName, Target: l.Name, Person: e.Person.ID, Account: have.ID,
			Detail: describe(*reported) + "; on_drift = \"report\" leaves it",
		})
	}
	if moved := link.Person != e.Person.ID; moved && (len(steps) == 0 || steps[0].Op != identity.Link) {
		steps = append([]plan.Step{{Op: identity.Link, Cause: identity.Rehired}}, steps...)
	}
	if len(steps) == 0 {
		if now := refreshed(l, link, e, have, i, r, wantPrint, havePrint); reported == nil && !reflect.DeepEqual(now, link) {
			l.refresh = append(l.refresh, now)
		}
		return nil
	}
	r.addWork(l, i, e, link, have, steps, wantPrint)
	return nil
}

func describe(s plan.Step) string {
	if s.Op == identity.Enable {
		return "the account was disabled behind our back"
	}
	var paths []string
	for _, a := range s.Delta.Attributes {
		paths = append(paths, a.Path)
	}
	return "changed behind our back: " + strings.Join(append(paths, append(s.Delta.Grant, s.Delta.Withdraw...)...), ", ")
}

func refreshed(l *lane, link state.Link, e entry, have identity.Account, i int, r *run, want, got uint64) state.Link {
	link.Name, link.UserName, link.Container = e.Person.Name, have.UserName, e.Person.Container()
	link.PersonPrint, link.Want, link.Have = r.roster.rows[i].print, want, got
	link.Mapping, link.ScopePrint = l.Mapping.Print(), l.Mapping.ScopePrint()
	return link
}

// addWork plans the steps of one account, unless it is protected.
func (r *run) addWork(l *lane, i int, e entry, link state.Link, have identity.Account, steps []plan.Step, wantPrint uint64) {
	if glob, protected := l.Guard.Protected(have.UserName); protected {
		r.find(identity.Finding{
			Kind: "protected", Subject: l.Name + ": " + have.UserName, Target: l.Name, Person: e.Person.ID, Account: have.ID,
			Detail: fmt.Sprintf("differs from what the config wants, but %q protects it", glob),
		})
		return
	}
	have.Attributes = nil // the delta has what matters; the plan keeps no more than it must
	w := work{row: i, first: len(l.changes), there: &there{have, link}}
	for _, s := range steps {
		if s.Op == identity.Update && !l.caps.Update {
			continue
		}
		l.changes = append(l.changes, identity.Change{
			Op: s.Op, Cause: s.Cause, Rule: l.rule(s), Target: l.Name, Person: e.Person.ID, Name: e.Person.Name,
			Account: have.ID, UserName: have.UserName, Container: e.Person.Container(), Delta: s.Delta,
			PersonPrint: r.roster.rows[i].print, WantPrint: wantPrint,
		})
	}
	if w.steps = len(l.changes) - w.first; w.steps > 0 {
		l.work = append(l.work, w)
	}
}

// rule is the config line, or the rule, behind a step.
func (l *lane) rule(s plan.Step) string {
	switch {
	case s.Cause == identity.Drifted:
		return "R11"
	case s.Op == identity.Update && len(s.Delta.Attributes) > 0:
		return l.Mapping.At(s.Delta.Attributes[0].Path)
	}
	return l.Mapping.ScopeAt()
}

// want evaluates what a person's account should be. current is the login that they have there, "" for none.
func (r *run) want(ctx context.Context, l *lane, i int, current string) (e entry, want identity.Account, err error) {
	if e, err = r.roster.entry(i); err != nil {
		return e, want, err
	}
	want, err = l.Mapping.Account(e.Person, mapping.Logins{Current: current, Taken: func(login string) (bool, error) {
		if taken := l.taken.has(login); taken || l.listed {
			return taken, nil
		}
		found, err := l.Target.Target.Find(ctx, "userName", login)
		return len(found) > 0, err
	}})
	return e, want, err
}

func (r *run) expression(l *lane, e entry, err error) {
	r.find(identity.Finding{
		Kind: "expression", Subject: l.Name + ": " + e.Person.Name, Target: l.Name, Person: e.Person.ID,
		Detail: err.Error() + "; nothing is done for this person there",
	})
}

// vanished looks for linked accounts of people in scope that the listing lacks. Each is asked for: one that is there after all means that the
// listing was not whole (R2), one that is gone is made again (R11).
func (r *run) vanished(ctx context.Context, l *lane) error {
	var lost []state.Link
	err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			if i, ok := r.roster.find(l.heir(link.Person)); ok && l.scope.has(i) && l.linked.has(i) && !l.seen.has(i) {
				lost = append(lost, link)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, link := range lost {
		if err := r.lost(ctx, l, link); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) lost(ctx context.Context, l *lane, link state.Link) error {
	_, err := l.Target.Target.Account(ctx, link.Account)
	r.alive(l)
	switch {
	case err == nil:
		return fmt.Errorf("%w: it lacks %s (%s), which can be read by itself", targets.ErrIncomplete, link.UserName, link.Account)
	case !errors.Is(err, targets.ErrNotFound):
		return err
	}
	f := identity.Finding{
		Kind: "missing", Subject: l.Name + ": " + link.UserName, Target: l.Name, Person: link.Person, Account: link.Account,
		Detail: "the account was deleted behind our back; it is made again",
	}
	if l.OnDrift == "report" && link.State == identity.LinkActive { // who is back gets an account in any case
		f.Detail = "the account was deleted behind our back; on_drift = \"report\" leaves it"
	} else if i, ok := r.roster.find(l.heir(link.Person)); ok {
		l.joiners = append(l.joiners, i)
		l.lost[i] = link
	}
	r.find(f)
	return nil
}

// matchUnlinked correlates the people without a link with the accounts without one.
func (r *run) matchUnlinked(ctx context.Context, l *lane) (late []leaver, err error) {
	blocked := map[identity.PersonID]bool{}
	matched := map[identity.PersonID]bool{}
	if l.matcher.Len() > 0 {
		if err := r.unlinkedPeople(ctx, l); err != nil {
			return nil, err
		}
		for _, m := range l.matcher.Result() {
			for _, id := range m.People {
				blocked[id] = true
			}
			if m.Situation == identity.Unlinked {
				matched[m.Person] = true
			}
			out, leaving, err := r.matched(ctx, l, m)
			if err != nil {
				return nil, err
			}
			if leaving {
				late = append(late, out)
			}
		}
	}
	for n := range r.o.Sources {
		if !r.reads(l, n) {
			continue
		}
		for i := range r.roster.of(n) {
			if !l.scope.has(i) || l.linked.has(i) || l.unsure.has(i) {
				continue
			}
			e, err := r.roster.entry(i)
			if err != nil {
				return nil, err
			}
			if id := e.Person.ID; r.selected(id) && !matched[id] && !blocked[id] && r.closure[id] == "" {
				l.joiners = append(l.joiners, i)
			}
		}
	}
	return late, nil
}

// reads reports whether the target reads a source that was read whole.
func (r *run) reads(l *lane, n int) bool {
	return r.whole[n] && slices.Contains(l.Sources, r.o.Sources[n].Name)
}

// unlinkedPeople gives the matcher everybody without a link, also those who should have no account: one that they have is to be closed.
func (r *run) unlinkedPeople(ctx context.Context, l *lane) error {
	for n := range r.o.Sources {
		if !r.reads(l, n) {
			continue
		}
		for i := range r.roster.of(n) {
			if l.linked.has(i) || l.unsure.has(i) {
				continue
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			e, want, err := r.want(ctx, l, i, "")
			switch {
			case err == nil && r.selected(e.Person.ID):
				l.matcher.Person(e.Person.ID, want)
			case err != nil && l.scope.has(i):
				r.expression(l, e, err)
				l.unsure.set(i)
			}
			r.alive(l)
		}
	}
	return nil
}

// matched plans what follows from one account's correlation.
func (r *run) matched(ctx context.Context, l *lane, m correlate.Match) (out leaver, leaving bool, err error) {
	var have identity.Account
	if err := r.spool.get(l.parked[m.Account], &have); err != nil {
		return out, false, err
	}
	switch m.Situation {
	case identity.Unmatched:
		return r.orphan(l, have)
	case identity.Disputed:
		people := make([]string, len(m.People))
		for i, id := range m.People {
			people[i] = id.String()
		}
		r.find(identity.Finding{
			Kind: "disputed", Subject: l.Name + ": " + m.UserName, Target: l.Name, Account: m.Account,
			Detail: m.Why + " (" + strings.Join(people, ", ") + "); nothing is written for any of them until it is settled",
		})
		return out, false, nil
	}
	i, _ := r.roster.find(m.Person)
	for _, rival := range m.People {
		r.find(identity.Finding{
			Kind: "disputed", Subject: l.Name + ": " + m.UserName, Target: l.Name, Account: m.Account, Person: rival,
			Detail: fmt.Sprintf("%s wants this account, which is %s by %s; nothing is written for %s", rival, m.Person, m.By, rival),
		})
	}
	if l.scope.has(i) && r.closure[m.Person] == "" {
		return out, false, r.adopt(ctx, l, i, have)
	}
	e, err := r.roster.entry(i)
	if err != nil {
		return out, false, err
	}
	link := state.Link{
		Target: l.Name, Person: m.Person, Account: m.Account, UserName: m.UserName, Name: e.Person.Name, Container: e.Person.Container(),
		ScopePrint: l.Mapping.ScopePrint(), State: identity.LinkActive,
	}
	if out, leaving = r.departure(l, link); !leaving || !have.Active {
		return out, false, nil
	}
	out.rule = fmt.Sprintf("%s, found by %s", out.rule, m.By)
	out.link = state.Link{} // it becomes one when it is closed
	out.owed, err = r.e.stands(ctx, l.Name, out.Person, out.Account, false)
	return out, err == nil, err
}

// adopt links an account that was there already to the one person whom it fits.
func (r *run) adopt(ctx context.Context, l *lane, i int, have identity.Account) error {
	e, want, err := r.want(ctx, l, i, have.UserName)
	if err != nil {
		r.expression(l, e, err)
		return nil
	}
	steps, _ := plan.Steps(plan.Intended{Want: want, Have: have, Paths: l.apply.Paths, Repair: true})
	r.addWork(l, i, e, state.Link{}, have, steps, want.Fingerprint(l.apply.Paths))
	return nil
}

// orphan reports an account that nobody fits, or makes it a leaver where the config asks for that (R5). While a source of the target is not
// whole, nobody can tell what an orphan is.
func (r *run) orphan(l *lane, have identity.Account) (out leaver, leaving bool, err error) {
	if r.pass.Mode != Full || r.pass.Person != "" {
		return out, false, nil
	}
	for n, s := range r.o.Sources {
		if slices.Contains(l.Sources, s.Name) && !r.whole[n] {
			return out, false, nil
		}
	}
	if _, protected := l.Guard.Protected(have.UserName); protected {
		return out, false, nil
	}
	l.orphans = append(l.orphans, state.Orphan{Target: l.Name, Account: have.ID, UserName: have.UserName, Active: have.Active, First: r.now})
	if l.OnOrphan != "disable" || !have.Active {
		return out, false, nil
	}
	return leaver{
		Leaver: guard.Leaver{Account: have.ID, UserName: have.UserName, Name: have.UserName, Cause: identity.Orphaned},
		rule:   "on_orphan = \"disable\"", link: state.Link{},
	}, true, nil
}

// planJoiners plans an account for everybody in scope who has none.
func (r *run) planJoiners(ctx context.Context, l *lane) error {
	for _, i := range l.joiners {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		lost, again := l.lost[i]
		e, want, err := r.want(ctx, l, i, lost.UserName)
		if err != nil {
			r.expression(l, e, err)
			continue
		}
		if _, protected := l.Guard.Protected(want.UserName); protected {
			r.find(identity.Finding{
				Kind: "protected", Subject: l.Name + ": " + want.UserName, Target: l.Name, Person: e.Person.ID,
				Detail: "should have an account, but its userName is protected, so it is not made",
			})
			continue
		}
		if l.taken.has(want.UserName) {
			holder, err := r.holder(ctx, l, want.UserName)
			if err != nil {
				return err
			}
			r.find(l.disputed(identity.Change{UserName: want.UserName, Person: e.Person.ID},
				fmt.Sprintf("%s should get this userName, but it is %s; another person gets no access to it, so no account is made", e.Person.DN, holder)))
			continue
		}
		l.taken.add(want.UserName)
		c := l.creation(identity.Change{
			Op: identity.Create, Cause: identity.Joined, Rule: l.Mapping.ScopeAt(), Target: l.Name, Person: e.Person.ID,
			PersonPrint: r.roster.rows[i].print,
		}, e, want)
		if again {
			c.Cause, c.Rule = identity.Drifted, "R11"
		}
		if r.write {
			c.Delta = identity.Delta{} // computed again when it is applied: a plan of a hundred thousand joiners keeps none of their attributes
		}
		l.work = append(l.work, work{row: i, first: len(l.changes), steps: 1})
		l.changes = append(l.changes, c)
		r.alive(l)
	}
	return nil
}

// creation completes a Create.
func (l *lane) creation(c identity.Change, e entry, want identity.Account) identity.Change {
	// Everybody of one container shares its text.
	c.Name, c.UserName, c.Container = e.Person.Name, want.UserName, unique.Make(e.Person.Container()).Value()
	c.WantPrint = want.Fingerprint(l.apply.Paths)
	c.Delta = plan.Creation(want, l.apply.Paths)
	return c
}

// holder says whose account has a userName.
func (r *run) holder(ctx context.Context, l *lane, userName string) (string, error) {
	found, err := l.Target.Target.Find(ctx, "userName", userName)
	if err != nil {
		return "", err
	}
	for _, a := range found {
		var link state.Link
		var linked bool
		if err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
			link, linked, err = v.LinkByAccount(l.Name, a.ID)
			return err
		}); err != nil {
			return "", err
		}
		if linked {
			return fmt.Sprintf("the account of %s (%s, %s)", link.Name, link.Person, link.State), nil
		}
	}
	return "the account of somebody else", nil
}

// oneByOne is how many accounts a delta pass looks at one by one before listing the target is the cheaper way.
const oneByOne = 200

func (r *run) unlinkedInScope(l *lane) (n int) {
	if r.pass.Person != "" {
		return 0
	}
	for i := range r.roster.rows {
		if l.scope.has(i) && !l.linked.has(i) {
			n++
		}
	}
	return n
}

// readSome reads only the accounts of people who changed, joined or came back.
func (r *run) readSome(ctx context.Context, l *lane) (late []leaver, err error) {
	var stale []state.Link
	err = r.o.Ledger.View(ctx, func(v *state.Reader) error {
		for link, err := range v.Links(l.Name) {
			if err != nil {
				return err
			}
			id := l.heir(link.Person)
			if i, ok := r.roster.find(id); ok && r.selected(id) && l.scope.has(i) && (l.stale.has(i) || r.pass.Person != "") {
				stale = append(stale, link)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(stale)+r.unlinkedInScope(l) > oneByOne {
		return r.readAll(ctx, l)
	}
	for _, link := range stale {
		have, err := l.Target.Target.Account(ctx, link.Account)
		r.alive(l)
		switch {
		case errors.Is(err, targets.ErrNotFound):
			if err := r.lost(ctx, l, link); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		l.count++
		if err := r.o.Ledger.View(ctx, func(v *state.Reader) error {
			_, _, err := r.compare(ctx, v, l, link, have)
			return err
		}); err != nil {
			return nil, err
		}
	}
	return r.searchUnlinked(ctx, l)
}

// searchUnlinked asks the target for accounts that fit the people without a link.
func (r *run) searchUnlinked(ctx context.Context, l *lane) (late []leaver, err error) {
	lookedAt := map[identity.AccountID]bool{}
	for n := range r.o.Sources {
		if !r.reads(l, n) {
			continue
		}
		for i := range r.roster.of(n) {
			// Somebody out of scope whose account was never linked is found by the next full pass, or when asked about by name.
			if l.linked.has(i) || l.unsure.has(i) || !l.scope.has(i) && r.pass.Person == "" {
				continue
			}
			e, want, err := r.want(ctx, l, i, "")
			if !r.selected(e.Person.ID) {
				continue
			}
			if err != nil {
				r.expression(l, e, err)
				l.unsure.set(i)
				continue
			}
			found, err := r.search(ctx, l, want, lookedAt)
			if err != nil {
				return nil, err
			}
			late = append(late, found...)
		}
	}
	return late, nil
}

func (r *run) search(ctx context.Context, l *lane, want identity.Account, lookedAt map[identity.AccountID]bool) (late []leaver, err error) {
	for _, attribute := range append(slices.Clone(l.Correlate), "userName") {
		for _, value := range correlate.Values(attribute, want) {
			found, err := l.Target.Target.Find(ctx, attribute, value)
			if err != nil {
				return nil, err
			}
			r.alive(l)
			for _, a := range found {
				if lookedAt[a.ID] {
					continue
				}
				lookedAt[a.ID] = true
				again, err := r.meet(ctx, l, []identity.Account{a})
				if err != nil {
					return nil, err
				}
				late = append(late, again...)
			}
		}
	}
	return late, nil
}
