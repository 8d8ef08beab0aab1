package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Folder holds the evidence of closed cases, one file each, and of a case that was opened again and closed once more
// one file each time. Its methods may be called from several goroutines.
type Folder struct {
	dir   string
	key   *Key
	trail *audit.Trail
	tell  func(ctx context.Context, records ...audit.Record) error

	mu sync.Mutex // held while a case is being written
}

// Open opens the folder at dir, and makes it where there is none. tell appends to the trail, and has the state remember
// its new end.
func Open(dir string, key *Key, trail *audit.Trail, tell func(ctx context.Context, records ...audit.Record) error) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the evidence: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, audit.TempPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path)) // a crash left it half written
	}
	if err != nil {
		return nil, fmt.Errorf("open the evidence: %w", err)
	}
	return &Folder{dir: dir, key: key, trail: trail, tell: tell}, nil
}

// Dir is where the files are.
func (f *Folder) Dir() string { return f.dir }

// Write writes the file of a case that was just closed, and returns its path. What the trail does not tell yet of the
// case's accounts is told first; then a record that counts and hashes all of them seals the case. Nothing is
// overwritten: a case that has its file as it is keeps it, and one that was opened again since gets another. It may be
// repeated after a crash.
func (f *Folder) Write(ctx context.Context, c state.Case) (path string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, err = f.write(ctx, c)
	if err != nil {
		return "", fmt.Errorf("the evidence of %s: %w", c.Name, err)
	}
	return path, nil
}

func (f *Folder) write(ctx context.Context, c state.Case) (string, error) {
	if i := slices.IndexFunc(c.Steps, open); i >= 0 || c.Closed.IsZero() {
		return "", errors.New("the case is still open")
	}
	lines, err := f.told(ctx, c)
	if err != nil {
		return "", err
	}
	path, written, err := f.place(c, lines)
	if err != nil || written {
		return path, err
	}
	if lines, err = f.seal(ctx, c, lines); err != nil {
		return "", err
	}
	raw, err := f.file(lines, c.Closed)
	if err != nil {
		return "", err
	}
	return path, audit.WriteNew(path, raw)
}

func open(s state.Step) bool { return s.Status.Open() && s.Status != Withdrawn }

