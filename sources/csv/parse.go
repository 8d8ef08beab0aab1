package csv

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxRow bounds one row, line breaks in quotes included: a quote that is never closed must not take the rest of a large
// file into memory.
const maxRow = 1 << 20

// A lineError is what is wrong with a file at one of its lines, and what to do about it.
type lineError struct {
	line int
	what string
	cure string
}

func (e *lineError) Error() string {
	text := fmt.Sprintf("line %d: %s", e.line, e.what)
	if e.line == 0 {
		text = e.what
	}
	if e.cure != "" {
		text += ": " + e.cure
	}
	return text
}

// A row is one record of a file. Its fields are valid until the next one is read.
type row struct {
	line   int // of the file, where it begins; the first is 1
	fields [][]byte
}

// blank reports whether nothing is in the row: spreadsheets write rows of delimiters alone.
func (r row) blank() bool {
	for _, field := range r.fields {
		if len(bytes.TrimSpace(field)) > 0 {
			return false
		}
	}
	return true
}

// A parser reads rows as RFC 4180 has them, strictly: what other readers guess at (a quote within a field, text after a
// closing quote, a quote that is never closed) ends the read, since a guess may swallow or invent rows. Lines end in LF or
// CRLF, and blank ones count for nothing.
type parser struct {
	in        *bufio.Reader // of UTF-8 text
	delimiter byte
	native    bool // the file itself is UTF-8, so that U+FFFD is a character of its own and no broken one
	line      int  // read so far
	open      bool // the last line that was read had no line break after it
	text      []byte
	long      []byte // a line that is longer than the reader's buffer
	buffer    []byte
	ends      []int
	fields    [][]byte
}

const quoteCure = `have the export write a quote within a field twice ("") and put such a field into quotes (RFC 4180)`

// next reads one row; io.EOF where there is none.
func (p *parser) next() (row, error) {
	if err := p.readLine(); err != nil {
		return row{}, err
	}
	return p.row()
}

// row parses the row that begins with the line which was read last.
func (p *parser) row() (row, error) {
	r := row{line: p.line}
	p.buffer, p.ends = p.buffer[:0], p.ends[:0]
	for at := 0; ; at++ { // over the delimiter
		var err error
		if at < len(p.text) && p.text[at] == '"' {
			at, err = p.quoted(at+1, r.line)
		} else {
			at, err = p.plain(at)
		}
		if err != nil {
			return row{}, err
		}
		p.ends = append(p.ends, len(p.buffer))
		if at == len(p.text) {
			break
		}
	}
	p.fields = p.fields[:0]
	from := 0
	for _, end := range p.ends {
		p.fields = append(p.fields, p.buffer[from:end])
		from = end
	}
	r.fields = p.fields
	return r, nil
}

// plain takes a field without quotes in, and returns where it ends.
func (p *parser) plain(at int) (int, error) {
	field := p.text[at:]
	if end := bytes.IndexByte(field, p.delimiter); end >= 0 {
		field = field[:end]
	}
	if bytes.IndexByte(field, '"') >= 0 {
		return 0, &lineError{p.line, fmt.Sprintf("a quote within the field %.40q", field), quoteCure}
	}
	p.buffer = append(p.buffer, field...)
	return at + len(field), nil
}

// quoted takes a field in from behind its opening quote, over line breaks, and returns where it ends.
func (p *parser) quoted(at, begun int) (int, error) {
	opened := p.line
	for {
		end := bytes.IndexByte(p.text[at:], '"')
		if end < 0 {
			p.buffer = append(append(p.buffer, p.text[at:]...), '\n')
			if len(p.buffer) > maxRow {
				return 0, &lineError{opened, fmt.Sprintf("a quote is opened, and not closed within %d bytes", maxRow), quoteCure}
			}
			if err := p.readLine(); errors.Is(err, io.EOF) {
				return 0, &lineError{
					opened, "a quote is opened, and the file ends without closing it",
					"the file is cut, or the quote does not belong there; have it written anew",
				}
			} else if err != nil {
				return 0, err
			}
			at = 0
			continue
		}
		p.buffer = append(p.buffer, p.text[at:at+end]...)
		at += end + 1
		switch {
		case at == len(p.text) || p.text[at] == p.delimiter:
			return at, nil
		case p.text[at] == '"':
			p.buffer = append(p.buffer, '"')
			at++
		default:
			what := fmt.Sprintf("text after a closing quote, %.40q", p.text[at:])
			if p.line > begun {
				what += fmt.Sprintf(" (the row begins at line %d, and a quote there may lack its end)", begun)
			}
			return 0, &lineError{p.line, what, quoteCure}
		}
	}
}

// readLine reads one line into p.text, without its end; io.EOF where there is none.
func (p *parser) readLine() error {
	text, err := p.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		text, err = p.readLong(text)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(text) == 0 {
		return io.EOF
	}
	p.line++
	p.open = text[len(text)-1] != '\n'
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	p.text = text
	return p.readable()
}

// readLong goes on with a line that is longer than the reader's buffer.
func (p *parser) readLong(begun []byte) ([]byte, error) {
	p.long = append(p.long[:0], begun...)
	for {
		text, err := p.in.ReadSlice('\n')
		if p.long = append(p.long, text...); len(p.long) > maxRow {
			return nil, &lineError{
				p.line + 1, fmt.Sprintf("it is longer than %d bytes", maxRow),
				"this is no line of a list of people; have each person written to a line of their own",
			}
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return p.long, err
		}
	}
}

// readable refuses a line that is not text in the encoding that the file is read in.
func (p *parser) readable() error {
	const cure = `declare what the export writes, such as encoding = "windows-1252", "iso-8859-15" or "utf-16le"`
	switch {
	case bytes.IndexByte(p.text, 0) >= 0:
		return &lineError{
			p.line, "a NUL byte",
			`the file is UTF-16 without a byte order mark (declare encoding = "utf-16le"), or a part of it was never written: ` +
				"have it written anew",
		}
	case !utf8.Valid(p.text):
		shown := strings.ToValidUTF8(string(p.text), "?")
		return &lineError{p.line, fmt.Sprintf("bytes that are no UTF-8 text, in %.40q", shown), cure}
	case !p.native && bytes.ContainsRune(p.text, utf8.RuneError):
		return &lineError{p.line, "bytes that are no text in this encoding", cure + "; or the file is cut"}
	case bytes.IndexByte(p.text, '\r') >= 0:
		return &lineError{p.line, "a carriage return without a line feed", "have the export end its lines with LF or CRLF"}
	}
	return nil
}
