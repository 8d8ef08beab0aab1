package scim

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

const (
	maxWalks   = 3          // of one list, before it is called incomplete
	maxEntries = 20_000_000 // of one list; more is not an application but a loop (R18)
	maxBlanks  = 100        // pages without an entry but with a next cursor, in a row
)

// errStop is what a listing's reader returns when it has seen enough.
var errStop = errors.New("enough")

// A key stands for an id in 16 bytes, however long the id is.
type key [16]byte

func keyOf(id string) key {
	sum := sha256.Sum256([]byte(id))
	return key(sum[:16])
}

// A listing reads one list to its end, by index (RFC 7644 §3.4.2.4) or by cursor (RFC 9865), and proves that it was all
// (R2).
//
// Pages are no snapshot: an entry that goes while we read shifts those behind it into a gap. So a walk through all
// pages counts only where totalResults kept still and as many different ids were seen in it; otherwise the list is
// walked again, and yields what it did not yet.
type listing struct {
	t        *target
	endpoint string
	query    url.Values
	yield    func(resource) error
	// lookup is a list that a filter makes short: the page past the end, which catches a totalResults that is too
	// small, is not asked for.
	lookup bool

	seen    map[key]uint32 // the last request that returned the id
	request uint32
	count   int
}

// A walk is one way through all pages.
type walk struct {
	first     uint32 // its first request
	pages     int
	distinct  int
	repeats   int // entries seen before in this walk
	total     int // as said last; -1 for never
	largest   int // total ever said
	changed   bool
	blankEnd  bool // the last page was empty, as the RFC wants past the end
	oversized bool // the first page held more than was asked for
}

// A page is one answer.
type page struct {
	entries, fresh int
	total          int // -1 where it does not say
	next           string
	hasResources   bool
}

// list gives yield each resource of endpoint once. An error of yield ends it and is returned as it is; any other wraps
// ErrIncomplete.
func (t *target) list(ctx context.Context, endpoint string, query url.Values, lookup bool, yield func(resource) error) error {
	f, err := t.features(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
	}
	l := &listing{
		t: t, endpoint: endpoint, query: query, yield: yield, lookup: lookup,
		seen: map[key]uint32{}, count: t.pageSize(f),
	}
	var trouble string
	for range maxWalks {
		if f.cursor {
			trouble, err = l.byCursor(ctx, &walk{first: l.request + 1, total: -1}, "")
		} else {
			trouble, err = l.byIndex(ctx)
		}
		var stopped *stopError
		switch {
		case errors.As(err, &stopped):
			return stopped.err
		case err != nil:
			return fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
		case trouble == "":
			return nil
		}
		t.log.Warn("the list did not add up, reading it again", "endpoint", endpoint, "trouble", trouble)
	}
	return fmt.Errorf("%w: %s: %s", targets.ErrIncomplete, endpoint, trouble)
}

// stopError carries an error of the reader through the client, which must not take it for the target's.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// byIndex walks by startIndex and count. It returns what does not add up, "" where the list is proven complete.
func (l *listing) byIndex(ctx context.Context) (string, error) {
	w := &walk{first: l.request + 1, total: -1}
	for start := 1; ; {
		count := l.count
		if w.total >= 0 && w.distinct == w.total {
			count = 1 // only to see that nothing follows
		}
		p, err := l.page(ctx, w, index(start, count))
		if w.pages == 0 && count > 100 && errors.Is(err, targets.ErrRejected) {
			// Some refuse a count above their own limit, where the RFC would have them return fewer.
			l.count = 100
			p, err = l.page(ctx, w, index(start, l.count))
		}
		if err != nil {
			return "", err
		}
		if w.pages == 0 {
			w.oversized = p.entries > l.count
			if p.next != "" {
				w.add(p)
				return l.byCursor(ctx, w, p.next)
			}
		}
		w.add(p)
		start += p.entries
		w.blankEnd = p.entries == 0
		if p.fresh == 0 || w.distinct == w.total && (w.oversized || l.lookup) {
			break
		}
	}
	if w.total >= 0 && w.distinct < w.total && w.distinct > 0 {
		// An application that counts from 0 has not shown its first entry yet.
		if _, err := l.page(ctx, w, index(0, 1)); err != nil {
			return "", err
		}
	}
	return l.judge(w), nil
}

func (l *listing) judge(w *walk) string {
	switch {
	case w.total < 0 && w.blankEnd, !w.changed && w.distinct == w.total:
		return ""
	case w.total < 0:
		return "totalResults is missing and pages repeat"
	case w.distinct > w.largest && w.blankEnd && w.repeats == 0:
		// It counts the page instead of the list. The empty page at the end proves the rest.
		l.t.log.Warn("totalResults is too small, read to the empty page", "endpoint", l.endpoint, "totalResults", w.largest, "read", w.distinct)
		return ""
	case w.changed:
		return fmt.Sprintf("totalResults changed to %d while reading", w.total)
	}
	return fmt.Sprintf("totalResults is %d, but %d entries came (%d of them repeated)", w.total, w.distinct+w.repeats, w.repeats)
}

