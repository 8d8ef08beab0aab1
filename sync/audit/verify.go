package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Summary is what a verification saw.
type Summary struct {
	Records int       `json:"records"`
	First   uint64    `json:"first"` // the first record's Seq; more than 1 where older ones were pruned or set aside
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Head    Head      `json:"head"`
}

// A LineError says where a trail is broken. It is an ErrBroken.
type LineError struct {
	File string // "" where that is not known
	Line int    // 1 for the first of its file
	Err  error
}

func (e *LineError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// A chain follows records.
type chain struct {
	link
	any     bool // a record was seen
	wanted  *Head
	matched bool // the wanted head was seen
}

func (c *chain) follow(line []byte) error {
	l, err := parseLink(line)
	switch {
	case err != nil:
		return err
	case c.any && l.seq != c.seq+1:
		return fmt.Errorf("%w: record %d comes after record %d", ErrBroken, l.seq, c.seq)
	case c.any && l.prev != c.hash, !c.any && (l.seq == 1) != (l.prev == ""), l.seq == 0:
		return fmt.Errorf("%w: record %d does not follow from the one before", ErrBroken, l.seq)
	case c.wanted != nil && l.seq == c.wanted.Seq && l.hash != c.wanted.Hash:
		return fmt.Errorf("%w: record %d is not the one that was written", ErrBroken, l.seq)
	case c.wanted != nil && l.seq == c.wanted.Seq:
		c.matched = true
	}
	c.link, c.any = l, true
	return nil
}

// end checks that the chain reached the wanted head.
func (c *chain) end() error {
	switch {
	case c.wanted == nil || c.wanted.Seq == 0 || c.matched:
		return nil
	case c.seq < c.wanted.Seq:
		return fmt.Errorf("%w: it ends with record %d, and record %d was written", ErrCut, c.seq, c.wanted.Seq)
	}
	return fmt.Errorf("%w: record %d is missing", ErrBroken, c.wanted.Seq)
}

// lines calls fn with each line of r, without its newline, and its number. What follows the last newline is returned as
// its length.
func lines(r io.Reader, fn func(line []byte, number int) error) (torn int, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var long []byte
	for number := 1; ; {
		part, err := in.ReadSlice('\n')
		long = append(long, part...)
		switch {
		case err == io.EOF:
			return len(long), nil
		case errors.Is(err, bufio.ErrBufferFull):
			if len(long) > MaxRecord {
				return 0, &LineError{Line: number, Err: fmt.Errorf("%w: a line of more than %d bytes", ErrBroken, MaxRecord)}
			}
			continue
		case err != nil:
			return 0, err
		}
		if err := fn(long[:len(long)-1], number); err != nil {
			return 0, err
		}
		long = long[:0]
		number++
	}
}

// A verifier follows a trail over its files.
type verifier struct {
	chain
	each    func(line []byte) error // called with every line; nil for nobody
	growing bool                    // another process may be writing the last line
	summary Summary
	before  string            // the first record's Prev
	gone    uint64            // the greatest Upto seen
	ends    map[uint64]string // by Upto, the hash of that record
}

// read verifies one file, or a part of one. name is for errors.
func (v *verifier) read(ctx context.Context, r io.Reader, name string, last bool) error {
	seen := 0
	torn, err := lines(r, func(line []byte, number int) error {
		seen = number
		err := v.record(line)
		if err == nil && number%1024 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return &LineError{File: name, Line: number, Err: err}
		}
		if v.each != nil {
			return v.each(line)
		}
		return nil
	})
	if err == nil && torn > 0 && !(v.growing && last) {
		err = &LineError{File: name, Line: seen + 1, Err: fmt.Errorf("%w: the last line is not complete", ErrBroken)}
	}
	return err
}

func (v *verifier) record(line []byte) error {
	if err := v.follow(line); err != nil {
		return err
	}
	var record struct { // what is needed of it: decoding it all takes four times as long
		At     time.Time
		Kind   Kind
		Upto   uint64
		Digest string
	}
	if err := decode(line, &record); err != nil {
		return err
	}
	if v.summary.Records == 0 {
		v.summary.First, v.summary.From, v.before = v.seq, record.At, v.prev
	}
	if (record.Kind == Prune || record.Kind == Restart) && record.Upto > 0 {
		v.gone = max(v.gone, record.Upto)
		if v.ends == nil {
			v.ends = map[uint64]string{}
		}
		v.ends[record.Upto] = record.Digest
	}
	v.summary.Records++
	v.summary.To = record.At
	v.summary.Head = Head{Seq: v.seq, Hash: v.hash}
	return nil
}

func (v *verifier) end() error {
	if missing := v.summary.First - 1; v.summary.First > 1 {
		hash, told := v.ends[missing]
		switch {
		case v.gone < missing:
			return fmt.Errorf("%w: it begins with record %d, and no record tells that older ones were removed", ErrBroken, v.summary.First)
		case told && hash != v.before:
			return fmt.Errorf("%w: record %d does not follow from the last one that was removed", ErrBroken, v.summary.First)
		}
	}
	return v.chain.end()
}

// Verify reads a whole trail and reports the first cut, edit, repetition or change of order, as a *LineError where it
// has a line. A cut at the very end shows only where head, kept elsewhere, is given; the trail may be longer than head.
func Verify(r io.Reader, head *Head) (Summary, error) {
	v := &verifier{chain: chain{wanted: head}}
	err := v.read(context.Background(), r, "", true)
	if err == nil {
		err = v.end()
	}
	return v.summary, err
}

// VerifyFiles is Verify for the trail at path, with the files that were rotated away from it.
func VerifyFiles(ctx context.Context, path string, head *Head) (Summary, error) {
	files, err := trailFiles(path)
	if err != nil {
		return Summary{}, err
	}
	v := &verifier{chain: chain{wanted: head}}
	return v.files(ctx, files)
}

func (v *verifier) files(ctx context.Context, files []file) (Summary, error) {
	for i, file := range files {
		last := i == len(files)-1
		if err := file.read(func(r io.Reader) error { return v.read(ctx, r, file.path, last) }); err != nil {
			return v.summary, err
		}
	}
	return v.summary, v.end()
}
