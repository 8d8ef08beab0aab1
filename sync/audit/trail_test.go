package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
)

var (
	day   = time.Date(2026, 3, 1, 8, 0, 0, 123456789, time.UTC)
	alice = identity.PersonID{Directory: "corp", Anchor: "a<b>&c"}
)

func full() audit.Record {
	return audit.Record{
		At: day, Pass: "p1", Kind: audit.Change, Op: "update", Cause: "changed", Rule: "config.hcl:31", Source: "corp", Target: "wiki",
		Person: alice.String(), Name: "alice", Account: "a1", UserName: "alice",
		Before:  audit.Values{"displayName": `"A \" <b>"`, "title": ""},
		After:   audit.Values{"displayName": `"B"`, "emails": `[{"primary":true,"value":"a@example.org"}]`, "age": "12.5"},
		Outcome: audit.Done, Error: "line one\nline two", RequestID: "r", Seen: "inactive", Actor: "admin", Note: `,"prev":"x"`,
	}
}

func open(t testing.TB, path string, head audit.Head, maxFile int64) *audit.Trail {
	t.Helper()
	trail, err := audit.Open(path, head, maxFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trail.Close(); err != nil {
			t.Error(err)
		}
	})
	return trail
}

func add(t testing.TB, trail *audit.Trail, notes ...string) audit.Head {
	t.Helper()
	var head audit.Head
	for _, note := range notes {
		var err error
		if head, err = trail.Append(t.Context(), audit.Record{At: day, Kind: audit.Change, Person: "corp/" + note, Note: note}); err != nil {
			t.Fatal(err)
		}
	}
	return head
}

func notes(t testing.TB, seq iter.Seq2[audit.Record, error]) (out []string) {
	t.Helper()
	for r, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d %s%s", r.Seq, r.Kind, r.Note))
	}
	return out
}

