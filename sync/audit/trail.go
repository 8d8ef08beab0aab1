package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// The bounds of a file of the trail, after which the next one begins: by its bytes, by default, and by the time between
// its first record and a new one, so that what is pruned by age goes month by month.
const (
	MaxFile = 16 << 20
	MaxAge  = 31 * 24 * time.Hour
)

// A Trail is open for appending. Its methods may be called from several goroutines; only one process may have it open,
// which the state's lock sees to. A file of it that is cut, replaced, emptied or removed stops it: nothing more is
// appended until it is opened again (R16).
type Trail struct {
	path    string
	maxFile int64

	turn   sync.Mutex // held while writing to disk; guards the fields below
	out    *os.File
	info   os.FileInfo // of out
	began  time.Time   // the current file's first record; zero for none
	tail   []byte      // the last bytes of the current file, as they were acknowledged; at most tailSize
	older  []standing  // the files that were rotated away, oldest first
	looked int         // counts looks at older ones
	epoch  uint64      // of new records
	beyond Beyond

	mu    sync.Mutex // guards the fields below
	queue []*job
	head  Head
	size  int64 // of the current file, acknowledged
	err   error // why nothing can be appended any more
}

// Beyond is what a trail tells after the record that the state knew as the last one when the trail was opened. A crash
// leaves some of the process that died; of a later process there are some only where the state was put back to an older
// one.
type Beyond struct {
	Records int
	From    time.Time // when the first of them was written
	Epoch   uint64    // of the newest process that wrote any
}

// A job is one call of Append.
type job struct {
	ctx     context.Context
	records []Record
	done    bool
	head    Head
	err     error
}

