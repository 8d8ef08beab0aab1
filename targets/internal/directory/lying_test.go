//go:build unix

package directory

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldaptest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// lying is a server before a lab's that answers some requests with success and does nothing.
func lying(t testing.TB, l *lab, swallows func(*ber.Packet) bool) *lab {
	t.Helper()
	folder := t.TempDir()
	ldaptest.Check(t, "make a certificate", ldaptest.Certify(folder, net.IPv4(127, 0, 0, 1)))
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.pem"), filepath.Join(folder, "server.key"))
	ldaptest.Check(t, "read the certificate", err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	})
	ldaptest.Check(t, "listen", err)
	ldaptest.Between(t, listener, l.dial, func(here, there net.Conn) {
		go pump(there, here, func(*ber.Packet) bool { return false })
		go pump(here, there, swallows)
	})
	other := &lab{
		Editor: l.Editor, url: l.url, root: l.root, lines: l.lines, domain: l.domain, login: l.login, mark: l.mark,
		id: l.id, naming: l.naming,
	}
	other.access = []string{fmt.Sprintf("url = %q", "ldaps://"+listener.Addr().String()), "tls_insecure = true"}
	for _, line := range l.access {
		if strings.HasPrefix(line, "bind_") {
			other.access = append(other.access, line)
		}
	}
	return other
}

func (l *lab) dial() (net.Conn, error) {
	scheme, host, _ := strings.Cut(l.url, "://")
	port := map[string]string{"ldap": "389", "ldaps": "636"}[scheme]
	if name, own, err := net.SplitHostPort(host); err == nil {
		host, port = name, own
	}
	if scheme == "ldaps" {
		return tls.Dial("tcp", net.JoinHostPort(host, port), &tls.Config{InsecureSkipVerify: true}) // loopback, in a test
	}
	return net.Dial("tcp", net.JoinHostPort(host, port))
}

// pump passes messages on (RFC 4511, 4.1.1), and answers those that it swallows.
func pump(from, to net.Conn, swallows func(*ber.Packet) bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
	for {
		message, err := ber.ReadPacket(from)
		if err != nil || len(message.Children) < 2 {
			return
		}
		if request := message.Children[1]; swallows(request) {
			answer := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
			number := message.Children[0].Value
			answer.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, number, ""))
			// An answer has the tag after its request's.
			result := ber.Encode(ber.ClassApplication, ber.TypeConstructed, request.Tag+1, nil, "")
			result.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, uint64(0), ""))
			result.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
			result.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
			answer.AppendChild(result)
			if _, err := from.Write(answer.Bytes()); err != nil {
				return
			}
			continue
		}
		if _, err := to.Write(message.Bytes()); err != nil {
			return
		}
	}
}

// TestD04AMoveThatWasNone: success is no proof of a move.
func TestD04AMoveThatWasNone(t *testing.T) {
	u := lying(t, slapd(t), func(r *ber.Packet) bool { return r.Tag == ldap.ApplicationModifyDNRequest }).unit(t)
	p := u.begun(t, u.closing("description")...)
	a := u.made(t, p, 1)
	to := u.AddUnit(t, "elsewhere", u.base)
	_, _, err := p.Update(t.Context(), a, identity.Delta{Attributes: []identity.AttributeChange{
		{Path: "container", Before: a.Get("container"), After: p.Normal("container", identity.Text(to))},
	}})
	if !errors.Is(err, targets.ErrConflict) || !strings.Contains(err.Error(), "read back at") {
		t.Errorf("moved: %v", err)
	}
	for _, step := range p.Closing() {
		if step.Name != "move" {
			continue
		}
		if _, _, err := step.Do(t.Context(), a); !errors.Is(err, targets.ErrConflict) {
			t.Errorf("moved to where leavers are kept: %v", err)
		}
	}
}

// TestD03APasswordThatWasNotTaken: nor of a password.
func TestD03APasswordThatWasNotTaken(t *testing.T) {
	u := lying(t, samba(t), func(r *ber.Packet) bool {
		return r.Tag == ldap.ApplicationModifyRequest && strings.Contains(string(r.Bytes()), "unicodePwd")
	}).unit(t)
	p := u.begun(t)
	a := u.made(t, p, 1)
	if _, err := p.Disable(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	step := p.Closing()[1]
	_, _, err := step.Do(t.Context(), a)
	if step.Name != "password" || !errors.Is(err, targets.ErrConflict) || !strings.Contains(err.Error(), "pwdLastSet") {
		t.Errorf("%s: %v", step.Name, err)
	}
}

// TestThePDCEmulatorIsAskedFirst: it takes the writes, in whatever order the servers are named.
func TestThePDCEmulatorIsAskedFirst(t *testing.T) {
	domain := samba(t)
	l := lying(t, domain, func(*ber.Packet) bool { return false })
	_, port, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(l.access[0], `url = "ldaps://`), `"`))
	if err != nil {
		t.Fatal(err)
	}
	emulator := "ldaps://localhost:" + port
	l.access[0] = fmt.Sprintf("url = [%q, %q]", domain.url, emulator)
	owner := l.Values(t, domain.root, "fSMORoleOwner")[0]
	l.Set(t, identity.ParentDN(owner), "dNSHostName", "LOCALHOST")
	u := l.unit(t)
	p := u.begun(t)
	u.made(t, p, 1)
	if p.wrote != emulator {
		t.Errorf("made on %s, want it on %s", p.wrote, emulator)
	}
}
