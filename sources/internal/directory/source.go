// Package directory reads people from directories that speak LDAP version 3: what the kinds of source share that do.
package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// source is one opened block.
type source struct {
	block
	name string
	need sources.Need
	log  hclog.Logger
	pool *ldapclient.Pool
	now  func() time.Time

	neighbours neighbours
	hearing    hearing
	arrivals   arrivals

	follower           follower
	heartbeat, silence time.Duration // of watching: see there
	poll               time.Duration // of watching a domain controller
}

func (b block) open(name string, need sources.Need) (*source, error) {
	if need.Groups && b.groups == nil {
		return nil, fmt.Errorf(
			`%s: member_of() and person.groups need a groups block: groups { base_dn = "ou=groups,…" }`,
			name,
		)
	}
	if !need.Groups {
		b.groups = nil
	}
	if _, err := b.TLSConfig(""); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	log := need.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if b.Insecure {
		log.Warn("the directory's certificate is NOT verified", "source", name, "argument", "tls_insecure")
	}
	return &source{
		block: b, name: name, need: need, log: log, pool: ldapclient.NewPool(b.Access, name, log), now: time.Now,
		follower: follower{turn: semaphore.NewWeighted(1)}, arrivals: arrivals{come: make(chan struct{}, 1)},
		heartbeat: heartbeat, silence: silence, poll: pollEach,
	}, nil
}

// People implements sources.Source.
func (s *source) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return s.PeopleAndFacts(ctx, new(sources.ReadFacts))
}

// PeopleAndFacts implements sources.FactReader.
func (s *source) PeopleAndFacts(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		s.whole(ctx, facts, yield)
	}
}

// whole reads everybody.
func (s *source) whole(ctx context.Context, facts *sources.ReadFacts, yield func(identity.Person, error) bool) {
	err := s.pool.Anywhere(ctx, func(url string) (begun bool, err error) {
		found, err := s.stream(ctx, url, func(p identity.Person, err error) bool {
			begun = true
			return yield(p, err)
		})
		if err == nil {
			*facts = *found
		}
		return begun, err
	})
	if err != nil && !errors.Is(err, ldapclient.ErrStopped) {
		yield(identity.Person{}, s.incomplete(err))
	}
}

// incomplete names the source and makes err an ErrIncomplete.
func (s *source) incomplete(err error) error {
	if incomplete := (*ldapclient.IncompleteError)(nil); !errors.As(err, &incomplete) && !errors.Is(err, sources.ErrIncomplete) {
		err = &ldapclient.IncompleteError{Reason: sources.ErrIncomplete.Error(), Next: ldapclient.Hint(err), Err: err}
	}
	return &listError{s.name, err}
}

// A listError is why a list of people is only a part of it.
type listError struct {
	source string
	err    error
}

func (e *listError) Error() string { return e.source + ": " + e.err.Error() }

func (e *listError) Unwrap() []error { return []error{sources.ErrIncomplete, e.err} }

