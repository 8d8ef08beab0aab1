package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// Changes are what has become of entries.
type changes struct {
	now  map[uuid]string // the DNs of entries that were added or changed
	gone []uuid          // entries that were deleted, or left what was asked for

	ignored []string // DNs below which references need not be followed
}

// delete notes that an entry is gone, whatever was said of it before.
func (c *changes) delete(id uuid) {
	delete(c.now, id)
	c.gone = append(c.gone, id)
}

// tooMany reports whether reading everything is cheaper than reading them one by one.
func (c *changes) tooMany() bool { return len(c.now)+len(c.gone) > mostChanged }

// handOver adds them to another list, which knows better of an entry that is in both, and keeps none.
func (c *changes) handOver(to *changes) {
	for id, dn := range c.now {
		if _, known := to.now[id]; !known {
			to.now[id] = dn
		}
	}
	to.gone = append(to.gone, c.gone...)
	c.now, c.gone = map[uuid]string{}, nil
}

// A rereadError says why nobody can tell for sure what has changed, so that everything has to be read anew.
type rereadError struct{ why string }

func (e *rereadError) Error() string { return e.why }

// buffered is how many messages of a running search wait for us.
const buffered = 64

// A syncFeed is OpenLDAP's: content synchronisation (RFC 4533), with the contextCSN of its suffixes as the cookie, and what
// was heard beside.
type syncFeed struct {
	suffixes []string // as the currency names them
	hearing  *hearing // of the source
	heard    *heard   // nil for one who only listens
}

func (*syncFeed) how() string { return "by content synchronisation (RFC 4533)" }

func (*syncFeed) id() anchor { return newAnchor("entryUUID") }

func (f *syncFeed) follow(context.Context, *source, string) error {
	f.heard = f.hearing.open()
	return nil
}

// position implements feed: how far the server says that its changes go, and how many were heard.
func (f *syncFeed) position(current sources.Currency) (sources.Currency, error) {
	if len(current) == 0 {
		return nil, &rereadError{"the server does not tell how current it is"}
	}
	position := maps.Clone(current)
	position["heard"] = f.hearing.position()
	return position, nil
}

// settleTime is how long an overlay, or a plugin, may take for it.
const settleTime = 30 * time.Second

func (*syncFeed) settles() time.Duration { return settleTime }

func (f *syncFeed) close() {
	if f.heard != nil {
		f.hearing.close(f.heard)
	}
}

// since implements feed: an answer that is not a list of changes (the server has forgotten the cookie, and lists what is
// there instead) or that does not say of an entry which one it is, is none.
func (f *syncFeed) since(ctx context.Context, s *ldapclient.Session, current sources.Currency, into *changes) error {
	for _, suffix := range f.suffixes {
		if err := changesSince(ctx, s, suffix, current, into); err != nil {
			return err
		}
	}
	if f.heard == nil {
		return nil
	}
	return f.hearing.take(f.heard, into)
}

// listen implements feed by the persist stage (RFC 4533, 3.4).
func (f *syncFeed) listen(ctx context.Context, s *ldapclient.Session, current sources.Currency, changed func()) error {
	return firstEnd(f.suffixes, func(suffix string) error {
		cookie := []byte(cookieOf(suffix, current))
		r := s.Conn.Syncrepl(ctx, everything(suffix), buffered, ldap.SyncRequestModeRefreshAndPersist, cookie, false)
		return hear(ctx, r, func(r ldap.Response) error {
			f.hearing.hear(r)
			changed()
			return nil
		})
	})
}

// firstEnd does something of each suffix, side by side, until the first of them ends: by an error.
func firstEnd(suffixes []string, do func(suffix string) error) error {
	ended := make(chan error, len(suffixes))
	for _, suffix := range suffixes {
		go func() { ended <- do(suffix) }()
	}
	return <-ended
}