// Draft is the file of a case as it stands, open or not; nothing is kept of it.
func (f *Folder) Draft(ctx context.Context, c state.Case, now time.Time) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines, err := f.told(ctx, c)
	if err == nil {
		var raw []byte
		if raw, err = f.file(lines, now); err == nil {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("the evidence of %s: %w", c.Name, err)
}

// Missing lists the cases, closed since, of which a crash kept the file from being written. It is for the start, and
// reads no file.
func (f *Folder) Missing(cases iter.Seq2[state.Case, error], since time.Time) (missing []state.Case, err error) {
	for c, err := range cases {
		if err != nil {
			return nil, err
		}
		if !c.Closed.IsZero() && !c.Closed.Before(since) && !f.has(c) {
			missing = append(missing, c)
		}
	}
	return missing, nil
}

// has reports whether a file was written since the case was closed.
func (f *Folder) has(c state.Case) bool {
	var last os.FileInfo
	for n := 1; ; n++ {
		info, err := os.Lstat(f.path(c, n))
		if err != nil {
			break
		}
		last = info
	}
	return last != nil && !last.ModTime().Before(c.Closed.Truncate(time.Second)) // some disks keep whole seconds
}

// file signs what lines tell, and lays it out for a reader, one record a line.
func (f *Folder) file(lines []audit.Line, made time.Time) ([]byte, error) {
	var records []audit.Record
	for _, line := range lines {
		records = append(records, line.Record)
	}
	e, _, err := derive(records)
	if err != nil {
		return nil, err
	}
	var raw [][]byte
	for _, line := range lines {
		e.Records = append(e.Records, line.Raw)
		raw = append(raw, line.Raw)
	}
	e.Made = made.UTC()
	if e, err = f.key.sign(e); err != nil {
		return nil, err
	}
	e.Records = nil
	plain, err := encode(e)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, plain, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	all := slices.Concat([]byte("\"records\": [\n    "), bytes.Join(raw, []byte(",\n    ")), []byte("\n  ]"))
	return bytes.Replace(out.Bytes(), []byte(`"records": null`), all, 1), nil
}

// told returns the trail's lines about a case, after telling it what it lacks.
func (f *Folder) told(ctx context.Context, c state.Case) ([]audit.Line, error) {
	lines, err := f.lines(ctx, c)
	if err != nil {
		return nil, err
	}
	untold := lacking(c, lines)
	if len(untold) == 0 {
		return lines, nil
	}
	if err := f.tell(ctx, untold...); err != nil {
		return nil, err
	}
	return f.lines(ctx, c)
}

// lacking lists what the trail does not tell of the case's accounts as they are now. One that was taken off the case
// before it was closed is withdrawn.
func lacking(c state.Case, lines []audit.Line) (untold []audit.Record) {
	last := map[[2]string]audit.Record{}
	for _, line := range lines {
		if line.Case != "" {
			last[[2]string{line.Target, line.Account}] = line.Record
		}
	}
	for _, s := range c.Steps {
		want := Record(c, s)
		account := [2]string{want.Target, want.Account}
		if !tells(last[account], want) {
			untold = append(untold, want)
		}
		delete(last, account)
	}
	for _, line := range lines {
		told, off := last[[2]string{line.Target, line.Account}]
		if off && told.Seq == line.Seq && open(state.Step{Status: state.StepStatus(told.Outcome)}) {
			told.Kind, told.Outcome, told.At, told.Error = audit.Leaver, string(Withdrawn), c.Closed, "taken off the case"
			untold = append(untold, told)
		}
	}
	return untold
}

// tells reports whether a record says of an account all that another does.
func tells(told, want audit.Record) bool {
	return told.Kind == want.Kind && told.Outcome == want.Outcome && told.Seen == want.Seen && told.Cause == want.Cause &&
		told.At.Equal(want.At) && slices.EqualFunc(told.Steps, want.Steps, sameStep)
}

// sameStep compares two closing steps, but for what records may have no room for.
func sameStep(a, b audit.Step) bool {
	return a.Name == b.Name && a.Outcome == b.Outcome && a.At.Equal(b.At)
}

// slack is how long before a case was opened a record about the person may still be part of it: the order that opened
// it.
const slack = time.Minute

// lines returns the trail's lines about a case: those that are of it, and what was done and decided about the person
// since it was opened.
func (f *Folder) lines(ctx context.Context, c state.Case) ([]audit.Line, error) {
	id, since := CaseID(c.Person, c.Opened), c.Opened.Add(-slack)
	var lines []audit.Line
	for line, err := range f.trail.About(c.Person, since) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if line.Kind != audit.Case && (line.Case == id || line.Case == "" && !line.At.Before(since)) {
			lines = append(lines, line)
		}
	}
	return bounded(lines, maxRecords), nil
}

// maxRecords is how many bytes of records a file has room for, well below MaxFile.
const maxRecords = 8 << 20

// bounded leaves out what there is no room for: of all but the first and the last that tells of each account, the
// oldest.
func bounded(lines []audit.Line, room int) []audit.Line {
	kept := map[uint64]bool{}
	last := map[[2]string]audit.Line{}
	for _, line := range lines {
		if line.Case != "" {
			last[[2]string{line.Target, line.Account}] = line
		}
	}
	for _, line := range last {
		kept[line.Seq] = true
		room -= len(line.Raw)
	}
	if i := slices.IndexFunc(lines, func(l audit.Line) bool { return l.Case != "" }); i >= 0 && !kept[lines[i].Seq] {
		kept[lines[i].Seq] = true
		room -= len(lines[i].Raw)
	}
	for _, line := range slices.Backward(lines) {
		if !kept[line.Seq] {
			if room -= len(line.Raw); room < 0 {
				break
			}
			kept[line.Seq] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l audit.Line) bool { return !kept[l.Seq] })
}

// seal appends the record that closes a case to the trail, and returns the lines with it.
func (f *Folder) seal(ctx context.Context, c state.Case, lines []audit.Line) ([]audit.Line, error) {
	var hashes []string
	for _, line := range lines {
		hashes = append(hashes, line.Hash)
	}
	want := audit.Record{
		At: c.Closed, Kind: audit.Case, Case: CaseID(c.Person, c.Opened), Cause: string(c.Cause), Person: c.Person.String(), Name: c.Name,
		Outcome: "closed", Count: len(hashes), Digest: audit.HashOf(hashes), Key: f.key.Fingerprint(),
	}
	if err := f.tell(ctx, want); err != nil {
		return nil, err
	}
	var sealed *audit.Line
	for line, err := range f.trail.About(c.Person, c.Opened.Add(-slack)) {
		if err != nil {
			return nil, err
		}
		if line.Kind == audit.Case && line.Digest == want.Digest {
			sealed = &line
		}
	}
	if sealed == nil {
		return nil, errors.New("the record that closes the case is not in the trail")
	}
	return append(lines, *sealed), nil
}

