package sql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A row is one row of a result as it is kept until the read is whole.
type row struct {
	_         struct{} `cbor:",toarray"`
	Number    int      // of the row in the answer to query, from 1; 0 of one that changes returned
	Anchor    string   // "" where it has none that can be read
	Name      string
	Container string
	Values    [][]string // by column of shape.attributes; nil where absent
	Garbled   []int      // those of them that are not text
	Inactive  string     // why they are not active; "" where they are
	Trouble   string     // why nothing can be said of this person; "" where it can
}

// A shape is where a result has what is wanted of it.
type shape struct {
	block      *block
	attributes []string // as asked for
	at         []int    // where they are among the result's columns
	kinds      []string // of all of the result's columns
	anchor     int
	name       int
	container  int // -1 where the block names none
	status     int // as well
}

// shapeOf finds the columns of a result by their names, whose letter case does not count; by the place of a column
// nothing is known.
func (b *block) shapeOf(r result, asked []string) (*shape, error) {
	s := &shape{block: b, attributes: asked, at: make([]int, len(asked)), kinds: r.kinds, container: -1, status: -1}
	var failed error
	find := func(column string) int {
		at, err := columnAt(r.names, column)
		if failed == nil {
			failed = err
		}
		return at
	}
	for _, column := range b.columns { // all of them: one that was renamed is told before anybody needs it
		find(column)
	}
	for i, column := range asked {
		s.at[i] = find(column)
	}
	s.anchor, s.name = find(b.anchor), find(b.name)
	if b.container != "" {
		s.container = find(b.container)
	}
	if b.status != nil {
		s.status = find(b.status.column)
	}
	return s, failed
}

func columnAt(names []string, column string) (int, error) {
	at := -1
	for i, name := range names {
		switch {
		case !strings.EqualFold(name, column):
		case at >= 0:
			return 0, fmt.Errorf("it returns two columns called %s: give one of them another name with AS", column)
		default:
			at = i
		}
	}
	if at < 0 {
		return 0, fmt.Errorf("it returns no column called %s, but %s: add it to the statement, or take it out of the block",
			column, strings.Join(names, ", "))
	}
	return at, nil
}

// row reads one row.
func (s *shape) row(number int, values []any) *row {
	cells := make([]cell, len(values))
	for i, v := range values {
		cells[i] = render(s.kinds[i], v)
	}
	r := &row{Number: number, Values: make([][]string, len(s.at))}
	for i, at := range s.at {
		r.Values[i] = cells[at].values
		if cells[at].unreadable {
			r.Garbled = append(r.Garbled, i)
		}
	}
	r.Anchor, r.Trouble = anchorOf(s.block.anchor, cells[s.anchor])
	if r.Name = cells[s.name].text(); r.Name == "" {
		r.Name = r.Anchor
	}
	if s.container >= 0 {
		r.Container = cells[s.container].text()
	}
	if s.status >= 0 && r.Trouble == "" {
		r.Inactive, r.Trouble = s.block.status.judge(cells[s.status])
	}
	return r
}

// print fingerprints all that a row says.
func (r *row) print() uint64 {
	d := xxhash.New()
	write := func(text string) { _, _ = fmt.Fprintf(d, "%d:%s", len(text), text) }
	for _, text := range []string{r.Anchor, r.Name, r.Container, r.Inactive, r.Trouble} {
		write(text)
	}
	for i, values := range r.Values {
		_, _ = fmt.Fprintf(d, "/%d %t ", len(values), slices.Contains(r.Garbled, i))
		for _, value := range values {
			write(value)
		}
	}
	return d.Sum64()
}

// longestAnchor bounds an anchor, which is part of every key in the state.
const longestAnchor = 255

// anchorOf reads an anchor, and says what is wrong with it. An empty one equals nothing: such a row is nobody's.
func anchorOf(column string, c cell) (anchor, trouble string) {
	switch anchor = c.text(); {
	case c.unreadable:
		return "", column + " is not text"
	case strings.TrimSpace(anchor) == "":
		return "", column + " is empty"
	case len(anchor) > longestAnchor || strings.ContainsFunc(anchor, func(r rune) bool { return r < ' ' }):
		return "", fmt.Sprintf("%s has more than %d bytes, or a control character", column, longestAnchor)
	}
	return anchor, ""
}

// judge says why somebody is not active by their status; one that nobody has declared says nothing.
func (s *status) judge(c cell) (inactive, trouble string) {
	is := func(declared string) bool { return strings.EqualFold(declared, strings.TrimSpace(c.text())) }
	switch {
	case len(c.values) == 0:
		return "", s.column + " is empty: it has to be one of active or left"
	case slices.ContainsFunc(s.active, is):
		return "", ""
	case slices.ContainsFunc(s.left, is):
		return fmt.Sprintf("%s is %q", s.column, c.text()), ""
	}
	return "", fmt.Sprintf("%s is %q, which is in neither list of status: add it to active or to left", s.column, c.text())
}

// person makes a person of a row. The error is a *sources.PersonError.
func (s *source) person(r *row) (identity.Person, error) {
	p := identity.Person{
		ID: identity.PersonID{Directory: s.name, Anchor: r.Anchor}, Source: s.name, Name: r.Name,
		DN:     place(s.block.name, r.Name, s.block.container, r.Container),
		Active: r.Inactive == "", Inactive: r.Inactive, Attributes: identity.Attributes{},
	}
	for i, name := range s.need.Attributes {
		switch {
		case slices.Contains(r.Garbled, i):
			p.Unreadable = append(p.Unreadable, name)
		case len(r.Values[i]) > 0:
			p.Attributes[name] = r.Values[i]
		}
	}
	if r.Anchor == "" {
		p.ID, p.DN = identity.PersonID{Directory: s.name}, r.label(s.block.name)
	}
	if r.Trouble != "" {
		return p, &sources.PersonError{ID: p.ID, DN: p.DN, Err: fmt.Errorf("%s: %s", r.where(), r.Trouble)}
	}
	return p, nil
}

// where is which row it is.
func (r *row) where() string {
	if r.Number == 0 {
		return "a row of changes"
	}
	return fmt.Sprintf("row %d", r.Number)
}

// label calls a row by what it shows.
func (r *row) label(column string) string {
	if r.Name == "" {
		return r.where()
	}
	return fmt.Sprintf("%s (%s %s)", r.where(), column, r.Name)
}

// place is where a row is, in the form of a DN (RFC 4514): named by what the person is called, so that they are found
// again when another column is the anchor, in the container that the block names, or in none.
func place(nameColumn, name, containerColumn, container string) string {
	dn := nameColumn + "=" + escape(name)
	if container != "" {
		dn += "," + containerColumn + "=" + escape(container)
	}
	return dn
}

// escape keeps a value from ending where it does not.
func escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(value)
}

// containerOf is the container of a place; "" where it is none of that column's.
func containerOf(dn, column string) string {
	name, value, _ := strings.Cut(identity.ParentDN(dn), "=")
	if !strings.EqualFold(name, column) {
		return ""
	}
	return strings.NewReplacer(`\\`, `\`, `\,`, ",").Replace(value)
}