// byCursor walks from the cursor next, "" for the beginning.
func (l *listing) byCursor(ctx context.Context, w *walk, next string) (string, error) {
	blanks := 0
	for {
		p, err := l.page(ctx, w, url.Values{"cursor": {next}, "count": {strconv.Itoa(l.count)}})
		var refused *rest.StatusError
		if errors.As(err, &refused) && (refused.Type == "expiredCursor" || refused.Type == "invalidCursor") && w.pages > 0 {
			return "the cursor was lost: " + refused.Type, nil
		}
		if err != nil {
			return "", err
		}
		w.add(p)
		if p.entries == 0 {
			blanks++
		} else {
			blanks = 0
		}
		switch {
		case p.next == "" && w.changed:
			return fmt.Sprintf("totalResults changed to %d while reading", w.total), nil
		case p.next == "" && w.total >= 0 && w.distinct != w.total:
			return fmt.Sprintf("totalResults is %d, but %d different entries came", w.total, w.distinct), nil
		case p.next == "":
			return "", nil
		case p.next == next, p.entries > 0 && p.fresh == 0, blanks > maxBlanks:
			return "the cursor leads in a circle", nil
		}
		next = p.next
	}
}

func index(start, count int) url.Values {
	return url.Values{"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(count)}}
}

func (w *walk) add(p page) {
	w.pages++
	if p.total < 0 {
		return
	}
	// Past the end some say 0.
	if p.entries == 0 && p.total == 0 && w.total > 0 {
		return
	}
	w.changed = w.changed || w.total >= 0 && p.total != w.total
	w.total = p.total
	w.largest = max(w.largest, p.total)
}

// page reads one page, and yields of it what was not yielded before. A page that broke off and is read again counts
// once.
func (l *listing) page(ctx context.Context, w *walk, at url.Values) (page, error) {
	for name, values := range l.query {
		at[name] = values
	}
	begin := l.request + 1
	var p page
	stream := l.t.rest.StreamPage
	if l.lookup {
		stream = l.t.rest.Stream
	}
	err := stream(ctx, l.endpoint, at, func(body *rest.Body) error {
		l.request++
		p = page{total: -1}
		return p.read(body, func(r resource) error { return l.entry(w, &p, begin, r) })
	})
	return p, err
}

// entry counts one entry of the page whose first request was begin, and yields it where it is new.
func (l *listing) entry(w *walk, p *page, begin uint32, r resource) error {
	id := r.id()
	if id == "" {
		return fmt.Errorf("%w: an entry without an id", targets.ErrRejected)
	}
	p.entries++
	k := keyOf(string(id))
	last, known := l.seen[k]
	l.seen[k] = l.request
	switch {
	case last == l.request || last >= w.first && last < begin:
		w.repeats++
		return nil
	case last >= begin: // in the part that came before the page broke off
		p.fresh++
		return nil
	}
	p.fresh++
	w.distinct++
	if w.distinct > maxEntries {
		return fmt.Errorf("%w: more than %d entries", targets.ErrRejected, maxEntries)
	}
	if known {
		return nil
	}
	if err := l.yield(r); err != nil {
		return &stopError{err}
	}
	return nil
}

// A body is what a page is read from. Renew is called before each value.
type body interface {
	io.Reader
	Renew()
}

// read reads a ListResponse, RFC 7644 §3.4.2, one resource at a time, whatever the order of its members.
func (p *page) read(from body, each func(resource) error) error {
	dec := json.NewDecoder(from)
	dec.UseNumber()
	if err := open(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		from.Renew()
		name, err := dec.Token()
		if err != nil {
			return broken(err)
		}
		word, _ := name.(string)
		switch strings.ToLower(word) {
		case "resources":
			p.hasResources = true
			err = readResources(dec, from, each)
		case "totalresults":
			err = p.readTotal(dec)
		case "nextcursor":
			var next *string
			if err = dec.Decode(&next); err == nil && next != nil {
				p.next = *next
			}
			err = broken(err)
		default:
			var skipped json.RawMessage
			err = broken(dec.Decode(&skipped))
		}
		if err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return broken(err)
	}
	if p.total < 0 && !p.hasResources {
		return fmt.Errorf("%w: the answer is not a SCIM list", targets.ErrRejected)
	}
	return nil
}

func (p *page) readTotal(dec *json.Decoder) error {
	var v any
	if err := dec.Decode(&v); err != nil {
		return broken(err)
	}
	n, err := strconv.Atoi(plain(v))
	if err != nil || n < 0 {
		return fmt.Errorf("%w: totalResults is %v", targets.ErrRejected, v)
	}
	p.total = n
	return nil
}

func readResources(dec *json.Decoder, from body, each func(resource) error) error {
	first, err := dec.Token()
	switch {
	case err != nil:
		return broken(err)
	case first == nil:
		return nil
	case first != json.Delim('['):
		return fmt.Errorf("%w: Resources is not a list", targets.ErrRejected)
	}
	for dec.More() {
		from.Renew()
		var item any // decoding into a named map takes half as long again
		if err := dec.Decode(&item); err != nil {
			return broken(err)
		}
		entry, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("%w: a resource is no object", targets.ErrRejected)
		}
		if err := each(entry); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return broken(err)
}

func open(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return broken(err)
	}
	if got != want {
		return fmt.Errorf("%w: the answer is not a SCIM list", targets.ErrRejected)
	}
	return nil
}

// broken classes a syntax error: a proxy's page, or an answer cut off. Both may be better the next time.
func broken(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: the answer is not JSON: %w", targets.ErrUnavailable, err)
}
