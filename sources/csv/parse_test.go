package csv

import (
	"bufio"
	"bytes"
	stdcsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
)

// parsed are all rows of a text, each field in its quotes and each row behind its line.
func parsed(text string) (rows []string, err error) {
	p := &parser{in: bufio.NewReaderSize(strings.NewReader(text), 16), delimiter: ',', native: true}
	for {
		r, err := p.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, fmt.Sprintf("%d %q", r.line, r.fields))
	}
}

func TestRows(t *testing.T) {
	long := strings.Repeat("long ", 20)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"plain":                       {"a,b\n1,2\n", []string{`1 ["a" "b"]`, `2 ["1" "2"]`}},
		"CRLF":                        {"a,b\r\n1,2\r\n", []string{`1 ["a" "b"]`, `2 ["1" "2"]`}},
		"no line break at the end":    {"a,b\n1,2", []string{`1 ["a" "b"]`, `2 ["1" "2"]`}},
		"empty fields":                {",\n", []string{`1 ["" ""]`}},
		"quotes":                      {`"a","b ""c""",""` + "\n", []string{`1 ["a" "b \"c\"" ""]`}},
		"a delimiter in quotes":       {`"a,b",c` + "\n", []string{`1 ["a,b" "c"]`}},
		"line breaks in quotes":       {"\"a\r\nb\n\",c\nd,e\n", []string{`1 ["a\nb\n" "c"]`, `4 ["d" "e"]`}},
		"longer than the buffer":      {long + ",\"" + long + "\"\n", []string{fmt.Sprintf("1 [%q %q]", long, long)}},
		"spaces belong to the field":  {" a , b\n", []string{`1 [" a " " b"]`}},
		"letters of more than a byte": {"Müller,é\n", []string{`1 ["Müller" "é"]`}},
		"nothing":                     {"", nil},
	} {
		got, err := parsed(c.text)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestH2BadQuoteEndsTheRead: where other readers stop without a word, or guess, this one names the line.
func TestH2BadQuoteEndsTheRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"text after a closing quote": {"a,b\n10,\"abc\"d,xy\n", `line 2: text after a closing quote, "d,xy"`},
		"a quote within a field":     {"a,b\n10,a\"b\n", `line 2: a quote within the field "a\"b"`},
		"never closed":               {"a,b\n10,\"ab\n11,x\n", "line 2: a quote is opened, and the file ends without closing it"},
		"swallows rows":              {"1,\"ab\n2,c\n3,d\n4,\"e\"\n", `line 4: text after a closing quote, "e\"" (the row begins at line 1, and a quote there may lack its end)`},
		"swallows a large file":      {"1,\"ab\n" + strings.Repeat("2,c\n", maxRow/4), fmt.Sprintf("line 1: a quote is opened, and not closed within %d bytes", maxRow)},
		"a line without an end":      {"1,2\n" + strings.Repeat("x", maxRow+1), fmt.Sprintf("line 2: it is longer than %d bytes", maxRow)},
		"a carriage return alone":    {"1,2\r3,4\n", "line 1: a carriage return without a line feed"},
		"NUL":                        {"1,\x00\n", "line 1: a NUL byte"},
		"no UTF-8":                   {"1,2\n1,\xfc\n", "line 2: bytes that are no UTF-8 text"},
	} {
		_, err := parsed(c.text)
		at := (*lineError)(nil)
		if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), c.want) || at.cure == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRows: no bytes make the parser panic, or hand out more than it was given; and what it accepts, Go's own reader reads
// in the same way.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\"a\"\"b\",\n", "\"a\nb\",c\r\n", "a\"b", "\"", "\xff\xfea\x00", "a,\r\n\n,\n", "\"\r\n\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.HasSuffix(text, []byte("\r")) { // of the last line of all, either reader takes it for half a line break
			t.Skip()
		}
		p := &parser{in: bufio.NewReaderSize(bytes.NewReader(text), 16), delimiter: ',', native: true}
		var rows [][]string
		size := 0
		for {
			r, err := p.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				if err.Error() == "" {
					t.Error("an error without words")
				}
				return
			}
			if len(r.fields) == 1 && len(r.fields[0]) == 0 && !bytes.HasPrefix(p.text, []byte(`"`)) {
				continue // a blank line
			}
			var fields []string
			for _, field := range r.fields {
				size += len(field)
				fields = append(fields, string(field))
			}
			rows = append(rows, fields)
		}
		if size > len(text) {
			t.Errorf("%d bytes of %d", size, len(text))
		}
		other := stdcsv.NewReader(bytes.NewReader(text))
		other.FieldsPerRecord = -1
		want, err := other.ReadAll()
		if err != nil {
			t.Fatalf("%q is accepted, and not by encoding/csv: %v", text, err)
		}
		if !slices.EqualFunc(rows, want, slices.Equal) {
			t.Errorf("%q:\n%q\n%q", text, rows, want)
		}
	})
}

