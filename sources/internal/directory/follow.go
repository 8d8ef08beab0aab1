package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A follower is what one source keeps between reads.
type follower struct {
	mu sync.Mutex // held while the source is read with it
	followed
}

// What is followed was read once, and is brought up to date by what has changed since.
type followed struct {
	mirror  *mirror         // nil while there is none
	session *session        // to its server; nil while there is none
	members *membership     // of the mirror's groups; nil where none are read
	answers map[string]bool // of member values that were looked up, whether they name somebody
	missed  sources.Sample  // what the last whole read found that following had not
}

// forget ends what is kept.
func (f *followed) forget() {
	if f.mirror != nil {
		f.mirror.close()
	}
	if f.session != nil {
		f.session.close()
	}
	*f = followed{}
}

// Latest implements sources.Follower. Whatever it cannot follow, it reads anew: that is PeopleAndFacts.
func (s *source) Latest(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		if !s.follower.mu.TryLock() { // somebody else reads it just now
			s.whole(ctx, facts, nil, yield)
			return
		}
		defer s.follower.mu.Unlock()
		f := &s.follower.followed
		if f.mirror == nil {
			s.whole(ctx, facts, f, yield)
			return
		}
		session, current, err := s.catchUp(ctx, f)
		if err == nil {
			err = s.retell(ctx, session, f, current, facts, yield)
		}
		switch {
		case err == nil, errors.Is(err, errStopped):
			return
		case ctx.Err() != nil:
			f.forget()
			yield(identity.Person{}, s.incomplete(context.Cause(ctx)))
			return
		}
		f.forget()
		var told *toldError
		if errors.As(err, &told) {
			yield(identity.Person{}, s.incomplete(told.err))
			return
		}
		s.log.Info("everybody is read anew", "source", s.name, "why", err)
		s.whole(ctx, facts, f, yield)
	}
}

// A toldError is trouble that came when some people had been handed out already.
type toldError struct{ err error }

func (e *toldError) Error() string { return e.err.Error() }

func (e *toldError) Unwrap() error { return e.err }

// inAny reports whether a DN is one of bases, or below one.
func inAny(dn string, bases []string) bool {
	return slices.ContainsFunc(bases, func(base string) bool { return within(dn, base) })
}

// everywhere are the DNs below which people and groups are read.
func (s *source) everywhere() []string {
	if s.groups == nil {
		return s.bases
	}
	return slices.Concat(s.bases, s.groups.bases)
}

