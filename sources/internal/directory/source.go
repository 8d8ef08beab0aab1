// Package directory reads people from directories that speak LDAP version 3: what the kinds of source share that do.
package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// source is one opened block.
type source struct {
	block
	name    string
	need    sources.Need
	log     hclog.Logger
	servers *servers
	gate    *gate
	idle    chan *session // connections that look-ups have left open
	now     func() time.Time

	neighbours neighbours
	hearing    hearing

	follower           follower
	heartbeat, silence time.Duration // of watching: see there
	poll               time.Duration // of watching a domain controller
}

// maxIdle connections are kept between look-ups.
const maxIdle = 4

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
	if _, err := b.tlsConfig(""); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	log := need.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if b.insecure {
		log.Warn("the directory's certificate is NOT verified", "source", name, "argument", "tls_insecure")
	}
	return &source{
		block: b, name: name, need: need, log: log, idle: make(chan *session, maxIdle), now: time.Now,
		servers: &servers{
			urls: b.urls, domain: b.domain, site: b.site, startTLS: b.startTLS, resolver: net.DefaultResolver, now: time.Now,
		},
		gate:     &gate{now: time.Now},
		follower: follower{turn: semaphore.NewWeighted(1)}, heartbeat: heartbeat, silence: silence,
		poll: pollEach,
	}, nil
}

// errStopped: the consumer of a sequence wants no more.
var errStopped = errors.New("stopped by the consumer")

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
	err := s.anywhere(ctx, func(url string) (begun bool, err error) {
		found, err := s.stream(ctx, url, func(p identity.Person, err error) bool {
			begun = true
			return yield(p, err)
		})
		if err == nil {
			*facts = *found
		}
		return begun, err
	})
	if err != nil && !errors.Is(err, errStopped) {
		yield(identity.Person{}, s.incomplete(err))
	}
}

// anywhere reads from one server after the other until one has answered. One that has begun to hand people out has to
// finish; and what is wrong with another than the server itself would be wrong with the next one as well.
func (s *source) anywhere(ctx context.Context, from func(url string) (begun bool, err error)) error {
	urls, err := s.servers.inOrder(ctx)
	if err != nil {
		return err
	}
	var troubles []error
	for _, url := range urls {
		begun, err := from(url)
		s.servers.met(url, err)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil || errors.Is(err, errStopped) {
			return err
		}
		troubles = append(troubles, err)
		var unreachable *unreachableError
		if begun || !errors.As(err, &unreachable) || ctx.Err() != nil {
			break
		}
		s.log.Warn("the directory server is not available", "source", s.name, "url", url, "error", err)
	}
	return together(troubles)
}

// incomplete names the source and makes err an ErrIncomplete where it is none yet.
func (s *source) incomplete(err error) error {
	if errors.Is(err, sources.ErrIncomplete) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return fmt.Errorf("%s: %w", s.name, &incompleteError{reason: sources.ErrIncomplete.Error(), next: hint(err), err: err})
}

// stream reads everyone from one server.
func (s *source) stream(
	ctx context.Context,
	url string,
	yield func(identity.Person, error) bool,
) (*sources.ReadFacts, error) {
	session, err := s.dial(ctx, url)
	if err != nil {
		return nil, err
	}
	defer session.close()
	facts := &sources.ReadFacts{Server: url, From: session.currency(ctx, s.bases)}
	bases, unseen, err := s.seen(ctx, session)
	if err != nil {
		return nil, err
	}
	facts.Unseen = unseen
	var groups *membership
	if s.groups != nil {
		if groups, err = session.readGroups(ctx, s.groups, s.bounds()); err != nil {
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
		return errStopped
	}
	return nil
}

// reader makes an entryReader for what comes over a session.
func (s *source) reader(ctx context.Context, session *session) *entryReader {
	r := s.entryReader(s.name, s.need.Attributes, s.now())
	r.serves(session.known(ctx))
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
	session *session,
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
	facts.Away = s.servers.missing()
	facts.Until = session.currency(ctx, s.bases)
	return nil
}

// seen tells the base DNs that can be seen from the others: some servers answer with success and nobody below a base that
// is not there. It fails where none can be: one of several may have been given up, and whoever was there is looked for one
// by one, but without any there is nothing to read.
func (s *source) seen(ctx context.Context, session *session) (bases, unseen []string, err error) {
	var first error
	for _, base := range s.bases {
		entry, err := session.read(ctx, base, "1.1")
		switch {
		case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
			return nil, nil, &incompleteError{reason: "base_dn " + base, next: hint(err), err: err}
		case entry != nil:
			bases = append(bases, base)
			continue
		case err != nil:
			err = &incompleteError{reason: "base_dn " + base, next: hint(err), err: err}
		default:
			err = &incompleteError{
				reason: "base_dn " + base + " cannot be seen",
				next:   "it does not exist, or the bind DN may not see it",
			}
		}
		unseen, first = append(unseen, base), cmp.Or(first, err)
	}
	if len(bases) == 0 {
		return nil, nil, first
	}
	return bases, unseen, nil
}

func (s *source) query(base string, attributes []string) query {
	return query{base: base, scope: s.scope, filter: s.filter, attributes: attributes}
}

// pages are those of a search for people (see session.pages), without anybody who is excluded.
func (s *source) pages(ctx context.Context, session *session, q query) iter.Seq2[[]*ldap.Entry, error] {
	return func(yield func([]*ldap.Entry, error) bool) {
		for entries, err := range session.pages(ctx, q, s.bounds()) {
			if len(s.excluded) > 0 {
				entries = slices.DeleteFunc(entries, func(entry *ldap.Entry) bool { return inAny(entry.DN, s.excluded) })
			}
			if !yield(entries, err) {
				return
			}
		}
	}
}

func (s *source) bounds() bounds {
	return bounds{pageSize: s.pageSize, maxEntries: s.maxEntries, ignored: s.ignored}
}

// Close implements sources.Source.
func (s *source) Close() error {
	s.follower.forget()
	for {
		select {
		case session := <-s.idle:
			session.close()
		default:
			return nil
		}
	}
}

// ask runs fn on an idle connection or a new one, at the first server that can be reached, and keeps the
// connection if it still stands. fn may run more than once: an idle connection may have died unseen.
func (s *source) ask(ctx context.Context, fn func(*session) error) error {
	var unreachable *unreachableError
	for kept := true; kept; {
		select {
		case session := <-s.idle:
			err := fn(session)
			s.keep(session)
			if !errors.As(err, &unreachable) || ctx.Err() != nil {
				return err
			}
		default:
			kept = false
		}
	}
	return s.anywhere(ctx, func(url string) (bool, error) {
		session, err := s.dial(ctx, url)
		if err == nil {
			err = fn(session)
			s.keep(session)
		}
		return false, err
	})
}

// dial connects to one server and signs in, unless the name or the password has just been refused.
func (s *source) dial(ctx context.Context, url string) (session *session, err error) {
	err = s.gate.pass(func() error {
		session, err = s.access.dial(ctx, url)
		return err
	})
	return session, err
}

// together joins what each server had to say, in one line.
func together(troubles []error) error {
	joined := troubles[0]
	for _, trouble := range troubles[1:] {
		joined = fmt.Errorf("%w; %w", joined, trouble)
	}
	return joined
}

func (s *source) keep(session *session) {
	if session.usable() {
		select {
		case s.idle <- session:
			return
		default:
		}
	}
	session.close()
}

// compile checks that a filter can be sent.
func compile(filter string) error {
	_, err := ldap.CompileFilter(filter)
	return err
}
