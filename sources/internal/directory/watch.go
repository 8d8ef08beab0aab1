package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// The times of watching a server.
const (
	heartbeat   = 15 * time.Second // between questions whether it is still there
	silence     = 15 * time.Second // within which it has to answer them
	soonest     = time.Second      // after which it is tried again, the first time
	latest      = 30 * time.Second
	unwatchable = 5 * time.Minute // after which a server is tried again that does not tell of changes, or refuses the password
)

// errUnwatchable says that a server does not tell of changes.
var errUnwatchable = errors.New("the server does not say when something changes")

// Watch implements sources.Watcher by the persist stage of content synchronisation (RFC 4533, 3.4): one connection to
// the first server that can be reached, which is asked now and then whether it is still there.
func (s *source) Watch(ctx context.Context, tell func(sources.Sign)) {
	wait := soonest
	for ctx.Err() == nil {
		began := s.now()
		err := s.watch(ctx, func() { tell(sources.Sign{Pushing: true}) })
		if ctx.Err() != nil {
			return
		}
		tell(sources.Sign{Why: err.Error()})
		if s.now().Sub(began) > time.Minute {
			wait = soonest
		}
		pause := wait
		if errors.Is(err, errUnwatchable) || ldapclient.RefusedSignIn(err) {
			pause = unwatchable
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		wait = min(2*wait, latest)
	}
}

// watch watches one server until that ends. changed is called once it has begun, and at each sign that something may
// have changed.
func (s *source) watch(ctx context.Context, changed func()) error {
	session, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	session.Timeout = min(session.Timeout, s.silence)
	current := currency(ctx, session, s.bases)
	feed, why := s.feed(ctx, session, current)
	if feed == nil {
		return fmt.Errorf("%w: %s", errUnwatchable, why)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = session.Raw.Close() })
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- feed.listen(ctx, session, current, changed) }()
	changed() // whatever happened before tells nobody any more
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			return fmt.Errorf("%s: %w", session.URL, err)
		case <-beat.C:
			if _, err := session.Read(ctx, "", "1.1"); err != nil {
				return fmt.Errorf("%s: %w", session.URL, err)
			}
		}
	}
}

// reach signs in to the first server that can be reached.
func (s *source) reach(ctx context.Context) (session *ldapclient.Session, err error) {
	err = s.pool.Anywhere(ctx, func(url string) (bool, error) {
		session, err = s.pool.Dial(ctx, url)
		return false, err
	})
	return session, err
}

// A feed is how a kind of server tells what changes.
type feed interface {
	// id is the attribute that tells which entry is which, for life.
	id() anchor
	// follow begins to keep what since tells, where the server tells it only while somebody listens. It is called once,
	// before the entries that are to be followed are read; a feed that only listens is not told.
	follow(ctx context.Context, s *source, url string) error
	// position is how far the server's changes go, whose currency is known. The error is a *rereadError.
	position(current sources.Currency) (sources.Currency, error)
	// since asks what has changed since a position. Where it does not tell for sure, the error is a *rereadError.
	since(ctx context.Context, s *ldapclient.Session, position sources.Currency, into *changes) error
	// listen calls changed at each sign that something may have changed since the server was so current, until there can
	// be none any more: it always returns an error.
	listen(ctx context.Context, s *ldapclient.Session, current sources.Currency, changed func()) error
	// how says for people how the server tells.
	how() string
	// settles is how long the server may take to put another DN into groups, or take one out, without telling of it; 0
	// where that is done with the change itself.
	settles() time.Duration
	// close ends what the feed keeps.
	close()
}

// feed finds how a server tells what changes; nil, and why, where it does not.
func (s *source) feed(ctx context.Context, session *ldapclient.Session, current sources.Currency) (f feed, why string) {
	about := session.Known(ctx)
	own := ldapclient.Suffixes(about.Contexts, s.bases)
	switch {
	case about.Directory && len(current) == 0:
		return nil, "it shows no highestCommittedUSN, or no invocationId: let the bind DN read its NTDS settings"
	case about.Directory:
		return s.updateFeed(ctx, session, own)
	case !about.OpenLDAP && slices.Contains(about.Controls, persistentSearch):
		return newPersistFeed(identifier(about), own, &s.arrivals), ""
	case !about.OpenLDAP:
		return nil, "it has no persistent searches, and is neither OpenLDAP nor Active Directory"
	case !slices.Contains(about.Controls, ldap.ControlTypeSyncRequest):
		return nil, "it has no content synchronisation (RFC 4533; the overlay syncprov)"
	case len(current) == 0:
		return nil, "it shows no contextCSN: let the bind DN read that of the suffix"
	}
	return &syncFeed{suffixes: own, hearing: &s.hearing}, ""
}

// followable is feed for a server whose entries are to be followed as well.
func (s *source) followable(ctx context.Context, session *ldapclient.Session, current sources.Currency) (f feed, why string) {
	if why := s.unfollowable(); why != "" {
		return nil, why
	}
	for _, base := range s.everywhere() {
		if !inAny(base, ldapclient.Suffixes(session.Known(ctx).Contexts, s.bases)) {
			return nil, base + " is in another part of the directory than the people"
		}
	}
	return s.feed(ctx, session, current)
}

// follows begins to follow a server whose entries are about to be read.
func (s *source) follows(ctx context.Context, session *ldapclient.Session, current sources.Currency) (f feed, why string) {
	if f, why = s.followable(ctx, session, current); f == nil {
		return nil, why
	}
	if err := f.follow(ctx, s, session.URL); err != nil {
		return nil, err.Error()
	}
	return f, ""
}
