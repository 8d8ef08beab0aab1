package sql

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/dirsweep/dirsweep/sources"
)

// A finder looks people up by the statement find.
type finder struct{ source *source }

// Find implements sources.Finder. In one transaction query is asked for that very anchor, and then find, which sees more
// people. Absence is proven by somebody else whom query returns, and whom find has to return as well.
func (f finder) Find(ctx context.Context, who sources.Lookup) (sources.Sighting, error) {
	s := f.source
	current := s.currency(ctx)
	var seen sources.Sighting
	err := s.transaction(ctx, func(ctx context.Context, tx *sql.Tx, _ func()) (err error) {
		seen, err = s.find(ctx, tx, who)
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return sources.Sighting{}, fmt.Errorf("%s: find %s: %w", s.name, who.Anchor, err)
	}
	seen.Server, seen.Currency, seen.At = s.block.Address, current, s.now()
	return seen, nil
}

func (s *source) find(ctx context.Context, tx *sql.Tx, who sources.Lookup) (sources.Sighting, error) {
	column := s.block.anchor
	if who.By != "" {
		column = who.By
	}
	text, args, err := s.only(ctx, tx, s.block.query, column, who.Anchor)
	if err != nil {
		return sources.Sighting{}, fmt.Errorf("query: %w", err)
	}
	r, err := s.one(ctx, tx, "query", column, who.Anchor, text, args)
	if err != nil {
		return sources.Sighting{}, err
	}
	if r != nil {
		return s.sighting(ctx, tx, who, sources.InScope, r,
			fmt.Sprintf("%s answered query with the row of %s %s", s.block.Address, column, who.Anchor))
	}
	if who.By != "" {
		return sources.Sighting{}, fmt.Errorf("they were known by %s, and find asks for %s alone", column, s.block.anchor)
	}
	if r, err = s.findOne(ctx, tx, who.Anchor); err != nil {
		return sources.Sighting{}, err
	}
	if r != nil {
		return s.sighting(ctx, tx, who, sources.Elsewhere, r, fmt.Sprintf("%s answered find with the row of %s %s, and query without it: %s",
			s.block.Address, column, who.Anchor, s.block.find))
	}
	return s.gone(ctx, tx, who)
}

// findOne asks find for one person; nil where it returns nobody.
func (s *source) findOne(ctx context.Context, tx *sql.Tx, anchor string) (*row, error) {
	text, args := s.block.find.bind(s.block.Driver, map[string]string{"anchor": anchor})
	return s.one(ctx, tx, "find", s.block.anchor, anchor, text, args)
}

// one is the only row of an answer about one person; nil where there is none. The row has to be theirs: a server that
// compares without letter case, or a text with a number, returns other people too.
func (s *source) one(ctx context.Context, tx *sql.Tx, argument, column, value, text string, args []any) (found *row, err error) {
	var shape, known *shape
	n := 0
	err = s.run(ctx, tx, text, args, func(r result) (err error) {
		if shape, err = s.block.shapeOf(r, s.need.Attributes); err == nil {
			known, err = s.block.shapeOf(r, []string{column})
		}
		return err
	}, func(values []any) error {
		n++
		found = shape.row(n, values)
		if is := (cell{values: known.row(n, values).Values[0]}).text(); is != value {
			return fmt.Errorf("asked for %s %q, it answers with %q", column, value, is)
		}
		if n > 1 {
			return fmt.Errorf("it returns several rows for %s %s", column, value)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", argument, err)
	}
	return found, nil
}

// only is a statement that returns nothing but the rows with a value in a column, with its arguments. The column is
// named as the server spells it.
func (s *source) only(ctx context.Context, tx *sql.Tx, from statement, column, value string) (text string, args []any, err error) {
	driver := s.block.Driver
	name, err := s.spelled(ctx, tx, from, column)
	if err != nil {
		return "", nil, err
	}
	return from.asTable(driver, "*", "WHERE "+quote(driver, name)+" = "+placeholder(driver, 1)), []any{value}, nil
}

// spelled is a column of a statement's result as the server spells it.
func (s *source) spelled(ctx context.Context, tx *sql.Tx, from statement, column string) (string, error) {
	names, _, err := s.all(ctx, tx, from.asTable(s.block.Driver, "*", "LIMIT 0"))
	if err != nil {
		return "", err
	}
	at, err := columnAt(names, column)
	if err != nil {
		return "", err
	}
	return names[at], nil
}

// gone weighs that find returns nobody.
func (s *source) gone(ctx context.Context, tx *sql.Tx, who sources.Lookup) (sources.Sighting, error) {
	seen := sources.Sighting{Where: sources.Gone}
	witness, err := s.neighbour(ctx, tx, who)
	if err != nil {
		return seen, err
	}
	switch {
	case who.DN == "":
	case witness == "" && s.inContainer(who.DN):
		seen.Place = sources.PlaceEmpty
	case witness != "":
		seen.Place = sources.PlacePeopled
	}
	if witness == "" && s.inContainer(who.DN) {
		if witness, err = s.neighbour(ctx, tx, sources.Lookup{Anchor: who.Anchor}); err != nil {
			return seen, err
		}
	}
	seen.Proof = fmt.Sprintf("%s answered find for %s %s with no row: %s", s.block.Address, s.block.anchor, who.Anchor, s.block.find)
	if witness == "" {
		return seen, nil
	}
	r, err := s.findOne(ctx, tx, witness)
	if err != nil {
		return seen, err
	}
	if r == nil {
		return seen, fmt.Errorf("find does not return %s either, whom query returns: absence cannot be proven until it looks where query does",
			witness)
	}
	seen.Witness = witness
	seen.Proof += fmt.Sprintf("; in the same transaction it returned %s", witness)
	return seen, nil
}

// inContainer reports whether the container of a place is known.
func (s *source) inContainer(dn string) bool {
	return s.block.container != "" && containerOf(dn, s.block.container) != ""
}

// enough is how many rows are looked through for a witness: some of them may have no anchor.
const enough = 20

// neighbour is the anchor of somebody whom query returns, now that it does not return the person: of the container
// where the person was, where that is known, else of anybody; "" where there is nobody.
func (s *source) neighbour(ctx context.Context, tx *sql.Tx, who sources.Lookup) (string, error) {
	driver := s.block.Driver
	name, err := s.spelled(ctx, tx, s.block.query, s.block.anchor)
	if err != nil {
		return "", fmt.Errorf("query: %w", err)
	}
	rest, args := "", []any(nil)
	if s.inContainer(who.DN) {
		column, err := s.spelled(ctx, tx, s.block.query, s.block.container)
		if err != nil {
			return "", fmt.Errorf("query: %w", err)
		}
		rest, args = "WHERE "+quote(driver, column)+" = "+placeholder(driver, 1)+" ", []any{containerOf(who.DN, s.block.container)}
	}
	_, rows, err := s.all(ctx, tx, s.block.query.asTable(driver, quote(driver, name), fmt.Sprintf("%sLIMIT %d", rest, enough)), args...)
	if err != nil {
		return "", fmt.Errorf("query: %w", err)
	}
	for _, cells := range rows {
		if anchor, _ := anchorOf(s.block.anchor, cells[0]); anchor != "" {
			return anchor, nil
		}
	}
	return "", nil
}

func (s *source) sighting(
	ctx context.Context, tx *sql.Tx, who sources.Lookup, where sources.Where, r *row, proof string,
) (sources.Sighting, error) {
	p, err := s.person(r)
	if err != nil {
		return sources.Sighting{}, err
	}
	if where == sources.InScope || !who.Leaving {
		if p.Groups, err = s.groupsOf(ctx, tx, r.Anchor); err != nil {
			return sources.Sighting{}, err
		}
	}
	return sources.Sighting{Where: where, Person: p, Proof: proof}, nil
}
