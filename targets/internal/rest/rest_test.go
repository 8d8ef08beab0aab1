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
		{403, "", `{"detail":"no right"}`, targets.ErrForbidden, -1, "no right"},
		{403, "", `{"error":{"message":"slow down","errors":[{"reason":"userRateLimitExceeded"}]}}`, targets.ErrUnavailable, 0, "slow down"},
		{403, "Retry-After: 7", `{}`, targets.ErrUnavailable, 7 * time.Second, ""},
		{404, "Content-Type: application/x-app", `{"detail":"no such"}`, targets.ErrNotFound, -1, "no such"},
		{410, "Content-Type: application/x-app; charset=utf-8", ``, targets.ErrNotFound, -1, ""},
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
			c := client(t, Options{URL: url, ContentType: "application/x-app"})
			_, err := c.Do(t.Context(), http.MethodPatch, "/Users/1", nil, map[string]any{}, nil)
			if !errors.Is(err, test.class) || !strings.Contains(fmt.Sprint(err), test.text) {
				t.Errorf("%v, want %v and %q", err, test.class, test.text)
			}
			for _, other := range []error{
				targets.ErrUnavailable, targets.ErrConflict, targets.ErrUnauthorized, targets.ErrForbidden, targets.ErrRejected, targets.ErrNotFound,
			} {
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

// R8: a 404 is the application's word about one record only where it is the application that speaks, and about a
// record. A 403 of one record is that record's.
func TestR08WhoSaysNo(t *testing.T) {
	ours := func(body []byte) Fault { return Fault{Own: strings.Contains(string(body), "ours")} }
	for _, test := range []struct {
		method, path string
		status       int
		media, body  string
		class        error
	}{
		{"GET", "/Users/1", 404, "application/x-app", "", targets.ErrNotFound},
		{"GET", "/Users/1", 404, "application/json", `{"ours":1}`, targets.ErrNotFound},
		{"PATCH", "/Users/1", 404, "application/x-app+json", `{"ours":1}`, targets.ErrNotFound},
		{"GET", "/Users/1", 404, "text/html", "<h1>404 Not Found</h1>nginx", targets.ErrUnavailable},
		{"GET", "/Users/1", 404, "text/plain", "default backend - 404", targets.ErrUnavailable},
		{"GET", "/Users/1", 404, "application/json; charset=utf-8", `{"message":"Not Found"}`, targets.ErrUnavailable},
		{"GET", "/Users/1", 410, "", "", targets.ErrUnavailable},
		{"DELETE", "/Users/1", 404, "text/html", "", targets.ErrUnavailable},
		{"GET", "/Users", 404, "application/x-app", `{"ours":1}`, targets.ErrUnavailable},
		{"POST", "/Users", 404, "application/x-app", `{"ours":1}`, targets.ErrUnavailable},
		{"GET", "/Users/1", 403, "application/x-app", "", targets.ErrForbidden},
		{"PATCH", "/Users/1", 403, "text/html", "", targets.ErrForbidden},
		{"POST", "/Users", 403, "", "", targets.ErrForbidden},
		{"GET", "/Users", 403, "", "", targets.ErrUnauthorized},
		{"GET", "/Users/1", 401, "", "", targets.ErrUnauthorized},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.media)
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		})
		c := client(t, Options{URL: url, ContentType: "application/x-app", Fault: ours})
		if _, err := c.Do(t.Context(), test.method, test.path, nil, nil, nil); !errors.Is(err, test.class) {
			t.Errorf("%s %s %d %s %s: %v, want %v", test.method, test.path, test.status, test.media, test.body, err, test.class)
		}
	}
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(404)
	})
	if _, err := client(t, Options{URL: url}).Do(t.Context(), "GET", "/Users/1", nil, nil, nil); !errors.Is(err, targets.ErrUnavailable) {
		t.Errorf("an application that speaks plain JSON has to say more than its media type: %v", err)
	}
}

