package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A file is one of a trail's.
type file struct {
	path  string
	first uint64   // the first record's Seq; 0 for the current file
	open  *os.File // nil where it is opened by its name
	limit int64    // where open is not nil: how much of it counts
}

// read calls fn with what the file holds.
func (f file) read(fn func(io.Reader) error) (err error) {
	if f.open != nil {
		return fn(io.NewSectionReader(f.open, 0, f.limit))
	}
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	return errors.Join(fn(in), in.Close())
}

// trailFiles returns the files of the trail at path, oldest first, the current one last. audit.jsonl is rotated away to
// audit-<first Seq>.jsonl.
func trailFiles(path string) ([]file, error) {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var files []file
	for _, entry := range entries {
		number, ok := strings.CutPrefix(strings.TrimSuffix(entry.Name(), ext), stem)
		first, err := strconv.ParseUint(number, 10, 64)
		if ok && err == nil && strings.HasSuffix(entry.Name(), ext) {
			files = append(files, file{path: filepath.Join(filepath.Dir(path), entry.Name()), first: first})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.first, b.first) })
	if _, err := os.Lstat(path); err == nil {
		files = append(files, file{path: path})
	}
	return files, nil
}

// rotated is the name that the current file at path gets, by its first record.
func rotated(path string, first uint64) string {
	ext := filepath.Ext(path)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), first, ext)
}

// An edge is what the first or the last record of a file says of it.
type edge struct {
	Seq  uint64    `json:"seq"`
	At   time.Time `json:"at"`
	Hash string    `json:"hash"`
}

var errEnough = errors.New("enough")

// firstRecord is the zero edge for an empty file.
func firstRecord(f file) (first edge, err error) {
	err = f.read(func(r io.Reader) error {
		_, err := lines(r, func(line []byte, _ int) error {
			return errors.Join(json.Unmarshal(line, &first), errEnough)
		})
		return err
	})
	if errors.Is(err, errEnough) && first.Seq > 0 {
		err = nil
	}
	if err != nil {
		return edge{}, fmt.Errorf("%w: the first record of %s: %w", ErrBroken, f.path, err)
	}
	return first, nil
}

// lastRecord reads the end of a file that was rotated away.
func lastRecord(f file) (last edge, err error) {
	in, err := os.Open(f.path)
	if err != nil {
		return last, err
	}
	defer func() { _ = in.Close() }() // it was only read
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return last, err
	}
	from := max(0, size-2*MaxRecord)
	tail, err := io.ReadAll(io.NewSectionReader(in, from, size-from))
	if err != nil {
		return last, err
	}
	tail = []byte(strings.TrimSuffix(string(tail), "\n"))
	line := tail[strings.LastIndexByte(string(tail), '\n')+1:]
	if err := json.Unmarshal(line, &last); err != nil || last.Seq == 0 {
		return last, fmt.Errorf("%w: the last record of %s cannot be read", ErrBroken, f.path)
	}
	return last, nil
}

// A standing file is one that nothing may change any more, or only this process.
type standing struct {
	path string
	info os.FileInfo
	size int64
}

// intact says whether the file at its path is still the one that was there: the same one, no shorter and no longer. It
// is opened for that, since some systems tell an old size by name only. Nothing but a proven difference is ErrBroken or
// ErrCut.
func (s standing) intact() error {
	there, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s was removed", ErrBroken, s.path)
	}
	if err != nil {
		return err
	}
	defer func() { _ = there.Close() }() // it was only looked at
	info, err := there.Stat()
	switch {
	case err != nil:
		return err
	case !os.SameFile(info, s.info):
		return fmt.Errorf("%w: %s was replaced by another file", ErrBroken, s.path)
	case info.Size() < s.size:
		return fmt.Errorf("%w: %s has %d bytes, and %d were written", ErrCut, s.path, info.Size(), s.size)
	case info.Size() > s.size:
		return fmt.Errorf("%w: something else writes to %s", ErrBroken, s.path)
	}
	return nil
}

// Read verifies the trail at path, with the files that were rotated away from it, while another process may append to
// it, and calls each with every line, without its newline, oldest first. A last line that is being written does not
// count. An error of each ends it.
func Read(ctx context.Context, path string, each func(line []byte) error) (Summary, error) {
	files, err := openFiles(path)
	if err != nil {
		return Summary{}, err
	}
	defer closeLast(files)
	v := &verifier{each: each, growing: true}
	return v.files(ctx, files)
}

// openFiles lists a trail's files and opens the current one, which may get another name while older ones are read.
func openFiles(path string) ([]file, error) {
	current, err := os.Open(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files, listing := trailFiles(path)
	if errors.Is(listing, fs.ErrNotExist) {
		listing = nil // nothing was ever written
	}
	if listing != nil || current == nil {
		if current != nil {
			_ = current.Close() // it was only opened
		}
		return files, listing
	}
	info, err := current.Stat()
	if err != nil {
		return nil, errors.Join(err, current.Close())
	}
	files = slices.DeleteFunc(files, func(f file) bool {
		there, err := os.Stat(f.path)
		return f.first == 0 || err == nil && os.SameFile(there, info)
	})
	return append(files, file{path: path, open: current, limit: info.Size()}), nil
}

func closeLast(files []file) {
	if len(files) > 0 && files[len(files)-1].open != nil {
		_ = files[len(files)-1].open.Close() // it was only read
	}
}

// WriteNew writes a new file whole or not at all, for its owner only, and waits for the disk. fs.ErrExist says that
// there is one already.
func WriteNew(path string, content []byte) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), TempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// TempPrefix begins the names of files that WriteNew has not completed; a crash leaves them behind.
const TempPrefix = ".new-"

// syncDir puts a file's new name on disk. Windows does that by itself and has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