// FuzzFile: whatever is in a file, and beside it, it is read whole or refused with a reason.
func FuzzFile(f *testing.F) {
	good := "No,Login\n1,ann\n2,\"b\"\"ob\"\n"
	for _, seed := range []string{good, good + good, "\xff\xfeN\x00o\x00", "sep=;\nNo;Login\n1;2\n", good + "END;2\n", "END;1", "\xef\xbb\xbf" + good} {
		for way := range byte(6) {
			f.Add([]byte(seed), []byte(strings.Repeat("0", 64)), way)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, beside []byte, way byte) {
		ways := []string{
			"", `encoding = "windows-1252"`, `encoding = "utf-16le"`, `encoding = "utf-16"`,
			"complete {\ntrailer = \"END;{rows}\"\n}", "complete {\nsha256 = \"{file}.sha256\"\n}",
		}
		s := open(t, dir, small("files = \"p.csv\"\nsettle = \"1ns\"\n"+ways[int(way)%len(ways)]), sources.Need{})
		c := newClock()
		c.write(t, filepath.Join(dir, "p.csv"), string(text))
		c.write(t, filepath.Join(dir, "p.csv.sha256"), string(beside))
		who, wrong, facts, err := read(t, s)
		switch {
		case err != nil && (len(who) > 0 || len(wrong) > 0 || !errors.Is(err, sources.ErrIncomplete)):
			t.Errorf("%d people, %d unreadable, %v", len(who), len(wrong), err)
		case err == nil && facts.People != len(who)+len(wrong):
			t.Errorf("%d people, %d unreadable, and the facts say %d", len(who), len(wrong), facts.People)
		}
	})
}

func TestEncodings(t *testing.T) {
	utf16 := func(big bool, text string) string {
		var out []byte
		for _, r := range text {
			pair := []byte{byte(r), byte(r >> 8)}
			if big {
				slices.Reverse(pair)
			}
			out = append(out, pair...)
		}
		return string(out)
	}
	for name, c := range map[string]struct{ bytes, declared, encoding, err string }{
		"UTF-8":                    {"Müller", "", "utf-8", ""},
		"UTF-8 with a mark":        {"\xef\xbb\xbfMüller", "", "utf-8", ""},
		"UTF-8 with a mark, too":   {"\xef\xbb\xbfMüller", "utf-8", "utf-8", ""},
		"UTF-16":                   {"\xff\xfe" + utf16(false, "Müller"), "", "utf-16le", ""},
		"UTF-16, declared":         {"\xff\xfe" + utf16(false, "Müller"), "utf-16", "utf-16le", ""},
		"UTF-16, big end":          {"\xfe\xff" + utf16(true, "Müller"), "", "utf-16be", ""},
		"UTF-16 without a mark":    {utf16(false, "Müller"), "utf-16le", "utf-16le", ""},
		"Windows":                  {"M\xfcller", "windows-1252", "windows-1252", ""},
		"Latin 9":                  {"M\xfcller", "iso-8859-15", "iso-8859-15", ""},
		"Latin 1":                  {"M\xfcller", "iso-8859-1", "iso-8859-1", ""},
		"a mark that disagrees":    {"\xef\xbb\xbfMüller", "windows-1252", "", "byte order mark of utf-8"},
		"UTF-16 that has no mark":  {"Müller", "utf-16", "", "no byte order mark"},
		"UTF-32":                   {"\xff\xfe\x00\x00M\x00\x00\x00", "", "", "UTF-32"},
		"a mark and nothing after": {"\xff\xfe", "", "utf-16le", ""},
	} {
		d, err := decoded(bufio.NewReader(strings.NewReader(c.bytes)), c.declared)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, err := io.ReadAll(d.text)
		if want := "Müller"; err != nil || d.name != c.encoding || string(text) != want && len(c.bytes) > 2 {
			t.Errorf("%s: %q in %s, %v", name, text, d.name, err)
		}
	}
}

// TestDeclaredButUTF8: by chance no text with accents is UTF-8, wherever a read ends.
func TestDeclaredButUTF8(t *testing.T) {
	for text, want := range map[string]bool{
		"plain": false, "Müller": true, "M\xfcller": false, "Müller M\xfcller": false, "cut \xc3": false, "日本 é": true,
	} {
		for size := 1; size < 5; size++ {
			m := &multibyte{in: strings.NewReader(text)}
			if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{m}, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if m.utf8() != want {
				t.Errorf("%q, %d bytes at a time: %t", text, size, m.utf8())
			}
		}
	}
}
