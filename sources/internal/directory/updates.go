package directory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// An updateFeed is that of a domain controller: everything that it changes gets its next update number
// (MS-ADTS 3.1.1.1.9), deleted objects included, as long as whoever asks may see those.
type updateFeed struct {
	domains []string
	every   time.Duration // how often it is asked whether anything has changed, while it is listened to
}

// deletedObjects names the container of deleted objects in a domain (MS-ADTS 6.1.1.4).
const deletedObjects = "<WKGUID=18E2EA80684F11D2B9AA00C04F79F805,%s>"

// updateFeed finds out whether everything can be seen that changes in some domains, deletions included.
func (s *source) updateFeed(ctx context.Context, session *ldapclient.Session, domains []string) (f feed, why string) {
	for _, domain := range domains {
		if !seesDeletions(ctx, session, domain) {
			return nil, "deletions in " + domain +
				" cannot be seen: let the bind DN list CN=Deleted Objects and read what is in it"
		}
	}
	return updateFeed{domains, s.poll}, ""
}

// seesDeletions reports whether deleted objects of a domain can be seen.
func seesDeletions(ctx context.Context, s *ldapclient.Session, domain string) bool {
	q := ldapclient.Query{
		Base: fmt.Sprintf(deletedObjects, domain), Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)",
		Attributes: []string{"isDeleted"}, Controls: []ldap.Control{ldap.NewControlMicrosoftShowDeleted()},
	}
	result, err := s.Search(ctx, q, 0, nil)
	// Whoever may not see deleted objects may see the name of their container all the same, as Samba does it.
	return err == nil && len(result.Entries) == 1 && result.Entries[0].GetEqualFoldAttributeValue("isDeleted") != ""
}

func (updateFeed) id() anchor { return newAnchor("objectGUID") }

func (updateFeed) follow(context.Context, *source, string) error { return nil }

func (updateFeed) position(current sources.Currency) (sources.Currency, error) { return current, nil }

func (updateFeed) settles() time.Duration { return 0 }

func (updateFeed) close() {}

func (updateFeed) how() string {
	return "by update numbers, asked for twice a second and at each notification"
}

func (f updateFeed) since(ctx context.Context, s *ldapclient.Session, current sources.Currency, into *changes) error {
	last, err := lastUpdate(current)
	if err != nil {
		return err
	}
	for _, domain := range f.domains {
		q := ldapclient.Query{
			Base: domain, Scope: ldap.ScopeWholeSubtree, Filter: fmt.Sprintf("(uSNChanged>=%d)", last+1),
			Attributes: []string{f.id().name, "isDeleted"},
			Controls:   []ldap.Control{ldap.NewControlMicrosoftShowDeleted()},
		}
		bounds := ldapclient.Bounds{PageSize: updatesPage, MaxEntries: 10 * mostChanged, Ignored: into.ignored}
		for entries, err := range s.Pages(ctx, q, bounds) {
			if err != nil {
				return err
			}
			for _, entry := range entries {
				id, ok := f.id().uuidOf(entry)
				switch {
				case !ok:
					return &rereadError{"the entry " + ldapclient.Readable(entry.DN) + " has changed, and shows no " + f.id().name}
				case strings.EqualFold(entry.GetEqualFoldAttributeValue("isDeleted"), "TRUE"):
					into.gone = append(into.gone, id)
				default:
					into.now[id] = entry.DN
				}
			}
		}
	}
	return nil
}

// updatesPage is how many objects come at once: what a domain controller allows by default (MS-ADTS 3.1.1.3.4.6).
const updatesPage = 1000

// lastUpdate is the number of the last update that somebody knows who is as current as that.
func lastUpdate(current sources.Currency) (uint64, error) {
	for _, number := range current {
		if n, err := strconv.ParseUint(number, 10, 64); err == nil && len(current) == 1 {
			return n, nil
		}
	}
	return 0, &rereadError{"the server does not tell how current it is"}
}

// pollEach is how often a domain controller is asked whether anything has changed, whatever it tells: one entry is read
// for it.
const pollEach = 500 * time.Millisecond

// listen implements feed by asking for the last update number, at each notification and from time to time: controllers
// are free to be slow with notifications, and to leave some out.
func (f updateFeed) listen(ctx context.Context, s *ldapclient.Session, current sources.Currency, changed func()) error {
	last, err := lastUpdate(current)
	if err != nil {
		return err
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	notified := f.notified(ctx, s)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-notified:
		}
		dse, err := s.Read(ctx, "", "highestCommittedUSN")
		if err != nil {
			return err
		}
		if dse == nil {
			return errors.New("the server shows no root DSE any more")
		}
		now, err := strconv.ParseUint(dse.GetEqualFoldAttributeValue("highestCommittedUSN"), 10, 64)
		if err != nil {
			return errors.New("the server shows no highestCommittedUSN any more")
		}
		if now != last {
			last = now
			changed()
		}
	}
}

// mostNotifications is how many searches for changes a controller allows on one connection (MS-ADTS 3.1.1.3.4.6,
// MaxNotificationPerConn).
const mostNotifications = 5

// notified tells of the objects that the server says have changed (MS-ADTS 3.1.1.3.4.1.9), until ctx is done. Where it
// refuses to, nothing is ever told.
func (f updateFeed) notified(ctx context.Context, s *ldapclient.Session) <-chan struct{} {
	told := make(chan struct{}, 1)
	for _, domain := range f.domains[:min(len(f.domains), mostNotifications)] {
		request := ldap.NewSearchRequest(domain, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
			"(objectClass=*)", []string{"1.1"},
			[]ldap.Control{ldap.NewControlMicrosoftNotification(), ldap.NewControlMicrosoftShowDeleted()})
		answer := s.Conn.SearchAsync(ctx, request, 0)
		go func() {
			for answer.Next() {
				select {
				case told <- struct{}{}:
				default: // one is waiting
				}
			}
		}()
	}
	return told
}
