package rest

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestErrorsByClass(t *testing.T) {
	for _, test := range []struct {
		status int
		header string // "Name: value"
		body   string
		class  error
		wait   time.Duration // of a ThrottledError; -1 for none
		text   string        // in the message
	}{
		{401, "", `{"detail":"expired"}`, targets.ErrUnauthorized, -1, "401 Unauthorized: expired"},
		{403, "", `{"detail":"no right"}`, targets.ErrRejected, -1, "no right"}, // of a write: about that account
		{403, "", `{"error":{"message":"slow down","errors":[{"reason":"userRateLimitExceeded"}]}}`, targets.ErrUnavailable, 0, "slow down"},
		{403, "Retry-After: 7", `{}`, targets.ErrUnavailable, 7 * time.Second, ""},
		{404, "", `{"detail":"no such"}`, targets.ErrNotFound, -1, "no such"},
		{410, "", ``, targets.ErrNotFound, -1, ""},
		{409, "", `{"scimType":"uniqueness","detail":"userName is taken"}`, targets.ErrConflict, -1, "409 Conflict (uniqueness): userName is taken"},
		{412, "", ``, targets.ErrConflict, -1, ""},
		{400, "", `{"message":"bad"}`, targets.ErrRejected, -1, "bad"},
		{422, "", `plain words`, targets.ErrRejected, -1, "plain words"},
		{501, "", ``, targets.ErrRejected, -1, ""},
		{413, "", `<html>proxy</html>`, targets.ErrRejected, -1, "413"},
		{408, "", ``, targets.ErrUnavailable, -1, ""},
		{423, "", ``, targets.ErrUnavailable, -1, ""},
		{500, "", ``, targets.ErrUnavailable, -1, ""},
		{502, "", `<html>`, targets.ErrUnavailable, -1, ""},
		{503, "", ``, targets.ErrUnavailable, -1, ""},
		{503, "Retry-After: 120", ``, targets.ErrUnavailable, 2 * time.Minute, ""},
		{429, "", ``, targets.ErrUnavailable, 0, ""},
		{429, "Retry-After: 3", ``, targets.ErrUnavailable, 3 * time.Second, ""},
		{429, "X-Retry-After: 4", `{"message":"Too many requests"}`, targets.ErrUnavailable, 4 * time.Second, ""},
		{429, "RateLimit-Reset: 9", ``, targets.ErrUnavailable, 9 * time.Second, ""},
		{302, "Location: https://elsewhere.example/", ``, targets.ErrRejected, -1, "elsewhere.example"},
		{500, "X-Request-Id: r-17", ``, targets.ErrUnavailable, -1, "[request r-17]"},
	} {
		t.Run(fmt.Sprint(test.status, test.header), func(t *testing.T) {
			calls := 0
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				if name, value, ok := strings.Cut(test.header, ": "); ok {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			_, err := client(t, Options{URL: url}).Do(t.Context(), http.MethodPatch, "/Users/1", nil, map[string]any{}, nil)
			if !errors.Is(err, test.class) || !strings.Contains(fmt.Sprint(err), test.text) {
				t.Errorf("%v, want %v and %q", err, test.class, test.text)
			}
			for _, other := range []error{targets.ErrUnavailable, targets.ErrConflict, targets.ErrUnauthorized, targets.ErrRejected, targets.ErrNotFound} {
				if errors.Is(err, other) && other != test.class { //nolint:errorlint // identity is meant
					t.Errorf("%v is of the class %v too", err, other)
				}
			}
			var throttled *targets.ThrottledError
			if asked := errors.As(err, &throttled); asked != (test.wait >= 0) || asked && throttled.RetryAfter != test.wait {
				t.Errorf("%v, want a pause of %v", err, test.wait)
			}
			if calls != 1 {
				t.Errorf("a write was sent %d times", calls)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0":                               0,
		"5":                               5 * time.Second,
		" 5 ":                             5 * time.Second,
		"1.5":                             1500 * time.Millisecond,
		"-3":                              0,
		"99999999":                        24 * time.Hour,
		"NaN":                             24 * time.Hour,
		fmt.Sprint(now.Unix() + 30):       30 * time.Second,
		"Tue, 24 Nov 2026 12:01:00 GMT":   time.Minute,
		"Tue, 24 Nov 2026 11:00:00 GMT":   0,
		"Tuesday, 24-Nov-26 12:00:09 GMT": 9 * time.Second,
		"Sat, 01 Jan 2050 00:00:00 GMT":   24 * time.Hour,
		"soon":                            -1,
		"":                                -1,
	} {
		h := http.Header{"Retry-After": {text}}
		if got, ok := RetryAfter(h, now); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"5", "1e309", "-1", "Tue, 24 Nov 2026 12:01:00 GMT", "0x1p-2", "inf"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := RetryAfter(http.Header{"X-Retry-After": {text}}, time.Unix(1_795_521_600, 0))
		if d < 0 || d > 24*time.Hour || !ok && d != 0 {
			t.Errorf("%q: %v, %v", text, d, ok)
		}
	})
}

func TestR15ErrorsHoldNoSecretsAndFitOneLine(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "you sent "+r.Header.Get("Authorization")+"\x1b[31m\nline two"+strings.Repeat("x", 10_000))
	})
	c := client(t, Options{URL: url, Auth: Auth{Bearer: identity.NewSecret("hunter2-hunter2")}})
	_, err := c.Do(t.Context(), http.MethodGet, "/", nil, nil, nil)
	text := fmt.Sprint(err)
	if strings.Contains(text, "hunter2") || strings.ContainsAny(text, "\n\x1b") || len(text) > 600 {
		t.Errorf("%q", text)
	}
}

