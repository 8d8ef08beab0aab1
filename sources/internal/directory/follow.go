package directory

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A follower is what one source keeps between reads.
type follower struct {
	turn *semaphore.Weighted // held while the source is read with what follows, but not while that is made anew
	followed
}

// What is followed was copied once, and is brought up to date by what has changed since.
type followed struct {
	mirror  *mirror             // nil while there is none
	why     string              // that is so
	again   time.Time           // when it is tried again
	session *ldapclient.Session // to the mirror's server; nil while there is none
	members *membership         // of the mirror's groups; nil where none are read
	answers map[string]bool     // of member values that were looked up, whether they name somebody
	missed  sources.Sample      // what the last copy has that following had not found
}

// forget ends what is kept.
func (f *followed) forget() {
	if f.mirror != nil {
		f.mirror.close()
	}
	if f.session != nil {
		f.session.Close()
	}
	*f = followed{}
}

// Renew implements sources.Follower. Meanwhile Latest goes on with what there is.
func (s *source) Renew(ctx context.Context, read func(n int)) (bool, error) {
	if !s.need.Follow {
		return false, nil
	}
	fresh, err := s.copy(ctx, read)
	if err != nil {
		return false, s.incomplete(err)
	}
	if err := s.follower.turn.Acquire(ctx, 1); err != nil {
		fresh.forget()
		return false, s.incomplete(context.Cause(ctx))
	}
	defer s.follower.turn.Release(1)
	old := s.follower.followed
	defer old.forget()
	fresh.missed = s.missed(ctx, &old, &fresh)
	s.follower.followed = fresh
	return fresh.mirror != nil, nil
}

// Latest implements sources.Follower. Whatever it cannot follow, it reads anew: that is PeopleAndFacts.
func (s *source) Latest(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		if err := s.follower.turn.Acquire(ctx, 1); err != nil {
			yield(identity.Person{}, s.incomplete(context.Cause(ctx)))
			return
		}
		defer s.follower.turn.Release(1)
		f := &s.follower.followed
		session, current, err := s.latest(ctx, f)
		switch {
		case err == nil && session == nil:
			s.whole(ctx, facts, yield)
			return
		case err == nil:
			err = s.retell(ctx, session, f, current, facts, yield)
		}
		if err != nil && !errors.Is(err, ldapclient.ErrStopped) {
			f.forget()
			yield(identity.Person{}, s.incomplete(err))
		}
	}
}

// latest brings what is followed up to date, or copies everything anew, once, where it cannot; no session where there is
// nothing to follow.
func (s *source) latest(ctx context.Context, f *followed) (*ldapclient.Session, sources.Currency, error) {
	for copied := false; ; copied = true {
		if f.mirror != nil {
			session, current, err := s.catchUp(ctx, f)
			if err == nil {
				return session, current, nil
			}
			f.forget()
			if ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			}
			s.log.Info("everybody is read anew", "source", s.name, "why", err)
		}
		if wait := f.again.Sub(s.now()); copied || wait > 0 && wait <= unwatchable {
			return nil, nil, nil
		}
		fresh, err := s.copy(ctx, func(int) {})
		if err != nil {
			return nil, nil, err
		}
		*f = fresh
	}
}

// inAny reports whether a DN is one of bases, or below one.
func inAny(dn string, bases []string) bool {
	return slices.ContainsFunc(bases, func(base string) bool { return ldapclient.Within(dn, base) })
}

// everywhere are the DNs below which people and groups are read.
func (s *source) everywhere() []string {
	if s.groups == nil {
		return s.bases
	}
	return slices.Concat(s.bases, s.groups.bases)
}

// catchUp brings the mirror up to date, and returns how current the server was before it was asked. What changes meanwhile
// is taken in as well: a group with the new name of somebody who has the old one still would show that they have left it.
func (s *source) catchUp(ctx context.Context, f *followed) (*ldapclient.Session, sources.Currency, error) {
	if f.session != nil && !f.session.Usable() {
		f.session.Close()
		f.session = nil
	}
	if f.session == nil {
		session, err := s.pool.Dial(ctx, f.mirror.url)
		if err != nil {
			return nil, nil, err
		}
		f.session = session
	}
	var current sources.Currency
	for range mostTries {
		now, changed, err := s.step(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		if current = now; !changed {
			break
		}
	}
	return f.session, current, nil
}

// step takes in what has changed, and returns how current the server was before it was asked.
func (s *source) step(ctx context.Context, f *followed) (current sources.Currency, changed bool, err error) {
	m, session := f.mirror, f.session
	current = currency(ctx, session, s.bases)
	position, err := m.feed.position(current)
	if err != nil {
		return nil, false, err
	}
	u := update{
		s: s, session: session, m: m, members: f.members, before: map[uuid]string{}, after: map[uuid]string{},
	}
	if changed = !maps.Equal(position, m.until); changed {
		if err := u.ask(ctx, position); err != nil {
			return nil, false, err
		}
	}
	if err := u.settle(ctx); err != nil {
		return nil, false, err
	}
	if err := s.regroup(ctx, session, f); err != nil {
		return nil, false, err
	}
	m.until = position
	return current, changed, m.compact()
}

// regroup reads the groups of the mirror, where one of them has changed.
func (s *source) regroup(ctx context.Context, session *ldapclient.Session, f *followed) error {
	if !f.mirror.groups.changed {
		return nil
	}
	members := newMembership()
	members.ids = f.mirror.feed.id()
	for entry, err := range f.mirror.each(f.mirror.groups) {
		if err == nil {
			err = addGroup(ctx, session, members, s.groups, entry)
		}
		if err != nil {
			return err
		}
	}
	members.sort()
	f.members, f.mirror.groups.changed = members, false
	return nil
}

// mostTries is how often a mirror is brought up to date until nothing changes meanwhile, and two until they are so at one
// instant.
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
			dns[ldapclient.Readable(one.DN)] = true
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
	ctx context.Context, session *ldapclient.Session, f *followed, current sources.Currency, facts *sources.ReadFacts,
	yield func(identity.Person, error) bool,
) error {
	found := &sources.ReadFacts{Server: session.URL, From: current, Missed: f.missed, Unseen: f.mirror.unseen}
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
			return err
		}
	}
	if err := s.conclude(ctx, session, r, groups, found, f.answers); err != nil {
		return err
	}
	*facts = *found
	return nil
}
