package scimtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxCalls bounds the log of calls.
const maxCalls = 200_000

// A Gate stands in front of an application: it counts and logs what arrives, and makes trouble on request.
type Gate struct {
	next http.Handler

	mu     sync.Mutex
	calls  []Call
	writes int
	faults []*Fault
}

// A Call is one request that arrived.
type Call struct {
	Method, Path, Query string
	Body                string // of a write, its first 4 KiB
	Status              int    // 0 where the connection was cut
}

// A Fault is trouble for some requests.
type Fault struct {
	// Method and Path (a part of it) select the requests; "" for any. Match selects further; nil for all.
	Method, Path string
	Match        func(*http.Request) bool
	Times        int // how often; 0 until Clear
	Trouble      Trouble
}

// Trouble answers a request instead of next, or after it.
type Trouble func(w http.ResponseWriter, r *http.Request, next http.Handler)

// NewGate puts a gate in front of next.
func NewGate(next http.Handler) *Gate { return &Gate{next: next} }

// Writes returns how many POST, PUT, PATCH and DELETE requests arrived.
func (g *Gate) Writes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.writes
}

// Calls returns what arrived, in order.
func (g *Gate) Calls() []Call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Call(nil), g.calls...)
}

// Count returns how many requests arrived with that method and with path in their path; "" matches any.
func (g *Gate) Count(method, path string) int {
	n := 0
	for _, c := range g.Calls() {
		if (method == "" || c.Method == method) && strings.Contains(c.Path, path) {
			n++
		}
	}
	return n
}

// Reset forgets the calls, not the faults.
func (g *Gate) Reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls, g.writes = nil, 0
}

// Inject adds trouble. The first fault that fits a request is used.
func (g *Gate) Inject(f Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, &f)
}

// Clear ends all trouble.
func (g *Gate) Clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = nil
}

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := Call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	if write {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		call.Body = string(body[:min(len(body), 4096)])
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
	}
	g.mu.Lock()
	trouble := g.trouble(r)
	at := -1
	if len(g.calls) < maxCalls {
		at = len(g.calls)
		g.calls = append(g.calls, call)
	}
	if write {
		g.writes++
	}
	g.mu.Unlock()
	seen := &statusWriter{ResponseWriter: w}
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if at >= 0 && at < len(g.calls) {
			g.calls[at].Status = seen.status
		}
	}()
	if trouble != nil {
		trouble(seen, r, g.next)
		return
	}
	g.next.ServeHTTP(seen, r)
}

func (g *Gate) trouble(r *http.Request) Trouble {
	for i, f := range g.faults {
		if f.Method != "" && f.Method != r.Method || !strings.Contains(r.URL.Path, f.Path) || f.Match != nil && !f.Match(r) {
			continue
		}
		if f.Times == 1 {
			g.faults = append(g.faults[:i:i], g.faults[i+1:]...)
		} else if f.Times > 1 {
			f.Times--
		}
		return f.Trouble
	}
	return nil
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Answer answers itself; the application sees nothing. header is name, value, name, value, …
func Answer(status int, body string, header ...string) Trouble {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Cut closes the connection before the application sees the request.
func Cut() Trouble {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// CutAfter lets the application act and closes the connection without its answer.
func CutAfter() Trouble {
	return func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
}

// CutBody sends the first n bytes of the answer's body and closes the connection.
func CutBody(n int) Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if n >= len(body) {
			replay(w, rec)
			return
		}
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Slow waits before the application sees the request, or until the client gives up.
func Slow(d time.Duration) Trouble {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Stale answers each read as it was answered first, whatever was written since. Writes go through.
func Stale() Trouble {
	var mu sync.Mutex
	first := map[string]*httptest.ResponseRecorder{}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		rec := first[r.URL.String()]
		if rec == nil {
			rec = httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			first[r.URL.String()] = rec
		}
		replay(w, rec)
	}
}

func replay(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// BodyHolds reports whether the body of a request holds text. The body can be read again.
func BodyHolds(r *http.Request, text string) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && strings.Contains(string(body), text)
}
