package directory

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/go-ldap/ldap/v3"
)

// copy reads everybody and every group for following them from there, from the first server that can be reached, and
// tells read how many entries have come. What it returns has no mirror where they cannot be followed, and says why. The
// caller forgets it in the end.
func (s *source) copy(ctx context.Context, read func(n int)) (f followed, err error) {
	err = s.pool.Anywhere(ctx, func(url string) (bool, error) {
		f, err = s.copyFrom(ctx, url, read)
		return false, err
	})
	if reread := (*rereadError)(nil); errors.As(err, &reread) {
		s.log.Debug("everybody is read each time", "source", s.name, "why", reread.why)
		return followed{why: reread.why, again: s.now().Add(unwatchable)}, nil
	}
	if err != nil {
		f.forget()
	}
	return f, err
}

// copyFrom is copy from one server. Where that cannot be followed, the error is a *rereadError.
func (s *source) copyFrom(ctx context.Context, url string, read func(n int)) (f followed, err error) {
	defer func() {
		if err != nil {
			f.forget()
		}
	}()
	if f.session, err = s.pool.Dial(ctx, url); err != nil {
		return f, err
	}
	current := currency(ctx, f.session, s.bases)
	bases, unseen, err := s.seen(ctx, f.session)
	if err != nil {
		return f, err
	}
	feed, why := s.follows(ctx, f.session, current)
	if feed == nil {
		return f, &rereadError{why}
	}
	m, err := newMirror(s.need.Scratch, url, feed)
	if err != nil {
		feed.close()
		return f, &rereadError{err.Error()}
	}
	f.mirror, f.answers, m.unseen = m, map[string]bool{}, unseen
	if m.until, err = feed.position(current); err != nil {
		return f, err
	}
	n := 0
	keep := func(in *entries, pages iter.Seq2[[]*ldap.Entry, error]) error {
		for entries, err := range pages {
			if err != nil {
				return err
			}
			for _, entry := range entries {
				if _, err := m.record(in, entry); err != nil {
					return &rereadError{err.Error()}
				}
				if in == m.groups && hasClass(entry, "groupOfURLs") {
					return &rereadError{"the members of " + ldapclient.Readable(entry.DN) + " are computed, and change without a word"}
				}
			}
			n += len(entries)
			read(n)
		}
		return nil
	}
	if s.groups != nil {
		for _, base := range s.groups.bases {
			if err := keep(m.groups, f.session.Pages(ctx, s.groups.query(base), s.groups.bounds(s.bounds()))); err != nil {
				return f, fmt.Errorf("groups: %w", err)
			}
		}
	}
	ask := ldapclient.With(s.reader(ctx, f.session).ask, feed.id().name)
	for _, base := range bases {
		if err := keep(m.people, s.pages(ctx, f.session, s.query(base, ask))); err != nil {
			return f, err
		}
	}
	if err := m.findContainers(ctx, f.session, s.everywhere()); err != nil {
		return f, err
	}
	clear(m.untold) // everything was read
	m.groups.changed = s.groups != nil
	return f, s.regroup(ctx, f.session, &f)
}
