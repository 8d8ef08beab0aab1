package ldapclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/certificates"
	"github.com/dirsweep/dirsweep/sources/internal/kerberos"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// The ways of signing in.
const (
	BindSimple    = "simple"
	BindExternal  = "external"
	BindKerberos  = "kerberos"
	BindAnonymous = "anonymous"
)

// Access is how to reach the directory and sign in.
type Access struct {
	URLs     []string // tried in order; none where domain is given
	domain   string   // whose controllers DNS names
	site     string   // of the domain
	startTLS bool
	Insecure bool // the server's certificate is not verified; loopback only
	CAFile   string
	certFile string
	keyFile  string
	Bind     string
	BindDN   string
	kerberos kerberos.Account
	Password identity.Secret // exported, so that package fmt lets it hide itself
	Timeout  time.Duration   // of one request with its whole answer, and of connecting
}

// connecting is how long a server has to accept a connection and to let us sign in: one that is switched off says
// nothing at all, and one that hangs accepts connections.
const connecting = 10 * time.Second

// errSilent is the cause of a request that had no whole answer in time.
var errSilent = errors.New("the server did not answer in time")

// An UnreachableError is trouble that another server of the same directory may not have.
type UnreachableError struct{ err error }

func (e *UnreachableError) Error() string { return e.err.Error() }

func (e *UnreachableError) Unwrap() error { return e.err }

// A Session is one signed-in connection. It is used by one goroutine at a time.
type Session struct {
	Conn    *ldap.Conn
	Raw     net.Conn // under any TLS: closing it ends whatever conn is waiting for
	URL     string
	Timeout time.Duration
	TLS     string // for people: "TLS 1.3", or "no TLS"

	server  *Server      // nil until asked for
	self    **ldap.Entry // nil until asked for
	pace    func(context.Context) error
	classes []string // the schema's object classes; nil until asked for
}

// dial connects to one server and signs in.
func (a Access) dial(ctx context.Context, address string) (*Session, error) {
	u, network, host, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, min(a.Timeout, connecting), errSilent)
	defer cancel()
	config, err := a.TLSConfig(u.Hostname())
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, host)
	if err != nil {
		return nil, &UnreachableError{fmt.Errorf("%s: %w", address, because(ctx, err))}
	}
	s := &Session{Raw: raw, URL: address, Timeout: a.Timeout, TLS: "no TLS"}
	conn := raw
	if u.Scheme == "ldaps" {
		secured := tls.Client(raw, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, &UnreachableError{fmt.Errorf("%s: %w", address, because(ctx, err))}
		}
		conn = secured
	}
	s.Conn = ldap.NewConn(conn, u.Scheme == "ldaps")
	s.Conn.Start()
	if err := s.signIn(ctx, a, config, u.Scheme == "ldap" && a.startTLS); err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return s, nil
}

func (s *Session) signIn(ctx context.Context, a Access, config *tls.Config, startTLS bool) error {
	if startTLS {
		if err := s.Do(ctx, func() error { return s.Conn.StartTLS(config) }); err != nil {
			return &UnreachableError{fmt.Errorf("StartTLS: %w", err)}
		}
	}
	if state, ok := s.Conn.TLSConnectionState(); ok {
		s.TLS = tls.VersionName(state.Version)
	}
	var ticket *kerberos.Context
	if a.Bind == BindKerberos {
		var err error
		if ticket, err = s.ticket(ctx, a); err != nil {
			return err
		}
	}
	err := s.Do(ctx, func() error {
		switch a.Bind {
		case BindKerberos:
			return s.Conn.GSSAPIBind(ticket, "", "")
		case BindExternal:
			return s.Conn.ExternalBind()
		case BindAnonymous:
			return s.Conn.UnauthenticatedBind("")
		default:
			return s.Conn.Bind(a.BindDN, a.Password.Reveal())
		}
	})
	if err != nil {
		if unreachable := (*UnreachableError)(nil); errors.As(err, &unreachable) || ctx.Err() != nil {
			return fmt.Errorf("sign in %s: %w", a.Who(), err)
		}
		return &SignInError{a.Who(), err}
	}
	return nil
}

