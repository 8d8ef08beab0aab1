package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/dirsweep/dirsweep/targets"
)

// maxText bounds, in characters, what of an answer reaches an error.
const maxText = 300

// A StatusError is an answer that says no. It matches one of the targets' error classes.
type StatusError struct {
	Method, Path string
	Status       int
	Type         string // the application's own word for it: SCIM's scimType, Google's reason
	Text         string // its explanation, one line, bounded, without our secrets
	RequestID    string // "" where the target gave none
	Own          bool   // the application's own words, rather than those of something in front of it
	Class        error  // of package targets
}

func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
	if e.Type != "" {
		fmt.Fprintf(&b, " (%s)", e.Type)
	}
	if e.Text != "" {
		fmt.Fprintf(&b, ": %s", e.Text)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " [request %s]", e.RequestID)
	}
	return b.String()
}

// Unwrap makes the error match its class.
func (e *StatusError) Unwrap() error { return e.Class }

// A Fault is what an application's error body says.
type Fault struct {
	Type, Text string
	Throttled  bool // a pause is asked for, whatever the status
	Own        bool // the body is of a shape that only the application speaks
}

// class sorts an answer into the classes of package targets. What is said of one record is about that record; the same
// of a collection is about us (403), or says that the application is not there (404): its front, a deploy or a lapsed
// tenant answer so to everything.
func class(method, path string, status int, own bool) error {
	record := strings.Contains(strings.Trim(path, "/"), "/")
	switch status {
	case http.StatusUnauthorized:
		return targets.ErrUnauthorized
	case http.StatusForbidden:
		if method == http.MethodGet && !record {
			return targets.ErrUnauthorized
		}
		return targets.ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		if record && own {
			return targets.ErrNotFound
		}
		return targets.ErrUnavailable
	case http.StatusConflict, http.StatusPreconditionFailed:
		return targets.ErrConflict
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusLocked, http.StatusTooManyRequests:
		return targets.ErrUnavailable
	}
	if status >= 500 && status != http.StatusNotImplemented {
		return targets.ErrUnavailable
	}
	return targets.ErrRejected
}

// own reports whether an answer is the application's own: by its media type, where that is one that no proxy speaks, or
// by its body.
func (c *Client) own(h http.Header, fault Fault) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return fault.Own || err == nil && media != "application/json" && media == c.opts.ContentType
}

// refusal turns an answer of status 300 or above into an error.
func (c *Client) refusal(method, path string, resp *http.Response) error {
	// A body that breaks off explains less, and changes nothing about the status.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	fault := c.fault(body)
	own := c.own(resp.Header, fault)
	e := &StatusError{
		Method: method, Path: path, Status: resp.StatusCode,
		Type: c.clean(fault.Type), Text: c.clean(fault.Text), RequestID: c.clean(requestID(resp.Header)),
		Own: own, Class: class(method, path, resp.StatusCode, own),
	}
	if location := resp.Header.Get("Location"); resp.StatusCode < 400 {
		e.Text = c.clean("a redirect to " + location + " is not followed")
	}
	wait, asked := RetryAfter(resp.Header, c.now())
	switch {
	case resp.StatusCode == http.StatusTooManyRequests,
		resp.StatusCode == http.StatusServiceUnavailable && asked,
		resp.StatusCode == http.StatusForbidden && (fault.Throttled || resp.Header.Get("Retry-After") != ""):
		e.Class = targets.ErrUnavailable
		return &targets.ThrottledError{RetryAfter: wait, Err: e}
	}
	return e
}

// transportError classes the failure of a call that got no answer.
func transportError(ctx context.Context, method, path string, err error) error {
	var refused *refusedError
	switch {
	case ctx.Err() != nil:
		// The caller stopped: nothing is known of the target.
		return fmt.Errorf("%s %s: %w", method, path, context.Cause(ctx))
	case errors.As(err, &refused):
		return fmt.Errorf("%s %s: %w: %w", method, path, targets.ErrRejected, refused)
	case errors.Is(err, targets.ErrUnauthorized), errors.Is(err, targets.ErrUnavailable):
		return fmt.Errorf("%s %s: %w", method, path, bare(err))
	}
	return fmt.Errorf("%s %s: %w: %w", method, path, targets.ErrUnavailable, bare(err))
}

// refusedError is our own refusal to go on, as opposed to the target's.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

func requestID(h http.Header) string {
	for _, name := range []string{"X-Request-Id", "Request-Id", "X-Amzn-Requestid", "X-Github-Request-Id", "X-Okta-Request-Id", "X-Correlation-Id"} {
		if id := h.Get(name); id != "" {
			return id
		}
	}
	return ""
}

// throttleWords are what applications say in a 403 that means "too fast" (notes: Google, Salesforce, AWS).
var throttleWords = []string{"ratelimit", "rate limit", "throttl", "quotaexceeded", "request_limit_exceeded", "too many requests"}

// ReadFault finds the explanation in the error bodies that are common: SCIM's detail (RFC 7644 §3.12), {"error":{…}},
// {"message":…}. It takes none of them for the application's own.
func ReadFault(body []byte) Fault {
	var f Fault
	lower := strings.ToLower(string(body))
	for _, word := range throttleWords {
		f.Throttled = f.Throttled || strings.Contains(lower, word)
	}
	var doc map[string]any
	if json.Unmarshal(body, &doc) != nil {
		if !strings.HasPrefix(strings.TrimSpace(lower), "<") {
			f.Text = string(body)
		}
		return f
	}
	f.Type, _ = doc["scimType"].(string)
	for _, key := range []string{"detail", "error_description", "message", "error"} {
		switch v := doc[key].(type) {
		case string:
			if f.Text == "" {
				f.Text = v
			}
		case map[string]any:
			if text, ok := v["message"].(string); ok && f.Text == "" {
				f.Text = text
			}
		}
	}
	return f
}

// clean makes text that a target sent fit for one line of a log: bounded, printable, our own secrets taken out.
func (c *Client) clean(text string) string {
	for _, secret := range c.secrets {
		if s := secret.Reveal(); len(s) >= 4 {
			text = strings.ReplaceAll(text, s, secret.String())
		}
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxText {
		return string(runes[:maxText]) + "…"
	}
	return text
}

// backoff is how long to wait before the nth repeat of a read.
func backoff(n int, jitter float64) time.Duration {
	d := min(250*time.Millisecond<<n, 10*time.Second)
	return time.Duration(float64(d) * (0.5 + jitter/2))
}