func same(t testing.TB, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARecordComesBackWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	head, err := trail.Append(t.Context(), full(), audit.Record{Kind: audit.Start})
	if err != nil {
		t.Fatal(err)
	}
	same(t, head, trail.Head())
	var got []audit.Record
	for r, err := range trail.Records() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := full()
	want.Seq, want.Hash = 1, got[0].Hash
	same(t, want, got[0])
	same(t, audit.Head{Seq: 2, Hash: got[1].Hash}, head)
	same(t, got[0].Hash, got[1].Prev)
	if got[1].At.IsZero() || got[1].At.Location() != time.UTC {
		t.Errorf("at %v", got[1].At)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("\n")); n != 2 {
		t.Errorf("%d lines", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestPersonFindsOnePersonOnly(t *testing.T) {
	trail := open(t, filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 300)
	add(t, trail, "x", "y", "x", "xy")
	if _, err := trail.Append(t.Context(), full(), audit.Record{At: day, Kind: audit.Change, Note: "about corp/x"}); err != nil {
		t.Fatal(err)
	}
	same(t, []string{"1 changex", "3 changex"}, notes(t, trail.Person(identity.PersonID{Directory: "corp", Anchor: "x"})))
	same(t, []string{`5 change,"prev":"x"`}, notes(t, trail.Person(alice)))
	for r, err := range trail.Records() {
		if err != nil || r.Seq > 2 {
			t.Fatalf("%d, %v", r.Seq, err)
		}
		if r.Seq == 2 {
			break
		}
	}
}

type reopening struct {
	name   string
	damage func(b []byte) []byte
	head   func(heads []audit.Head) audit.Head
	want   error
	notes  []string // after one more record
}

func reopenings() []reopening {
	return []reopening{
		{
			name:  "whole",
			notes: []string{"1 changea", "2 changeb", "3 changec", "4 changed"},
		},
		{
			name:  "the state is behind",
			head:  func(h []audit.Head) audit.Head { return h[1] },
			notes: []string{"1 changea", "2 changeb", "3 changec", "4 changed"},
		},
		{
			name:   "a torn last line",
			damage: func(b []byte) []byte { return append(b, `{"seq":4,"at`...) },
			notes: []string{
				"1 changea", "2 changeb", "3 changec",
				"4 repaira last line of 12 bytes, which was never acknowledged, was cut off", "5 changed",
			},
		},
		{
			name:   "zeros that a power failure left",
			damage: func(b []byte) []byte { return append(b, make([]byte, 100)...) },
			notes: []string{
				"1 changea", "2 changeb", "3 changec",
				"4 repaira last line of 100 bytes, which was never acknowledged, was cut off", "5 changed",
			},
		},
		{
			name:   "an acknowledged line torn",
			damage: func(b []byte) []byte { return b[:len(b)-1] },
			want:   audit.ErrCut,
		},
		{
			name:   "a line cut off",
			damage: func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] },
			want:   audit.ErrCut,
		},
		{
			name:   "emptied",
			damage: func([]byte) []byte { return nil },
			want:   audit.ErrCut,
		},
		{
			name:   "a note edited",
			damage: func(b []byte) []byte { return bytes.Replace(b, []byte(`"note":"b"`), []byte(`"note":"x"`), 1) },
			want:   audit.ErrBroken,
		},
		{
			name: "another trail",
			head: func([]audit.Head) audit.Head { return audit.Head{Seq: 2, Hash: strings.Repeat("0", 64)} },
			want: audit.ErrBroken,
		},
	}
}

func TestReopening(t *testing.T) {
	for _, test := range reopenings() {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			trail := open(t, path, audit.Head{}, 0)
			var heads []audit.Head
			for _, note := range []string{"a", "b", "c"} {
				heads = append(heads, add(t, trail, note))
			}
			head := heads[2]
			if test.head != nil {
				head = test.head(heads)
			}
			if err := trail.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err == nil && test.damage != nil {
				err = os.WriteFile(path, test.damage(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.want != nil {
				if _, err := audit.Open(path, head, 0); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				return
			}
			again := open(t, path, head, 0)
			add(t, again, "d")
			same(t, test.notes, notes(t, again.Records()))
			if _, err := again.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRotationKeepsTheChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	var heads []audit.Head
	var want []string
	for i := range 40 {
		head := audit.Head{}
		if i > 0 {
			head = heads[max(0, i-1-i%12)] // the state may be several files behind
		}
		trail := open(t, path, head, 1000)
		heads = append(heads, add(t, trail, fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("%d change%d", i+1, i))
		same(t, want, notes(t, trail.Records()))
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
	rotated, err := filepath.Glob(filepath.Join(filepath.Dir(path), "audit-*.jsonl"))
	if err != nil || len(rotated) < 5 {
		t.Fatalf("rotated: %v, %v", rotated, err)
	}
	summary, err := audit.VerifyFiles(t.Context(), path, &heads[39])
	if err != nil {
		t.Fatal(err)
	}
	same(t, audit.Summary{Records: 40, First: 1, From: day, To: day, Head: heads[39]}, summary)

	t.Run("the crash between two names", func(t *testing.T) {
		current, err := os.ReadFile(path)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		lost := bytes.Count(current, []byte("\n"))
		trail := open(t, path, heads[39-lost], 1000)
		same(t, heads[39-lost], trail.Head())
		add(t, trail, "again")
		if _, err := trail.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file is missing", func(t *testing.T) {
		for _, name := range []string{rotated[0], rotated[len(rotated)/2]} {
			if err := os.Rename(name, name+".away"); err != nil {
				t.Fatal(err)
			}
			if _, err := audit.VerifyFiles(t.Context(), path, nil); !errors.Is(err, audit.ErrBroken) {
				t.Errorf("%s: %v", filepath.Base(name), err)
			}
			if err := os.Rename(name+".away", name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestStartOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path, audit.Head{}, 0)
	head := add(t, trail, "a", "b")
	if err := errors.Join(trail.Close(), os.Truncate(path, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(path, head, 0); !errors.Is(err, audit.ErrCut) {
		t.Fatal(err)
	}
	again, err := audit.StartOver(path, head, 0, "admin", "the disk was full")
	if err != nil {
		t.Fatal(err)
	}
	add(t, again, "c")
	same(t, []string{"3 restartthe disk was full", "4 changec"}, notes(t, again.Records()))
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	head = again.Head()
	if _, err := audit.VerifyFiles(t.Context(), path, &head); err != nil {
		t.Error(err)
	}
	if aside, err := filepath.Glob(path + ".*.broken"); len(aside) != 1 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
	open(t, path, head, 0)
}

func TestConcurrentAppendsStayTogether(t *testing.T) {
	trail := open(t, filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 5000)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				pass := fmt.Sprintf("%d/%d", w, i)
				head, err := trail.Append(t.Context(), audit.Record{Kind: audit.Change, Pass: pass}, audit.Record{Kind: audit.Hold, Pass: pass})
				if err != nil || head.Seq < 2 {
					t.Error(head, err)
				}
				if i%5 == 0 {
					if _, err := trail.Verify(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	n, pass := 0, ""
	for r, err := range trail.Records() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%2 == 0 && r.Pass != pass {
			t.Errorf("record %d is apart from the one that it was appended with", r.Seq)
		}
		pass = r.Pass
	}
	same(t, 320, n)
}

func TestAppendRefuses(t *testing.T) {
	trail := open(t, filepath.Join(t.TempDir(), "audit.jsonl"), audit.Head{}, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := trail.Append(ctx, audit.Record{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is done: %v", err)
	}
	same(t, audit.Head{}, trail.Head())
	add(t, trail, "a")
	if _, err := trail.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := trail.Append(t.Context(), audit.Record{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed trail: %v", err)
	}
}
