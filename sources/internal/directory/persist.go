package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// A persistFeed is that of servers with persistent searches (draft-ietf-ldapext-psearch-03): 389 Directory Server,
// FreeIPA, OpenDJ. They send each entry that changes while somebody listens, and cannot be asked afterwards: what is
// followed is followed from the first moment on one connection, and once that has ended everything is read anew.
type persistFeed struct {
	ids      anchor
	suffixes []string
	arrivals *arrivals // of the source

	session *ldapclient.Session // of its own; nil of a feed that only listens
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

func newPersistFeed(ids anchor, suffixes []string, a *arrivals) *persistFeed {
	return &persistFeed{ids: ids, suffixes: suffixes, arrivals: a, pending: changes{now: map[uuid]string{}}}
}

// Arrivals are what comes to those who follow a source by persistent searches. While somebody does, that is what whoever
// watches waits for: their own search may tell of a change sooner, when nobody who looks finds it yet.
type arrivals struct {
	followers atomic.Int32
	come      chan struct{} // buffered by one
}

// arrive is a sign for whoever watches.
func (a *arrivals) arrive() {
	select {
	case a.come <- struct{}{}:
	default: // one is waiting
	}
}

// follow implements feed: it collects what changes on a connection of its own, until close.
func (f *persistFeed) follow(ctx context.Context, s *source, url string) (err error) {
	if f.session, err = s.pool.Dial(ctx, url); err != nil {
		return err
	}
	f.arrivals.followers.Add(1)
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	for _, suffix := range f.suffixes {
		f.heard.Go(func() { f.end(hear(listening, f.search(listening, f.session, suffix), f.take)) })
	}
	f.session.Timeout = min(f.session.Timeout, s.silence)
	select {
	case <-ctx.Done():
	case <-time.After(registered):
	}
	if _, err := f.session.Read(ctx, "", "1.1"); err != nil {
		f.close()
		return err
	}
	f.heard.Go(func() { f.end(f.beat(listening, s.heartbeat)) })
	return nil
}

// beat asks now and then whether the connection still stands: of one that what is in between has dropped nobody is
// told, and the changes that it brings no more are nobody's. It always returns an error.
func (f *persistFeed) beat(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if _, err := f.session.Read(ctx, "", "1.1"); err != nil {
				return err
			}
		}
	}
}

func (f *persistFeed) close() {
	if f.session == nil {
		return
	}
	f.stop()
	f.session.Close()
	f.heard.Wait()
	f.arrivals.followers.Add(-1)
}

func (f *persistFeed) settles() time.Duration { return settleTime }

func (f *persistFeed) id() anchor { return f.ids }

func (f *persistFeed) how() string { return "by a persistent search (draft-ietf-ldapext-psearch)" }

// search begins the search that goes on.
func (f *persistFeed) search(ctx context.Context, s *ldapclient.Session, suffix string) ldap.Response {
	request := everything(suffix)
	request.Attributes = []string{f.ids.name}
	request.Controls = []ldap.Control{persistControl{}}
	return s.Conn.SearchAsync(ctx, request, buffered)
}

// take takes a message of the search in.
func (f *persistFeed) take(r ldap.Response) error {
	entry := r.Entry()
	if entry == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.ids.uuidOf(entry)
	if !ok {
		return &rereadError{"the server does not say which entry " + ldapclient.Readable(entry.DN) + " is, that has changed"}
	}
	gone, err := deleted(r.Controls())
	if err != nil {
		return &rereadError{"the server does not say how " + ldapclient.Readable(entry.DN) + " has changed: " + err.Error()}
	}
	f.count++
	defer f.arrivals.arrive()
	if f.pending.tooMany() {
		return &rereadError{"more has changed than is read one by one"}
	}
	if gone {
		f.pending.delete(id)
	} else {
		f.pending.now[id] = entry.DN
	}
	return nil
}

func (f *persistFeed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, err)
	if !errors.Is(err, context.Canceled) { // nobody has closed it
		f.arrivals.arrive()
	}
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

func (f *persistFeed) since(_ context.Context, _ *ldapclient.Session, _ sources.Currency, into *changes) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending.handOver(into)
	return f.err
}

func (f *persistFeed) listen(ctx context.Context, s *ldapclient.Session, _ sources.Currency, changed func()) error {
	ended := make(chan error, 1)
	go func() {
		ended <- firstEnd(f.suffixes, func(suffix string) error {
			return hear(ctx, f.search(ctx, s, suffix), func(ldap.Response) error {
				if f.arrivals.followers.Load() == 0 {
					changed()
				}
				return nil
			})
		})
	}()
	for {
		select {
		case err := <-ended:
			return err
		case <-f.arrivals.come:
			changed()
		}
	}
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
	sequence := func(what string, children ...*ber.Packet) *ber.Packet {
		packet := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, what)
		for _, child := range children {
			packet.AppendChild(child)
		}
		return packet
	}
	flag := func(what string) *ber.Packet {
		return ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, what)
	}
	text := func(text, what string) *ber.Packet {
		return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, what)
	}
	kinds := int64(add | remove | modify | rename)
	value := sequence("PersistentSearch",
		ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, kinds, "changeTypes"),
		flag("changesOnly"), flag("returnECs"))
	return sequence("Control", text(persistentSearch, "Control Type"), flag("Criticality"),
		text(string(value.Bytes()), "Control Value"))
}

// identifier is the attribute by which a server that is neither OpenLDAP nor Active Directory tells entries apart.
func identifier(a ldapclient.Server) anchor {
	vendor := strings.ToLower(a.Vendor)
	for _, made := range []string{"389", "fedora", "red hat"} {
		if strings.Contains(vendor, made) {
			return newAnchor("nsUniqueId")
		}
	}
	return newAnchor("entryUUID")
}
