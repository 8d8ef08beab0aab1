package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dirsweep/dirsweep/sources/sqlclient"
	"github.com/dirsweep/dirsweep/targets"
)

// A statement is SQL with named parameters, which are bound and never become part of its text, and the rows that it may
// touch.
type statement struct {
	query       string   // with the driver's own markers
	parameters  []string // the names, one for each marker
	least, most int64    // rows
}

// compile replaces each :name outside of quotes and comments by the driver's marker. It knows PostgreSQL's and
// MariaDB's lexical structure (their manuals, 4.1 and "Lexical structure") as far as that takes.
func compile(driver sqlclient.Driver, text string) (statement, error) {
	var out strings.Builder
	s := statement{least: 1, most: 1}
	text = strings.TrimRight(text, "; \t\r\n")
	if strings.TrimSpace(text) == "" {
		return s, errors.New("it is empty")
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return s, errors.New("it is not text")
	}
	for i := 0; i < len(text); {
		n, err := skip(driver, text, i)
		if err != nil {
			return s, err
		}
		if n > 0 {
			out.WriteString(text[i : i+n])
			i += n
			continue
		}
		name := word(text[i+1:])
		switch c := text[i]; {
		case c == ';':
			return s, errors.New("it is more than one statement: write a block for each")
		case c == '?' && driver == sqlclient.MariaDB, c == '$' && name == "" && i+1 < len(text) && digit(text[i+1]):
			return s, errors.New("its parameters have names: write :id")
		case c == ':' && name != "":
			s.parameters = append(s.parameters, name)
			if driver == sqlclient.PostgreSQL {
				out.WriteString("$" + strconv.Itoa(len(s.parameters)))
			} else {
				out.WriteByte('?')
			}
			i += 1 + len(name)
		default:
			out.WriteByte(c)
			i++
		}
	}
	s.query = out.String()
	return s, nil
}

// skip is the length of what begins at i and holds no parameter: a quoted text or name, a comment, a cast, a word; 0
// where nothing of that kind begins there.
func skip(driver sqlclient.Driver, text string, i int) (int, error) {
	rest, postgresql := text[i:], driver == sqlclient.PostgreSQL
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "::"), strings.HasPrefix(rest, ":="):
		return 2, nil
	case strings.HasPrefix(rest, "--"), c == '#' && !postgresql:
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			return end, nil
		}
		return len(rest), nil
	case strings.HasPrefix(rest, "/*"):
		return comment(rest, postgresql)
	case c == '\'', c == '"', c == '`' && !postgresql:
		escapes := !postgresql && c != '`' || postgresql && c == '\'' && i > 0 && (text[i-1] == 'E' || text[i-1] == 'e')
		return quoted(rest, escapes)
	case c == '$' && postgresql:
		tag := word(rest[1:])
		if mark := "$" + tag + "$"; strings.HasPrefix(rest, mark) {
			end := strings.Index(rest[len(mark):], mark)
			if end < 0 {
				return 0, fmt.Errorf("what begins at %s does not end", mark)
			}
			return len(mark) + end + len(mark), nil
		}
	case word(rest) != "": // all but a last E, which may belong to a text behind it
		return max(1, len(word(rest))-1), nil
	}
	return 0, nil
}

func comment(rest string, nests bool) (int, error) {
	depth := 1
	for i := 2; i+1 < len(rest); i++ {
		switch {
		case strings.HasPrefix(rest[i:], "*/"):
			if depth--; depth == 0 {
				return i + 2, nil
			}
			i++
		case nests && strings.HasPrefix(rest[i:], "/*"):
			depth++
			i++
		}
	}
	return 0, errors.New("a comment does not end")
}

// quoted is the length of a quoted text, in which its own quote is doubled.
func quoted(rest string, escapes bool) (int, error) {
	for i := 1; i < len(rest); i++ {
		switch {
		case escapes && rest[i] == '\\':
			i++
		case rest[i] == rest[0] && i+1 < len(rest) && rest[i+1] == rest[0]:
			i++
		case rest[i] == rest[0]:
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("what begins at %c does not end", rest[0])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// word is the name that text begins with; "" for none.
func word(text string) string {
	n := 0
	for n < len(text) && (text[n] == '_' || text[n] >= 'a' && text[n] <= 'z' || text[n] >= 'A' && text[n] <= 'Z' ||
		n > 0 && digit(text[n])) {
		n++
	}
	return text[:n]
}

// bind are the values of the parameters, in their order.
func (s statement) bind(values map[string]any) ([]any, error) {
	args := make([]any, len(s.parameters))
	for i, name := range s.parameters {
		v, ok := values[name]
		if !ok {
			return nil, fmt.Errorf("%w: there is no value for :%s here", targets.ErrRejected, name)
		}
		args[i] = v
	}
	return args, nil
}

// run executes a statement that writes. What touches more or fewer rows than it declares is an error, upon which the
// transaction is rolled back.
func (s statement) run(ctx context.Context, tx *sql.Tx, values map[string]any) error {
	args, err := s.bind(values)
	if err != nil {
		return err
	}
	n, err := sqlclient.Exec(ctx, tx, s.query, args...)
	if err != nil {
		return err
	}
	if n < s.least || n > s.most {
		return fmt.Errorf("%w: the statement would have touched %s, and %s declared: nothing was changed; "+
			"see its rows and its WHERE", targets.ErrRejected, counted(n), s.declared())
	}
	return nil
}

// declared are the rows for people.
func (s statement) declared() string {
	switch {
	case s.least != s.most:
		return fmt.Sprintf("%d to %d are", s.least, s.most)
	case s.most == 1:
		return "1 is"
	}
	return fmt.Sprintf("%d are", s.most)
}

func counted(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

// quote makes a name of the database's: each part between dots by itself.
func quote(driver sqlclient.Driver, name string) string {
	mark := "`"
	if driver == sqlclient.PostgreSQL {
		mark = `"`
	}
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = mark + strings.ReplaceAll(part, mark, mark+mark) + mark
	}
	return strings.Join(parts, ".")
}