func (f *Folder) path(c state.Case, n int) string {
	name := CaseID(c.Person, c.Opened)
	if n > 1 {
		name += fmt.Sprintf(".%d", n)
	}
	return filepath.Join(f.dir, name+extension)
}

const extension = ".json"

// place is where the file of a case belongs, and whether it is there already, telling of the accounts what lines tell.
func (f *Folder) place(c state.Case, lines []audit.Line) (path string, written bool, err error) {
	var records []audit.Record
	for _, line := range lines {
		records = append(records, line.Record)
	}
	now, _, err := derive(records)
	if err != nil {
		return "", false, err
	}
	for n := 1; ; n++ {
		path := f.path(c, n)
		known, err := read(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, false, nil
		case err == nil && reflect.DeepEqual(known.Accounts, now.Accounts):
			return path, true, nil
		case err != nil && !errors.Is(err, ErrInvalid):
			return "", false, err
		}
	}
}

func read(path string) (Evidence, error) {
	in, err := os.Open(path)
	if err != nil {
		return Evidence{}, err
	}
	defer func() { _ = in.Close() }() // it was only read
	return Verify(in)
}

// A File is one of a folder's.
type File struct {
	Path     string
	Evidence Evidence
	Err      error // why it does not hold
}

// Files reads and verifies the files of the cases opened since, oldest first. Only a folder that cannot be read is an
// error.
func Files(ctx context.Context, dir string, since time.Time) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		names, err := list(dir)
		if err != nil {
			yield(File{}, err)
			return
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				yield(File{}, err)
				return
			}
			if opened, err := openedAt(name); err == nil && opened.Before(since) {
				continue
			}
			file := File{Path: filepath.Join(dir, name)}
			if file.Evidence, file.Err = read(file.Path); !yield(file, nil) {
				return
			}
		}
	}
}

// list names a folder's files, oldest first; a folder that is not there has none.
func list(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), extension) && !strings.HasPrefix(entry.Name(), audit.TempPrefix) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// openedAt reads when a case was opened from its file's name.
func openedAt(name string) (time.Time, error) {
	opened, _, _ := strings.Cut(name, "-")
	return time.Parse(openedLayout, opened)
}

// Latest returns the file of the case that was opened last of those about a person, whom who names (Evidence.About);
// id, where it is not zero, is asked for first. It is fs.ErrNotExist where there is none.
func (f *Folder) Latest(ctx context.Context, id identity.PersonID, who string) ([]byte, error) {
	names, err := list(f.dir)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Backward(names) {
		if !id.IsZero() && strings.Contains(name, "-"+personHash(id.String())+".") {
			return os.ReadFile(filepath.Join(f.dir, name))
		}
	}
	latest := ""
	for file, err := range Files(ctx, f.dir, time.Time{}) {
		if err != nil {
			return nil, err
		}
		if file.Evidence.About(who) {
			latest = file.Path
		}
	}
	if latest == "" {
		return nil, fmt.Errorf("no evidence about %q: %w", who, fs.ErrNotExist)
	}
	return os.ReadFile(latest)
}

// Prune removes the files of cases that were opened and written before a time, and returns how many; a record in the
// trail says so first.
func (f *Folder) Prune(ctx context.Context, before time.Time) (int, error) {
	names, err := list(f.dir)
	if err != nil {
		return 0, fmt.Errorf("prune the evidence: %w", err)
	}
	var old []string
	for _, name := range names {
		path := filepath.Join(f.dir, name)
		info, err := os.Lstat(path)
		if err != nil {
			return 0, fmt.Errorf("prune the evidence: %w", err)
		}
		if opened, err := openedAt(name); err == nil && opened.Before(before) && info.ModTime().Before(before) {
			old = append(old, path)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	note := fmt.Sprintf("evidence of cases that were closed before %s was removed", before.UTC().Format(time.RFC3339))
	if err := f.tell(ctx, audit.Record{Kind: audit.Prune, Count: len(old), Note: note}); err != nil {
		return 0, fmt.Errorf("prune the evidence: %w", err)
	}
	for n, path := range old {
		if err := os.Remove(path); err != nil {
			return n, fmt.Errorf("prune the evidence: %w", err)
		}
	}
	return len(old), nil
}
