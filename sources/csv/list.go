package csv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// maxFiles bounds how many files make up one list.
const maxFiles = 500

// attempts is how often a list is tried that changes while it is read.
const attempts = 3

// A part is one file of the list, open: what replaces it under its name meanwhile is not read.
type part struct {
	pattern string // that found it, as the config writes it
	path    string
	shown   string // as messages call it
	file    *os.File
	info    os.FileInfo // as it was opened
	scan    scan
}

// A list is every file that the patterns find.
type list []*part

// at is where a path of the config is.
func (b *block) at(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.dir, path)
}

// shown is a path as the config would write it.
func (b *block) shown(path string) string {
	if short, err := filepath.Rel(b.dir, path); err == nil && filepath.IsLocal(short) {
		path = short
	}
	return filepath.ToSlash(path)
}

// found are the files that the patterns find, each once, in the order of the patterns. A pattern that finds none is an
// error: a part of the list that is not there is no empty part (R2).
func (b *block) found() (list, error) {
	var parts list
	seen := map[string]bool{}
	for _, pattern := range b.patterns {
		paths, err := b.matching(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if !seen[path] {
				parts = append(parts, &part{pattern: pattern, path: path, shown: b.shown(path)})
			}
			seen[path] = true
		}
	}
	if len(parts) > maxFiles {
		return nil, fmt.Errorf("%d files are found, and %d at most are read as one list: write a narrower pattern, move old "+
			"exports away, or write newest = true", len(parts), maxFiles)
	}
	return parts, nil
}

// matching are the files that one pattern finds, folders left out, and of those the newest alone where the block says so.
func (b *block) matching(pattern string) (paths []string, err error) {
	all, err := filepath.Glob(b.glob(pattern))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	var newest time.Time
	for _, path := range all {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
		case !b.newest || err != nil:
			paths = append(paths, path)
		case len(paths) == 0 || !info.ModTime().Before(newest): // of two of one time, the one whose name comes later
			paths, newest = []string{path}, info.ModTime()
		}
	}
	if len(paths) > 0 {
		return paths, nil
	}
	if _, err := os.ReadDir(folderOf(b.at(pattern))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no file is called %s, and its folder cannot be read: %w", pattern, errors.Unwrap(err))
	}
	return nil, fmt.Errorf("no file is called %s: the export did not write it, or the folder is not mounted; "+
		"see that it is there, or take it out of files", pattern)
}

// glob is a pattern that starts at the config's folder, whose own name is meant as it is.
func (b *block) glob(pattern string) string {
	if filepath.IsAbs(pattern) {
		return pattern
	}
	dir := b.dir
	if runtime.GOOS != "windows" { // where names hold none of these but [, and nothing can be escaped
		dir = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
	}
	return filepath.Join(dir, pattern)
}

// open opens every part, as it is at that moment.
func (b *block) open() (list, error) {
	parts, err := b.found()
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		p.info, err = os.Stat(p.path)
		if err == nil && !p.info.Mode().IsRegular() {
			err = errors.New("it is not a regular file") // and a pipe would not let go of whoever opens it
		}
		if err == nil {
			p.file, err = os.Open(p.path)
		}
		if err == nil {
			p.info, err = p.file.Stat()
		}
		if err != nil {
			parts.close()
			return nil, p.wrong(err)
		}
	}
	return parts, nil
}

// wrong is an error about a file, which names it once.
func (p *part) wrong(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", p.shown, err)
}

func (l list) close() {
	for _, p := range l {
		if p.file != nil {
			_ = p.file.Close() // nothing was written
		}
	}
}

// A changedError says that a file is being written.
type changedError struct{ shown string }

func (e *changedError) Error() string {
	return e.shown + ": it is being written, and was not left alone long enough to be read: it is tried again with the next " +
		"pass; have the export write under another name and rename the file when it is whole, or declare complete"
}

// unchanged reports whether a file that is open is as it was opened.
func (p *part) unchanged() error {
	now, err := p.file.Stat()
	if err != nil {
		return p.wrong(err)
	}
	if now.Size() != p.info.Size() || !now.ModTime().Equal(p.info.ModTime()) {
		return &changedError{p.shown}
	}
	return nil
}

// same reports whether two lists are the same files in the same state.
func (l list) same(other list) bool {
	return slices.EqualFunc(l, other, func(a, b *part) bool {
		return a.path == b.path && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime()) &&
			os.SameFile(a.info, b.info)
	})
}

// young is how much longer the list has to be left alone. A file of whose completeness its own bytes or another file tell
// needs no waiting for; one whose time lies ahead of the clock is as young as can be.
func (b *block) young(l list, now time.Time) (left time.Duration) {
	if b.complete.declared() {
		return 0
	}
	for _, p := range l {
		if age := max(0, now.Sub(p.info.ModTime())); age < b.settle {
			left = max(left, b.settle-age)
		}
	}
	return left
}

// settled opens the list when every file of it has been left alone.
func (s *source) settled(ctx context.Context) (list, error) {
	var before list
	for range attempts {
		l, err := s.open()
		if err != nil {
			return nil, err
		}
		left := s.young(l, s.now())
		if left == 0 || before != nil && l.same(before) {
			return l, nil
		}
		l.close()
		before = l
		wait := time.NewTimer(left)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, context.Cause(ctx)
		}
	}
	return nil, &changedError{before[len(before)-1].shown}
}

// whole opens and scans the list; nobody is handed out before all of it is known to be whole. The caller closes it.
func (s *source) whole(ctx context.Context) (l list, met *anchors, err error) {
	for range attempts {
		if l, err = s.settled(ctx); err != nil {
			return nil, nil, err
		}
		met = &anchors{}
		if err = s.scan(ctx, l, met); err == nil {
			return l, met, nil
		}
		l.close()
		if changed := (*changedError)(nil); !errors.As(err, &changed) {
			return nil, nil, err
		}
	}
	return nil, nil, err
}

// scan reads every part to its end, and checks all that a file says of its own completeness.
func (s *source) scan(ctx context.Context, l list, met *anchors) error {
	for i, p := range l {
		err := s.done(p)
		if err == nil {
			p.scan, err = s.pass(ctx, p, func(h header, r row) error {
				met.take(s, p, i, h, r)
				return nil
			})
		}
		if changed := p.unchanged(); changed != nil {
			return changed // and whatever was read of it means nothing
		}
		if err == nil {
			err = s.checksum(p, p.scan.sum)
		}
		if err == nil && p.scan.cut && !s.complete.declared() {
			err = &lineError{
				p.scan.last, "the last line has no line break at its end, as when a file is cut",
				"have it written anew with one, or declare complete, so that the file itself tells that it is whole",
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return p.wrong(err)
		}
	}
	now, err := s.found()
	if err != nil {
		return err
	}
	if !slices.EqualFunc(l, now, func(a, b *part) bool { return a.path == b.path }) {
		return &changedError{strings.Join(s.patterns, ", ")}
	}
	return nil
}

// again begins a part anew.
func (p *part) again() error {
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// stamp is a text that changes whenever a file does.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path + " is not there\n"
	}
	return fmt.Sprintf("%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
}
