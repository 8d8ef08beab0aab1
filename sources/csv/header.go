package csv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
	"golang.org/x/text/unicode/norm"
)

// delimiters are those among which the header decides, the likeliest first.
func delimiters() []byte { return []byte{',', ';', '\t', '|'} }

// A header says where the columns are, by their names: a column that moves is no change.
type header struct {
	delimiter byte
	width     int            // columns of the file
	at        map[string]int // declared attribute to its column
	line      int            // where it is
}

// plainName is a column's name without what spreadsheets and exports change about it: letter case, spaces, byte order
// marks, and the way in which letters with accents are written.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFC.String(name))
}

// readHeader reads the first row of a file, and finds in it every column that is declared.
func (b *block) readHeader(p *parser) (header, error) {
	for {
		if err := p.readLine(); errors.Is(err, io.EOF) {
			return header{}, &lineError{0, "the file is empty", "have it written anew: a list of people begins with a header"}
		} else if err != nil {
			return header{}, err
		}
		if line := bytes.ToLower(bytes.TrimSpace(p.text)); len(line) == len("sep=;") && bytes.HasPrefix(line, []byte("sep=")) {
			if b.delimiter == 0 {
				p.delimiter = line[len(line)-1] // what a spreadsheet leaves for the next one
			}
			continue
		}
		if len(bytes.TrimSpace(p.text)) > 0 {
			break
		}
	}
	switch {
	case b.delimiter != 0:
		p.delimiter = b.delimiter
	case p.delimiter == 0:
		p.delimiter = b.detect(p.text)
	}
	first, err := p.row()
	if err != nil {
		return header{}, err
	}
	names := make([]string, len(first.fields))
	for i, field := range first.fields {
		names[i] = strings.TrimSpace(string(field))
	}
	h := header{delimiter: p.delimiter, width: len(names), at: map[string]int{}, line: first.line}
	for _, attribute := range b.attributes {
		if h.at[attribute], err = find(b.columns[attribute], attribute, names, first.line); err != nil {
			return header{}, err
		}
	}
	return h, nil
}

// detect chooses the delimiter by which a header has most of the declared columns, and else most columns.
func (b *block) detect(line []byte) byte {
	best, found, width := byte(','), -1, -1
	for _, delimiter := range delimiters() {
		fields := bytes.Split(line, []byte{delimiter})
		known := 0
		for _, field := range fields {
			name := plainName(strings.Trim(string(bytes.TrimSpace(field)), `"`))
			if slices.ContainsFunc(b.attributes, func(a string) bool { return plainName(b.columns[a]) == name }) {
				known++
			}
		}
		if known > found || known == found && len(fields) > width {
			best, found, width = delimiter, known, len(fields)
		}
	}
	return best
}

// find is where a declared column is.
func find(column, attribute string, names []string, line int) (int, error) {
	at := -1
	for i, name := range names {
		if plainName(name) != plainName(column) {
			continue
		}
		if at >= 0 {
			return 0, &lineError{
				line,
				fmt.Sprintf("two columns are called %q (columns %d and %d), and %s can be of one alone", column, at+1, i+1, attribute),
				"have one of them renamed or left out",
			}
		}
		at = i
	}
	if at >= 0 {
		return at, nil
	}
	cure := "the header has " + quoted(names)
	best, least := "", len(column)/2+1
	for _, name := range names {
		if d := levenshtein.Distance(plainName(column), plainName(name), nil); name != "" && d < least {
			best, least = name, d
		}
	}
	if best != "" {
		cure = fmt.Sprintf("did you mean %q? %s", best, cure)
	}
	return 0, &lineError{line, fmt.Sprintf("no column is called %q, which is to be %s", column, attribute), cure}
}

// mostShown bounds how many names a message lists.
const mostShown = 20

func quoted(names []string) string {
	shown := make([]string, 0, mostShown)
	for _, name := range names[:min(len(names), mostShown)] {
		shown = append(shown, fmt.Sprintf("%.60q", name))
	}
	if len(names) > mostShown {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}
