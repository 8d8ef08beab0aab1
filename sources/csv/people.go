package csv

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/cespare/xxhash/v2"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A reading makes people of rows.
type reading struct {
	*source
	facts *sources.ReadFacts
	asked []string         // attributes, those that say who is active included
	twice map[uint64]*rows // by the fingerprint of an anchor: those that several rows have
}

// rows are those that have one anchor.
type rows struct {
	places sources.Sample // "people.csv line 17"
	told   bool
}

// hand makes a person of a row and hands them out.
func (r *reading) hand(ctx context.Context, p *part, h header, row row, yield func(identity.Person, error) bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	who, err := r.person(p, h, row)
	if who.ID.Anchor != "" {
		if same := r.twice[fingerprint(who.ID.Anchor)]; same != nil {
			if same.told {
				return nil
			}
			same.told = true
			err = &sources.PersonError{ID: who.ID, DN: who.DN, Err: fmt.Errorf(
				"%d rows have the %s %s (%s), and none of them is taken for theirs: have all but one taken out of the export",
				same.places.Count, r.columns[r.anchor], who.ID.Anchor, same.places,
			)}
		}
	}
	r.facts.People++
	if who.ID.Anchor == "" {
		r.facts.Nameless.Add(place(p, row))
	}
	if !yield(who, err) {
		return errStopped
	}
	return nil
}

func place(p *part, r row) string { return fmt.Sprintf("%s line %d", p.shown, r.line) }

// value is a field without the spaces around it: exports of fixed width pad them, and stop doing so.
func value(field []byte) string {
	return strings.TrimFunc(string(field), func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

// scientific is a number as a spreadsheet writes a long one: 1.23457E+11.
var scientific = regexp.MustCompile(`^\d([.,]\d+)?[eE]\+\d+$`)

// anchorOf reads the anchor of a row, as the text that it is: leading zeros count. "" comes with the reason.
func (s *source) anchorOf(h header, row row) (anchor string, err error) {
	column := s.columns[s.anchor]
	anchor = value(row.fields[h.at[s.anchor]])
	switch {
	case anchor == "":
		return "", fmt.Errorf(
			"it has no %s: whose it is cannot be told, and an empty one is the same as no other", column,
		)
	case strings.ContainsFunc(anchor, unicode.IsControl):
		return "", fmt.Errorf(
			"its %s has a line break or another control character in it: a quote may be missing around there", column,
		)
	case strings.ContainsAny(anchor, "eE") && scientific.MatchString(anchor): // few have any
		return "", fmt.Errorf(
			"its %s is %s, as a spreadsheet writes a long number: have the column exported as text", column, anchor,
		)
	}
	return anchor, nil
}

// person makes a person of a row.
func (r *reading) person(p *part, h header, row row) (identity.Person, error) {
	anchor, err := r.anchorOf(h, row)
	if err != nil {
		return identity.Person{Source: r.source.name, DN: place(p, row)}, &sources.PersonError{DN: place(p, row), Err: err}
	}
	who := identity.Person{
		ID: identity.PersonID{Directory: r.source.name, Anchor: anchor}, Source: r.source.name,
		Name: cmp.Or(value(row.fields[h.at[r.block.name]]), anchor), Active: true, Attributes: identity.Attributes{},
	}
	who.DN = distinguished(who.Name, p.pattern)
	for _, name := range r.asked {
		text := value(row.fields[h.at[name]])
		if text == "" {
			continue
		}
		r.facts.Attributes[name]++
		if slices.Contains(r.need.Attributes, name) {
			who.Attributes[name] = []string{text}
		}
	}
	if r.status == nil {
		return who, nil
	}
	said := value(row.fields[h.at[r.status.column]])
	switch {
	case slices.Contains(r.status.active, plainName(said)):
	case slices.Contains(r.status.left, plainName(said)):
		who.Active, who.Inactive = false, fmt.Sprintf("%s is %q", r.columns[r.status.column], said)
	default:
		return who, &sources.PersonError{ID: who.ID, DN: who.DN, Err: fmt.Errorf(
			"line %d of %s: %s is %q, which is in neither list of status: add it to active or to left",
			row.line, p.shown, r.columns[r.status.column], said,
		)}
	}
	return who, nil
}

// distinguished names a person's place as a DN does: lines change from day to day, and so do dated names of files. What
// the pattern finds is the container; by the name they are found again where the config knows people by another column.
func distinguished(name, pattern string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, `\`, `\\`), ",", `\,`) + "," + pattern
}

func fingerprint(anchor string) uint64 { return xxhash.Sum64String(anchor) }

// tooMany reports whether so many rows have no anchor, or that of another, that not they are wrong but the file.
func tooMany(n, of int) bool { return n > 20 && n*10 > of }

// anchors are those of every row of a list: 16 bytes each.
type anchors struct {
	all      []met
	nameless sources.Sample // rows without one, and why
}

// A met anchor is one at its place.
type met struct {
	anchor uint64 // its fingerprint
	file   int32
	line   int32
}

// take notes the anchor of a row.
func (a *anchors) take(s *source, p *part, file int, h header, r row) {
	anchor, err := s.anchorOf(h, r)
	if err != nil {
		a.nameless.Add(place(p, r) + ": " + err.Error())
		return
	}
	a.all = append(a.all, met{fingerprint(anchor), int32(file), int32(r.line)})
}

// twice finds the anchors that several rows have. Where so many have none, or that of another row, that not they are wrong
// but the file, that is an error.
func (a *anchors) twice(l list) (map[uint64]*rows, error) {
	total := len(a.all) + a.nameless.Count
	if tooMany(a.nameless.Count, total) {
		return nil, fmt.Errorf(
			"%d of %d rows have no anchor that can be used; the first is %s", a.nameless.Count, total, a.nameless.First[0],
		)
	}
	slices.SortFunc(a.all, func(a, b met) int {
		return cmp.Or(cmp.Compare(a.anchor, b.anchor), cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	at := func(m met) string { return fmt.Sprintf("%s line %d", l[m.file].shown, m.line) }
	twice, more := map[uint64]*rows{}, 0
	var example met // the first of them in the files
	for i := 1; i < len(a.all); i++ {
		this, before := a.all[i], a.all[i-1]
		if this.anchor != before.anchor {
			continue
		}
		same := twice[this.anchor]
		if same == nil {
			same = &rows{}
			same.places.Add(at(before))
			twice[this.anchor] = same
		}
		same.places.Add(at(this))
		if more++; more == 1 || cmp.Or(cmp.Compare(this.file, example.file), cmp.Compare(this.line, example.line)) < 0 {
			example = this
		}
	}
	if tooMany(more, total) {
		return nil, fmt.Errorf("%d of %d rows have the anchor of another one, such as %s: there are two exports of the same "+
			"people; move the old one away, write a narrower pattern, or newest = true", more, total, twice[example.anchor].places)
	}
	return twice, nil
}
