package sql

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
)

// A statement is one query of the config. Its parameters, :anchor and :since, are sent beside it and never become part
// of its text.
type statement struct {
	argument string   // of the block: "find"
	parts    []string // of the text, between the parameters; nil where the block has no such statement
	names    []string // of the parameters, one between each two parts
}

// given reports whether the block has this statement.
func (s statement) given() bool { return len(s.parts) > 0 }

// String is the statement in one line, for proofs and logs.
func (s statement) String() string {
	var b strings.Builder
	for i, part := range s.parts {
		if i > 0 {
			b.WriteString(":" + s.names[i-1])
		}
		b.WriteString(part)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + " …"
	}
	return text
}

// bind is the statement as a driver takes it, with what its parameters stand for.
func (s statement) bind(driver sqlclient.Driver, values map[string]string) (text string, args []any) {
	var b strings.Builder
	numbers := map[string]int{}
	for i, part := range s.parts {
		if i > 0 {
			name := s.names[i-1]
			number, known := numbers[name]
			if !known || driver != sqlclient.PostgreSQL {
				args = append(args, values[name])
				number = len(args)
				numbers[name] = number
			}
			b.WriteString(placeholder(driver, number))
		}
		b.WriteString(part)
	}
	return b.String(), args
}

// placeholder is that of the n-th argument.
func placeholder(driver sqlclient.Driver, n int) string {
	if driver == sqlclient.PostgreSQL {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// quote makes an identifier of a name.
func quote(driver sqlclient.Driver, name string) string {
	mark := "`"
	if driver == sqlclient.PostgreSQL {
		mark = `"`
	}
	return mark + strings.ReplaceAll(name, mark, mark+mark) + mark
}

// asTable makes a table of the statement's answer, for another to ask for a part of it.
func (s statement) asTable(driver sqlclient.Driver, columns, rest string) string {
	text, _ := s.bind(driver, nil)
	return "SELECT " + columns + " FROM (" + text + "\n) AS people " + rest
}

var errNotQuery = errors.New("a statement has to begin with SELECT or WITH")

// parseStatement takes a statement of the config apart. It knows texts, quoted names and comments, in which nothing is
// a parameter, as far as the driver's server does.
func parseStatement(driver sqlclient.Driver, text string, parameters ...string) (statement, error) {
	var s statement
	begin, last := 0, -1 // of the part; of the last character that means something
	first := ""
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			at++
			continue
		case skipComment(driver, text, at) > at:
			at = skipComment(driver, text, at)
			continue
		case c == 0:
			return s, errors.New("it holds a NUL character")
		case c == ';':
			if rest := text[at+1:]; !blank(driver, rest) {
				return s, errors.New("one statement is enough: something follows the semicolon")
			}
			s.parts = append(s.parts, text[begin:at])
			return s.complete(first, parameters)
		case c == '?' && driver == sqlclient.MariaDB:
			return s, fmt.Errorf("a parameter has a name here: %s", written(parameters))
		case c == ':' && at+1 < len(text) && startsName(text[at+1]):
			end := endOfName(text, at+1)
			s.parts, s.names = append(s.parts, text[begin:at]), append(s.names, text[at+1:end])
			begin, at = end, end
		case strings.HasPrefix(text[at:], "::"):
			at += 2
		case startsName(c):
			end := endOfName(text, at)
			if first == "" {
				first = strings.ToUpper(text[at:end])
			}
			// E'…' of PostgreSQL has escapes.
			if driver == sqlclient.PostgreSQL && strings.EqualFold(text[at:end], "e") && end < len(text) && text[end] == '\'' {
				if end = endOfQuoted(text, end, true); end > len(text) {
					return s, errors.New("a text that begins with E' has no end")
				}
			}
			at = end
		default:
			if first == "" && c != '(' {
				return s, errNotQuery
			}
			end := skipQuoted(driver, text, at)
			if end > len(text) {
				return s, fmt.Errorf("a text or name that begins with %c has no end", c)
			}
			at = end
		}
		last = at
	}
	if last < 0 {
		return s, errNotQuery
	}
	s.parts = append(s.parts, text[begin:max(last, begin)])
	return s.complete(first, parameters)
}

// complete says what is wrong with a statement as a whole.
func (s statement) complete(first string, parameters []string) (statement, error) {
	if first != "SELECT" && first != "WITH" && first != "TABLE" && first != "VALUES" {
		return s, errNotQuery
	}
	for _, name := range s.names {
		if !slices.Contains(parameters, name) {
			return s, fmt.Errorf("it has no parameter :%s, %s", name, written(parameters))
		}
	}
	for _, name := range parameters {
		if !slices.Contains(s.names, name) {
			return s, fmt.Errorf("it does not name :%s, so that it would ask for everybody", name)
		}
	}
	return s, nil
}

func written(parameters []string) string {
	if len(parameters) == 0 {
		return "nor any other"
	}
	return "but :" + strings.Join(parameters, ", :")
}

func startsName(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func endOfName(text string, at int) int {
	for at < len(text) && (startsName(text[at]) || text[at] >= '0' && text[at] <= '9') {
		at++
	}
	return at
}

// blank reports whether a text holds nothing but space and comments.
func blank(driver sqlclient.Driver, text string) bool {
	for at := 0; at < len(text); {
		end := skipComment(driver, text, at)
		switch {
		case strings.IndexByte(" \t\r\n\f\v", text[at]) >= 0:
			at++
		case end > at:
			at = end
		default:
			return false
		}
	}
	return true
}

// skipComment is where the comment ends that begins at at; at where none does.
func skipComment(driver sqlclient.Driver, text string, at int) int {
	rest := text[at:]
	switch {
	case strings.HasPrefix(rest, "--"), driver == sqlclient.MariaDB && rest[0] == '#':
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			return at + end + 1
		}
		return len(text)
	case !strings.HasPrefix(rest, "/*"):
		return at
	}
	depth := 0 // PostgreSQL nests them
	for i := at; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "/*") && (depth == 0 || driver == sqlclient.PostgreSQL):
			depth++
			i += 2
		case strings.HasPrefix(text[i:], "*/"):
			if depth--; depth == 0 {
				return i + 2
			}
			i += 2
		default:
			i++
		}
	}
	return len(text)
}

// skipQuoted is where what begins at at ends: one character, or a text or name in quotes; beyond the text where that
// has no end.
func skipQuoted(driver sqlclient.Driver, text string, at int) int {
	switch c := text[at]; {
	case c == '\'', c == '"', c == '`' && driver == sqlclient.MariaDB:
		return endOfQuoted(text, at, driver == sqlclient.MariaDB && c != '`')
	case c == '$' && driver == sqlclient.PostgreSQL:
		end := endOfName(text, at+1)
		if at+1 < end && text[at+1] >= '0' && text[at+1] <= '9' || end >= len(text) || text[end] != '$' {
			return at + 1
		}
		tag := text[at : end+1]
		closing := strings.Index(text[end+1:], tag)
		if closing < 0 {
			return len(text) + 1
		}
		return end + 1 + closing + len(tag)
	}
	return at + 1
}

// endOfQuoted is where a text ends that begins with the quote at at. A quote that is doubled is part of it.
func endOfQuoted(text string, at int, escapes bool) int {
	mark := text[at]
	for i := at + 1; i < len(text); i++ {
		switch {
		case escapes && text[i] == '\\':
			i++
		case text[i] != mark:
		case i+1 < len(text) && text[i+1] == mark:
			i++
		default:
			return i + 1
		}
	}
	return len(text) + 1
}
