package modeltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// stranger owns the accounts that are nobody's of the company.
const stranger = -1

// An account is what an application holds, and whose it truly is.
type account struct {
	identity.Account
	owner    int
	seen     bool      // listed in this step
	listed   bool      // in a whole listing of a pass that was made to its end: the engine knows it
	closedBy string    // who disabled it: "engine", "hand", or "" while it is active
	closedAt time.Time // when the engine did
	unseen   string    // who had disabled it before it was enabled, until the engine knows that, or is told
	read     bool      // in this step
	made     bool      // by hand, while the engine was at work
	kept     bool      // linked while its person should have it
	moved    bool      // it has another identifier than at first
	mine     bool      // the engine knew it already when somebody disabled it
	asked    bool      // the engine asked to disable or enable it and was not answered: nobody can tell who disabled it
	cut      bool      // its creation was not answered
	signedIn bool      // somebody may be
	sent     bool      // the application says that nobody is, and nobody can see whether that is so
	place    string    // where the application keeps it
	fresh    bool      // moved in this step
	known    bool      // the state knows where it was before it was moved
	touched  bool      // by somebody else, or with an unknown outcome, since the engine last wrote to it and knew what came of it
}

// An application is an honest one: unique logins, identifiers of its own, and a record of every write that had an
// effect.
type application struct {
	world    *world
	n        int
	accounts map[identity.AccountID]*account
	next     int
	token    identity.Secret // which it names when it refuses it
}

// token is what opens every application. Nobody is to see it.
const token = "0a1b2c3d4e5f"

// A write is one that the engine made and that had its effect.
type write struct {
	target int
	op     identity.Op
	step   string // of a Finish
	owner  int
	id     identity.AccountID
	before identity.Account
	delta  identity.Delta
	want   identity.Account
	idle   bool   // it changed nothing
	after  uint64 // the last record of the trail before it
	// answered is that the engine was told.
	answered bool
	at       time.Time // by a clock that nobody sets back
}

func (a *application) name() string { return targetNames[a.n] }

// call is one request: op is "" where it only reads. effect is what it does where nothing is wrong.
func (a *application) call(ctx context.Context, op identity.Op, id identity.AccountID, effect func() error) error {
	w := a.world
	w.mu.Lock()
	defer w.mu.Unlock()
	held, known := a.accounts[id]
	if known && (op == identity.Disable || op == identity.Enable) {
		held.asked = true
	}
	if err := w.reads(ctx); op == "" && err != nil {
		return err
	} else if op != "" {
		if err := w.calls(ctx, BeforeCall); err != nil {
			return err
		}
	}
	trouble := w.faultOf(a.n, false)
	if err := a.answer(trouble, op, id); err != nil {
		return err
	}
	if trouble == HollowWrites && op != "" {
		if known {
			held.asked = false // answered, and seen not to be so
			held.sent = held.sent || op == identity.Finish && a.n != chat
		}
		return nil
	}
	if err := effect(); err != nil {
		return err
	}
	if op == "" {
		return nil
	}
	last := w.writes[len(w.writes)-1]
	if trouble == LostAnswers {
		return fmt.Errorf("%w: the connection was cut", targets.ErrUnavailable)
	}
	if err := w.calls(ctx, AfterCall); err != nil {
		return err
	}
	w.writes[len(w.writes)-1].answered = true
	if held, ok := a.accounts[last.id]; ok {
		held.touched, held.asked, held.unseen = false, false, "" // it was told
		held.cut = held.cut && op != identity.Create
	}
	return nil
}

// answer is the error that a fault makes of a call.
func (a *application) answer(trouble Fault, op identity.Op, id identity.AccountID) error {
	switch trouble {
	case TargetDown:
		return fmt.Errorf("%w: 503", targets.ErrUnavailable)
	case Refused:
		return fmt.Errorf("%w: 401 for the token %s", targets.ErrUnauthorized, a.token)
	case Throttled:
		a.world.pauses[a.n] = a.world.now().Add(10 * time.Minute)
		return &targets.ThrottledError{RetryAfter: 10 * time.Minute, Err: errors.New("429")}
	case NotFound:
		return gone(id)
	case Forbidden:
		if id != "" && (id == a.restricted() || op == identity.Finish && a.n == chat) {
			return fmt.Errorf("%w: 403", targets.ErrForbidden)
		}
	}
	return nil
}

// restricted is the account that a 403 is about.
func (a *application) restricted() identity.AccountID {
	ids := slices.Sorted(maps.Keys(a.accounts))
	if len(ids) == 0 {
		return ""
	}
	return ids[a.world.fault.who%len(ids)]
}

func gone(id identity.AccountID) error {
	return fmt.Errorf("account %s: %w", id, targets.ErrNotFound)
}

