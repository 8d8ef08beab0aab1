package directory

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/internal/kerberos"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// The ways of signing in.
const (
	bindSimple    = "simple"
	bindExternal  = "external"
	bindKerberos  = "kerberos"
	bindAnonymous = "anonymous"
)

// access is how to reach the directory and sign in.
type access struct {
	urls     []string // tried in order; none where domain is given
	domain   string   // whose controllers DNS names
	site     string   // of the domain
	startTLS bool
	insecure bool // the server's certificate is not verified; loopback only
	caFile   string
	certFile string
	keyFile  string
	bind     string
	bindDN   string
	kerberos kerberos.Account
	Password identity.Secret // exported, so that package fmt lets it hide itself
	timeout  time.Duration   // of one request with its whole answer, and of connecting
}

// connecting is how long a server has to accept a connection and to let us sign in: one that is switched off says nothing
// at all, and one that hangs accepts connections.
const connecting = 10 * time.Second

// errSilent is the cause of a request that had no whole answer in time.
var errSilent = errors.New("the server did not answer in time")

// An unreachableError is trouble that another server of the same directory may not have.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }

func (e *unreachableError) Unwrap() error { return e.err }

// A session is one signed-in connection. It is used by one goroutine at a time.
type session struct {
	conn    *ldap.Conn
	raw     net.Conn // under any TLS: closing it ends whatever conn is waiting for
	url     string
	timeout time.Duration
	tls     string // for people: "TLS 1.3", or "no TLS"

	server  *server  // nil until asked for
	self    *account // nil until asked for
	classes []string // the schema's object classes; nil until asked for
}

// dial connects to one server and signs in.
func (a access) dial(ctx context.Context, address string) (*session, error) {
	u, network, host, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, min(a.timeout, connecting), errSilent)
	defer cancel()
	config, err := a.tlsConfig(u.Hostname())
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, host)
	if err != nil {
		return nil, &unreachableError{fmt.Errorf("%s: %w", address, because(ctx, err))}
	}
	s := &session{raw: raw, url: address, timeout: a.timeout, tls: "no TLS"}
	conn := raw
	if u.Scheme == "ldaps" {
		secured := tls.Client(raw, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, &unreachableError{fmt.Errorf("%s: %w", address, because(ctx, err))}
		}
		conn = secured
	}
	s.conn = ldap.NewConn(conn, u.Scheme == "ldaps")
	s.conn.Start()
	if err := s.signIn(ctx, a, config, u.Scheme == "ldap" && a.startTLS); err != nil {
		s.close()
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return s, nil
}

func (s *session) signIn(ctx context.Context, a access, config *tls.Config, startTLS bool) error {
	if startTLS {
		if err := s.do(ctx, func() error { return s.conn.StartTLS(config) }); err != nil {
			return &unreachableError{fmt.Errorf("StartTLS: %w", err)}
		}
	}
	if state, ok := s.conn.TLSConnectionState(); ok {
		s.tls = tls.VersionName(state.Version)
	}
	var ticket *kerberos.Context
	if a.bind == bindKerberos {
		var err error
		if ticket, err = s.ticket(ctx, a); err != nil {
			return err
		}
	}
	err := s.do(ctx, func() error {
		switch a.bind {
		case bindKerberos:
			return s.conn.GSSAPIBind(ticket, "", "")
		case bindExternal:
			return s.conn.ExternalBind()
		case bindAnonymous:
			return s.conn.UnauthenticatedBind("")
		default:
			return s.conn.Bind(a.bindDN, a.Password.Reveal())
		}
	})
	if err != nil {
		if unreachable := (*unreachableError)(nil); errors.As(err, &unreachable) || ctx.Err() != nil {
			return fmt.Errorf("sign in %s: %w", a.who(), err)
		}
		return &signInError{a.who(), err}
	}
	return nil
}

// ticket gets a Kerberos ticket for the server, by the name that it has in its domain: that of its URL, or, where that is
// an address, the one that it shows over the connection, whose certificate was verified.
func (s *session) ticket(ctx context.Context, a access) (*kerberos.Context, error) {
	u, _, _, err := parseURL(s.url)
	if err != nil {
		return nil, err
	}
	kdc, host := u.Hostname(), u.Hostname()
	if net.ParseIP(host) != nil {
		dse, err := s.read(ctx, "", "dnsHostName")
		if err != nil {
			return nil, err
		}
		if dse != nil {
			host = cmp.Or(dse.GetEqualFoldAttributeValue("dnsHostName"), host)
		}
	}
	var bindings []byte
	if state, ok := s.conn.TLSConnectionState(); ok && len(state.PeerCertificates) > 0 {
		bindings = kerberos.Bindings(state.PeerCertificates[0])
	}
	ticket, err := a.kerberos.SignIn(net.JoinHostPort(kdc, "88"), host, bindings)
	if unreachable := (*kerberos.UnreachableError)(nil); errors.As(err, &unreachable) {
		return nil, &unreachableError{fmt.Errorf("sign in %s: %w", a.who(), err)}
	}
	if err != nil {
		return nil, &signInError{a.who(), err}
	}
	return ticket, nil
}

// who names the identity that signs in.
func (a access) who() string {
	switch a.bind {
	case bindKerberos:
		if a.kerberos.Cache != "" {
			return "by Kerberos, with the tickets in " + a.kerberos.Cache
		}
		return "by Kerberos as " + a.kerberos.Principal
	case bindExternal:
		return "by SASL EXTERNAL"
	case bindAnonymous:
		return "anonymously"
	default:
		return "as " + a.bindDN
	}
}

// do runs one request and cuts the connection when ctx is done or the time is up: go-ldap itself would wait, or
// report success.
func (s *session) do(ctx context.Context, request func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, errSilent)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.raw.Close() })
	err := request()
	if !stop() {
		cause := context.Cause(ctx)
		if errors.Is(cause, errSilent) {
			return &unreachableError{fmt.Errorf("%w (%s)", cause, s.timeout)}
		}
		return cause
	}
	var answer *ldap.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &answer) || answer.ResultCode >= ldap.ErrorNetwork {
		return &unreachableError{err}
	}
	if answer.ResultCode == ldap.LDAPResultBusy || answer.ResultCode == ldap.LDAPResultUnavailable {
		return &unreachableError{&resultError{answer}}
	}
	return &resultError{answer}
}

// close ends the connection. The socket goes first: an orderly goodbye could wait for a server that no longer reads.
func (s *session) close() {
	_ = s.raw.Close()
	_ = s.conn.Close()
}

// usable reports whether the connection still stands, as far as can be told without asking.
func (s *session) usable() bool { return !s.conn.IsClosing() }

// because prefers the reason why ctx ended to what the network made of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// tlsConfig reads the certificate files each time, so that renewed ones are used without a restart.
func (a access) tlsConfig(host string) (*tls.Config, error) {
	config := &tls.Config{
		ServerName:         host,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: a.insecure,
	} //nolint:gosec // loopback only
	if a.caFile != "" {
		pem, err := os.ReadFile(a.caFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no PEM certificate", a.caFile)
		}
	}
	if a.certFile != "" {
		pair, err := tls.LoadX509KeyPair(a.certFile, a.keyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file, key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
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