// A redirect that keeps method and body is followed for writes too, on the same origin; any other is not.
func TestWritesFollowRedirectsThatKeepThem(t *testing.T) {
	var paced atomic.Int32
	var got []string
	stranger := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a stranger was asked") })
	var status int
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
		switch {
		case strings.HasPrefix(r.URL.Path, "/away"):
			http.Redirect(w, r, stranger+"/", status)
		case strings.HasPrefix(r.URL.Path, "/circle"):
			http.Redirect(w, r, r.URL.Path+"x", status)
		case !strings.HasSuffix(r.URL.Path, "/"):
			http.Redirect(w, r, r.URL.Path+"/", status)
		default:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "{}")
		}
	})
	c := client(t, Options{URL: url, Pace: func(context.Context) error { paced.Add(1); return nil }})
	for _, test := range []struct {
		status int
		path   string
		calls  int
		ok     bool
	}{
		{307, "/Users", 2, true},
		{308, "/Users", 2, true},
		{301, "/Users", 1, false},
		{302, "/Users", 1, false},
		{303, "/Users", 1, false},
		{307, "/away", 1, false},
		{308, "/circle", 4, false},
	} {
		status, got = test.status, nil
		paced.Store(0)
		_, err := c.Do(t.Context(), http.MethodPost, test.path, nil, map[string]string{"a": "b"}, nil)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, targets.ErrRejected) {
			t.Errorf("%d to %s: %v", test.status, test.path, err)
		}
		if len(got) != test.calls || int(paced.Load()) != test.calls {
			t.Errorf("%d to %s: %d calls, %d of them paced: %q", test.status, test.path, len(got), paced.Load(), got)
		}
		for _, call := range got {
			if !strings.HasPrefix(call, "POST ") || !strings.HasSuffix(call, `{"a":"b"}`) {
				t.Errorf("%d to %s: sent as %q", test.status, test.path, call)
			}
		}
	}
}

// What paces says how long to wait; the time spent so is not the target's, and what it refuses is not sent.
func TestWaitingForOnesTurnIsNotTheTargetsTime(t *testing.T) {
	calls := 0
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		_, _ = io.WriteString(w, "{}")
	})
	wait := func(ctx context.Context) error {
		if _, limited := ctx.Deadline(); limited {
			t.Error("the wait is within the request's deadline")
		}
		return nil
	}
	c := client(t, Options{URL: url, Pace: wait, Timeout: time.Minute})
	if _, err := c.Do(t.Context(), http.MethodGet, "/", nil, nil, nil); err != nil {
		t.Error(err)
	}
	if err := c.Stream(t.Context(), "/", nil, func(b *Body) error { _, err := io.Copy(io.Discard, b); return err }); err != nil {
		t.Error(err)
	}
	paused := &targets.ThrottledError{RetryAfter: time.Hour, Err: errors.New("paused")}
	c = client(t, Options{URL: url, Pace: func(context.Context) error { return paused }})
	calls = 0
	if _, err := c.Do(t.Context(), http.MethodPatch, "/Users/1", nil, nil, nil); !errors.Is(err, paused) {
		t.Errorf("a write: %v", err)
	}
	if err := c.StreamPage(t.Context(), "/", nil, func(*Body) error { return nil }); !errors.Is(err, paused) {
		t.Errorf("a page: %v", err)
	}
	if calls > 0 {
		t.Errorf("%d requests went out all the same", calls)
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
			http.Redirect(w, r, stranger+"/", http.StatusTemporaryRedirect) // which a write would follow, were it not to a stranger
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

func TestPagesAloneAreRepeated(t *testing.T) {
	var calls, paced atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})
	c := client(t, Options{URL: url, Pace: func(context.Context) error { paced.Add(1); return nil }})
	read := func(b *Body) error { _, err := io.Copy(io.Discard, b); return err }
	if err := c.StreamPage(t.Context(), "/", nil, read); err != nil || calls.Load() != 3 || paced.Load() != 3 {
		t.Errorf("%v after %d calls, %d of them paced", err, calls.Load(), paced.Load())
	}
	calls.Store(0)
	if err := c.Stream(t.Context(), "/", nil, read); !errors.Is(err, targets.ErrUnavailable) || calls.Load() != 1 {
		t.Errorf("a look-up: %v after %d calls", err, calls.Load())
	}
	calls.Store(0)
	if _, err := c.Do(t.Context(), http.MethodGet, "/", nil, nil, nil); !errors.Is(err, targets.ErrUnavailable) || calls.Load() != 1 {
		t.Errorf("one read: %v after %d calls", err, calls.Load())
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
