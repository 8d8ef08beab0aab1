package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
)

// The times of watching a server.
const (
	heartbeat   = 15 * time.Second // between questions whether it is still there
	silence     = 15 * time.Second // within which it has to answer them
	soonest     = time.Second      // after which it is tried again, the first time
	latest      = 30 * time.Second
	unwatchable = 5 * time.Minute // after which a server is tried again that does not tell of changes
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
		if errors.Is(err, errUnwatchable) {
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
	defer session.close()
	session.timeout = min(session.timeout, s.silence)
	current := session.currency(ctx, s.bases)
	if why := s.tells(ctx, session, current); why != "" {
		return fmt.Errorf("%w: %s", errUnwatchable, why)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = session.raw.Close() })
	defer stop()
	about := session.known(ctx)
	ended := make(chan error, len(about.contexts))
	for _, suffix := range about.contexts {
		if cookie := cookieOf(suffix, current); cookie != "" {
			go func() { ended <- session.listen(ctx, suffix, cookie, changed) }()
		}
	}
	changed() // whatever happened before tells nobody any more
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			return fmt.Errorf("%s: %w", session.url, err)
		case <-beat.C:
			if _, err := session.read(ctx, "", "1.1"); err != nil {
				return fmt.Errorf("%s: %w", session.url, err)
			}
		}
	}
}

// listen waits for signs of a change below a suffix, until there can be none any more: it always returns an error.
func (s *session) listen(ctx context.Context, suffix, cookie string, changed func()) error {
	r := s.conn.Syncrepl(ctx, everything(suffix), buffered, ldap.SyncRequestModeRefreshAndPersist, []byte(cookie), false)
	for r.Next() {
		changed()
	}
	switch err := r.Err(); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	return errors.New("the server has ended the search that was to tell of changes")
}

// reach signs in to the first server that can be reached.
func (s *source) reach(ctx context.Context) (*session, error) {
	var troubles []error
	for _, url := range s.urls {
		session, err := s.dial(ctx, url)
		if err == nil {
			return session, nil
		}
		troubles = append(troubles, err)
	}
	return nil, together(troubles)
}

// tells reports why a server does not tell of changes; "" where it does.
func (s *source) tells(ctx context.Context, session *session, current sources.Currency) string {
	about := session.known(ctx)
	switch {
	case !slices.Contains(about.controls, ldap.ControlTypeSyncRequest):
		return "it has no content synchronisation (RFC 4533; OpenLDAP's overlay syncprov)"
	case !about.slapd:
		return "only OpenLDAP's way to tell of changes is known"
	case len(current) == 0:
		return "it shows no contextCSN: let the bind DN read that of the suffix"
	}
	return ""
}

// follows reports why a server's changes cannot be followed; "" where they can.
func (s *source) follows(ctx context.Context, session *session, current sources.Currency) string {
	if why := s.tells(ctx, session, current); why != "" {
		return why
	}
	if slices.ContainsFunc(s.need.Attributes, func(name string) bool { return strings.EqualFold(name, "memberOf") }) {
		return "memberOf changes without a change of its entry: use member_of() and a groups block"
	}
	contexts := session.known(ctx).contexts
	for _, base := range s.everywhere() {
		if !slices.ContainsFunc(contexts, func(suffix string) bool { return within(base, suffix) && holds(suffix, s.bases) }) {
			return base + " is in another part of the directory than the people"
		}
	}
	return ""
}
