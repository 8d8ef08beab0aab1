package directory

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sources"
)

// A fake is a directory server that misbehaves as told. It answers each bind with the result code bind, and knows
// ou=people,dc=example,dc=org; people answers searches of it that are not for the base entry alone, and entry
// those that are.
type fake struct {
	people func(w *answer, q asked)
	entry  func(w *answer, q asked) // nil: every entry is there, and empty
	notify func(w *answer, q asked) // answers who asks to be told of changes; nil: refuses

	dse []string      // the root DSE; nil for one with naming contexts alone
	usn func() string // highestCommittedUSN; nil where there is none
	who string        // the answer to "who am I"

	bind     int64
	binds    atomic.Int32
	open     atomic.Int32 // connections
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

// asked is one search request.
type asked struct {
	base       string
	filter     string
	attributes []string
	cookie     string
	paged      bool
	size       int  // of a page
	notify     bool // it asks to be told of changes
	number     int  // of the searches for people on this connection, from 1
}

// answer writes the answer of one search request.
type answer struct {
	conn net.Conn
	id   int64
}

func (f *fake) start(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.listener = l
	f.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			f.mu.Unlock()
			f.open.Add(1)
			f.wg.Go(func() {
				defer f.open.Add(-1)
				defer conn.Close()
				if err := f.serve(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) &&
					!strings.Contains(err.Error(), "reset") {
					t.Error(err)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.mu.Lock()
		for _, conn := range f.conns {
			_ = conn.Close()
		}
		f.mu.Unlock()
		f.wg.Wait()
	})
	return "ldap://" + l.Addr().String()
}

func (f *fake) serve(conn net.Conn) error {
	for number := 0; ; {
		packet, err := ber.ReadPacket(conn)
		if err != nil {
			return err
		}
		w := &answer{conn, packet.Children[0].Value.(int64)}
		switch op := packet.Children[1]; op.Tag {
		case ldap.ApplicationBindRequest:
			f.binds.Add(1)
			w.result(ldap.ApplicationBindResponse, f.bind, "")
		case ldap.ApplicationSearchRequest:
			q := readSearch(packet)
			switch base := op.Children[1].Value.(int64) == ldap.ScopeBaseObject; {
			case q.base == "":
				f.root(w)
			case q.notify && f.notify != nil:
				f.notify(w, q)
			case q.notify:
				w.done(ldap.LDAPResultUnwillingToPerform)
			case base && f.entry != nil:
				f.entry(w, q)
			case base:
				w.entry(q.base)
				w.done(0)
			default:
				number++
				q.number = number
				f.people(w, q)
			}
		case ldap.ApplicationExtendedRequest:
			op := outcome(ldap.ApplicationExtendedResponse, 0, "")
			op.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 11, f.who, ""))
			w.send(op, nil)
		default:
			return nil
		}
	}
}

// root answers for the root DSE.
func (f *fake) root(w *answer) {
	pairs := f.dse
	if pairs == nil {
		pairs = []string{"namingContexts", "dc=example,dc=org"}
	}
	if f.usn != nil {
		pairs = append(pairs[:len(pairs):len(pairs)], "highestCommittedUSN", f.usn())
	}
	w.entry("", pairs...)
	w.done(0)
}

func readSearch(packet *ber.Packet) asked {
	op := packet.Children[1]
	q := asked{base: op.Children[0].Value.(string)}
	q.filter, _ = ldap.DecompileFilter(op.Children[6])
	for _, attribute := range op.Children[7].Children {
		q.attributes = append(q.attributes, attribute.Value.(string))
	}
	if len(packet.Children) > 2 {
		for _, child := range packet.Children[2].Children {
			control, err := ldap.DecodeControl(child)
			if paging, ok := control.(*ldap.ControlPaging); err == nil && ok {
				q.paged, q.size, q.cookie = true, int(paging.PagingSize), string(paging.Cookie)
			}
			q.notify = q.notify || err == nil && control.GetControlType() == ldap.ControlTypeMicrosoftNotification
		}
	}
	return q
}

// entry writes an entry with pairs of attribute and value.
func (w *answer) entry(dn string, pairs ...string) { w.values(dn, "", nil, pairs...) }

// values writes an entry with one attribute of many values, and pairs of attribute and value.
func (w *answer) values(dn, name string, values []string, pairs ...string) {
	list := ber.NewSequence("")
	if name != "" {
		list.AppendChild(attribute(name, values...))
	}
	for i := 0; i < len(pairs); i += 2 {
		list.AppendChild(attribute(pairs[i], pairs[i+1]))
	}
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(octets(dn))
	op.AppendChild(list)
	w.send(op, nil)
}

func attribute(name string, values ...string) *ber.Packet {
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, value := range values {
		set.AppendChild(octets(value))
	}
	packet := ber.NewSequence("")
	packet.AppendChild(octets(name))
	packet.AppendChild(set)
	return packet
}

// persons writes people of the numbers from to to.
func (w *answer) persons(from, to int) {
	for i := from; i <= to; i++ {
		w.entry(
			fmt.Sprintf("uid=p%d,ou=people,dc=example,dc=org", i),
			"entryUUID",
			fmt.Sprintf("uuid-%d", i),
			"uid",
			fmt.Sprintf("p%d", i),
		)
	}
}

func (w *answer) reference(url string) {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
	op.AppendChild(octets(url))
	w.send(op, nil)
}

// done ends the search without a paging control.
func (w *answer) done(code int64) { w.result(ldap.ApplicationSearchResultDone, code, "") }

// page ends the search with a paging control.
func (w *answer) page(cookie string) {
	controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	controls.AppendChild((&ldap.ControlPaging{Cookie: []byte(cookie)}).Encode())
	w.send(outcome(ldap.ApplicationSearchResultDone, 0, ""), controls)
}

func (w *answer) cut() { _ = w.conn.Close() }

func (w *answer) result(tag ber.Tag, code int64, text string) { w.send(outcome(tag, code, text), nil) }

func outcome(tag ber.Tag, code int64, text string) *ber.Packet {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	op.AppendChild(octets(""))
	op.AppendChild(octets(text))
	return op
}

func (w *answer) send(op, controls *ber.Packet) {
	envelope := ber.NewSequence("")
	envelope.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, w.id, ""))
	envelope.AppendChild(op)
	if controls != nil {
		envelope.AppendChild(controls)
	}
	_, _ = w.conn.Write(envelope.Bytes())
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// reading opens a source that reads the servers at urls; lines are added to its block.
func reading(t testing.TB, need sources.Need, urls []string, lines ...string) *source {
	t.Helper()
	need.Log = hclog.NewNullLogger()
	if !strings.Contains(strings.Join(lines, " "), "page_size") {
		lines = append(lines, "page_size = 2")
	}
	return open(t, need, append([]string{
		fmt.Sprintf(`url = ["%s"]`, strings.Join(urls, `", "`)),
		`bind_dn = "cn=reader,dc=example,dc=org"`, `bind_password = "secret"`, `base_dn = "ou=people,dc=example,dc=org"`,
	}, lines...)...)
}
