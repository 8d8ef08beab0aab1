package csv

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// bufferSize is that of a file's reader.
const bufferSize = 64 << 10

// A scan is what one pass over a file showed.
type scan struct {
	header
	encoding string
	rows     int
	last     int    // line
	cut      bool   // the last line has no line break
	sum      string // sha256 of the bytes, in hexadecimal
}

// pass reads a file from its beginning to its end, and hands out each row. An error means that the file, or what was read
// of it, is not a whole list.
func (b *block) pass(ctx context.Context, p *part, each func(h header, r row) error) (scan, error) {
	if err := p.again(); err != nil {
		return scan{}, err
	}
	sum := sha256.New()
	d, err := decoded(bufio.NewReaderSize(io.TeeReader(p.file, sum), bufferSize), b.encoding)
	if err != nil {
		return scan{}, err
	}
	in := &parser{in: bufio.NewReaderSize(d.text, bufferSize), native: d.native}
	out := scan{encoding: d.name}
	if out.header, err = b.readHeader(in); err != nil {
		return scan{}, err
	}
	end := b.complete.trailerOf()
	for {
		if ctx.Err() != nil {
			return scan{}, context.Cause(ctx)
		}
		if err := in.readLine(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return scan{}, err
		}
		out.last, out.cut = in.line, in.open
		if end.line == 0 && end.is(in.text, in.line) {
			continue
		}
		r, err := in.row()
		if err != nil {
			return scan{}, err
		}
		out.last, out.cut = in.line, in.open
		if r.blank() {
			continue
		}
		if err := out.fits(r, end); err != nil {
			return scan{}, err
		}
		out.rows++
		if err := each(out.header, r); err != nil {
			return scan{}, err
		}
	}
	if d.multibyte.utf8() {
		return scan{}, &lineError{
			0, fmt.Sprintf("encoding says %q, and the file is UTF-8", d.name),
			`letters with accents would come out wrong: write encoding = "utf-8"`,
		}
	}
	out.sum = hex.EncodeToString(sum.Sum(nil))
	return out, end.judge(b.complete.trailer, out.rows, out.last)
}

// fits refuses a row that has not as many fields as the header, or comes after the trailer.
func (s *scan) fits(r row, end *trailer) error {
	switch {
	case end.line > 0:
		return &lineError{
			r.line, fmt.Sprintf("a row after the last line, which is line %d", end.line),
			"two exports are in one file: have it written anew",
		}
	case len(r.fields) < s.width:
		return &lineError{
			r.line, fmt.Sprintf("%d fields, and the header has %d", len(r.fields), s.width),
			"the row is cut, or a delimiter is missing: have the file written anew",
		}
	case len(r.fields) > s.width:
		return &lineError{
			r.line, fmt.Sprintf("%d fields, and the header has %d", len(r.fields), s.width),
			"a field with a delimiter in it has to be in quotes: have the file written anew",
		}
	}
	return nil
}
