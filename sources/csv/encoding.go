package csv

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// The encodings that a byte order mark or a look at the bytes tells.
const (
	utf8Name    = "utf-8"
	utf16Name   = "utf-16" // by its byte order mark
	utf16LEName = "utf-16le"
	utf16BEName = "utf-16be"
)

// singleByte are the encodings that have to be declared: any bytes are text in them.
func singleByte() map[string]*charmap.Charmap {
	return map[string]*charmap.Charmap{
		"windows-1250": charmap.Windows1250, "windows-1252": charmap.Windows1252,
		"iso-8859-1": charmap.ISO8859_1, "iso-8859-2": charmap.ISO8859_2, "iso-8859-15": charmap.ISO8859_15,
	}
}

// encodings are the names that a config may declare.
func encodings() []string {
	return append([]string{utf8Name, utf16Name, utf16LEName, utf16BEName}, slices.Sorted(maps.Keys(singleByte()))...)
}

// marks are the byte order marks, and what they tell.
func marks() []struct{ mark, name string } {
	return []struct{ mark, name string }{
		{"\xef\xbb\xbf", utf8Name}, {"\xff\xfe", utf16LEName}, {"\xfe\xff", utf16BEName},
	}
}

// A decoding is how the bytes of one file become text.
type decoding struct {
	name   string
	text   io.Reader
	native bool // the file is UTF-8 itself
	// multibyte watches a file that is declared as one of the single-byte encodings; nil otherwise.
	multibyte *multibyte
}

// decoded reads a file's bytes in the declared encoding, or, where none is declared, in the one that its byte order mark
// tells, or as UTF-8.
func decoded(in *bufio.Reader, declared string) (decoding, error) {
	start, err := in.Peek(4)
	if err != nil && len(start) == 0 && !errors.Is(err, io.EOF) {
		return decoding{}, err
	}
	found, size := "", 0
	for _, m := range marks() {
		if bytes.HasPrefix(start, []byte(m.mark)) {
			found, size = m.name, len(m.mark)
		}
	}
	if string(start) == "\xff\xfe\x00\x00" {
		return decoding{}, &lineError{1, "the file is UTF-32", "have the export write UTF-8"}
	}
	wide := found == utf16LEName || found == utf16BEName
	switch agrees := declared == "" || declared == found || declared == utf16Name && wide; {
	case found != "" && !agrees:
		return decoding{}, &lineError{
			1, fmt.Sprintf("the file begins with the byte order mark of %s, and encoding says %q", found, declared),
			"take encoding away, or have the export write what it says",
		}
	case declared == utf16Name && found == "":
		return decoding{}, &lineError{
			1, `encoding says "utf-16", and the file has no byte order mark`,
			`declare "utf-16le" or "utf-16be"; or the file is damaged`,
		}
	case found != "":
		declared = found
	case declared == "":
		declared = utf8Name
	}
	if _, err := in.Discard(size); err != nil {
		return decoding{}, err
	}
	d := decoding{name: declared, text: in}
	var how encoding.Encoding
	switch table := singleByte()[declared]; {
	case table != nil:
		d.multibyte = &multibyte{in: in}
		d.text, how = d.multibyte, table
	case declared == utf16LEName:
		how = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case declared == utf16BEName:
		how = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	default:
		d.native = true
		return d, nil
	}
	d.text = transform.NewReader(d.text, how.NewDecoder())
	return d, nil
}

// A multibyte watches whether what is declared as a single-byte encoding is UTF-8 throughout, with letters that take
// several bytes: by chance it never is, and read as declared each of them would become two wrong ones.
type multibyte struct {
	in      io.Reader
	rest    []byte // the beginning of a character whose end has not come
	letters int
	broken  bool
}

func (m *multibyte) Read(p []byte) (int, error) {
	n, err := m.in.Read(p)
	if m.broken {
		return n, err
	}
	text := append(m.rest, p[:n]...)
	for len(text) > 0 && !m.broken {
		if text[0] < utf8.RuneSelf {
			text = text[1:]
			continue
		}
		if !utf8.FullRune(text) {
			break
		}
		r, size := utf8.DecodeRune(text)
		m.broken = r == utf8.RuneError && size == 1
		m.letters++
		text = text[size:]
	}
	m.rest = append(m.rest[:0], text...)
	return n, err
}

// utf8 reports, at the end of the file, whether it is UTF-8.
func (m *multibyte) utf8() bool {
	return m != nil && !m.broken && m.letters > 0 && len(m.rest) == 0
}
