// Package rest is the HTTP client that every target speaking REST shares: who we are, whom we trust, how fast we ask,
// how much we read, and what an answer means. It repeats pages of a listing where asked to, and nothing else.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// Limits of what is read (R18).
const (
	maxBody    = 64 << 20 // bytes of one answer that is read whole: a group of half a million members
	maxHeaders = 256 << 10
	pageTries  = 5           // of one page of a listing
	maxWait    = time.Minute // longest pause that a listing sits out; a longer one goes to the caller
)

// Options are what a Client is made of.
type Options struct {
	URL         string // every path is below it
	Auth        Auth
	CAFile      string // PEM; "" trusts the system's roots
	TLSInsecure bool   // skip verification; refused outside loopback
	UserAgent   string
	Accept      string        // default application/json
	ContentType string        // of bodies; default application/json
	Timeout     time.Duration // of one request; of each read of a streamed answer; default 30 s
	// Pace is called before each request, repeats and redirects included, and its error returned as it is. nil for no
	// limit.
	Pace func(ctx context.Context) error
	// Fault explains an error body; nil understands the common shapes.
	Fault func(body []byte) Fault
	Log   hclog.Logger
}

// A Client calls one application. It may be used from several goroutines.
type Client struct {
	base    *url.URL
	http    *http.Client
	opts    Options
	fault   func(body []byte) Fault
	secrets []identity.Secret
	now     func() time.Time

	mu    sync.Mutex
	dated struct{ said, came time.Time }
}

// A Response is an answer that says yes, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// RequestID is the target's name for the call, "" where it gave none.
func (r *Response) RequestID() string { return requestID(r.Header) }

// Decode reads the body's JSON into v, numbers as json.Number where v is an any. A body that is not JSON is of the
// class ErrUnavailable: a proxy's page, or an answer cut off.
func (r *Response) Decode(v any) error {
	dec := json.NewDecoder(bytes.NewReader(r.Body))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: the answer is not JSON: %w", targets.ErrUnavailable, err)
	}
	return nil
}