// hear reads what a search brings that goes on, until it ends: it always returns an error.
func hear(ctx context.Context, r ldap.Response, each func(ldap.Response) error) error {
	for r.Next() {
		if err := each(r); err != nil {
			return err
		}
	}
	switch err := r.Err(); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	return errors.New("the server has ended the search that was to tell of changes")
}

// changesSince asks what has changed below a suffix, containers included.
func changesSince(ctx context.Context, s *ldapclient.Session, suffix string, since sources.Currency, into *changes) error {
	cookie := cookieOf(suffix, since)
	if cookie == "" {
		return &rereadError{"the server tells no contextCSN of " + suffix}
	}
	done := false
	err := s.Do(ctx, func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r := s.Conn.Syncrepl(ctx, everything(suffix), buffered, ldap.SyncRequestModeRefreshOnly, []byte(cookie), false)
		for r.Next() {
			// A server that does not understand the cookie names everybody as added, nobody as deleted, and ends with success.
			if entry := r.Entry(); entry != nil && ldapclient.SameDN(entry.DN, suffix) {
				return &rereadError{"the server names everybody, or " + suffix + " itself has changed"}
			}
			ended, err := into.note(r)
			if err != nil {
				return err
			}
			done = done || ended
		}
		return r.Err()
	})
	var reread *rereadError
	switch {
	case err == nil && !done:
		return &rereadError{"the server's list of changes has no end"}
	case errors.As(err, &reread):
		return reread
	case err == nil:
		return nil
	}
	var refused *ldapclient.ResultError
	if errors.As(err, &refused) { // e-syncRefreshRequired (4096), a limit, a cookie from the future …
		return &rereadError{fmt.Sprintf("the server does not say what has changed: %v", refused)}
	}
	return err
}

// everything is a search for each entry below a suffix, whatever it is, without its attributes.
func everything(suffix string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
		[]string{"1.1"}, nil)
}

// note takes one message in. done tells that it was the last.
func (c *changes) note(r ldap.Response) (done bool, err error) {
	state := false
	for _, control := range r.Controls() {
		switch control := control.(type) {
		case *ldap.ControlSyncState:
			state = true
			if entry := r.Entry(); control.State == ldap.SyncStateDelete {
				c.gone = append(c.gone, uuid(control.EntryUUID))
			} else if entry != nil && control.State != ldap.SyncStatePresent {
				c.now[uuid(control.EntryUUID)] = entry.DN
			} else {
				return false, &rereadError{"the server lists who is there, not who has changed"}
			}
		case *ldap.ControlSyncInfo:
			switch {
			case control.RefreshPresent != nil, control.SyncIdSet != nil && !control.SyncIdSet.RefreshDeletes:
				return false, &rereadError{"the server lists who is there, not who has changed: it has forgotten the changes in between"}
			case control.SyncIdSet != nil:
				for _, id := range control.SyncIdSet.SyncUUIDs {
					c.gone = append(c.gone, uuid(id))
				}
			}
		case *ldap.ControlSyncDone:
			if !control.RefreshDeletes {
				return false, &rereadError{"the server lists who is there, not who has changed"}
			}
			done = true
		}
	}
	if entry := r.Entry(); entry != nil && !state {
		return false, &rereadError{"the server does not say which entry " + entry.DN + " is"}
	}
	if reference := r.Referral(); reference != "" && !ldapclient.Ignorable(reference, c.ignored) {
		return false, &rereadError{"a part is on another server, " + reference}
	}
	return done, nil
}

// cookieOf is the cookie of OpenLDAP (slapd-config(5), syncprov) for a server that was so current: the contextCSN of
// the suffix, one for each server that takes writes.
func cookieOf(suffix string, current sources.Currency) string {
	var list []string
	for sequence, csn := range current {
		if strings.HasPrefix(sequence, suffix+" ") {
			list = append(list, csn)
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return "rid=000,csn=" + strings.Join(list, ";")
}
