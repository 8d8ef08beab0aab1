package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

var personX = identity.PersonID{Directory: "corp", Anchor: "x"}

func files(t testing.TB, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func days(t testing.TB, trail *audit.Trail, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := trail.Append(t.Context(), audit.Record{At: day.AddDate(0, 0, i), Kind: audit.Start, Person: "corp/x"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestR18TheTrailIsSplitByTimeToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	days(t, trail, 0, 100)
	same(t, []string{"audit-1.jsonl", "audit-32.jsonl", "audit-63.jsonl", "audit.jsonl"}, files(t, path))
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path, trail.Head(), 0) // it remembers when its current file began
	days(t, again, 100, 130)
	same(t, []string{"audit-1.jsonl", "audit-32.jsonl", "audit-63.jsonl", "audit-94.jsonl", "audit.jsonl"}, files(t, path))
	if _, err := again.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestR18PruneKeepsTheChainCheckable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	days(t, trail, 0, 100)
	aside := path + ".20260101T000000.000000000Z.broken"
	if err := errors.Join(os.WriteFile(aside, nil, 0o600), os.Chtimes(aside, day, day)); err != nil {
		t.Fatal(err)
	}
	var hash string
	for r, err := range trail.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if r.Seq == 31 {
			hash = r.Hash
		}
	}
	if n, err := trail.Prune(t.Context(), day); n != 0 || err != nil {
		t.Errorf("nothing is that old: %d, %v", n, err)
	}
	if n, err := trail.Prune(t.Context(), day.AddDate(0, 0, 40)); n != 2 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	same(t, []string{"audit-32.jsonl", "audit-63.jsonl", "audit-94.jsonl", "audit.jsonl"}, files(t, path)) // the record is of today
	summary, err := trail.Verify(t.Context())
	if err != nil || summary.First != 32 || summary.Records != 70 {
		t.Errorf("%+v, %v", summary, err)
	}
	var anchor audit.Record
	for r, err := range trail.Records() {
		if err != nil {
			t.Fatal(err)
		}
		anchor = r
	}
	if anchor.Kind != audit.Prune || anchor.Upto != 31 || anchor.Digest != hash || anchor.Count != 1 {
		t.Errorf("the record that tells it: %+v", anchor)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	head := trail.Head()
	again := open(t, path, head, 0)
	days(t, again, 100, 101)
	if n, err := again.Prune(t.Context(), day.AddDate(9, 0, 0)); n != 3 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	same(t, []string{"audit.jsonl"}, files(t, path))
	if _, err := again.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPruneIsRepeatedAfterACrash has some of the files that a record called removed still there.
func TestPruneIsRepeatedAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	days(t, trail, 0, 100)
	second := filepath.Join(filepath.Dir(path), "audit-32.jsonl")
	saved, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := trail.Prune(t.Context(), day.AddDate(0, 0, 62)); n != 2 || err != nil {
		t.Fatalf("pruned %d, %v", n, err)
	}
	if err := errors.Join(trail.Close(), os.WriteFile(second, saved, 0o600)); err != nil {
		t.Fatal(err)
	}
	again := open(t, path, trail.Head(), 0)
	if summary, err := again.Verify(t.Context()); err != nil || summary.First != 32 {
		t.Errorf("%+v, %v", summary, err)
	}
	if n, err := again.Prune(t.Context(), day.AddDate(0, 0, 62)); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if summary, err := again.Verify(t.Context()); err != nil || summary.First != 63 {
		t.Errorf("%+v, %v", summary, err)
	}
}

// chained makes a trail of records whose links and hashes are right, as anybody can.
func chained(t testing.TB, prev string, records ...audit.Record) []byte {
	t.Helper()
	var out []byte
	for _, r := range records {
		r.Prev, r.Hash = prev, ""
		var body bytes.Buffer
		enc := json.NewEncoder(&body)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
		plain := bytes.TrimSpace(body.Bytes())
		sum := sha256.Sum256(plain)
		prev = hex.EncodeToString(sum[:])
		out = append(out, fmt.Sprintf("%s,\"hash\":\"%s\"}\n", plain[:len(plain)-1], prev)...)
	}
	return out
}

func TestVerifyAsksForWhatWasPruned(t *testing.T) {
	old := strings.Repeat("0", 64)
	start := audit.Record{Seq: 5, Kind: audit.Start}
	prune := audit.Record{Seq: 6, Kind: audit.Prune, Upto: 4, Digest: old}
	for name, c := range map[string]struct {
		records []audit.Record
		good    bool
	}{
		"told":                               {[]audit.Record{start, prune}, true},
		"not told":                           {[]audit.Record{start}, false},
		"told of fewer":                      {[]audit.Record{start, {Seq: 6, Kind: audit.Prune, Upto: 3, Digest: old}}, false},
		"with another end":                   {[]audit.Record{start, {Seq: 6, Kind: audit.Prune, Upto: 4, Digest: strings.Repeat("1", 64)}}, false},
		"another kind":                       {[]audit.Record{start, {Seq: 6, Kind: audit.Start, Upto: 4, Digest: old}}, false},
		"told of more, which is still there": {[]audit.Record{start, {Seq: 6, Kind: audit.Prune, Upto: 5, Digest: old}}, true},
		"set aside":                          {[]audit.Record{{Seq: 5, Kind: audit.Restart, Upto: 4, Digest: old}}, true},
		"set aside with another end":         {[]audit.Record{{Seq: 5, Kind: audit.Restart, Upto: 4, Digest: strings.Repeat("1", 64)}}, false},
	} {
		_, err := audit.Verify(bytes.NewReader(chained(t, old, c.records...)), nil)
		if (err == nil) != c.good || err != nil && !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadBesideTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 400)
	add(t, trail, "a", "b", "c", "d", "e")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"seq":6,"at`)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	summary, err := audit.Read(t.Context(), path, func(line []byte) error {
		r, err := audit.ParseLine(line)
		got = append(got, r.Note)
		return err
	})
	if err != nil || summary.Records != 5 {
		t.Errorf("%+v, %v", summary, err)
	}
	same(t, []string{"a", "b", "c", "d", "e"}, got)
	stop := errors.New("stop")
	if _, err := audit.Read(t.Context(), path, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	older, err := filepath.Glob(filepath.Join(filepath.Dir(path), "audit-*.jsonl"))
	if err != nil || len(older) == 0 {
		t.Fatal(older, err)
	}
	torn, err := os.OpenFile(older[0], os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = torn.WriteString(`{"seq":`)
		err = errors.Join(err, torn.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Read(t.Context(), path, nil); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("a torn older file: %v", err)
	}
}

func TestAboutReadsNoFileThatEndedBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	days(t, trail, 0, 100)
	for _, c := range []struct {
		since int
		first uint64
	}{{-5, 1}, {0, 1}, {30, 1}, {31, 32}, {70, 63}, {99, 94}, {900, 94}} {
		var seqs []uint64
		for line, err := range trail.About(personX, day.AddDate(0, 0, c.since)) {
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, line.Seq)
			if got, err := audit.ParseLine(line.Raw); err != nil || got.Hash != line.Hash {
				t.Fatalf("%s: %v", line.Raw, err)
			}
		}
		if len(seqs) == 0 || seqs[0] != c.first || !slices.IsSorted(seqs) || seqs[len(seqs)-1] != 100 {
			t.Errorf("since day %d: %v", c.since, seqs)
		}
	}
}

func TestWriteNewOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := audit.WriteNew(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := audit.WriteNew(path, []byte("two")); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != "one" {
		t.Errorf("%s, %v", b, err)
	}
	info, err := os.Stat(path)
	if err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	same(t, []string{"file"}, files(t, path))
	if err := audit.WriteNew(filepath.Join(path, "below"), nil); err == nil {
		t.Error("written below a file")
	}
}
