package sql

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A reading is everybody as one transaction showed them.
type reading struct {
	*spool
	twice  map[uint64]bool // hashes of the anchors that several rows bear
	groups *membership     // nil where none are asked for
	from   sources.Currency
	until  sources.Currency
	since  string // the server's clock when the transaction had begun, less the overlap; "" where nobody follows
}

// copy reads everybody into a temporary file, in one transaction, and tells read how many have come. The caller closes
// what it returns.
func (s *source) copy(ctx context.Context, read func(n int)) (*reading, error) {
	kept, err := newSpool(s.need.Scratch)
	if err != nil {
		return nil, err
	}
	c := &reading{spool: kept}
	if err := s.fill(ctx, c, read); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (s *source) fill(ctx context.Context, c *reading, read func(n int)) (err error) {
	c.from = s.currency(ctx)
	err = s.transaction(ctx, func(ctx context.Context, tx *sql.Tx, alive func()) (err error) {
		if c.since, err = s.clock(ctx, tx); err != nil {
			return err
		}
		if c.groups, err = s.readGroups(ctx, tx, alive); err != nil {
			return err
		}
		return s.readPeople(ctx, tx, c, func(n int) {
			alive()
			if n%1000 == 0 {
				read(n)
			}
		})
	})
	if err != nil {
		return err
	}
	if c.twice, err = c.seal(); err != nil {
		return err
	}
	c.until = s.currency(ctx)
	return nil
}

// readPeople reads the rows of query.
func (s *source) readPeople(ctx context.Context, tx *sql.Tx, c *reading, read func(n int)) error {
	text, _ := s.block.query.bind(s.block.Driver, nil)
	var shape *shape
	n := 0
	err := s.run(ctx, tx, text, nil, func(r result) (err error) {
		shape, err = s.block.shapeOf(r, s.need.Attributes)
		return err
	}, func(values []any) error {
		if n++; n > s.block.maxPeople {
			return fmt.Errorf("more than %d rows: raise max_people if so many work here", s.block.maxPeople)
		}
		read(n)
		return c.add(shape.row(n, values))
	})
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	return nil
}

// A telling is what is handed out of a reading.
type telling struct {
	rows        iter.Seq2[*row, error]
	twice       map[uint64]bool
	groups      *membership
	from, until sources.Currency
	missed      sources.Sample
}

// told is everybody as they were read.
func (c *reading) told() telling {
	return telling{rows: c.each(), twice: c.twice, groups: c.groups.unmet(), from: c.from, until: c.until}
}

// hand hands everybody out, and fills in the facts when all is done.
func (s *source) hand(
	ctx context.Context, t telling, facts *sources.ReadFacts, yield func(identity.Person, error) bool,
) error {
	found := &sources.ReadFacts{
		Server: s.block.Address, From: t.from, Until: t.until, Missed: t.missed, Attributes: map[string]int{},
	}
	for _, name := range s.need.Attributes {
		found.Attributes[name] = 0
	}
	twice, err := doubles(t)
	if err != nil {
		return err
	}
	for r, err := range t.rows {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p, err := s.person(r)
		if several := twice[r.Anchor]; len(several) > 1 {
			err = &sources.PersonError{ID: p.ID, DN: p.DN, Err: s.doubled(several)}
		}
		if t.groups != nil && r.Anchor != "" {
			p.Groups = t.groups.of(r.Anchor)
		}
		found.People++
		if r.Anchor == "" {
			found.Nameless.Add(p.DN)
		}
		for _, name := range s.need.Attributes {
			if _, carried := p.Attributes[name]; carried || slices.Contains(p.Unreadable, name) {
				found.Attributes[name]++
			}
		}
		if !yield(p, err) {
			return errStopped
		}
	}
	if t.groups != nil {
		found.Groups = t.groups.facts()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	*facts = *found
	return nil
}

// doubles are the rows of each anchor that several may bear.
func doubles(t telling) (map[string][]*row, error) {
	if len(t.twice) == 0 {
		return nil, nil
	}
	list := map[string][]*row{}
	for r, err := range t.rows {
		if err != nil {
			return nil, err
		}
		if r.Anchor != "" && t.twice[hash(r.Anchor)] {
			list[r.Anchor] = append(list[r.Anchor], r)
		}
	}
	return list, nil
}

// doubled says that several rows bear one anchor: nobody can tell which of them is the person.
func (s *source) doubled(several []*row) error {
	var labels []string
	for _, r := range several[:min(len(several), 5)] {
		labels = append(labels, r.label(s.block.name))
	}
	return fmt.Errorf("query returns the %s %s %d times, in %s: let it return one row for each person",
		s.block.anchor, several[0].Anchor, len(several), joined(labels))
}

func joined(labels []string) string {
	text := ""
	for i, label := range labels {
		switch {
		case i == 0:
		case i == len(labels)-1:
			text += " and "
		default:
			text += ", "
		}
		text += label
	}
	return text
}