// list returns everyone, sorted; cut says that the second half is missing.
func (a *application) list() (list []identity.Account, cut bool) {
	ids := slices.Sorted(maps.Keys(a.accounts))
	switch a.world.faultOf(a.n, false) {
	case ListingEmpty:
		ids = nil
	case ListingCut:
		ids, cut, a.world.cut.targets[a.n] = ids[:len(ids)/2], true, true
	}
	if a.world.backwards && !cut {
		slices.Reverse(ids)
	}
	for _, id := range ids {
		list, a.accounts[id].seen = append(list, copied(a.accounts[id].Account)), true
		a.accounts[id].read = true
	}
	return list, cut
}

func (a *application) get(id identity.AccountID) (identity.Account, error) {
	held, ok := a.accounts[id]
	if !ok {
		return identity.Account{}, gone(id)
	}
	held.read = true
	return copied(held.Account), nil
}

func (a *application) find(attribute, value string) (found []identity.Account) {
	for _, id := range slices.Sorted(maps.Keys(a.accounts)) {
		if strings.EqualFold(a.accounts[id].Get(attribute).Text(), value) {
			found, a.accounts[id].read = append(found, copied(a.accounts[id].Account)), true
		}
	}
	return found
}

func (a *application) create(want identity.Account) (identity.Account, error) {
	if a.taken(want.UserName, "") {
		return identity.Account{}, fmt.Errorf("create %s: %w", want.UserName, targets.ErrConflict)
	}
	owner, known := a.world.model.human(want.ExternalID)
	if !known {
		owner = stranger
	}
	made := a.add(want, owner)
	a.accounts[made.ID].cut = true
	a.record(write{op: identity.Create, owner: owner, id: made.ID, want: want})
	return made, nil
}

// add makes an account.
func (a *application) add(want identity.Account, owner int) identity.Account {
	a.next++
	made := copied(want)
	made.ID, made.Withheld = identity.AccountID(fmt.Sprintf("%s-%03d", a.name(), a.next)), nil
	if made.Attributes == nil {
		made.Attributes = map[string]identity.Value{}
	}
	made.Attributes["userName"] = identity.Text(made.UserName)
	made.Attributes["locale"] = identity.Text("en") // as the application does with every account
	a.accounts[made.ID] = &account{Account: made, owner: owner, signedIn: true, place: fmt.Sprintf("office %d", a.next)}
	return copied(made)
}

func (a *application) update(id identity.AccountID, d identity.Delta) (now identity.Account, err error) {
	held, ok := a.accounts[id]
	if !ok {
		return now, gone(id)
	}
	before := copied(held.Account)
	for _, c := range d.Attributes {
		if held.Attributes[c.Path] = c.After; c.After == "" {
			delete(held.Attributes, c.Path)
		}
		switch c.Path {
		case "userName":
			if a.taken(c.After.Text(), id) {
				held.Account = before
				return now, fmt.Errorf("%s: %w", c.After.Text(), targets.ErrConflict)
			}
			held.UserName = c.After.Text()
		case "externalId":
			held.ExternalID = c.After.Text()
		}
	}
	left := identity.WithoutEntitlements(held.Entitlements, d.Withdraw)
	held.Entitlements = identity.SortedEntitlements(slices.Concat(left, identity.WithoutEntitlements(d.Grant, left)))
	now = copied(held.Account)
	a.record(write{op: identity.Update, owner: held.owner, id: id, before: before, delta: d, idle: same(before, now)})
	return now, nil
}

func (a *application) taken(login string, but identity.AccountID) bool {
	for id, other := range a.accounts {
		if id != but && strings.EqualFold(other.UserName, login) {
			return true
		}
	}
	return false
}

func (a *application) activate(id identity.AccountID, active bool) error {
	held, ok := a.accounts[id]
	if !ok {
		return gone(id)
	}
	op := identity.Disable
	if active {
		op = identity.Enable
	}
	a.record(write{op: op, owner: held.owner, id: id, before: copied(held.Account), idle: held.Active == active})
	switch {
	case active:
		if !held.Active {
			// Without an answer, nobody can tell who disables it before it is looked at.
			held.unseen, held.read = held.closedBy, false
		}
		held.closedBy = ""
	case held.Active:
		held.closedBy, held.closedAt = "engine", time.Now()
	}
	held.Active, held.signedIn = active, held.signedIn || active
	return nil
}

func (a *application) remove(id identity.AccountID) error {
	held, ok := a.accounts[id]
	if !ok {
		return gone(id)
	}
	a.record(write{op: identity.Delete, owner: held.owner, id: id, before: copied(held.Account)})
	delete(a.accounts, id)
	return nil
}

// record notes a write; its invariants are looked at where they are listed.
func (a *application) record(one write) {
	one.target, one.at, one.after = a.n, time.Now(), a.world.trail.Head().Seq
	held := a.accounts[one.id]
	a.world.written(one, held)
	a.world.writes, a.world.all = append(a.world.writes, one), append(a.world.all, one)
	if held != nil {
		held.touched = true // until the engine is told what came of it
	}
}