// catchUp brings the mirror up to date, and returns how current the server was before it was asked.
func (s *source) catchUp(ctx context.Context, f *followed) (*session, sources.Currency, error) {
	if f.session != nil && !f.session.usable() {
		f.session.close()
		f.session = nil
	}
	if f.session == nil {
		session, err := s.dial(ctx, f.mirror.url)
		if err != nil {
			return nil, nil, err
		}
		f.session = session
	}
	m, session := f.mirror, f.session
	if m.worn() {
		return nil, nil, &rereadError{"much of it has changed since everybody was read"}
	}
	current := session.currency(ctx, s.bases)
	position, err := m.feed.position(current)
	if err != nil {
		return nil, nil, err
	}
	u := update{
		s: s, session: session, m: m, members: f.members, before: map[uuid]string{}, after: map[uuid]string{},
	}
	if !maps.Equal(position, m.until) {
		if err := u.ask(ctx, position); err != nil {
			return nil, nil, err
		}
	}
	if err := u.settle(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.regroup(ctx, session, f); err != nil {
		return nil, nil, err
	}
	m.until = position
	return session, current, nil
}

// regroup reads the groups of the mirror, where one of them has changed.
func (s *source) regroup(ctx context.Context, session *session, f *followed) error {
	if !f.mirror.groups.changed {
		return nil
	}
	members := newMembership()
	members.ids = f.mirror.feed.id()
	for entry, err := range f.mirror.each(f.mirror.groups) {
		if err == nil {
			err = session.addGroup(ctx, members, s.groups, entry)
		}
		if err != nil {
			return err
		}
	}
	members.sort()
	f.members, f.mirror.groups.changed = members, false
	return nil
}

// An update brings a mirror up to date.
type update struct {
	s       *source
	session *session
	m       *mirror
	members *membership     // as they were
	before  map[uuid]string // the DNs of entries that were forgotten
	after   map[uuid]string // the DNs of those that were read
	changed []uuid          // entries that have to be read again
	below   []string        // DNs below which everything has to be read again
	moved   []string        // DNs, normalised, of containers that are no longer there
}

// mostChanged is how many entries are read one by one before reading everything is the cheaper way.
const mostChanged = 2000

// ask asks the server what has changed, and takes it in.
func (u *update) ask(ctx context.Context, position sources.Currency) error {
	if !position.Covers(u.m.until) {
		return &rereadError{"the server knows less than it did, or is another one"}
	}
	if err := u.s.visible(ctx, u.session); err != nil {
		return err
	}
	found := &changes{now: map[uuid]string{}, ignored: u.s.ignored}
	if err := u.m.feed.since(ctx, u.session, u.m.until, found); err != nil {
		return err
	}
	return u.apply(ctx, found)
}

func (u *update) apply(ctx context.Context, found *changes) error {
	if len(found.now)+len(found.gone) > mostChanged {
		return &rereadError{fmt.Sprintf("%d entries have changed", len(found.now)+len(found.gone))}
	}
	for _, id := range found.gone {
		if _, again := found.now[id]; again {
			continue
		}
		if err := u.drop(id); err != nil {
			return err
		}
	}
	for id, dn := range found.now {
		u.sort(id, dn)
	}
	if err := u.clear(); err != nil {
		return err
	}
	return u.read(ctx)
}

// drop forgets an entry that is gone.
func (u *update) drop(id uuid) error {
	if old, held := u.m.containers[id]; held {
		u.moved = append(u.moved, old)
		delete(u.m.containers, id)
	}
	for _, of := range []*entries{u.m.people, u.m.groups} {
		if err := u.forget(of, id); err != nil {
			return err
		}
	}
	return nil
}

// forget forgets an entry, where it is known.
func (u *update) forget(of *entries, id uuid) error {
	at, known := of.at[id]
	if !known {
		return nil
	}
	old, err := u.m.entry(at)
	if err != nil {
		return err
	}
	u.m.forget(of, id)
	u.before[id] = old.DN
	return nil
}

// unsettle notes the names that mean somebody else than before, or nobody.
func (u *update) unsettle() {
	now := u.s.now()
	for id, dn := range u.before {
		if u.after[id] != dn {
			u.m.unsettled[dn] = unsettled{now, now}
		}
	}
	for id, dn := range u.after {
		if u.before[id] != dn {
			u.m.unsettled[dn] = unsettled{now, now}
		}
	}
}

// settle reads again the groups that may have been mended without a word: those that list, or listed, a DN which means
// somebody else now, or nobody. That is done at once, and again after longer and longer times, as long as the server may
// take for it.
func (u *update) settle(ctx context.Context) error {
	m, now := u.m, u.s.now()
	if u.s.groups == nil {
		return nil
	}
	var due []string
	for _, dn := range slices.Sorted(maps.Keys(m.unsettled)) {
		one := m.unsettled[dn]
		if one.next.After(now) && !one.since.After(now) {
			continue
		}
		due = append(due, dn)
		passed := max(0, now.Sub(one.since))
		if one.next = now.Add(max(time.Second, passed)); passed < m.feed.settles() {
			m.unsettled[dn] = one
		} else {
			delete(m.unsettled, dn)
		}
	}
	if len(due) == 0 {
		return nil
	}
	ids := map[uuid]bool{}
	for _, dn := range due {
		for _, n := range u.members.direct(dnKey(dn), nil) {
			ids[u.members.groups[n].uuid] = true
		}
	}
	maps.DeleteFunc(ids, func(id uuid, _ bool) bool { return u.after[id] != "" }) // it was just read
	if err := u.readGroups(ctx, slices.Collect(maps.Keys(ids))); err != nil {
		return err
	}
	for some := range slices.Chunk(due, atOnce) {
		var listing strings.Builder
		for _, dn := range some {
			listing.WriteString(u.s.groups.holds(member{dn: dn}))
		}
		if err := u.findGroups(ctx, "(|"+listing.String()+")"); err != nil {
			return err
		}
	}
	return m.findContainers(ctx, u.session, u.s.everywhere())
}

// sort finds out what the change of an entry asks for.
func (u *update) sort(id uuid, dn string) {
	old, held := u.m.containers[id]
	if normal, err := normalDN(dn); held && (err != nil || normal != old) {
		u.moved, u.below = append(u.moved, old), append(u.below, dn)
		delete(u.m.containers, id)
	}
	_, person := u.m.people.at[id]
	_, group := u.m.groups.at[id]
	inside := inAny(dn, u.s.everywhere())
	if !person && !group && !held && inside {
		u.below = append(u.below, dn) // it may be a container that came with people in it
	}
	if person || group || inside {
		u.changed = append(u.changed, id)
	}
}

// clear forgets what was below containers that are no longer there.
func (u *update) clear() error {
	if len(u.moved) == 0 {
		return nil
	}
	lost := func(dn string) bool {
		return slices.ContainsFunc(u.moved, func(old string) bool { return strings.HasSuffix(dn, ","+old) })
	}
	for _, of := range []*entries{u.m.people, u.m.groups} {
		var ids []uuid
		for entry, err := range u.m.each(of) {
			if err != nil {
				return err
			}
			if normal, err := normalDN(entry.DN); err != nil || lost(normal) {
				id, _ := u.m.feed.id().uuidOf(entry)
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			if err := u.forget(of, id); err != nil {
				return err
			}
		}
	}
	maps.DeleteFunc(u.m.containers, func(_ uuid, dn string) bool { return lost(dn) })
	return nil
}

// read reads again what has changed, and what is below containers that have come. Who does not come again is not there
// any more.
func (u *update) read(ctx context.Context) error {
	s, m := u.s, u.m
	for _, id := range u.changed {
		if err := u.forget(m.people, id); err != nil {
			return err
		}
	}
	ask := with(s.reader(ctx, u.session).ask, m.feed.id().name)
	for some := range slices.Chunk(u.changed, atOnce) {
		filter, err := m.feed.id().anyOf(some)
		if err != nil {
			return err
		}
		for _, base := range s.bases {
			if err := u.record(ctx, m.people, s.query(base, ask).and(filter)); err != nil {
				return err
			}
		}
	}
	for _, dn := range u.below {
		if s.covers(dn) {
			if err := u.record(ctx, m.people, s.query(dn, ask)); err != nil {
				return err
			}
		}
		if s.groups != nil && inAny(dn, s.groups.bases) {
			if err := u.record(ctx, m.groups, s.groups.query(dn)); err != nil {
				return err
			}
		}
	}
	if err := u.readGroups(ctx, u.changed); err != nil {
		return err
	}
	u.unsettle()
	return m.findContainers(ctx, u.session, s.everywhere())
}

// readGroups reads some groups again.
func (u *update) readGroups(ctx context.Context, ids []uuid) error {
	if u.s.groups == nil {
		return nil
	}
	for _, id := range ids {
		if err := u.forget(u.m.groups, id); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(ids, atOnce) {
		filter, err := u.m.feed.id().anyOf(some)
		if err != nil {
			return err
		}
		if err := u.findGroups(ctx, filter); err != nil {
			return err
		}
	}
	return nil
}

// findGroups reads the groups that fit a filter again.
func (u *update) findGroups(ctx context.Context, filter string) error {
	for _, base := range u.s.groups.bases {
		if err := u.record(ctx, u.m.groups, u.s.groups.query(base).and(filter)); err != nil {
			return err
		}
	}
	return nil
}

// atOnce is how many entries one search asks for.
const atOnce = 100

// record keeps what a search finds. A container may have gone again meanwhile.
func (u *update) record(ctx context.Context, in *entries, q query) error {
	for entries, err := range u.session.pages(ctx, q, u.s.bounds()) {
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			id, err := u.m.record(in, entry)
			if err != nil {
				return err
			}
			u.after[id] = entry.DN
		}
	}
	return nil
}

// A recording makes a mirror of a whole read, beside it: what goes wrong with it is not the read's business.
type recording struct {
	mirror *mirror // nil where nothing is recorded
	why    string  // that is so
}

// record begins to record what a session reads for f, where its server can be followed.
func (s *source) record(ctx context.Context, session *session, current sources.Currency, f *followed) *recording {
	if f == nil {
		return &recording{}
	}
	feed, why := s.follows(ctx, session, current)
	if feed == nil {
		return &recording{why: why}
	}
	position, err := feed.position(current)
	var m *mirror
	if err == nil {
		m, err = newMirror(s.need.Scratch, session.url, feed)
	}
	if err != nil {
		feed.close()
		return &recording{why: err.Error()}
	}
	m.until = position
	return &recording{mirror: m}
}

// person keeps a person's entry, as it is before anybody changes it.
func (r *recording) person(entry *ldap.Entry) {
	if r.mirror != nil {
		_, err := r.mirror.record(r.mirror.people, entry)
		r.check(err)
	}
}

// group keeps a group's entry.
func (r *recording) group(entry *ldap.Entry) {
	if r.mirror != nil {
		_, err := r.mirror.record(r.mirror.groups, entry)
		r.check(err)
	}
}

// check ends the recording at an error.
func (r *recording) check(err error) {
	if err != nil {
		r.why = err.Error()
		r.discard()
	}
}

// discard forgets what was recorded, unless somebody follows it.
func (r *recording) discard() {
	if r.mirror != nil {
		r.mirror.close()
		r.mirror = nil
	}
}

// end completes the recording of a whole read, which is the caller's from then on; nil where there is none.
func (r *recording) end(ctx context.Context, session *session, bases []string) *mirror {
	if r.mirror != nil {
		r.check(r.mirror.findContainers(ctx, session, bases))
	}
	m := r.mirror
	if r.mirror = nil; m != nil {
		m.groups.changed = false
	}
	return m
}

// follow goes on from a whole read.
func (f *followed) follow(m *mirror, members *membership, answers map[string]bool) {
	f.mirror, f.members, f.answers = m, members, answers
}

// mostTries is how often two mirrors are brought up to date until they are so at one instant.
const mostTries = 5

// missed compares what was followed with what a whole read has found since. Where the two cannot be brought to one
// instant, or groups may be mended without a word just now, it says nothing.
func (s *source) missed(ctx context.Context, old, now *followed) (found sources.Sample) {
	if old.mirror == nil || now.mirror == nil {
		return found
	}
	for range mostTries {
		for _, f := range []*followed{now, old} {
			if _, _, err := s.catchUp(ctx, f); err != nil {
				s.log.Debug("what was followed cannot be compared with what was read", "source", s.name, "why", err)
				f.forget() // some of it may be caught up, and some not
				return found
			}
		}
		if len(old.mirror.unsettled)+len(now.mirror.unsettled) > 0 {
			return found
		}
		if maps.Equal(old.mirror.until, now.mirror.until) {
			return differences(old.mirror, now.mirror)
		}
	}
	return found
}

// differences are the DNs of entries that two mirrors have differently.
func differences(a, b *mirror) (found sources.Sample) {
	dns := map[string]bool{}
	compare := func(a, b *mirror, of, in *entries) {
		for id, at := range of.at {
			one, err := a.entry(at)
			if err != nil {
				return
			}
			if there, both := in.at[id]; both {
				other, err := b.entry(there)
				if err != nil || bytes.Equal(appendEntry(nil, one), appendEntry(nil, other)) {
					continue
				}
			}
			dns[readable(one.DN)] = true
		}
	}
	compare(a, b, a.people, b.people)
	compare(b, a, b.people, a.people)
	compare(a, b, a.groups, b.groups)
	compare(b, a, b.groups, a.groups)
	for _, dn := range slices.Sorted(maps.Keys(dns)) {
		found.Add(dn)
	}
	return found
}

// retell hands out everybody as the mirror has them.
func (s *source) retell(
	ctx context.Context, session *session, f *followed, current sources.Currency, facts *sources.ReadFacts,
	yield func(identity.Person, error) bool,
) error {
	found := &sources.ReadFacts{Server: session.url, From: current, Missed: f.missed}
	var groups *membership
	if f.members != nil {
		groups = f.members.unmet()
	}
	r := s.reader(ctx, session)
	for entry, err := range f.mirror.each(f.mirror.people) {
		if err == nil {
			err = s.hand(ctx, r, groups, entry, found, yield)
		}
		if err != nil {
			return &toldError{err}
		}
	}
	if err := s.conclude(ctx, session, r, groups, found, f.answers); err != nil {
		return &toldError{err}
	}
	*facts = *found
	return nil
}
