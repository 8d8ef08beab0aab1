package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// MaxFile is how many bytes a file of the trail grows to, by default, before it is rotated away.
const MaxFile = 100 << 20

// A Trail is open for appending. Its methods may be called from several goroutines; only one process may have it open, which the state's
// lock sees to.
type Trail struct {
	path    string
	maxFile int64

	turn sync.Mutex // held while writing to disk; guards out
	out  *os.File

	mu    sync.Mutex // guards the fields below
	queue []*job
	head  Head
	size  int64 // of the current file, acknowledged
	err   error // why nothing can be appended any more
}

// A job is one call of Append.
type job struct {
	ctx     context.Context
	records []Record
	done    bool
	head    Head
	err     error
}

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

// Open opens the trail at path for appending, and makes it (0600) where there is none. maxFile is when to rotate, in bytes; 0 for MaxFile.
// It verifies the newest file, and older ones back to head, the last record that the state knows of. A last line without a newline was
// never acknowledged: it is cut off, and a record tells so. ErrCut where the trail ends before head; ErrBroken, as a *LineError, where it
// does not hold together.
func Open(path string, head Head, maxFile int64) (*Trail, error) {
	if maxFile == 0 {
		maxFile = MaxFile
	}
	t := &Trail{path: path, maxFile: maxFile}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	torn := 0
	if err == nil {
		torn, err = t.follow(head)
	}
	if err != nil {
		return nil, fmt.Errorf("open the audit trail: %w", err)
	}
	if t.out, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		err = errors.Join(t.out.Truncate(t.size), t.seekEnd(), t.out.Sync(), syncDir(filepath.Dir(path)))
		if err != nil {
			err = errors.Join(err, t.out.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the audit trail: %w", err)
	}
	if torn > 0 {
		_, err := t.Append(context.Background(), Record{
			Kind: Repair, Note: fmt.Sprintf("a last line of %d bytes, which was never acknowledged, was cut off", torn),
		})
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
	}
	return t, nil
}

// follow reads the files from the one that holds head to the last, and sets t.head and t.size.
func (t *Trail) follow(head Head) (torn int, err error) {
	files, err := trailFiles(t.path)
	if err != nil {
		return 0, err
	}
	start := max(len(files)-1, 0)
	if start > 0 && files[start].first == 0 {
		start-- // the current file may be empty, and its first record has to follow from the one before
	}
	for start > 0 && head.Seq > 0 && files[start].first > head.Seq {
		start--
	}
	c := chain{wanted: &head}
	for i, file := range files[min(start, len(files)):] {
		var size int64
		err := file.read(func(r io.Reader) (err error) {
			torn, err = lines(r, func(line []byte, number int) error {
				size += int64(len(line)) + 1
				if err := c.follow(line); err != nil {
					return &LineError{File: file.path, Line: number, Err: err}
				}
				return nil
			})
			return err
		})
		if err != nil {
			return 0, err
		}
		last := start+i == len(files)-1
		if torn > 0 && (!last || file.first != 0) {
			return 0, &LineError{File: file.path, Err: fmt.Errorf("%w: its last line is not complete", ErrBroken)}
		}
		if last && file.first == 0 {
			t.size = size
		}
	}
	t.head = Head{Seq: c.seq, Hash: c.hash}
	return torn, c.end()
}

// StartOver sets a broken or cut trail aside, under names that end in the time and ".broken", and opens a new one that goes on after head,
// the last record that the state knows of. Its first record says who did it and why.
func StartOver(path string, head Head, maxFile int64, actor, note string) (*Trail, error) {
	files, err := trailFiles(path)
	if err != nil {
		return nil, err
	}
	suffix := time.Now().UTC().Format(".20060102T150405.000000000Z.broken")
	for _, file := range files {
		if err := os.Rename(file.path, file.path+suffix); err != nil {
			return nil, fmt.Errorf("set the audit trail aside: %w", err)
		}
	}
	t, err := Open(path, Head{}, maxFile)
	if err != nil {
		return nil, err
	}
	t.head = head
	if _, err := t.Append(context.Background(), Record{Kind: Restart, Actor: actor, Note: note, Upto: head.Seq}); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Head returns the last acknowledged record.
func (t *Trail) Head() Head {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// Append writes records in one piece and returns the last of them, once they are on disk. Calls that come while others are being written
// share the next write. After an error of the disk nothing more is appended until the trail is opened again.
func (t *Trail) Append(ctx context.Context, records ...Record) (Head, error) {
	if err := ctx.Err(); err != nil {
		return Head{}, err
	}
	if len(records) == 0 {
		return t.Head(), nil
	}
	j := &job{ctx: ctx, records: records}
	t.mu.Lock()
	t.queue = append(t.queue, j)
	t.mu.Unlock()
	t.turn.Lock()
	defer t.turn.Unlock()
	if !j.done {
		t.mu.Lock()
		jobs, head, err := t.queue, t.head, t.err
		t.queue = nil
		t.mu.Unlock()
		t.write(jobs, head, err)
	}
	return j.head, j.err
}

// write puts jobs on disk together. One whose records cannot be written as JSON, or whose context is done, fails by itself.
func (t *Trail) write(jobs []*job, head Head, err error) {
	var out []byte
	for _, j := range jobs {
		j.done = true
		if j.err = errors.Join(err, j.ctx.Err()); j.err != nil {
			continue
		}
		n, was := len(out), head
		for _, r := range j.records {
			r.Seq, r.Prev = head.Seq+1, head.Hash
			if r.At.IsZero() {
				r.At = time.Now()
			}
			r.At = r.At.UTC()
			line, hash, err := seal(r)
			if err != nil {
				out, head, j.err = out[:n], was, err
				break
			}
			out, head = append(out, line...), Head{Seq: r.Seq, Hash: hash}
		}
		j.head = head
	}
	if len(out) == 0 {
		return
	}
	if err := t.flush(out, head); err != nil {
		err = fmt.Errorf("append to the audit trail: %w", err)
		for _, j := range jobs {
			if j.err == nil {
				j.head, j.err = Head{}, err
			}
		}
	}
}

// flush writes out behind what is there and waits for the disk. What part of it a failing disk took is cut off when the trail is opened
// again, or is whole records.
func (t *Trail) flush(out []byte, head Head) error {
	if t.size >= t.maxFile {
		if err := t.rotate(); err != nil {
			return t.fail(err)
		}
	}
	if _, err := t.out.Write(out); err != nil {
		// nothing was acknowledged, so a full disk may try again once there is room
		if cut := errors.Join(t.out.Truncate(t.size), t.seekEnd()); cut != nil {
			return t.fail(errors.Join(err, cut))
		}
		return err
	}
	if err := t.out.Sync(); err != nil {
		return t.fail(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.head, t.size = head, t.size+int64(len(out))
	return nil
}

func (t *Trail) fail(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = fmt.Errorf("the trail is closed after a failure of the disk: %w", err)
	return err
}

func (t *Trail) seekEnd() error {
	_, err := t.out.Seek(t.size, io.SeekStart)
	return err
}

// rotate gives the current file the name of its first record and begins another. Windows may refuse, as long as somebody reads the file:
// then it grows on.
func (t *Trail) rotate() error {
	first, err := firstSeq(t.out)
	if err != nil {
		return err
	}
	if err := t.out.Close(); err != nil {
		return err
	}
	ext := filepath.Ext(t.path)
	refused := os.Rename(t.path, fmt.Sprintf("%s-%d%s", strings.TrimSuffix(t.path, ext), first, ext))
	if t.out, err = os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return errors.Join(refused, err)
	}
	if refused != nil {
		return t.seekEnd()
	}
	t.mu.Lock()
	t.size = 0
	t.mu.Unlock()
	return syncDir(filepath.Dir(t.path))
}

var errEnough = errors.New("enough")

func firstSeq(f *os.File) (seq uint64, err error) {
	_, err = lines(io.NewSectionReader(f, 0, 1<<62), func(line []byte, _ int) error {
		l, err := parseLink(line)
		seq = l.seq
		return errors.Join(err, errEnough)
	})
	if !errors.Is(err, errEnough) || errors.Is(err, ErrBroken) {
		return 0, fmt.Errorf("the first record: %w", err)
	}
	return seq, nil
}

// Prune removes files of which every record is older than before, the current one never, and returns how many. A record tells first which
// records are gone.
func (t *Trail) Prune(ctx context.Context, before time.Time) (int, error) {
	files, err := trailFiles(t.path)
	if err != nil {
		return 0, err
	}
	var old []file
	var upto uint64
	for i, file := range files {
		if file.first == 0 || i+1 == len(files) {
			break
		}
		last, err := lastRecord(file)
		if err != nil {
			return 0, err
		}
		if !last.At.Before(before) {
			break
		}
		old, upto = append(old, file), last.Seq
	}
	if len(old) == 0 {
		return 0, nil
	}
	note := fmt.Sprintf("%d files with the records up to %d were removed: they are older than %s", len(old), upto, before.UTC().Format(time.RFC3339))
	if _, err := t.Append(ctx, Record{Kind: Prune, Upto: upto, Note: note}); err != nil {
		return 0, err
	}
	for n, file := range old {
		if err := os.Remove(file.path); err != nil {
			return n, fmt.Errorf("prune the audit trail: %w", err)
		}
	}
	return len(old), nil
}

func lastRecord(f file) (Record, error) {
	var last []byte
	err := f.read(func(r io.Reader) error {
		_, err := lines(r, func(line []byte, _ int) error { last = append(last[:0], line...); return nil })
		return err
	})
	if err != nil {
		return Record{}, err
	}
	return ParseLine(last)
}

// snapshot returns the files as they are now. The current one is open, since it may get another name, and counts as far as it is
// acknowledged.
func (t *Trail) snapshot() ([]file, Head, error) {
	t.turn.Lock()
	defer t.turn.Unlock()
	files, err := trailFiles(t.path)
	if err != nil || len(files) == 0 {
		return nil, Head{}, err
	}
	last := &files[len(files)-1]
	if last.open, err = os.Open(last.path); err != nil {
		return nil, Head{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	last.limit = t.size
	return files, t.head, nil
}

// Verify verifies the whole trail as it is now, while others append to it.
func (t *Trail) Verify(ctx context.Context) (Summary, error) {
	files, head, err := t.snapshot()
	if err != nil {
		return Summary{}, err
	}
	defer closeLast(files)
	return verifyFiles(ctx, files, &head)
}

func closeLast(files []file) {
	if len(files) > 0 {
		_ = files[len(files)-1].open.Close() // it was only read
	}
}

// Records returns every record that was acknowledged when the sequence began, oldest first.
func (t *Trail) Records() iter.Seq2[Record, error] {
	return t.matching(nil, func(Record) bool { return true })
}

// Person returns the records about one person, oldest first.
func (t *Trail) Person(id identity.PersonID) iter.Seq2[Record, error] {
	text, err := encode(id.String())
	if err != nil {
		return func(yield func(Record, error) bool) { yield(Record{}, err) }
	}
	return t.matching(text, func(r Record) bool { return r.Person == id.String() })
}

// matching decodes only lines that contain text.
func (t *Trail) matching(text []byte, match func(Record) bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		files, _, err := t.snapshot()
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer closeLast(files)
		for _, file := range files {
			err := file.read(func(r io.Reader) error {
				_, err := lines(r, func(line []byte, number int) error {
					if !bytes.Contains(line, text) {
						return nil
					}
					record, err := ParseLine(line)
					if err != nil {
						return &LineError{File: file.path, Line: number, Err: err}
					}
					if match(record) && !yield(record, nil) {
						return errEnough
					}
					return nil
				})
				return err
			})
			switch {
			case errors.Is(err, errEnough):
				return
			case err != nil && !errors.Is(err, os.ErrNotExist): // pruned meanwhile
				yield(Record{}, err)
				return
			}
		}
	}
}

// Close waits for records being written.
func (t *Trail) Close() error {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = os.ErrClosed
	}
	if err := t.out.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close the audit trail: %w", err)
	}
	return nil
}

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