func copied(a identity.Account) identity.Account {
	a.Attributes, a.Entitlements = maps.Clone(a.Attributes), slices.Clone(a.Entitlements)
	return a
}

func same(a, b identity.Account) bool {
	return a.Active == b.Active && a.UserName == b.UserName && a.ExternalID == b.ExternalID && maps.Equal(a.Attributes, b.Attributes) &&
		slices.Equal(a.Entitlements, b.Entitlements)
}

// byHand is somebody's deed in the application.
func (a *application) byHand(deed Fault, who int) {
	ids := slices.Sorted(maps.Keys(a.accounts))
	if deed == AccountMade {
		a.makeByHand(who)
		return
	}
	if len(ids) == 0 {
		return
	}
	id := ids[who%len(ids)]
	held := a.accounts[id]
	held.touched = true
	switch deed {
	case AccountGone:
		delete(a.accounts, id)
	case AccountOpened:
		if !held.Active {
			held.unseen = held.closedBy
		}
		held.Active, held.closedBy, held.signedIn = true, "", true
	case AccountClosed:
		if held.Active {
			held.Active, held.closedBy, held.unseen = false, cmp.Or(held.unseen, "hand"), ""
			held.mine = a.world.known[a.n][id]
			if held.asked {
				held.closedBy, held.closedAt = "engine", time.Now()
			}
		}
	case IDReused:
		delete(a.accounts, id)
		login := fmt.Sprintf("stranger%d", a.next)
		a.accounts[id] = &account{owner: stranger, touched: true, Account: identity.Account{
			ID: id, UserName: login, Active: true, Attributes: map[string]identity.Value{"userName": identity.Text(login)},
		}}
	case Renumbered:
		delete(a.accounts, id)
		a.next++
		held.ID = identity.AccountID(fmt.Sprintf("%s-%03d", a.name(), a.next))
		// Of who was linked to it, it is known under what name they had it.
		a.accounts[held.ID], held.moved, held.listed = held, true, a.world.known[a.n][id]
		held.known = false // nor what was done to it before
		if was, unknown := a.world.unknown[place{held.owner, a.n}]; unknown && was.account == id {
			was.account = held.ID
			a.world.unknown[place{held.owner, a.n}] = was
		}
	}
}

// guests is the group of chat that no group of the directory stands for.
const guests = "guests"

// tend is what the application's administrator does with what nobody maps: an account gets another nickname, or loses
// it, and comes to be a guest, or is one no more.
func (a *application) tend(which int) {
	ids := slices.Sorted(maps.Keys(a.accounts))
	if len(ids) == 0 {
		return
	}
	held := a.accounts[ids[which%len(ids)]]
	if held.Attributes = maps.Clone(held.Attributes); which%3 == 0 {
		delete(held.Attributes, "nickName")
	} else {
		held.Attributes["nickName"] = identity.Text(fmt.Sprintf("nick%d", which%3))
	}
	if a.n != chat {
		return
	}
	had, guest := held.Entitlements, []identity.Entitlement{{Name: guests}}
	held.Entitlements = identity.WithoutEntitlements(had, guest)
	if len(held.Entitlements) == len(had) {
		held.Entitlements = identity.SortedEntitlements(slices.Concat(had, guest))
	}
}

// makeByHand makes an account for somebody of the company who has none under their login, else a stranger's.
func (a *application) makeByHand(who int) {
	m := a.world.model
	h := m.humans[who%len(m.humans)]
	if h.entry == nil || a.taken(h.entry.login, "") {
		a.add(identity.Account{UserName: fmt.Sprintf("stranger%d", a.next), Active: true}, stranger)
		return
	}
	want := identity.Account{UserName: h.entry.login, Active: true}
	if who%2 == 0 {
		want.ExternalID = m.config.anchor(h.entry)
	}
	made := a.add(want, who%len(m.humans))
	a.accounts[made.ID].touched, a.accounts[made.ID].made = true, true
}

// noticed is the end of a step: whoever enabled an account that was read is known of, unless the process died, which
// forgets what it has not written down.
func (a *application) noticed(died bool) {
	for _, held := range a.accounts {
		if held.read && !died {
			held.unseen = ""
		}
		held.read = false
	}
}

// keep remembers which accounts the engine knows from now on, where a step shows it everything.
func (a *application) keep(whole bool) {
	for _, held := range a.accounts {
		held.seen, held.listed = false, held.listed || whole && held.seen
	}
}

// claimed gives an account that nobody has ever seen, and that names nobody, to whoever bears its login now: there is
// no telling otherwise.
func (a *application) claimed() {
	for _, held := range a.accounts {
		if held.listed || held.ExternalID != "" || a.world.known[a.n][held.ID] {
			continue
		}
		for n, h := range a.world.model.humans {
			if h.entry != nil && h.entry.login == held.UserName {
				held.owner = n
			}
		}
	}
}
