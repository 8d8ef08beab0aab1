package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// The bounds of a record, in bytes of JSON (R18). Whoever can make an attribute long must not be able to stop a target
// by that: what exceeds them is replaced, never refused.
const (
	MaxRecord = 64 << 10 // a line, newline included
	MaxValue  = 4 << 10  // one attribute's value; a longer one becomes {"bytes": …, "sha256": …}
	MaxText   = 2 << 10  // any other text; a longer one keeps its beginning, its length and its hash
)

// line returns a record's line and hash, within the bounds.
func line(r Record) (line []byte, hash string, err error) {
	line, hash, err = seal(r)
	if err == nil && len(line) <= MaxText {
		return line, hash, nil // nothing in it can be too long
	}
	r = bounded(r)
	line, hash, err = seal(r)
	if err != nil || len(line) <= MaxRecord {
		return line, hash, err
	}
	r.Shortened = fmt.Sprintf("before and after: %s", omitted(r.Before, r.After))
	r.Before, r.After = nil, nil
	line, hash, err = seal(r)
	if err != nil || len(line) <= MaxRecord {
		return line, hash, err
	}
	r.Shortened = fmt.Sprintf("%s; %d closing steps", r.Shortened, len(r.Steps))
	r.Steps = nil
	return seal(r)
}

// bounded shortens what is too long by itself, and makes what JSON cannot hold something that it can.
func bounded(r Record) Record {
	for _, text := range []*string{
		(*string)(&r.Kind), &r.Pass, &r.Case, &r.Op, &r.Step, &r.Cause, &r.Rule, &r.Source, &r.Target, &r.Person, &r.Name, &r.DN, &r.Account,
		&r.UserName, &r.Proof, &r.Reason, &r.Outcome, &r.Error, &r.RequestID, &r.Seen, &r.Actor, &r.Note, &r.Digest, &r.Key, &r.Shortened,
	} {
		*text = shorten(*text)
	}
	for _, at := range []*time.Time{&r.At, &r.Left, &r.Noticed} {
		*at = boundedTime(*at)
	}
	r.Before, r.After = boundedValues(r.Before), boundedValues(r.After)
	r.Steps = slices.Clone(r.Steps)
	for i := range r.Steps {
		s := &r.Steps[i]
		s.Name, s.Outcome, s.Why, s.At = shorten(s.Name), shorten(s.Outcome), shorten(s.Why), boundedTime(s.At)
	}
	return r
}

// boundedTime is a time that JSON can hold.
func boundedTime(at time.Time) time.Time {
	if year := at.Year(); year < 1 || year > 9999 {
		return time.Unix(0, 0).UTC()
	}
	return at
}

func boundedValues(values Values) Values {
	if values == nil {
		return nil
	}
	short := make(Values, len(values))
	for path, value := range values {
		switch {
		case len(value) > MaxValue:
			value = identity.Value(fmt.Sprintf(`{"bytes":%d,"sha256":"%s"}`, len(value), digest([]byte(value))))
		case value != "" && !json.Valid([]byte(value)):
			value = identity.Text(shorten(string(value)))
		}
		short[shorten(path)] = value
	}
	return short
}

// omitted names values that a record has no room for.
func omitted(before, after Values) string {
	raw, err := encode([]Values{before, after})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d and %d attributes, %d bytes, SHA-256 %s", len(before), len(after), len(raw), digest(raw))
}

// shorten bounds a text to MaxText bytes of JSON: a longer one keeps its beginning, and ends in its length and hash.
func shorten(text string) string {
	const room = MaxText - 128 // for what is put behind it, and the quotes
	cost, keep := 0, 0
	for i, r := range text {
		if cost <= room {
			keep = i
		}
		if cost += costOf(r); cost > MaxText-2 {
			return fmt.Sprintf("%s… (%d bytes, SHA-256 %s)", text[:keep], len(text), digest([]byte(text)))
		}
	}
	return text
}

// costOf is how many bytes of JSON a character takes, at most.
func costOf(r rune) int {
	switch {
	case r == '"' || r == '\\':
		return len(`\"`)
	case r < 0x20 || r == '\u2028' || r == '\u2029' || r == utf8.RuneError:
		return len(`\u0000`)
	}
	return utf8.RuneLen(r)
}
