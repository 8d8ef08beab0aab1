//go:build unix

package directory

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// A fault is what a line between dirsweep and a directory does.
type fault string

const (
	none      fault = "nothing"
	refused   fault = "it is refused"
	hangs     fault = "it hangs"
	cutBefore fault = "it is cut before the request goes out"
	cutAfter  fault = "it is cut after the request went out"
)

// A line passes bytes on to a directory, and fails as it is told to: from some request on.
type line struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	fault fault
	after int // requests that still pass
	open  []net.Conn
}

// newLine puts a line before the server of a URL.
func newLine(t testing.TB, server string) *line {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme])
	}
	listener, err := net.Listen("tcp", u.Hostname()+":0") // the certificate is for that address
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, to: host, fault: none}
	ldaptest.Between(t, listener, l.dial, l.pass)
	t.Cleanup(func() { l.set(none, 0) })
	return l
}

// url is the line's, in place of the server's.
func (l *line) url(server string) string {
	u, _ := url.Parse(server)
	u.Host = l.listener.Addr().String()
	return u.String()
}

// set has the line fail from the request after the next few on, and drops the connections that there are where it is not
// to fail yet.
func (l *line) set(f fault, after int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.after = f, after
	if f == none || f == refused {
		for _, c := range l.open {
			_ = c.Close()
		}
		l.open = nil
	}
}

// dial connects to the directory, unless the line refuses.
func (l *line) dial() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == refused {
		return nil, errors.New("refused")
	}
	return net.Dial("tcp", l.to)
}

func (l *line) pass(here, there net.Conn) {
	l.mu.Lock()
	l.open = append(l.open, here, there)
	l.mu.Unlock()
	go func() { _, _ = io.Copy(here, there); _ = here.Close() }()
	go l.forward(here, there)
}

// forward passes requests on, one read at a time: each is small, and waits for its answer.
func (l *line) forward(here, there net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := here.Read(buffer)
		if err != nil {
			_ = there.Close()
			return
		}
		l.mu.Lock()
		f := l.fault
		if l.after > 0 {
			l.after--
			f = none
		}
		l.mu.Unlock()
		switch f {
		case cutBefore:
			_ = here.Close()
			_ = there.Close()
			return
		case hangs:
			continue
		case cutAfter:
			_ = here.Close() // the answer finds nobody
			_, _ = there.Write(buffer[:n])
			return
		}
		if _, err := there.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestR07WritesOverALineThatFails: whatever happens to the line, wherever in an operation: the error says that nothing is
// known, and the same again, once the line is good, comes to what was wanted, with nobody made twice and nobody else
// touched.
func TestR07WritesOverALineThatFails(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *lab{"slapd": slapd, "samba": samba} {
		t.Run(name, func(t *testing.T) {
			l := start(t)
			for _, f := range []fault{refused, cutBefore, cutAfter, hangs} {
				for after := range 6 {
					if f == refused && after > 0 || f == hangs && after%3 != 2 {
						continue
					}
					t.Run(fmt.Sprintf("%s after %d requests", f, after), func(t *testing.T) { overALine(t, l.unit(t), f, after) })
				}
			}
		})
	}
}

func overALine(t *testing.T, u *unit, f fault, after int) {
	wire := newLine(t, u.url)
	for _, group := range []string{"editors", "readers"} {
		u.group(t, group)
	}
	own := *u
	own.lab = &lab{
		Editor: u.Editor, url: u.url, root: u.root, lines: u.lines, domain: u.domain, login: u.login, mark: u.mark, id: u.id, naming: u.naming,
		access: []string{strings.Replace(strings.Join(u.access, "\n"), u.url, wire.url(u.url), 1), `timeout = "400ms"`},
	}
	p := own.begun(t, own.closing("description")...)
	bystander := own.made(t, p, 9)
	before := own.everything(t, own.dn(t, bystander.ID))
	var a identity.Account
	try := func(what string, do func() error) {
		t.Helper()
		wire.set(f, after)
		first := do()
		if first != nil && !errors.Is(first, targets.ErrUnavailable) && !errors.Is(first, targets.ErrIncomplete) &&
			!(what == "create" && errors.Is(first, targets.ErrConflict)) {
			t.Errorf("%s: %v", what, first)
		}
		wire.set(none, 0)
		deadline := time.Now().Add(5 * time.Second)
		for first != nil {
			if first = do(); first != nil && time.Now().After(deadline) {
				t.Fatalf("%s, the line is good again: %v", what, first)
			}
		}
	}
	try("create", func() (err error) {
		want := own.want(1)
		want.Entitlements = identity.NamedEntitlements("editors")
		a, _, err = p.Create(t.Context(), want)
		if errors.Is(err, targets.ErrConflict) { // it was made, and nobody heard of it
			found, findErr := p.Find(t.Context(), "externalId", want.ExternalID)
			if findErr != nil || len(found) != 1 {
				t.Fatalf("in the way are %+v, %v", found, findErr)
			}
			a, _, err = p.Update(t.Context(), found[0], identity.Delta{Grant: want.Entitlements})
		}
		return err
	})
	try("update", func() error {
		_, _, err := p.Update(t.Context(), a, identity.Delta{
			Attributes: []identity.AttributeChange{
				{Path: "displayName", After: identity.Text("Ann")}, {Path: "title", After: identity.Text("Boss")},
			},
			Grant: identity.NamedEntitlements("readers"), Withdraw: identity.NamedEntitlements("editors"),
		})
		return err
	})
	try("list", func() (err error) {
		n := 0
		for _, listErr := range p.Accounts(t.Context()) {
			if err = listErr; err == nil {
				n++
			}
		}
		if err == nil && n != 2 {
			t.Errorf("%d accounts are listed as all", n)
		}
		return err
	})
	seen, _ := own.look(t, a.ID)
	if got := identity.EntitlementNames(seen.Entitlements); seen.Attributes["title"].Text() != "Boss" || !slices.Equal(got, []string{"readers"}) || !seen.Active {
		t.Errorf("updated, it is %+v", seen)
	}
	try("disable", func() error { _, err := p.Disable(t.Context(), a); return err })
	kept := map[string]string{}
	for _, step := range p.Closing() {
		if step.Impossible != "" {
			continue
		}
		try(step.Name, func() error {
			text, _, err := step.Do(t.Context(), a)
			if text != "" {
				kept[step.Name] = text
			}
			return err
		})
	}
	if dn := own.dn(t, a.ID); own.active(t, dn) || !strings.HasPrefix(own.one(t, dn, "description"), stamped) {
		t.Errorf("closed, it is %s, active %v", dn, own.active(t, dn))
	}
	try("enable", func() error { _, err := p.Enable(t.Context(), a, kept); return err })
	if dn := own.dn(t, a.ID); !own.active(t, dn) || own.one(t, dn, "description") != "" {
		t.Errorf("open again, it is %s, %q", dn, own.one(t, dn, "description"))
	}
	try("delete", func() error {
		_, err := p.Delete(t.Context(), a)
		if errors.Is(err, targets.ErrNotFound) {
			return nil
		}
		return err
	})
	if dn := own.dn(t, a.ID); dn != "" {
		t.Errorf("deleted, and at %s", dn)
	}
	same(t, "a bystander", before, own.everything(t, own.dn(t, bystander.ID)))
}
