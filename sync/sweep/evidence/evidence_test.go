package evidence_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice = identity.PersonID{Directory: "corp", Anchor: "a-1"}
	bob   = identity.PersonID{Directory: "corp", Anchor: "b-2"}
)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// An office is a real trail with a real folder of evidence beside it.
type office struct {
	t      testing.TB
	dir    string
	trail  *audit.Trail
	key    *evidence.Key
	folder *evidence.Folder
	told   []audit.Kind
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir()}
	o.open()
	t.Cleanup(func() {
		if err := o.trail.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) trailPath() string { return filepath.Join(o.dir, "audit.jsonl") }

// open opens everything as a process does that starts.
func (o *office) open() {
	o.t.Helper()
	var err error
	o.trail, err = audit.Open(o.trailPath(), audit.Head{}, 0)
	o.must(err)
	o.key, err = evidence.OpenKey(filepath.Join(o.dir, "evidence.key"))
	o.must(err)
	o.folder, err = evidence.Open(filepath.Join(o.dir, "evidence"), o.key, o.trail, o.tell)
	o.must(err)
}

func (o *office) tell(ctx context.Context, records ...audit.Record) error {
	for _, r := range records {
		o.told = append(o.told, r.Kind)
	}
	_, err := o.trail.Append(ctx, records...)
	return err
}

// closedCase is alice's case as the state has it when it was closed.
func closedCase() state.Case {
	return state.Case{
		Person: alice, Name: "Zoë <alice>", DN: "uid=alice,ou=people,dc=x", Cause: identity.Deleted, Proof: "tombstone & all",
		Left: at(-3), Noticed: at(0), Opened: at(0), Closed: at(2),
		Steps: []state.Step{
			{Target: "git", Account: "7", UserName: "alice", Status: state.StepReported, At: at(0), Left: at(-3), Error: "left to you"},
			{
				Target: "wiki", Account: "1", UserName: "alice", Status: state.StepProven, Seen: "inactive", At: at(2), Left: at(-3), Attempts: 2,
				Rule: "config.hcl:31",
				Finishes: []state.Finish{
					{Name: "sessions", Status: state.FinishSent, At: at(1)},
					{Name: "move", Status: state.FinishProven, At: at(2)},
					{Name: "tickets", Status: state.FinishImpossible, At: at(1), Why: "Kerberos tickets live for up to 10 h"},
				},
			},
		},
	}
}

// happened tells the trail what led to closedCase, with other people's records between.
func (o *office) happened() {
	o.t.Helper()
	c := closedCase()
	open := c.Steps[1]
	open.Status, open.At, open.Seen, open.Attempts = state.StepOpen, at(0), "", 0
	change := audit.Record{
		At: at(1), Kind: audit.Change, Op: "disable", Person: alice.String(), Target: "wiki", Account: "1", UserName: "alice", Outcome: audit.Done,
		Before: audit.Values{"active": "true", "title": `"R&D"`}, After: audit.Values{"active": "false", "title": ""}, RequestID: "req-1",
	}
	failed := change
	failed.Outcome, failed.Error = audit.Failed, "503"
	foreign := change
	foreign.Person = bob.String()
	before := change
	before.At, before.Op = at(-9000), "create"
	_, err := o.trail.Append(o.t.Context(), before, evidence.Record(c, open), failed, foreign, change, evidence.Record(c, c.Steps[1]))
	o.must(err)
}

func (o *office) write(c state.Case) (path string, e evidence.Evidence, raw []byte) {
	o.t.Helper()
	path, err := o.folder.Write(o.t.Context(), c)
	o.must(err)
	raw, err = os.ReadFile(path)
	o.must(err)
	e, err = evidence.Verify(bytes.NewReader(raw))
	o.must(err)
	return path, e, raw
}

func (o *office) files() (names []string) {
	o.t.Helper()
	entries, err := os.ReadDir(o.folder.Dir())
	o.must(err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func same(t testing.TB, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestR19AFileHasThreeInstants(t *testing.T) {
	o := newOffice(t)
	o.happened()
	path, e, raw := o.write(closedCase())
	want := evidence.Evidence{
		Format: 1, Case: "20260301T120000.000000000Z-" + strings.Split(strings.Split(filepath.Base(path), "-")[1], ".")[0],
		Person: "corp/a-1", Name: "Zoë <alice>", DN: "uid=alice,ou=people,dc=x", Cause: identity.Deleted, Proof: "tombstone & all",
		Left: at(-3), Noticed: at(0), Closed: at(2), Made: at(2),
		Accounts: []evidence.Account{
			{Target: "git", Account: "7", UserName: "alice", Status: state.StepReported, Left: at(-3), Noticed: at(0), At: at(0), Error: "left to you"},
			{
				Target: "wiki", Account: "1", UserName: "alice", Status: state.StepProven, Seen: "inactive", Rule: "config.hcl:31", Left: at(-3),
				Noticed: at(0), Closed: at(2), Took: 300, Ours: 120, At: at(2), Attempts: 2,
				Steps: []audit.Step{
					{Name: "sessions", Outcome: "sent", At: at(1)},
					{Name: "move", Outcome: "proven", At: at(2)},
					{Name: "tickets", Outcome: "impossible", At: at(1), Why: "Kerberos tickets live for up to 10 h"},
				},
			},
		},
		Records: e.Records, Key: e.Key, Signature: e.Signature,
	}
	same(t, want, e)
	if e.Fingerprint() != o.key.Fingerprint() || e.Proven() {
		t.Errorf("key %s, proven %t", e.Fingerprint(), e.Proven())
	}
	var kinds []string
	for _, line := range e.Records {
		r, err := audit.ParseLine(line)
		o.must(err)
		kinds = append(kinds, fmt.Sprint(r.Kind, " ", r.Outcome))
	}
	same(t, []string{"leaver open", "change failed", "change done", "closed proven", "leaver reported", "case closed"}, kinds)
	info, err := os.Stat(path)
	o.must(err)
	if os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, key := range []string{`"requestId":"req-1"`, `"tookSeconds": 300`, `"left": "2026-03-01T11:57:00Z"`, `"title":null`} {
		if !strings.Contains(string(raw), key) {
			t.Errorf("no %s in\n%s", key, raw)
		}
	}
}

func TestR19WhatIsNotKnownIsNotSaid(t *testing.T) {
	base := closedCase()
	for name, c := range map[string]struct {
		edit          func(c *state.Case)
		left, noticed time.Time
		took          float64
	}{
		"the directory tells":             {func(*state.Case) {}, at(-3), at(0), 300},
		"it does not tell":                {func(c *state.Case) { c.Left, c.Steps[0].Left = time.Time{}, time.Time{} }, time.Time{}, at(0), 120},
		"left is only when it was seen":   {func(c *state.Case) { c.Left, c.Steps[0].Left = at(0), at(0) }, time.Time{}, at(0), 120},
		"enabled again, and closed again": {func(c *state.Case) { c.Steps[0].Left = at(1) }, time.Time{}, at(1), 60},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			kase := base
			kase.Steps = slices.Clone(base.Steps[1:])
			c.edit(&kase)
			_, e, raw := o.write(kase)
			a := e.Accounts[0]
			if !a.Left.Equal(c.left) || !a.Noticed.Equal(c.noticed) || a.Took != c.took {
				t.Errorf("%+v", a)
			}
			if c.left.IsZero() && strings.Contains(string(raw), `"left"`) {
				t.Errorf("says when they left:\n%s", raw)
			}
		})
	}
}

func TestEveryStatusIsTold(t *testing.T) {
	for _, c := range []struct {
		status state.StepStatus
		seen   string
		words  string
		ends   bool
		proven bool
	}{
		{state.StepProven, "inactive", "proven inactive", true, true},
		{state.StepProven, "gone", "proven gone", true, true},
		{state.StepProven, "hidden", "proven hidden", true, true},
		{state.StepReported, "", "reported, left to you", true, false},
		{evidence.Withdrawn, "", "withdrawn", true, false},
		{state.StepUnprovable, "", "sent, not provable", false, false},
		{state.StepOpen, "", "open", false, false},
		{state.StepHeld, "", "held", false, false},
		{state.StepKept, "", "kept by an operator", false, false},
		{state.StepProtected, "", "protected", false, false},
		{state.StepDisputed, "", "disputed", false, false},
	} {
		t.Run(c.words, func(t *testing.T) {
			o := newOffice(t)
			kase := closedCase()
			kase.Steps = kase.Steps[1:]
			kase.Steps[0].Status, kase.Steps[0].Seen = c.status, c.seen
			raw, err := o.folder.Draft(t.Context(), kase, at(5))
			o.must(err)
			e, err := evidence.Verify(bytes.NewReader(raw))
			o.must(err)
			if e.Accounts[0].Words() != c.words || e.Proven() != c.proven || !e.Closed.IsZero() || e.Accounts[0].Closed.IsZero() == c.proven {
				t.Errorf("%+v", e.Accounts[0])
			}
			// The state calls the case closed, whatever the account is.
			if _, err := o.folder.Write(t.Context(), kase); (err == nil) != c.ends {
				t.Errorf("called closed: %v", err)
			}
			if slices.Contains(o.told, audit.Case) != c.ends {
				t.Errorf("told %v", o.told)
			}
		})
	}
}

// R8: each closing step is told with its instant and how it stands: what the application does not show is sent and not
// provable, what nothing can be done about says why. They are what the records say, and no account is called proven
// closed of which one failed.
func TestR08ClosingStepsAreTold(t *testing.T) {
	o := newOffice(t)
	o.happened()
	_, e, raw := o.write(closedCase())
	var words []string
	for _, s := range e.Accounts[1].Steps {
		words = append(words, fmt.Sprintf("%s at %s: %s", s.Name, s.At.Format("04:05"), evidence.StepWords(s)))
	}
	want := []string{
		"sessions at 01:00: sent, not provable", "move at 02:00: proven",
		"tickets at 01:00: impossible: Kerberos tickets live for up to 10 h",
	}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("the steps (-want +got):\n%s", diff)
	}
	forged := e
	forged.Accounts = slices.Clone(e.Accounts)
	forged.Accounts[1].Steps = slices.Clone(e.Accounts[1].Steps)
	forged.Accounts[1].Steps[0].Outcome = "proven"
	for name, file := range map[string][]byte{
		"edited":     bytes.Replace(raw, []byte(`"outcome": "sent"`), []byte(`"outcome": "proven"`), 1),
		"and signed": insider(t, o).sign(forged),
	} {
		if _, err := evidence.Verify(bytes.NewReader(file)); !errors.Is(err, evidence.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	failed := closedCase()
	failed.Steps[1].Finishes[1].Status = state.FinishFailed
	if _, err := o.folder.Write(t.Context(), failed); !errors.Is(err, evidence.ErrInvalid) {
		t.Errorf("proven closed, and a step failed: %v", err)
	}
}

// An open case that is printed tells how its closing steps stand by then, though nothing else of it is new.
func TestWhatAStepCameToIsTold(t *testing.T) {
	o := newOffice(t)
	kase := closedCase()
	kase.Steps = kase.Steps[1:]
	step := &kase.Steps[0]
	step.Status, step.Seen, step.At, kase.Closed = state.StepOpen, "", at(0), time.Time{}
	for _, status := range []state.FinishStatus{state.FinishFailed, state.FinishProven} {
		step.Finishes = []state.Finish{{Name: "move", Status: status, At: at(1)}}
		raw, err := o.folder.Draft(t.Context(), kase, at(5))
		o.must(err)
		e, err := evidence.Verify(bytes.NewReader(raw))
		o.must(err)
		if got := e.Accounts[0].Steps[0].Outcome; got != string(status) {
			t.Errorf("it says %s, and it is %s", got, status)
		}
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	o := newOffice(t)
	o.happened()
	first := closedCase()
	path, _, raw := o.write(first)
	again, _, _ := o.write(first)
	same(t, path, again)

	// Enabled by hand and closed again: the same case, another file.
	reopened := first
	reopened.Steps = slices.Clone(first.Steps)
	reopened.Steps[1].Left, reopened.Steps[1].At, reopened.Closed = at(60), at(61), at(61)
	second, e, _ := o.write(reopened)
	if second != strings.TrimSuffix(path, ".json")+".2.json" || !e.Accounts[1].Closed.Equal(at(61)) || e.Accounts[1].Took != 60 || !e.Noticed.Equal(at(0)) {
		t.Errorf("%s: %+v", second, e)
	}
	// Rehired, left again: another case.
	left := first
	left.Opened, left.Noticed, left.Closed, left.Reason = at(900), at(900), at(901), "again"
	left.Steps = []state.Step{{Target: "wiki", Account: "1", UserName: "alice", Status: state.StepProven, Seen: "gone", At: at(901)}}
	_, e, _ = o.write(left)
	if e.Reason != "again" || len(e.Accounts) != 1 || e.Accounts[0].Took != 60 {
		t.Errorf("%+v", e)
	}
	for _, line := range e.Records {
		if r, err := audit.ParseLine(line); err != nil || r.Case != "" && r.Case != e.Case {
			t.Errorf("a record of another case: %s", line)
		}
	}
	kept, err := os.ReadFile(path)
	o.must(err)
	if !bytes.Equal(kept, raw) || len(o.files()) != 3 {
		t.Errorf("%v", o.files())
	}
}

func TestWithdrawnIsKept(t *testing.T) {
	o := newOffice(t)
	c := closedCase()
	c.Closed, c.Steps[0].Status = time.Time{}, state.StepHeld
	if _, err := o.folder.Write(t.Context(), c); err == nil {
		t.Error("an open case was written")
	}
	ended := evidence.Withdraw(c, "they returned", at(9))
	_, e, _ := o.write(ended)
	if e.Accounts[0].Status != evidence.Withdrawn || e.Accounts[0].Error != "they returned" || e.Accounts[1].Status != state.StepProven ||
		!e.Closed.Equal(at(9)) || c.Steps[0].Status != state.StepHeld {
		t.Errorf("%+v", e)
	}
}

// TestWhatWasTakenOffTheCaseIsWithdrawn: one account is proven closed and another was held, and both are taken off
// before the third ends the case.
func TestWhatWasTakenOffTheCaseIsWithdrawn(t *testing.T) {
	o := newOffice(t)
	c := closedCase()
	held := state.Step{Target: "chat", Account: "9", UserName: "alice", Status: state.StepHeld, At: at(1), Left: at(-3)}
	_, err := o.trail.Append(t.Context(), evidence.Record(c, held), evidence.Record(c, c.Steps[1]))
	o.must(err)
	c.Steps = c.Steps[:1]
	_, e, _ := o.write(c)
	var got []string
	for _, a := range e.Accounts {
		got = append(got, a.Target+" "+a.Words())
	}
	same(t, []string{"chat withdrawn", "git reported, left to you", "wiki proven inactive"}, got)
	told := len(o.told)
	o.write(c)
	same(t, told, len(o.told))
}

func TestACrashIsMadeGood(t *testing.T) {
	o := newOffice(t)
	o.happened()
	open, other := closedCase(), closedCase()
	open.Person, open.Closed = bob, time.Time{}
	cases := func(yield func(state.Case, error) bool) {
		_ = yield(closedCase(), nil) && yield(open, nil)
	}
	o.must(os.WriteFile(filepath.Join(o.folder.Dir(), audit.TempPrefix+"123"), []byte("{"), 0o600))
	o.must(o.trail.Close())
	o.open()
	missing := func(of iter.Seq2[state.Case, error]) []state.Case {
		t.Helper()
		found, err := o.folder.Missing(of, at(1))
		o.must(err)
		return found
	}
	found := missing(cases)
	same(t, []state.Case{closedCase()}, found)
	o.write(found[0])
	same(t, 1, len(o.files()))
	same(t, 0, len(missing(cases)))
	pruned := closedCase()
	pruned.Person, pruned.Closed = bob, at(0)
	same(t, 0, len(missing(func(yield func(state.Case, error) bool) { yield(pruned, nil) })))
	// Closed once more, and the crash came before its second file.
	other.Closed, other.Steps[1].At = time.Now().Add(time.Hour), time.Now().Add(time.Hour)
	found = missing(func(yield func(state.Case, error) bool) { yield(other, nil) })
	same(t, []state.Case{other}, found)
	o.write(found[0])
	same(t, 2, len(o.files()))
}

// TestTheTrailIsToldWhatItLacks: Write works from the state alone where nobody told the trail, and tells nothing twice.
func TestTheTrailIsToldWhatItLacks(t *testing.T) {
	o := newOffice(t)
	o.write(closedCase())
	same(t, []audit.Kind{audit.Leaver, audit.Closed, audit.Case}, o.told)
	o.write(closedCase())
	same(t, 3, len(o.told))
}

func TestFilesHoldAfterStartOverAndPrune(t *testing.T) {
	o := newOffice(t)
	o.happened()
	path, e, _ := o.write(closedCase())
	if c, err := evidence.Compare(t.Context(), e, o.trailPath()); err != nil || c.Found != len(e.Records) || c.Removed != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	_, err := o.trail.Append(t.Context(), audit.Record{At: at(100_000), Kind: audit.Start})
	o.must(err)
	n, err := o.trail.Prune(t.Context(), at(100_000))
	if o.must(err); n != 1 {
		t.Fatalf("pruned %d", n)
	}
	verify := func(when string, removed int) {
		t.Helper()
		raw, err := os.ReadFile(path)
		o.must(err)
		e, err := evidence.Verify(bytes.NewReader(raw))
		o.must(err)
		if c, err := evidence.Compare(t.Context(), e, o.trailPath()); err != nil || c.Removed != removed {
			t.Errorf("%s: %+v, %v", when, c, err)
		}
	}
	verify("pruned", len(e.Records))
	head := o.trail.Head()
	o.must(o.trail.Close())
	o.trail, err = audit.StartOver(o.trailPath(), head, 0, "admin", "a test")
	o.must(err)
	verify("started over", len(e.Records))
}

func TestR18EvidenceIsPrunedByAge(t *testing.T) {
	o := newOffice(t)
	old, _, _ := o.write(closedCase())
	young := closedCase()
	young.Person, young.Opened = bob, at(60*24*40)
	o.write(young)
	copied := closedCase()
	copied.Opened = at(-60)
	o.write(copied)
	o.must(os.Chtimes(old, at(2), at(2)))
	if n, err := o.folder.Prune(t.Context(), at(-1)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := o.folder.Prune(t.Context(), at(60*24*30)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	same(t, 2, len(o.files()))
	same(t, audit.Prune, o.told[len(o.told)-1])
}

func TestFilesAndLatest(t *testing.T) {
	o := newOffice(t)
	first := closedCase()
	o.write(first)
	second := first
	second.Opened = at(60)
	path, _, _ := o.write(second)
	other := first
	other.Person, other.Name, other.Opened, other.DN = bob, "bob", at(120), ""
	other.Steps = []state.Step{{Target: "wiki", Account: "2", UserName: "bobby", Status: state.StepProven, Seen: "gone", At: at(121)}}
	o.write(other)
	o.must(os.WriteFile(filepath.Join(o.folder.Dir(), "20260301T130000.000000000Z-000000000000.json"), []byte("{}"), 0o600))
	count := func(since time.Time) (good, bad int) {
		for file, err := range evidence.Files(t.Context(), o.folder.Dir(), since) {
			o.must(err)
			if file.Err != nil {
				bad++
			} else {
				good++
			}
		}
		return good, bad
	}
	for _, c := range []struct {
		since     time.Time
		good, bad int
	}{{time.Time{}, 3, 1}, {at(60), 2, 1}, {at(61), 1, 0}, {at(121), 0, 0}} {
		if good, bad := count(c.since); good != c.good || bad != c.bad {
			t.Errorf("since %v: %d and %d", c.since, good, bad)
		}
	}
	want, err := os.ReadFile(path)
	o.must(err)
	for _, who := range []string{"ALICE", "corp/a-1", "a-1", "zoë <alice>", "uid=alice,ou=people,dc=x"} {
		got, err := o.folder.Latest(t.Context(), identity.PersonID{}, who)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if got, err := o.folder.Latest(t.Context(), bob, "alice"); err != nil || !strings.Contains(string(got), "bobby") {
		t.Errorf("by identity: %v", err)
	}
	if _, err := o.folder.Latest(t.Context(), identity.PersonID{}, "nobody"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody: %v", err)
	}
	for _, err := range evidence.Files(t.Context(), filepath.Join(o.dir, "none"), time.Time{}) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestTheKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "evidence.key")
	one, err := evidence.OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	two, err := evidence.OpenKey(path)
	if err != nil || one.Fingerprint() != two.Fingerprint() {
		t.Errorf("%v", err)
	}
	public, err := evidence.ReadPublicKey(path + ".pub")
	if err != nil || !public.Equal(one.Public()) {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(path); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.OpenKey(path); err == nil {
		t.Error("a key that cannot be read was replaced")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	three, err := evidence.OpenKey(path)
	if err != nil || three.Fingerprint() == one.Fingerprint() {
		t.Error("no new key")
	}
	if public, err := evidence.ReadPublicKey(path + ".pub"); err != nil || !public.Equal(three.Public()) {
		t.Errorf("the public key is still the old one: %v", err)
	}
}

func compact(raw []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return ""
	}
	return b.String()
}

// TestAnyEditIsFound changes, adds and removes bytes anywhere; only the space between tokens may differ.
func TestAnyEditIsFound(t *testing.T) {
	o := newOffice(t)
	o.happened()
	_, _, genuine := o.write(closedCase())
	want := compact(genuine)
	// Fewer unlikely bytes than likely ones: a digit for a digit is what a forger would try.
	bytesOf := rapid.OneOf(rapid.SampledFrom([]byte(`0123456789abcdefTZ"{}[],: \e-ADU`)), rapid.Byte())
	rapid.Check(t, func(t *rapid.T) {
		edited := slices.Clone(genuine)
		i := rapid.IntRange(0, len(edited)-1).Draw(t, "where")
		switch rapid.IntRange(0, 3).Draw(t, "edit") {
		case 0:
			edited[i] = bytesOf.Draw(t, "byte")
		case 1:
			edited = slices.Insert(edited, i, bytesOf.Draw(t, "byte"))
		case 2:
			edited = slices.Delete(edited, i, min(len(edited), i+rapid.IntRange(1, 40).Draw(t, "length")))
		default:
			edited = append(edited, bytesOf.Draw(t, "byte"))
		}
		_, err := evidence.Verify(bytes.NewReader(edited))
		if same := compact(edited) == want; (err == nil) != same {
			t.Fatalf("the same but for space: %t; verified: %v\n%s", same, err, edited)
		}
		if err != nil && !errors.Is(err, evidence.ErrInvalid) {
			t.Fatalf("%v is no ErrInvalid", err)
		}
	})
}

// A forger edits a file, and signs it anew: with the genuine key, so that nothing but the edit can give them away, or
// with one of their own, as anybody can.
type forger struct {
	t   *testing.T
	key ed25519.PrivateKey
}

func insider(t *testing.T, o *office) forger {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(o.dir, "evidence.key"))
	o.must(err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	o.must(err)
	return forger{t, key.(ed25519.PrivateKey)}
}

func stranger(t *testing.T) forger {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return forger{t, key}
}

func plain(t *testing.T, v any) []byte {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(out.Bytes())
}

func (f forger) sign(e evidence.Evidence) []byte {
	e.Key, e.Signature = f.key.Public().(ed25519.PublicKey), []byte{}
	e.Signature = ed25519.Sign(f.key, plain(f.t, e))
	return plain(f.t, e)
}

// record writes a record's line anew, its hash included.
func (f forger) record(r audit.Record) json.RawMessage {
	r.Hash = ""
	body := plain(f.t, r)
	sum := sha256.Sum256(body)
	return append(body[:len(body)-1], `,"hash":"`+hex.EncodeToString(sum[:])+`"}`...)
}

// reseal writes the closing record anew over the others, naming the forger's key; false where there is none to write
// anew.
func (f forger) reseal(e *evidence.Evidence) bool {
	var hashes []string
	last := len(e.Records) - 1
	if last < 0 {
		return false
	}
	for _, line := range e.Records[:last] {
		r, err := audit.ParseLine(line)
		if err != nil {
			return false
		}
		hashes = append(hashes, r.Hash)
	}
	r, err := audit.ParseLine(e.Records[last])
	if err != nil || r.Kind != audit.Case {
		return false
	}
	r.Count, r.Digest = len(hashes), audit.HashOf(hashes)
	sum := sha256.Sum256(f.key.Public().(ed25519.PublicKey))
	r.Key = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
	e.Records[last] = f.record(r)
	return true
}

// TestEachForgeryIsRefused has somebody with the genuine key edit a file, and then write the closing record anew over
// what they edited. What is consistent after that is contradicted by the trail alone.
func TestEachForgeryIsRefused(t *testing.T) {
	o := newOffice(t)
	o.happened()
	_, genuine, _ := o.write(closedCase())
	f := insider(t, o)
	day := 24 * time.Hour
	edit := func(i int, change func(*audit.Record)) func(*evidence.Evidence) {
		return func(e *evidence.Evidence) {
			r, err := audit.ParseLine(e.Records[i])
			if err != nil {
				t.Fatal(err)
			}
			change(&r)
			e.Records[i] = f.record(r)
		}
	}
	onlyTheTrail := []string{
		"a middle record missing", "the first record missing", "a record edited, its hash too",
	}
	for name, forge := range map[string]func(*evidence.Evidence){
		"left a day earlier":        func(e *evidence.Evidence) { e.Left = e.Left.Add(-day) },
		"no word of when they left": func(e *evidence.Evidence) { e.Left = time.Time{} },
		"noticed a day earlier":     func(e *evidence.Evidence) { e.Noticed = e.Noticed.Add(-day) },
		"closed a day earlier":      func(e *evidence.Evidence) { e.Closed = e.Closed.Add(-day) },
		"not closed":                func(e *evidence.Evidence) { e.Closed = time.Time{} },
		"another cause":             func(e *evidence.Evidence) { e.Cause = identity.Moved },
		"another reason":            func(e *evidence.Evidence) { e.Reason = "ticket 4711" },
		"another proof":             func(e *evidence.Evidence) { e.Proof = "none" },
		"another name":              func(e *evidence.Evidence) { e.Name = "bob" },
		"another DN":                func(e *evidence.Evidence) { e.DN = "uid=bob" },
		"another person":            func(e *evidence.Evidence) { e.Person = bob.String() },
		"another case":              func(e *evidence.Evidence) { e.Case = "20260228" + e.Case[8:] },
		"another format":            func(e *evidence.Evidence) { e.Format = 2 },
		"no accounts":               func(e *evidence.Evidence) { e.Accounts = []evidence.Account{} },
		"null accounts":             func(e *evidence.Evidence) { e.Accounts = nil },
		"an account fewer":          func(e *evidence.Evidence) { e.Accounts = e.Accounts[1:] },
		"an account twice":          func(e *evidence.Evidence) { e.Accounts = append(e.Accounts, e.Accounts[1]) },
		"accounts in another order": func(e *evidence.Evidence) { slices.Reverse(e.Accounts) },
		"an account proven":         func(e *evidence.Evidence) { e.Accounts[0].Status, e.Accounts[0].Closed = state.StepProven, at(1) },
		"an account's times":        func(e *evidence.Evidence) { e.Accounts[1].Closed, e.Accounts[1].Took = at(1), 240 },
		"it took less":              func(e *evidence.Evidence) { e.Accounts[1].Took = 1 },
		"our part less":             func(e *evidence.Evidence) { e.Accounts[1].Ours = 1 },
		"fewer attempts":            func(e *evidence.Evidence) { e.Accounts[1].Attempts = 1 },
		"seen gone":                 func(e *evidence.Evidence) { e.Accounts[1].Seen = "gone" },
		"another user name":         func(e *evidence.Evidence) { e.Accounts[1].UserName = "bob" },
		"a record's key in other words": func(e *evidence.Evidence) {
			e.Records[2] = bytes.Replace(e.Records[2], []byte(`"kind"`), []byte(`"Kind"`), 1)
		},
		"a middle record missing":    func(e *evidence.Evidence) { e.Records = slices.Delete(e.Records, 2, 3) },
		"the first record missing":   func(e *evidence.Evidence) { e.Records = e.Records[1:] },
		"the closing record missing": func(e *evidence.Evidence) { e.Records = e.Records[:len(e.Records)-1] },
		"no records":                 func(e *evidence.Evidence) { e.Records = []json.RawMessage{} },
		"a record twice":             func(e *evidence.Evidence) { e.Records = slices.Insert(e.Records, 1, e.Records[1]) },
		"records in another order":   func(e *evidence.Evidence) { e.Records[1], e.Records[2] = e.Records[2], e.Records[1] },
		"a record edited": func(e *evidence.Evidence) {
			e.Records[1] = bytes.Replace(e.Records[1], []byte("503"), []byte("200"), 1)
		},
		"a record edited, its hash too":  edit(1, func(r *audit.Record) { r.Outcome = audit.Done }),
		"a record about somebody else":   edit(1, func(r *audit.Record) { r.Person = bob.String() }),
		"a record of another case":       edit(0, func(r *audit.Record) { r.Case = "20260101T000000.000000000Z-000000000000" }),
		"the closing record uncounted":   edit(5, func(r *audit.Record) { r.Count = 4 }),
		"the closing record of any case": edit(5, func(r *audit.Record) { r.Case = "other" }),
		"the case of another person": func(e *evidence.Evidence) {
			e.Case = e.Case[:len(e.Case)-1] + "_"
			for i := range e.Records {
				edit(i, func(r *audit.Record) {
					if r.Case != "" {
						r.Case = e.Case
					}
				})(e)
			}
		},
		"proven by a record of another kind": func(e *evidence.Evidence) {
			edit(3, func(r *audit.Record) { r.Kind = audit.Leaver })(e)
			e.Accounts[1].Closed, e.Accounts[1].Took, e.Accounts[1].Ours = time.Time{}, 0, 0
		},
		"closed with an open account": func(e *evidence.Evidence) {
			edit(3, func(r *audit.Record) { r.Kind, r.Outcome = audit.Leaver, "open" })(e)
			a := &e.Accounts[1]
			a.Status, a.Closed, a.Took, a.Ours = state.StepOpen, time.Time{}, 0, 0
		},
		"something behind the closing": func(e *evidence.Evidence) { e.Records = append(e.Records, edited(t, f, e.Records[1], 99)) },
	} {
		t.Run(name, func(t *testing.T) {
			forged := genuine
			forged.Accounts, forged.Records = slices.Clone(genuine.Accounts), slices.Clone(genuine.Records)
			forge(&forged)
			if _, err := evidence.Verify(bytes.NewReader(f.sign(forged))); !errors.Is(err, evidence.ErrInvalid) {
				t.Errorf("verified: %v", err)
			}
			if name == "the closing record uncounted" || !f.reseal(&forged) {
				return // made anew it is the genuine one, or there is none
			}
			e, err := evidence.Verify(bytes.NewReader(f.sign(forged)))
			if err == nil && slices.Contains(onlyTheTrail, name) {
				_, err = evidence.Compare(t.Context(), e, o.trailPath())
			} else if err == nil {
				t.Error("verified behind a closing record made anew")
				return
			}
			if !errors.Is(err, evidence.ErrInvalid) {
				t.Errorf("behind a closing record made anew: %v", err)
			}
		})
	}
}

// TestTheFileIsSigned edits what no record tells of, and signs with another key.
func TestTheFileIsSigned(t *testing.T) {
	o := newOffice(t)
	o.happened()
	_, genuine, _ := o.write(closedCase())
	late := genuine
	late.Made = at(9)
	if _, err := evidence.Verify(bytes.NewReader(plain(t, late))); !errors.Is(err, evidence.ErrInvalid) {
		t.Errorf("edited without a signature: %v", err)
	}
	f := stranger(t)
	if _, err := evidence.Verify(bytes.NewReader(f.sign(genuine))); !errors.Is(err, evidence.ErrInvalid) {
		t.Errorf("signed by another key than its closing record names: %v", err)
	}
	forged := genuine
	forged.Records = slices.Clone(genuine.Records)
	f.reseal(&forged)
	e, err := evidence.Verify(bytes.NewReader(f.sign(forged)))
	if err != nil {
		t.Fatalf("a file that is consistent: %v", err)
	}
	if e.Fingerprint() == o.key.Fingerprint() || !bytes.Equal(e.PublicKey(), f.key.Public().(ed25519.PublicKey)) {
		t.Error("it goes by the genuine key")
	}
	if _, err := evidence.Compare(t.Context(), e, o.trailPath()); !errors.Is(err, evidence.ErrInvalid) {
		t.Errorf("the trail has it: %v", err)
	}
}

func TestAnOpenCaseIsComparedToo(t *testing.T) {
	o := newOffice(t)
	o.happened()
	open := closedCase()
	open.Closed = time.Time{}
	raw, err := o.folder.Draft(t.Context(), open, at(5))
	o.must(err)
	e, err := evidence.Verify(bytes.NewReader(raw))
	o.must(err)
	if c, err := evidence.Compare(t.Context(), e, o.trailPath()); err != nil || c.Found != len(e.Records) {
		t.Errorf("%+v, %v", c, err)
	}
	// Nobody counts its records but the trail.
	forged := e
	forged.Records, forged.Accounts = e.Records[len(e.Records)-1:], e.Accounts[:1]
	lie, err := evidence.Verify(bytes.NewReader(insider(t, o).sign(forged)))
	o.must(err)
	if _, err := evidence.Compare(t.Context(), lie, o.trailPath()); !errors.Is(err, evidence.ErrInvalid) {
		t.Errorf("the trail does not miss them: %v", err)
	}
}

func edited(t *testing.T, f forger, line json.RawMessage, seq uint64) json.RawMessage {
	t.Helper()
	r, err := audit.ParseLine(line)
	if err != nil {
		t.Fatal(err)
	}
	r.Seq = seq
	return f.record(r)
}

// TestAFileReadsToAProgramAsToAReader: edits that JSON decoders do not see, or that show a reader something else.
func TestAFileReadsToAProgramAsToAReader(t *testing.T) {
	o := newOffice(t)
	o.happened()
	_, _, raw := o.write(closedCase())
	genuine := string(raw)
	for name, edit := range map[string][2]string{
		"a key in other letters":        {`"person":`, `"Person":`},
		"a key that is there twice":     {`"name":`, `"name": "bob", "name":`},
		"a key that nobody knows":       {`"format":`, `"note": "all is well", "format":`},
		"a letter as an escape":         {`alice`, `\u0061lice`},
		"a time with zeros":             {`:00Z"`, `:00.000Z"`},
		"a null that says nothing":      {`"closed":`, `"reason": null, "closed":`},
		"something behind it":           {"\n}", "\n} {}"},
		"a number in another form":      {`"format": 1`, `"format": 1.0`},
		"a key that is missing":         {`"format": 1,`, ``},
		"a byte order mark in front":    {`{`, "\ufeff{"},
		"a second file in front":        {`{`, `{}{`},
		"a record's key, other letters": {`"seq":`, `"SEQ":`},
	} {
		edited := strings.Replace(genuine, edit[0], edit[1], 1)
		if edited == genuine {
			t.Errorf("%s: nothing was edited", name)
		}
		if _, err := evidence.Verify(strings.NewReader(edited)); !errors.Is(err, evidence.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := evidence.Verify(strings.NewReader(compact(raw))); err != nil {
		t.Errorf("on one line: %v", err)
	}
}

func TestR18AFileIsBounded(t *testing.T) {
	o := newOffice(t)
	c := closedCase()
	failed := audit.Record{
		At: at(1), Kind: audit.Change, Person: alice.String(), Target: "wiki", Account: "1", Outcome: audit.Failed,
		Error: strings.Repeat("\x01", 400), Before: audit.Values{"a": identity.Text(strings.Repeat("x", 4000))},
	}
	records := slices.Repeat([]audit.Record{failed}, 2000) // 12 MB
	_, err := o.trail.Append(t.Context(), slices.Concat([]audit.Record{evidence.Record(c, c.Steps[0])}, records)...)
	o.must(err)
	_, e, raw := o.write(c)
	if len(raw) > evidence.MaxFile*2/3 || len(e.Records) < 1000 {
		t.Errorf("%d bytes, %d records", len(raw), len(e.Records))
	}
	if first, err := audit.ParseLine(e.Records[0]); err != nil || first.Kind != audit.Leaver {
		t.Errorf("it begins with %+v, %v", first, err)
	}
	if got, err := evidence.Compare(t.Context(), e, o.trailPath()); err != nil || got.Found != len(e.Records) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := evidence.Verify(bytes.NewReader(make([]byte, evidence.MaxFile+1))); !errors.Is(err, evidence.ErrInvalid) {
		t.Errorf("a larger one: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	o := newOffice(f)
	o.happened()
	_, _, genuine := o.write(closedCase())
	f.Add(genuine)
	f.Add([]byte(compact(genuine)))
	f.Add(bytes.Replace(genuine, []byte(`"proven"`), []byte(`"open"`), 1))
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":1,"records":[{}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := evidence.Verify(bytes.NewReader(raw))
		if err != nil && !errors.Is(err, evidence.ErrInvalid) {
			t.Fatalf("%v is no ErrInvalid", err)
		}
		if err == nil && compact(raw) != compact(genuine) {
			t.Fatalf("verified: %s", raw)
		}
	})
}