func TestR15AddressesThatLeakAreRefused(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://scim.example.org/v2":        true,
		"http://127.0.0.1:8080/v2":           true,
		"http://localhost/":                  true,
		"http://[::1]:1/":                    true,
		"http://scim.example.org/v2":         false,
		"http://127.0.0.1.example.org/":      false,
		"ftp://scim.example.org/":            false,
		"https://me:secret@scim.example.org": false,
		"https://scim.example.org/?a=b":      false,
		"scim.example.org":                   false,
		"":                                   false,
		"https://":                           false,
	} {
		if _, err := CheckURL(url); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := New(Options{URL: "https://scim.example.org", TLSInsecure: true}); err == nil {
		t.Error("tls_insecure outside loopback")
	}
}

func TestR15CredentialsStayWithTheirHost(t *testing.T) {
	var leaked atomic.Int32
	stranger := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
	})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, stranger+"/", http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		default:
			_, _ = io.WriteString(w, "{}")
		}
	})
	c := client(t, Options{URL: url, Auth: Auth{Basic: &Basic{Username: "me", Password: identity.NewSecret("secret")}}})
	for path, ok := range map[string]bool{"/away": false, "/here": true, "/circle": false} {
		if _, err := c.Do(t.Context(), http.MethodGet, path, nil, nil, nil); (err == nil) != ok || err != nil && !errors.Is(err, targets.ErrRejected) {
			t.Errorf("GET %s: %v", path, err)
		}
	}
	for _, path := range []string{"/away", "/here"} {
		if _, err := c.Do(t.Context(), http.MethodPost, path, nil, map[string]any{}, nil); !errors.Is(err, targets.ErrRejected) {
			t.Errorf("POST %s: %v", path, err)
		}
	}
	if leaked.Load() > 0 {
		t.Error("a stranger got our credentials")
	}
}

func TestOAuth(t *testing.T) {
	var issued atomic.Int32
	var down atomic.Bool
	tokens := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		switch {
		case down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case id != "us" || secret != "the-secret":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":"%s is wrong"}`, secret)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, issued.Add(1))
		}
	})
	var revoked atomic.Value
	revoked.Store("")
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if auth := r.Header.Get("Authorization"); !strings.HasPrefix(auth, "Bearer t") || auth == revoked.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})
	auth := func(secret string) Auth {
		return Auth{OAuth: &OAuth{TokenURL: tokens, ClientID: "us", ClientSecret: identity.NewSecret(secret), Scopes: []string{"scim"}}}
	}
	c := client(t, Options{URL: url, Auth: auth("the-secret")})
	call := func(c *Client) error {
		_, err := c.Do(t.Context(), http.MethodGet, "/", nil, nil, nil)
		return err
	}
	for range 3 {
		if err := call(c); err != nil {
			t.Fatal(err)
		}
	}
	if issued.Load() != 1 {
		t.Errorf("%d tokens for three calls", issued.Load())
	}
	revoked.Store("Bearer t1")
	if err := call(c); !errors.Is(err, targets.ErrUnauthorized) {
		t.Errorf("a token taken back: %v", err)
	}
	if err := call(c); err != nil || issued.Load() != 2 {
		t.Errorf("the next call: %v, %d tokens", err, issued.Load())
	}
	err := call(client(t, Options{URL: url, Auth: auth("not-it-really")}))
	if !errors.Is(err, targets.ErrUnauthorized) || strings.Contains(err.Error(), "not-it") {
		t.Errorf("a wrong secret: %v", err)
	}
	down.Store(true)
	if err := call(client(t, Options{URL: url, Auth: auth("the-secret")})); !errors.Is(err, targets.ErrUnavailable) {
		t.Errorf("no token server: %v", err)
	}
}

func TestTLSIsVerified(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer s.Close()
	s.Config.ErrorLog = nil
	call := func(o Options) error {
		o.URL = s.URL
		_, err := client(t, o).Do(t.Context(), http.MethodGet, "/", nil, nil, nil)
		return err
	}
	if err := call(Options{}); !errors.Is(err, targets.ErrUnavailable) {
		t.Errorf("an unknown issuer: %v", err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := call(Options{CAFile: ca}); err != nil {
		t.Errorf("its issuer in ca_file: %v", err)
	}
	if err := call(Options{TLSInsecure: true}); err != nil {
		t.Errorf("tls_insecure on loopback: %v", err)
	}
}

func TestR18AnswersAreBounded(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		block := []byte(strings.Repeat("x", 1<<20))
		for range 80 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	c := client(t, Options{URL: url})
	if _, err := c.Do(t.Context(), http.MethodGet, "/", nil, nil, nil); !errors.Is(err, targets.ErrRejected) {
		t.Errorf("read whole: %v", err)
	}
	err := c.Stream(t.Context(), "/", nil, func(b *Body) error { _, err := io.Copy(io.Discard, b); return err })
	if !errors.Is(err, targets.ErrRejected) {
		t.Errorf("streamed: %v", err)
	}
}

func TestReadsAreRepeated(t *testing.T) {
	var calls, paced atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})
	c := client(t, Options{URL: url, Pace: func(context.Context) error { paced.Add(1); return nil }})
	if _, err := c.Get(t.Context(), "/", nil); err != nil || calls.Load() != 3 || paced.Load() != 3 {
		t.Errorf("%v after %d calls, %d of them paced", err, calls.Load(), paced.Load())
	}
}

func TestACallerThatStopsIsNotTheTargetsTrouble(t *testing.T) {
	arrived := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := client(t, Options{URL: url}).Do(ctx, http.MethodGet, "/", nil, nil, nil)
	if !errors.Is(err, context.Canceled) || errors.Is(err, targets.ErrUnavailable) {
		t.Error(err)
	}
}
