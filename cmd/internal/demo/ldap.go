package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"
)

// ldapServer speaks as much LDAP v3 (RFC 4511) over a directory as one that reads it needs: simple bind, search with
// every filter but extensible ones, paged results (RFC 2696), the root DSE. It writes nothing: the demo edits the
// directory itself. The libraries there are were tried: the one that is kept up brings a test framework into the
// binary.
type ldapServer struct {
	directory *directory
	bindDN    string
	password  string
	log       hclog.Logger

	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

const pagedResults = "1.2.840.113556.1.4.319"

// operational are the attributes that a server returns only where they are asked for, or for "+".
var operational = []string{"entryUUID", "namingContexts", "supportedControl", "supportedLDAPVersion", "vendorName"}

// serveLDAP starts a server on a free loopback port. Close ends it.
func serveLDAP(ctx context.Context, d *directory, bindDN, password string, log hclog.Logger) (*ldapServer, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	s := &ldapServer{directory: d, bindDN: bindDN, password: password, log: log, listener: listener, conns: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	return s, nil
}

// URL is where the server listens.
func (s *ldapServer) URL() string { return "ldap://" + s.listener.Addr().String() }

// Close ends every connection and waits for them.
func (s *ldapServer) Close() {
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *ldapServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		closing := s.conns == nil
		if !closing {
			s.conns[conn] = true
		}
		s.mu.Unlock()
		if closing {
			_ = conn.Close()
			return
		}
		s.wg.Go(func() {
			defer func() {
				_ = conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			session := &ldapSession{server: s, out: bufio.NewWriter(conn)}
			if err := session.serve(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.log.Debug("a connection to the directory ended", "error", err)
			}
		})
	}
}

// ldapSession is one connection. Requests are answered one after the other.
type ldapSession struct {
	server *ldapServer
	out    *bufio.Writer
	bound  bool
	cookie int      // of the last page
	rest   []*entry // what is left of the paged search
}

func (c *ldapSession) serve(in io.Reader) error {
	for reader := bufio.NewReader(in); ; {
		message, err := ber.ReadPacket(reader)
		if err != nil {
			return err
		}
		if len(message.Children) < 2 {
			return errors.New("not an LDAP message")
		}
		id, ok := message.Children[0].Value.(int64)
		if !ok {
			return errors.New("an LDAP message without an id")
		}
		request := message.Children[1]
		switch request.Tag {
		case ldap.ApplicationBindRequest:
			err = c.bind(id, request)
		case ldap.ApplicationSearchRequest:
			err = c.search(id, message)
		case ldap.ApplicationUnbindRequest:
			return nil
		case ldap.ApplicationAbandonRequest:
		case ldap.ApplicationExtendedRequest:
			err = c.done(id, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError, "no extended operation is supported", nil)
		default:
			err = c.done(id, request.Tag+1, ldap.LDAPResultUnwillingToPerform, "this directory is read-only over LDAP", nil)
		}
		if err == nil {
			err = c.out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

func (c *ldapSession) bind(id int64, request *ber.Packet) error {
	const simple = 0
	code, text := uint16(ldap.LDAPResultAuthMethodNotSupported), "simple bind only"
	c.bound = false
	if len(request.Children) >= 3 && request.Children[2].Tag == simple {
		dn, password := request.Children[1].Data.String(), request.Children[2].Data.String()
		code, text = ldap.LDAPResultInvalidCredentials, ""
		if foldDN(dn) == foldDN(c.server.bindDN) && password == c.server.password {
			c.bound, code = true, ldap.LDAPResultSuccess
		}
	}
	return c.done(id, ldap.ApplicationBindResponse, code, text, nil)
}

// searchRequest is RFC 4511's, as far as it matters here.
type searchRequest struct {
	base       string
	scope      int64
	sizeLimit  int64
	filter     *ber.Packet
	attributes []string
	paged      bool
	pageSize   int64
	cookie     string
}

func parseSearch(message *ber.Packet) (searchRequest, error) {
	var r searchRequest
	request := message.Children[1]
	if len(request.Children) < 8 {
		return r, errors.New("a search request has eight parts")
	}
	r.base = request.Children[0].Data.String()
	r.scope, _ = request.Children[1].Value.(int64)
	r.sizeLimit, _ = request.Children[3].Value.(int64)
	r.filter = request.Children[6]
	for _, a := range request.Children[7].Children {
		r.attributes = append(r.attributes, a.Data.String())
	}
	if len(message.Children) < 3 {
		return r, nil
	}
	for _, control := range message.Children[2].Children {
		if len(control.Children) == 0 || control.Children[0].Data.String() != pagedResults {
			continue
		}
		value, err := ber.DecodePacketErr(control.Children[len(control.Children)-1].Data.Bytes())
		if err != nil || len(value.Children) != 2 {
			return r, errors.New("a paged results control without size and cookie")
		}
		r.paged = true
		r.pageSize, _ = value.Children[0].Value.(int64)
		r.cookie = value.Children[1].Data.String()
	}
	return r, nil
}

func (c *ldapSession) search(id int64, message *ber.Packet) error {
	request, err := parseSearch(message)
	if err != nil {
		return c.done(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultProtocolError, err.Error(), nil)
	}
	if request.base == "" && request.scope == ldap.ScopeBaseObject {
		if err := c.entry(id, c.server.rootDSE(), request.attributes); err != nil {
			return err
		}
		return c.done(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSuccess, "", nil)
	}
	if !c.bound {
		return c.done(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultInsufficientAccessRights, "bind first", nil)
	}
	code := uint16(ldap.LDAPResultSuccess)
	var found []*entry
	switch {
	case request.cookie == "":
		var ok bool
		found, ok = c.server.directory.search(request.base, request.scope, func(e *entry) bool { return matches(request.filter, e) == yes })
		if !ok {
			code = ldap.LDAPResultNoSuchObject
		}
	case request.cookie == strconv.Itoa(c.cookie):
		found = c.rest
	default:
		return c.done(id, ldap.ApplicationSearchResultDone, ldap.LDAPResultUnwillingToPerform, "the cookie is not of the last page", nil)
	}
	if request.sizeLimit > 0 && int64(len(found)) > request.sizeLimit && !request.paged {
		found, code = found[:request.sizeLimit], ldap.LDAPResultSizeLimitExceeded
	}
	var control *ber.Packet
	if request.paged {
		control = ldap.NewControlPaging(0).Encode()
		if size := int(request.pageSize); size > 0 && len(found) > size {
			c.cookie++
			found, c.rest = found[:size], found[size:]
			next := ldap.NewControlPaging(0)
			next.SetCookie([]byte(strconv.Itoa(c.cookie)))
			control = next.Encode()
		}
	}
	for _, e := range found {
		if err := c.entry(id, e, request.attributes); err != nil {
			return err
		}
	}
	return c.done(id, ldap.ApplicationSearchResultDone, code, "", control)
}

func (s *ldapServer) rootDSE() *entry {
	return &entry{attributes: []attribute{
		{"objectClass", []string{"top"}},
		{"namingContexts", []string{suffix}},
		{"supportedControl", []string{pagedResults}},
		{"supportedLDAPVersion", []string{"3"}},
		{"vendorName", []string{"dirsweep demo"}},
	}}
}

// entry sends one search result with the attributes asked for.
func (c *ldapSession) entry(id int64, e *entry, asked []string) error {
	wants := func(names ...string) bool {
		for _, a := range asked {
			for _, name := range names {
				if strings.EqualFold(a, name) {
					return true
				}
			}
		}
		return false
	}
	result := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	result.AppendChild(octets(e.dn))
	attributes := ber.NewSequence("")
	for _, a := range e.attributes {
		all := len(asked) == 0 || wants("*")
		for _, o := range operational {
			if a.name == o {
				all = wants("+")
			}
		}
		if !all && !wants(a.name) {
			continue
		}
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range a.values {
			values.AppendChild(octets(v))
		}
		pair := ber.NewSequence("")
		pair.AppendChild(octets(a.name))
		pair.AppendChild(values)
		attributes.AppendChild(pair)
	}
	result.AppendChild(attributes)
	return c.send(id, result, nil)
}

// done sends an operation's result.
func (c *ldapSession) done(id int64, tag ber.Tag, code uint16, text string, control *ber.Packet) error {
	result := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	result.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	result.AppendChild(octets("")) // matched DN
	result.AppendChild(octets(text))
	return c.send(id, result, control)
}

func (c *ldapSession) send(id int64, operation, control *ber.Packet) error {
	message := ber.NewSequence("")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	message.AppendChild(operation)
	if control != nil {
		controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		controls.AppendChild(control)
		message.AppendChild(controls)
	}
	_, err := c.out.Write(message.Bytes())
	return err
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}