// Open opens the trail at path for appending, and makes it (0600) where there is none. maxFile is when to rotate, in
// bytes; 0 for MaxFile. It verifies the newest file, and older ones back to head, the last record that the state knows
// of. A last line without a newline was never acknowledged: it is cut off, and a record tells so. ErrCut where the
// trail ends before head; ErrBroken, as a *LineError, where it does not hold together.
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
	if err = t.begin(); err == nil {
		err = errors.Join(t.out.Truncate(t.size), t.seekEnd(), t.readTail(), t.out.Sync(), syncDir(filepath.Dir(path)))
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

// begin opens the current file, and makes it where there is none.
func (t *Trail) begin() (err error) {
	if t.out, err = os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if t.info, err = t.out.Stat(); err != nil {
		return errors.Join(err, t.out.Close())
	}
	return nil
}

// follow reads the files from the one that holds head to the last, and sets t.head, t.size, t.began and t.older.
func (t *Trail) follow(head Head) (torn int, err error) {
	files, err := trailFiles(t.path)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		if f.first == 0 {
			continue
		}
		info, err := os.Stat(f.path)
		if err != nil {
			return 0, err
		}
		t.older = append(t.older, standing{path: f.path, info: info, size: info.Size()})
	}
	start := max(len(files)-1, 0)
	if start > 0 && files[start].first == 0 {
		start-- // the current file may be empty, and its first record has to follow from the one before
	}
	for start > 0 && head.Seq > 0 && files[start].first > head.Seq {
		start--
	}
	c := chain{wanted: &head}
	known := head.Seq == 0
	for i, file := range files[min(start, len(files)):] {
		var size int64
		err := file.read(func(r io.Reader) (err error) {
			torn, err = lines(r, func(line []byte, number int) error {
				size += int64(len(line)) + 1
				err := c.follow(line)
				if err == nil && known {
					err = t.beyond.add(line)
				}
				if err != nil {
					return &LineError{File: file.path, Line: number, Err: err}
				}
				known = known || c.matched
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
			if size > 0 {
				first, err := firstRecord(file)
				if err != nil {
					return 0, err
				}
				t.began = first.At
			}
		}
	}
	t.head = Head{Seq: c.seq, Hash: c.hash}
	return torn, c.end()
}

// StartOver sets a broken or cut trail aside, under names that end in the time and ".broken", and opens a new one that
// goes on after head, the last record that the state knows of. Its first record says who did it and why. What was set
// aside is kept as long as the trail (Prune).
func StartOver(path string, head Head, maxFile int64, actor, note string) (*Trail, error) {
	files, err := trailFiles(path)
	if err != nil {
		return nil, err
	}
	suffix := time.Now().UTC().Format(".20060102T150405.000000000Z") + asideSuffix
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
	if _, err := t.Append(context.Background(), Record{Kind: Restart, Actor: actor, Note: note, Upto: head.Seq, Digest: head.Hash}); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (b *Beyond) add(line []byte) error {
	var r struct {
		At    time.Time `json:"at"`
		Epoch uint64    `json:"epoch"`
	}
	if err := decode(line, &r); err != nil {
		return err
	}
	if b.Records++; b.Records == 1 {
		b.From = r.At
	}
	b.Epoch = max(b.Epoch, r.Epoch)
	return nil
}

// Beyond returns what was in the trail already when it was opened, and the state did not know of. Without a state
// (Head.Seq 0) it is only what the newest file tells.
func (t *Trail) Beyond() Beyond { return t.beyond }

// Begin says which process writes the records from now on, as the state counts them.
func (t *Trail) Begin(epoch uint64) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.epoch = epoch
}

// Head returns the last acknowledged record.
func (t *Trail) Head() Head {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// Check reports why nothing can be appended: a failed disk, or files that are not as this process left them, as an
// ErrBroken or ErrCut. It is cheap, and to be asked before anything is done that has to be told (R16): a trail that is
// gone must stop the deed, not only its record.
func (t *Trail) Check() error {
	t.turn.Lock()
	defer t.turn.Unlock()
	return t.intact()
}

// intact looks at the current file and at one of the older ones in turn. What it finds stays until the trail is opened
// again.
func (t *Trail) intact() error {
	t.mu.Lock()
	err, size := t.err, t.size
	t.mu.Unlock()
	if err != nil {
		return err
	}
	err = standing{path: t.path, info: t.info, size: size}.intact()
	if err == nil {
		err = t.tailIntact(size)
	}
	if err == nil && len(t.older) > 0 {
		t.looked++
		err = t.older[t.looked%len(t.older)].intact()
	}
	return t.stop(err)
}

// stop keeps an error that says that the files are not as this process left them.
func (t *Trail) stop(err error) error {
	if errors.Is(err, ErrBroken) || errors.Is(err, ErrCut) {
		t.mu.Lock()
		t.err = err
		t.mu.Unlock()
	}
	return err
}

// tailSize is how many bytes of the current file's end are compared with what was written: enough for the hash that a
// record ends in.
const tailSize = 80

func (t *Trail) readTail() error {
	t.tail = make([]byte, min(t.size, tailSize))
	_, err := t.out.ReadAt(t.tail, t.size-int64(len(t.tail)))
	return err
}

// tailIntact says whether the current file still ends, at size, in what was written. A file that was cut and has been
// written to since, behind the hole, has its size again.
func (t *Trail) tailIntact(size int64) error {
	there := make([]byte, len(t.tail))
	if _, err := t.out.ReadAt(there, size-int64(len(there))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(there, t.tail) {
		return fmt.Errorf("%w: %s was cut while it was written to", ErrCut, t.path)
	}
	return nil
}

// Append writes records in one piece and returns the last of them, once they are on disk. No record is too large for
// it: what is too long is shortened. Calls that come while others are being written share the next write. After an
// error of the disk, and once the files are found not to be as this process left them (ErrBroken, ErrCut), nothing more
// is appended until the trail is opened again.
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
		err := t.intact()
		t.mu.Lock()
		jobs, head := t.queue, t.head
		t.queue = nil
		t.mu.Unlock()
		t.write(jobs, head, err)
	}
	return j.head, j.err
}

// write puts jobs on disk together. One whose records cannot be written as JSON, or whose context is done, fails by
// itself.
func (t *Trail) write(jobs []*job, head Head, err error) {
	var out []byte
	var first, last time.Time
	for _, j := range jobs {
		j.done = true
		if j.err = errors.Join(err, j.ctx.Err()); j.err != nil {
			continue
		}
		n, was := len(out), head
		for _, r := range j.records {
			r.Seq, r.Prev, r.Epoch = head.Seq+1, head.Hash, t.epoch
			if r.At.IsZero() {
				r.At = time.Now()
			}
			r.At = r.At.UTC()
			line, hash, err := line(r)
			if err != nil {
				out, head, j.err = out[:n], was, err
				break
			}
			out, head = append(out, line...), Head{Seq: r.Seq, Hash: hash}
			if last = r.At; first.IsZero() {
				first = r.At
			}
		}
		j.head = head
	}
	if len(out) == 0 {
		return
	}
	if err := t.flush(out, head, first, last); err != nil {
		err = fmt.Errorf("append to the audit trail: %w", err)
		for _, j := range jobs {
			if j.err == nil {
				j.head, j.err = Head{}, err
			}
		}
	}
}

// flush writes out behind what is there and waits for the disk. What part of it a failing disk took is cut off when the
// trail is opened again, or is whole records.
func (t *Trail) flush(out []byte, head Head, first, last time.Time) error {
	if t.size >= t.maxFile || t.size > 0 && last.Sub(t.began) >= MaxAge {
		if err := t.rotate(); err != nil {
			return t.fail(err)
		}
	}
	if t.size == 0 {
		t.began = first
	}
	if _, err := t.out.Write(out); err != nil {
		// nothing was acknowledged, so a full disk may try again once there is room
		if cut := errors.Join(t.out.Truncate(t.size), t.seekEnd()); cut != nil {
			return t.fail(errors.Join(err, cut))
		}
		return err
	}
	if err := t.tailIntact(t.size); err != nil {
		return t.stop(err)
	}
	if err := t.out.Sync(); err != nil {
		return t.fail(err)
	}
	end := append(t.tail, out[max(0, len(out)-tailSize):]...)
	t.tail = slices.Clone(end[max(0, len(end)-tailSize):])
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

// rotate gives the current file the name of its first record and begins another. Windows may refuse, as long as
// somebody reads the file: then it grows on.
func (t *Trail) rotate() error {
	first, err := firstRecord(file{path: t.path, open: t.out, limit: t.size})
	if err != nil {
		return err
	}
	if err := t.out.Close(); err != nil {
		return err
	}
	was := standing{path: rotated(t.path, first.Seq), info: t.info, size: t.size}
	refused := os.Rename(t.path, was.path)
	if err := t.begin(); err != nil {
		return errors.Join(refused, err)
	}
	if refused != nil {
		return t.seekEnd()
	}
	t.older = append(t.older, was)
	t.tail = nil
	t.mu.Lock()
	t.size = 0
	t.mu.Unlock()
	return syncDir(filepath.Dir(t.path))
}

// snapshot returns the files as they are now at their paths, never what is only open. The current one is opened, since
// it may get another name, and counts as far as it is acknowledged.
func (t *Trail) snapshot() ([]file, Head, error) {
	t.turn.Lock()
	defer t.turn.Unlock()
	if err := t.intact(); err != nil && !errors.Is(err, os.ErrClosed) {
		return nil, Head{}, err
	}
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

// Verify verifies the whole trail as it is now on disk, while others append to it.
func (t *Trail) Verify(ctx context.Context) (Summary, error) {
	files, head, err := t.snapshot()
	if err != nil {
		return Summary{}, err
	}
	defer closeLast(files)
	v := &verifier{chain: chain{wanted: &head}}
	return v.files(ctx, files)
}

// A Line is a record with the bytes that it has in the trail.
type Line struct {
	Record
	Raw []byte
}

// Records returns every record that was acknowledged when the sequence began, oldest first.
func (t *Trail) Records() iter.Seq2[Record, error] {
	return records(t.matching(nil, time.Time{}))
}

// Person returns the records about one person, oldest first.
func (t *Trail) Person(id identity.PersonID) iter.Seq2[Record, error] {
	return records(t.About(id, time.Time{}))
}

func records(lines iter.Seq2[Line, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for line, err := range lines {
			if !yield(line.Record, err) {
				return
			}
		}
	}
}

// About returns the lines about one person, oldest first. Files that ended before since are not read; of those that are
// read it returns older records too.
func (t *Trail) About(id identity.PersonID, since time.Time) iter.Seq2[Line, error] {
	person := shorten(id.String())
	text, err := encode(person)
	if err != nil {
		return func(yield func(Line, error) bool) { yield(Line{}, err) }
	}
	return func(yield func(Line, error) bool) {
		for line, err := range t.matching(text, since) {
			if (err != nil || line.Person == person) && !yield(line, err) {
				return
			}
		}
	}
}

// matching decodes only lines that contain text.
func (t *Trail) matching(text []byte, since time.Time) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		files, _, err := t.snapshot()
		if err != nil {
			yield(Line{}, err)
			return
		}
		defer closeLast(files)
		if files, err = newerThan(files, since); err != nil {
			yield(Line{}, err)
			return
		}
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
					if !yield(Line{Record: record, Raw: bytes.Clone(line)}, nil) {
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
				yield(Line{}, err)
				return
			}
		}
	}
}

// newerThan leaves out the files before the last one that began by since.
func newerThan(files []file, since time.Time) ([]file, error) {
	for i := len(files) - 1; i > 0 && !since.IsZero(); i-- {
		first, err := firstRecord(files[i])
		if err != nil {
			return nil, err
		}
		if first.Seq > 0 && !first.At.After(since) {
			return files[i:], nil
		}
	}
	return files, nil
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