// ticket gets a Kerberos ticket for the server, by the name that it has in its domain: that of its URL, or, where that
// is an address, the one that it shows over the connection, whose certificate was verified.
func (s *Session) ticket(ctx context.Context, a Access) (*kerberos.Context, error) {
	u, _, _, err := parseURL(s.URL)
	if err != nil {
		return nil, err
	}
	kdc, host := u.Hostname(), u.Hostname()
	if net.ParseIP(host) != nil {
		dse, err := s.Read(ctx, "", "dnsHostName")
		if err != nil {
			return nil, err
		}
		if dse != nil {
			host = cmp.Or(dse.GetEqualFoldAttributeValue("dnsHostName"), host)
		}
	}
	var bindings []byte
	if state, ok := s.Conn.TLSConnectionState(); ok && len(state.PeerCertificates) > 0 {
		bindings = kerberos.Bindings(state.PeerCertificates[0])
	}
	ticket, err := a.kerberos.SignIn(net.JoinHostPort(kdc, "88"), host, bindings)
	if unreachable := (*kerberos.UnreachableError)(nil); errors.As(err, &unreachable) {
		return nil, &UnreachableError{fmt.Errorf("sign in %s: %w", a.Who(), err)}
	}
	if err != nil {
		return nil, &SignInError{a.Who(), err}
	}
	return ticket, nil
}

// Who names the identity that signs in.
func (a Access) Who() string {
	switch a.Bind {
	case BindKerberos:
		if a.kerberos.Cache != "" {
			return "by Kerberos, with the tickets in " + a.kerberos.Cache
		}
		return "by Kerberos as " + a.kerberos.Principal
	case BindExternal:
		return "by SASL EXTERNAL"
	case BindAnonymous:
		return "anonymously"
	default:
		return "as " + a.BindDN
	}
}

// Do runs one request and cuts the connection when ctx is done or the time is up: go-ldap itself would wait, or
// report success.
func (s *Session) Do(ctx context.Context, request func() error) error {
	if s.pace != nil {
		if err := s.pace(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, errSilent)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.Raw.Close() })
	err := request()
	if !stop() {
		cause := context.Cause(ctx)
		if errors.Is(cause, errSilent) {
			return &UnreachableError{fmt.Errorf("%w (%s)", cause, s.Timeout)}
		}
		return cause
	}
	var answer *ldap.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &answer) || ofTheLibrary(answer.ResultCode) {
		return &UnreachableError{err}
	}
	if answer.ResultCode == ldap.LDAPResultBusy || answer.ResultCode == ldap.LDAPResultUnavailable {
		return &UnreachableError{&ResultError{answer}}
	}
	return &ResultError{answer}
}

// ofTheLibrary reports whether go-ldap has made a result code itself, for trouble with the connection. What servers say
// is below those, and above them: e-syncRefreshRequired (4096) is an answer.
func ofTheLibrary(code uint16) bool {
	return code >= ldap.ErrorNetwork && code <= ldap.ErrorMalformedPacket
}

// Close ends the connection. The socket goes first: an orderly goodbye could wait for a server that no longer reads.
func (s *Session) Close() {
	_ = s.Raw.Close()
	_ = s.Conn.Close()
}

// Usable reports whether the connection still stands, as far as can be told without asking.
func (s *Session) Usable() bool { return !s.Conn.IsClosing() }

// because prefers the reason why ctx ended to what the network made of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// TLSConfig reads the certificate files each time, so that renewed ones are used without a restart.
func (a Access) TLSConfig(host string) (*tls.Config, error) {
	config, err := certificates.Files{CA: a.CAFile, Cert: a.certFile, Key: a.keyFile}.Config(host)
	if err != nil {
		return nil, err
	}
	config.InsecureSkipVerify = a.Insecure //nolint:gosec // loopback only
	return config, nil
}

// parseURL reads ldap://, ldaps:// and ldapi:// URLs; the latter carries the socket's path percent-encoded in
// place of the host.
func parseURL(address string) (u *url.URL, network, host string, err error) {
	if rest, ok := strings.CutPrefix(address, "ldapi://"); ok {
		path, err := url.PathUnescape(strings.TrimSuffix(rest, "/"))
		if err != nil || path == "" {
			return nil, "", "", fmt.Errorf("%q names no socket: write ldapi://%%2Frun%%2Fslapd%%2Fldapi", address)
		}
		return &url.URL{Scheme: "ldapi", Path: path}, "unix", path, nil
	}
	u, err = url.Parse(address)
	if err != nil {
		return nil, "", "", errors.New("not a URL")
	}
	port := u.Port()
	switch {
	case u.Scheme == "ldap" && port == "":
		port = ldap.DefaultLdapPort
	case u.Scheme == "ldaps" && port == "":
		port = ldap.DefaultLdapsPort
	case u.Scheme != "ldap" && u.Scheme != "ldaps":
		return nil, "", "", fmt.Errorf("%q is not an ldaps://, ldap:// or ldapi:// URL", address)
	}
	if u.Hostname() == "" {
		return nil, "", "", fmt.Errorf("%q names no host", address)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, "", "", fmt.Errorf(
			"a url holds only scheme, host and port; base_dn, filter and bind_dn have arguments of their own",
		)
	}
	return u, "tcp", net.JoinHostPort(u.Hostname(), port), nil
}

// loopback reports whether what is sent to u stays on this machine.
func loopback(u *url.URL) bool {
	if u.Scheme == "ldapi" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
