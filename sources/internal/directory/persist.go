package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
)

// A persistFeed is that of servers with persistent searches (draft-ietf-ldapext-psearch-03): 389 Directory Server,
// FreeIPA, OpenDJ. They send each entry that changes while somebody listens, and cannot be asked afterwards: what is
// followed is followed from the first moment on one connection, and once that has ended everything is read anew.
type persistFeed struct {
	ids      anchor
	suffixes []string

	session *session // of its own; nil of a feed that only listens
	stop    context.CancelFunc
	heard   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	pending changes
	count   int   // of all changes that came
	err     error // why no more come
}

// The controls of persistent searches (draft-ietf-ldapext-psearch-03, 4 and 5).
const (
	persistentSearch = "2.16.840.1.113730.3.4.3"
	entryChange      = "2.16.840.1.113730.3.4.7"
)

// registered is how long a server may take from the request on until it misses no change any more.
const registered = time.Second

// persistFeed begins to collect what changes on a connection of its own.
func (s *source) persistFeed(ctx context.Context, url string, ids anchor, suffixes []string) (*persistFeed, error) {
	session, err := s.dial(ctx, url)
	if err != nil {
		return nil, err
	}
	listening, stop := context.WithCancel(context.WithoutCancel(ctx)) // until close
	f := &persistFeed{ids: ids, suffixes: suffixes, session: session, stop: stop}
	f.pending.now = map[uuid]string{}
	for _, suffix := range suffixes {
		f.heard.Go(func() { f.end(session.hear(listening, f.query(suffix), f.take)) })
	}
	select {
	case <-ctx.Done():
	case <-time.After(registered):
	}
	if _, err := session.read(ctx, "", "1.1"); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *persistFeed) close() {
	if f.session == nil {
		return
	}
	f.stop()
	f.session.close()
	f.heard.Wait()
}

func (f *persistFeed) settles() time.Duration { return settleTime }

func (f *persistFeed) id() anchor { return f.ids }

func (f *persistFeed) asking(attributes []string) []string { return with(attributes, f.ids.name) }

// query is the search that goes on.
func (f *persistFeed) query(suffix string) *ldap.SearchRequest {
	request := everything(suffix)
	request.Attributes = []string{f.ids.name}
	request.Controls = []ldap.Control{persistControl{}}
	return request
}

// take takes a message of the search in.
func (f *persistFeed) take(entry *ldap.Entry, controls []ldap.Control) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.ids.uuidOf(entry)
	if !ok {
		return &rereadError{"the server does not say which entry " + readable(entry.DN) + " is, that has changed"}
	}
	gone, err := deleted(controls)
	if err != nil {
		return &rereadError{"the server does not say how " + readable(entry.DN) + " has changed: " + err.Error()}
	}
	f.count++
	if len(f.pending.now)+len(f.pending.gone) > mostChanged {
		return &rereadError{"more has changed than is read one by one"}
	}
	if gone {
		delete(f.pending.now, id)
		f.pending.gone = append(f.pending.gone, id)
	} else {
		f.pending.now[id] = entry.DN
	}
	return nil
}

func (f *persistFeed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, err)
}

// position implements feed: the server does not count its changes, so that they are counted here.
func (f *persistFeed) position(sources.Currency) (sources.Currency, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, &rereadError{"the server does not tell what changes any more: " + f.err.Error()}
	}
	return sources.Currency{"changes": fmt.Sprintf("%020d", f.count)}, nil
}

func (f *persistFeed) since(_ context.Context, _ *session, _ sources.Currency, into *changes) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	into.gone = append(into.gone, f.pending.gone...)
	for id, dn := range f.pending.now {
		into.now[id] = dn
	}
	f.pending = changes{now: map[uuid]string{}}
	return f.err
}

func (f *persistFeed) listen(ctx context.Context, s *session, _ sources.Currency, changed func()) error {
	ended := make(chan error, len(f.suffixes))
	for _, suffix := range f.suffixes {
		go func() {
			ended <- s.hear(ctx, f.query(suffix), func(*ldap.Entry, []ldap.Control) error {
				changed()
				return nil
			})
		}()
	}
	return <-ended
}

// hear reads what a persistent search brings, until it ends: it always returns an error.
func (s *session) hear(ctx context.Context, request *ldap.SearchRequest, each func(*ldap.Entry, []ldap.Control) error) error {
	r := s.conn.SearchAsync(ctx, request, buffered)
	for r.Next() {
		if reference := r.Referral(); reference != "" || r.Entry() == nil {
			continue
		}
		if err := each(r.Entry(), r.Controls()); err != nil {
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

// deleted reports whether an entry that a persistent search brought was deleted.
func deleted(controls []ldap.Control) (bool, error) {
	const changeDelete = 2
	for _, control := range controls {
		text, ok := control.(*ldap.ControlString)
		if !ok || text.ControlType != entryChange {
			continue
		}
		packet, err := ber.DecodePacketErr([]byte(text.ControlValue))
		if err != nil {
			return false, err
		}
		if len(packet.Children) == 0 {
			return false, errors.New("an empty control")
		}
		kind, ok := packet.Children[0].Value.(int64)
		if !ok {
			return false, errors.New("a control without a kind of change")
		}
		return kind == changeDelete, nil
	}
	return false, errors.New("no control says so")
}

// A persistControl asks for every change from now on, and for its kind.
type persistControl struct{}

// GetControlType implements ldap.Control.
func (persistControl) GetControlType() string { return persistentSearch }

// String implements ldap.Control.
func (persistControl) String() string { return "persistent search" }

// Encode implements ldap.Control.
func (persistControl) Encode() *ber.Packet {
	const add, remove, modify, rename = 1, 2, 4, 8
	value := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "PersistentSearch")
	value.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, add|remove|modify|rename, "changeTypes"))
	value.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, "changesOnly"))
	value.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, "returnECs"))
	control := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "Control")
	control.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, persistentSearch, "Control Type"))
	control.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, "Criticality"))
	control.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(value.Bytes()), "Control Value"))
	return control
}

// own389 reports whether a server is 389 Directory Server or one that is made of it.
func (a server) own389() bool {
	vendor := strings.ToLower(a.vendor)
	return strings.Contains(vendor, "389") || strings.Contains(vendor, "fedora") || strings.Contains(vendor, "red hat")
}