// stream reads everyone from one server.
func (s *source) stream(
	ctx context.Context,
	url string,
	yield func(identity.Person, error) bool,
) (*sources.ReadFacts, error) {
	session, err := s.pool.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	facts := &sources.ReadFacts{Server: url, From: currency(ctx, session, s.bases)}
	bases, unseen, err := s.seen(ctx, session)
	if err != nil {
		return nil, err
	}
	facts.Unseen = unseen
	var groups *membership
	if s.groups != nil {
		if groups, err = readGroups(ctx, session, s.groups, s.bounds()); err != nil {
			return nil, err
		}
	}
	r := s.reader(ctx, session)
	for _, base := range bases {
		for entries, err := range s.pages(ctx, session, s.query(base, r.ask)) {
			if err != nil {
				return nil, err
			}
			for _, entry := range entries {
				if err := s.hand(ctx, r, groups, entry, facts, yield); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := s.conclude(ctx, session, r, groups, facts, map[string]bool{}); err != nil {
		return nil, err
	}
	return facts, nil
}

// hand makes a person of an entry and hands them out.
func (s *source) hand(
	ctx context.Context, r *entryReader, groups *membership, entry *ldap.Entry, facts *sources.ReadFacts,
	yield func(identity.Person, error) bool,
) error {
	who, err := r.person(entry)
	var personal *sources.PersonError
	if err != nil && !errors.As(err, &personal) {
		return err
	}
	count(facts, who)
	if groups != nil {
		who.Groups = groups.of(who.member)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !yield(who.Person, err) {
		return ldapclient.ErrStopped
	}
	return nil
}

// reader makes an entryReader for what comes over a session.
func (s *source) reader(ctx context.Context, session *ldapclient.Session) *entryReader {
	r := s.entryReader(s.name, s.need.Attributes, s.now())
	r.serves(session.Known(ctx))
	r.own = s.own(ctx, session)
	return r
}

func count(facts *sources.ReadFacts, who decoded) {
	facts.People++
	if who.ID.Anchor == "" {
		facts.Nameless.Add(who.DN)
	}
	if who.Own {
		facts.Own = who.ID.Anchor
	}
}

// conclude fills in what only the whole read tells.
func (s *source) conclude(
	ctx context.Context,
	session *ldapclient.Session,
	r *entryReader,
	groups *membership,
	facts *sources.ReadFacts,
	answers map[string]bool,
) error {
	facts.Attributes = make(map[string]int, len(r.carried))
	for name, n := range r.carried {
		facts.Attributes[name] = *n
	}
	if groups != nil {
		facts.Groups = groups.facts()
		facts.SetFormer(groups.former)
		if err := s.dangling(ctx, session, groups, facts.Groups, answers); err != nil {
			return err
		}
	}
	facts.Away = s.pool.Missing()
	facts.Until = currency(ctx, session, s.bases)
	return nil
}

// seen tells the base DNs that can be seen from the others: some servers answer with success and nobody below a base that
// is not there. It fails where none can be: one of several may have been given up, and whoever was there is looked for one
// by one, but without any there is nothing to read.
func (s *source) seen(ctx context.Context, session *ldapclient.Session) (bases, unseen []string, err error) {
	var first error
	for _, base := range s.bases {
		entry, err := session.Read(ctx, base, "1.1")
		switch {
		case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
			return nil, nil, &ldapclient.IncompleteError{Reason: "base_dn " + base, Next: ldapclient.Hint(err), Err: err}
		case entry != nil:
			bases = append(bases, base)
			continue
		case err != nil:
			err = &ldapclient.IncompleteError{Reason: "base_dn " + base, Next: ldapclient.Hint(err), Err: err}
		default:
			err = &ldapclient.IncompleteError{
				Reason: "base_dn " + base + " cannot be seen",
				Next:   "it does not exist, or the bind DN may not see it",
			}
		}
		unseen, first = append(unseen, base), cmp.Or(first, err)
	}
	if len(bases) == 0 {
		return nil, nil, first
	}
	return bases, unseen, nil
}

func (s *source) query(base string, attributes []string) ldapclient.Query {
	return ldapclient.Query{Base: base, Scope: s.scope, Filter: s.filter, Attributes: attributes}
}

// pages are those of a search for people (see session.pages), without anybody who is excluded.
func (s *source) pages(ctx context.Context, session *ldapclient.Session, q ldapclient.Query) iter.Seq2[[]*ldap.Entry, error] {
	return func(yield func([]*ldap.Entry, error) bool) {
		for entries, err := range session.Pages(ctx, q, s.bounds()) {
			if len(s.excluded) > 0 {
				entries = slices.DeleteFunc(entries, func(entry *ldap.Entry) bool { return inAny(entry.DN, s.excluded) })
			}
			if !yield(entries, err) {
				return
			}
		}
	}
}

func (s *source) bounds() ldapclient.Bounds {
	return ldapclient.Bounds{PageSize: s.pageSize, MaxEntries: s.maxEntries, Ignored: s.ignored}
}

// Close implements sources.Source.
func (s *source) Close() error {
	s.follower.forget()
	s.pool.Close()
	return nil
}
