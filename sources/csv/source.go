package csv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A source is one opened block.
type source struct {
	block
	name string
	need sources.Need
	log  hclog.Logger
	now  func() time.Time
	look time.Duration // how often Watch looks by itself
}

// errStopped says that nobody wants the rest.
var errStopped = errors.New("the reading was stopped")

// Close implements sources.Source. Nothing stays open between reads.
func (s *source) Close() error { return nil }

// Selection implements sources.Selective.
func (s *source) Selection() (anchor string, settings map[string]uint64) {
	settings = map[string]uint64{
		"files": xxhash.Sum64String(strings.Join(s.patterns, "\x00")), "newest": xxhash.Sum64String(fmt.Sprint(s.newest)),
	}
	if s.status != nil {
		settings["status.column"] = xxhash.Sum64String(plainName(s.columns[s.status.column]))
		settings["status.active"] = xxhash.Sum64String(strings.Join(s.status.active, "\x00"))
		settings["status.left"] = xxhash.Sum64String(strings.Join(s.status.left, "\x00"))
	}
	return plainName(s.columns[s.anchor]), settings
}

// People implements sources.Source.
func (s *source) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return s.PeopleAndFacts(ctx, new(sources.ReadFacts))
}

// PeopleAndFacts implements sources.FactReader. The files are read twice: nobody is handed out before all of them are
// known to be whole, and who is in them twice is known before the first of the two rows is met.
func (s *source) PeopleAndFacts(ctx context.Context, facts *sources.ReadFacts) iter.Seq2[identity.Person, error] {
	return func(yield func(identity.Person, error) bool) {
		found, err := s.read(ctx, yield)
		switch {
		case err == nil:
			*facts = *found
		case !errors.Is(err, errStopped):
			yield(identity.Person{}, s.incomplete(err))
		}
	}
}

// A listError is why a list of people is not read.
type listError struct {
	source string
	err    error
}

func (e *listError) Error() string { return e.source + ": " + e.err.Error() }

func (e *listError) Unwrap() []error { return []error{sources.ErrIncomplete, e.err} }

func (s *source) incomplete(err error) error { return &listError{s.name, err} }

func (s *source) read(ctx context.Context, yield func(identity.Person, error) bool) (*sources.ReadFacts, error) {
	l, met, err := s.whole(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	r := &reading{source: s, facts: s.facts(l), asked: s.counted()}
	if r.twice, err = met.twice(l); err != nil {
		return nil, err
	}
	for _, p := range l {
		again, err := s.pass(ctx, p, func(h header, row row) error { return r.hand(ctx, p, h, row, yield) })
		switch {
		case errors.Is(err, errStopped) || ctx.Err() != nil:
			return nil, err
		case p.unchanged() != nil || err == nil && again.sum != p.scan.sum:
			return nil, &changedError{p.shown}
		case err != nil:
			return nil, p.wrong(err)
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r.facts, nil
}

// facts are those of the files as they are open.
func (s *source) facts(l list) *sources.ReadFacts {
	now := currency(l)
	f := &sources.ReadFacts{
		Server: strings.Join(s.patterns, ", "), From: now, Until: now, Version: s.version(l),
		Attributes: map[string]int{}, Stale: map[string]string{},
	}
	for _, name := range s.counted() {
		f.Attributes[name] = 0
	}
	for _, p := range l {
		if stale := s.stale(p); stale != "" {
			f.Stale[p.shown] = stale
		}
	}
	return f
}

// counted are the attributes that are asked for, and that by which it is known who is active.
func (s *source) counted() []string {
	names := slices.Clone(s.need.Attributes)
	if s.status != nil && !slices.Contains(names, s.status.column) {
		names = append(names, s.status.column)
	}
	return names
}

// currency says how current a list is: for each pattern how many files it finds, and when the newest and the oldest of
// them were written. A list with an older file, or a file less, is older than one that was read before.
func currency(l list) sources.Currency {
	type position struct {
		files          int
		newest, oldest int64
	}
	at := map[string]position{}
	for _, p := range l {
		written := max(0, p.info.ModTime().UnixNano())
		now, known := at[p.pattern]
		now.files++
		now.newest = max(now.newest, written)
		if !known || written < now.oldest {
			now.oldest = written
		}
		at[p.pattern] = now
	}
	c := sources.Currency{}
	for pattern, now := range at {
		c[pattern] = fmt.Sprintf("%04d %019d %019d", now.files, now.newest, now.oldest)
	}
	return c
}

// version is what messages call the list as it is.
func (s *source) version(l list) string {
	newest := l[0]
	for _, p := range l {
		if p.info.ModTime().After(newest.info.ModTime()) {
			newest = p
		}
	}
	return fmt.Sprintf("%s of %s", newest.shown, minute(newest.info.ModTime()))
}

// minute is how messages write when a file was written.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// stale says that a file is older than it should be; "" where it is not.
func (s *source) stale(p *part) string {
	age := s.now().Sub(p.info.ModTime())
	if age <= s.maxAge {
		return ""
	}
	return fmt.Sprintf(
		"%s was written %s, %s ago, and max_age is %s",
		p.shown, minute(p.info.ModTime()), span(age.Truncate(time.Minute)), span(s.maxAge),
	)
}

// span writes a duration as people do: "36h", "90m" rather than "36h0m0s".
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
