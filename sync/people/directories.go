package people

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/state"
)

// A directory is what a source reads: several may read one.
type directory struct {
	name string // by which its people are known
	id   string // what it calls itself, "" where it does not
}

// nameDirectories finds out which directories the sources read. One that was read before keeps its name, under
// whatever name its source goes now (R3): the people in it are who they were.
func (r *Read) nameDirectories(ctx context.Context) error {
	var records []state.SourceRecord
	var list state.Names
	err := r.o.Ledger.View(ctx, func(v *state.Reader) (err error) {
		for record, err := range v.Sources() {
			if err != nil {
				return err
			}
			records = append(records, record)
		}
		list, err = v.Names()
		return err
	})
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	r.names = newNames(list)
	r.directories = make([]directory, 0, len(r.o.Sources))
	for _, s := range r.o.Sources {
		r.directories = append(r.directories, r.directoryOf(ctx, s, records))
	}
	return nil
}

// agrees refuses a source that knows the people of a directory by another anchor than the first source that reads it:
// whoever moved from one to the other would have left, and have somebody new dispute their account.
func (r *Read) agrees(n int) error {
	first := r.readersOf(r.directories[n].name)[0]
	own, other := r.o.Sources[n], r.o.Sources[first]
	anchor, _ := own.selection()
	by, _ := other.selection()
	if anchor == by || anchor == "" || by == "" {
		return nil
	}
	return fmt.Errorf("it reads the same directory as %s, and knows people by %s (%s) instead of %s (%s): give both the same anchor",
		other.Name, anchor, own.line("anchor"), by, other.line("anchor"))
}

func (r *Read) directoryOf(ctx context.Context, s Source, records []state.SourceRecord) directory {
	if s.Directory != "" {
		return directory{name: s.Directory}
	}
	var own state.SourceRecord
	if i := slices.IndexFunc(records, func(record state.SourceRecord) bool { return record.Name == s.Name }); i >= 0 {
		own = records[i]
	}
	d := directory{name: cmp.Or(own.Directory, s.Name)}
	known, ok := s.Source.(sources.Identified)
	if !ok {
		return d
	}
	var err error
	if d.id, err = known.Directory(ctx); err != nil || d.id == "" {
		if err != nil {
			r.o.Log.Warn("the source does not say which directory it reads", "source", s.Name, "error", err)
		}
		d.id = own.DirectoryID
		return d
	}
	if own.DirectoryID == d.id {
		return d
	}
	// Keys are a join's own: those of another one that the config has too mean other people, though both read one directory.
	joined := s.join() != nil
	for _, record := range records {
		others := joined && slices.ContainsFunc(r.o.Sources, func(other Source) bool { return other.Name == record.Name })
		if record.DirectoryID == d.id && !others {
			d.name = record.Directory
			return d
		}
	}
	if joined {
		return d
	}
	for _, other := range r.directories {
		if other.id == d.id {
			d.name = other.name
		}
	}
	return d
}

// DirectoryNames are the names of the directories that sources read, by source, as far as the state knows.
func DirectoryNames(ctx context.Context, ledger *state.Ledger, sources []Source) (map[string]string, error) {
	names := map[string]string{}
	err := ledger.View(ctx, func(v *state.Reader) error {
		for _, s := range sources {
			record, _, err := v.Source(s.Name)
			if err != nil {
				return err
			}
			names[s.Name] = cmp.Or(s.Directory, record.Directory, s.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return names, nil
}