// New makes a client. It reads certificate files and touches no network.
func New(o Options) (*Client, error) {
	base, err := CheckURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Accept == "" {
		o.Accept = "application/json"
	}
	if o.ContentType == "" {
		o.ContentType = "application/json"
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.TLSInsecure {
		if !Loopback(base.Hostname()) {
			return nil, fmt.Errorf("tls_insecure is refused for %s: only loopback may go unverified", base.Hostname())
		}
		o.Log.Warn("tls_insecure: the target's certificate is NOT verified", "host", base.Host)
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	signed, err := o.Auth.wrap(transport, base.Host)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, opts: o, fault: o.Fault, secrets: o.Auth.secrets(), now: time.Now,
		http: &http.Client{Transport: signed},
	}
	if c.fault == nil {
		c.fault = ReadFault
	}
	if c.opts.Pace == nil {
		c.opts.Pace = func(context.Context) error { return nil }
	}
	c.http.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if err := sameOrigin(req, via); err != nil {
			return err
		}
		return c.opts.Pace(req.Context())
	}
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Do makes one request, once, and reads the answer to its end. body is marshalled to JSON; nil for none. path starts
// with a slash and is escaped already. Errors are of the classes of package targets.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body any, header http.Header) (*Response, error) {
	// Waiting for one's turn is not the target's slowness: the deadline starts after it.
	if err := c.opts.Pace(ctx); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	deadline, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	resp, err := c.send(deadline, method, path, query, body, header)
	if err != nil {
		return nil, transportError(ctx, method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return nil, c.refusal(method, path, resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, transportError(ctx, method, path, fmt.Errorf("the answer broke off: %w", err))
	}
	if len(data) > maxBody {
		return nil, fmt.Errorf("%s %s: %w: the answer is larger than %d MiB", method, path, targets.ErrRejected, maxBody>>20)
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: data}, nil
}

// Stream reads path and gives read the body as it arrives, so that a page is never held whole.
func (c *Client) Stream(ctx context.Context, path string, query url.Values, read func(*Body) error) error {
	return c.stream(ctx, path, query, read)
}

// StreamPage is Stream for a page of a long listing, which would have to begin anew: it asks again a few times, with
// pauses as the target asks, where the target is not available. read is called again, from the start of a new answer,
// where the one before broke off; an error of its own ends the stream unless it is of the class ErrUnavailable.
func (c *Client) StreamPage(ctx context.Context, path string, query url.Values, read func(*Body) error) error {
	return c.patiently(ctx, func() error { return c.stream(ctx, path, query, read) })
}

func (c *Client) stream(ctx context.Context, path string, query url.Values, read func(*Body) error) error {
	if err := c.opts.Pace(ctx); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	cut, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(c.opts.Timeout, func() { cancel(errSlow) })
	defer slow.Stop()
	resp, err := c.send(cut, http.MethodGet, path, query, nil, nil)
	if err != nil {
		return transportError(ctx, http.MethodGet, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return c.refusal(http.MethodGet, path, resp)
	}
	slow.Stop()
	body := &Body{from: resp.Body, slow: slow, timeout: c.opts.Timeout, left: maxBody}
	err = read(body)
	if body.err != nil && !errors.Is(body.err, io.EOF) {
		var refused *refusedError
		if errors.As(body.err, &refused) {
			return fmt.Errorf("GET %s: %w: %w", path, targets.ErrRejected, refused)
		}
		return transportError(ctx, http.MethodGet, path, fmt.Errorf("the answer broke off: %w", body.err))
	}
	if err == nil {
		// A body read to its end frees the connection for the next request.
		_, _ = io.CopyN(io.Discard, resp.Body, 4096)
	}
	return err
}

var errSlow = errors.New("the target is silent")

// A Body is a streamed answer. A read that waits longer than the client's timeout fails, and so does one value that is
// too large.
type Body struct {
	from    io.Reader
	slow    *time.Timer
	timeout time.Duration
	left    int64
	err     error
}

// Renew says that one value is read, and allows the next to be as large again.
func (b *Body) Renew() { b.left = maxBody }

func (b *Body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.err = &refusedError{fmt.Sprintf("one value of the answer is larger than %d MiB", maxBody>>20)}
		return 0, b.err
	}
	b.slow.Reset(b.timeout)
	n, err := b.from.Read(p)
	b.slow.Stop()
	b.left -= int64(n)
	if err != nil {
		b.err = err
	}
	return n, err
}

// patiently calls read until it succeeds, fails for good, or has been tried often enough.
func (c *Client) patiently(ctx context.Context, read func() error) error {
	for n := 0; ; n++ {
		err := read()
		if err == nil || !errors.Is(err, targets.ErrUnavailable) || n == pageTries-1 || ctx.Err() != nil {
			return err
		}
		wait := backoff(n, rand.Float64())
		var throttled *targets.ThrottledError
		if errors.As(err, &throttled) && throttled.RetryAfter > 0 {
			wait = throttled.RetryAfter
		}
		if wait > maxWait {
			return err
		}
		c.opts.Log.Debug("reading again", "in", wait, "because", err)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("waiting to read again: %w", context.Cause(ctx))
		case <-timer.C:
		}
	}
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any, header http.Header) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, &refusedError{"the request cannot be written as JSON"}
		}
		content = bytes.NewReader(data)
	}
	target := strings.TrimSuffix(c.base.String(), "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, &refusedError{"the request's address is not valid"}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", c.opts.Accept)
	if body != nil {
		req.Header.Set("Content-Type", c.opts.ContentType)
	}
	// Some applications refuse requests without it (GitHub).
	req.Header.Set("User-Agent", c.opts.UserAgent)
	resp, err := c.http.Do(req)
	if err == nil {
		c.noteDate(resp.Header)
	}
	return resp, err
}

// noteDate remembers what the application's clock says. What comes out of a cache tells the time at which it went in.
func (c *Client) noteDate(h http.Header) {
	said, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dated.said, c.dated.came = said, c.now()
}

// Date is what the application's clock said in its last answer, and when that came.
func (c *Client) Date() (said, came time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dated.said, c.dated.came
}
