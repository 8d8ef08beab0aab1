package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/dirsweep/dirsweep/sources/certificates"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// Auth is how we sign in. At most one of Bearer, Basic and OAuth is set; a client certificate goes with any of them, or
// alone.
type Auth struct {
	Bearer   identity.Secret
	Basic    *Basic
	OAuth    *OAuth
	CertFile string // PEM, with KeyFile
	KeyFile  string
}

// Basic is RFC 7617.
type Basic struct {
	Username string
	Password identity.Secret
}

// OAuth is the client credentials grant, RFC 6749 §4.4.
type OAuth struct {
	TokenURL     string
	ClientID     string
	ClientSecret identity.Secret
	Scopes       []string
}

// CheckURL parses a base address and refuses one that would carry credentials in the clear: http:// outside loopback.
func CheckURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return nil, errors.New("not an address like https://host/path")
	}
	if u.User != nil {
		return nil, errors.New("credentials do not belong in the address")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the address ends before any ? or #")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && Loopback(u.Hostname()):
	case u.Scheme == "http":
		return nil, fmt.Errorf("http:// is refused for %s: only loopback may go unencrypted", u.Hostname())
	default:
		return nil, fmt.Errorf("%q is not a scheme that is spoken here: https", u.Scheme)
	}
	return u, nil
}

// Loopback reports whether host can only be this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func newTransport(o Options) (*http.Transport, error) {
	config, err := certificates.Files{CA: o.CAFile, Cert: o.Auth.CertFile, Key: o.Auth.KeyFile}.Config("")
	if err != nil {
		return nil, err
	}
	config.InsecureSkipVerify = o.TLSInsecure
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeaders,
	}, nil
}

// sameOrigin follows a few redirects within one origin, and those of writes only where they keep method and body: 307
// and 308 (RFC 9110 §15.4.8). Credentials go nowhere else.
func sameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme:
		return &refusedError{fmt.Sprintf("a redirect to another host, %s, is not followed", req.URL.Host)}
	case first.Method != http.MethodGet && !keepsMethod(req.Response):
		return http.ErrUseLastResponse
	case len(via) > 3:
		return &refusedError{"too many redirects"}
	}
	return nil
}

func keepsMethod(redirect *http.Response) bool {
	return redirect.StatusCode == http.StatusTemporaryRedirect || redirect.StatusCode == http.StatusPermanentRedirect
}

func (a Auth) secrets() []identity.Secret {
	var all []identity.Secret
	if !a.Bearer.IsZero() {
		all = append(all, a.Bearer)
	}
	if a.Basic != nil {
		all = append(all, a.Basic.Password)
	}
	if a.OAuth != nil {
		all = append(all, a.OAuth.ClientSecret)
	}
	return all
}

// wrap returns a RoundTripper that signs requests to host, and no others.
func (a Auth) wrap(base *http.Transport, host string) (http.RoundTripper, error) {
	s := &signer{base: base, host: host, auth: a}
	if a.OAuth != nil {
		if _, err := CheckURL(a.OAuth.TokenURL); err != nil {
			return nil, fmt.Errorf("token_url: %w", err)
		}
		s.tokens = &tokens{
			turn: make(chan struct{}, 1),
			http: &http.Client{Transport: base, Timeout: 30 * time.Second, CheckRedirect: sameOrigin},
			config: clientcredentials.Config{
				ClientID: a.OAuth.ClientID, ClientSecret: a.OAuth.ClientSecret.Reveal(), TokenURL: a.OAuth.TokenURL, Scopes: a.OAuth.Scopes,
			},
		}
	}
	return s, nil
}

type signer struct {
	base   *http.Transport
	host   string
	auth   Auth
	tokens *tokens
}

func (s *signer) CloseIdleConnections() { s.base.CloseIdleConnections() }

func (s *signer) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != s.host {
		return nil, &refusedError{"our credentials are not for " + req.URL.Host}
	}
	signed := req.Clone(req.Context())
	switch {
	case !s.auth.Bearer.IsZero():
		signed.Header.Set("Authorization", "Bearer "+s.auth.Bearer.Reveal())
	case s.auth.Basic != nil:
		signed.SetBasicAuth(s.auth.Basic.Username, s.auth.Basic.Password.Reveal())
	case s.tokens != nil:
		token, err := s.tokens.get(req.Context())
		if err != nil {
			return nil, err
		}
		token.SetAuthHeader(signed)
		resp, err := s.base.RoundTrip(signed)
		if err == nil && resp.StatusCode == http.StatusUnauthorized {
			// Taken back before its time: the next call, apply's repeat or the next pass, asks for a new one.
			s.tokens.drop(token)
		}
		return resp, err
	}
	return s.base.RoundTrip(signed)
}

// tokens keeps one access token. turn is its lock, one that a caller can stop waiting for.
type tokens struct {
	config clientcredentials.Config
	http   *http.Client
	turn   chan struct{}
	token  *oauth2.Token
}

func (t *tokens) get(ctx context.Context) (*oauth2.Token, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if t.token.Valid() {
		return t.token, nil
	}
	token, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.http))
	if err != nil {
		return nil, tokenError(err)
	}
	t.token = token
	return token, nil
}

func (t *tokens) drop(token *oauth2.Token) {
	t.turn <- struct{}{}
	if t.token == token {
		t.token = nil
	}
	<-t.turn
}

// tokenError leaves out the token server's body, which may repeat what was sent.
func tokenError(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%w: no access token: %w", targets.ErrUnavailable, bare(err))
	}
	if status := refused.Response.StatusCode; status >= 500 || status == http.StatusTooManyRequests {
		return fmt.Errorf("%w: no access token: %d from the token server", targets.ErrUnavailable, status)
	}
	return fmt.Errorf("%w: no access token: %d from the token server %s", targets.ErrUnauthorized, refused.Response.StatusCode, refused.ErrorCode)
}

// bare takes the address, which may carry a query with people's data, out of an error of net/http.
func bare(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
