//go:build unix

package exec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/exec"
)

// hostile is an application whose program misbehaves in one way.
type hostile struct {
	state string
	log   *quietLog
}

type quietLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *quietLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *quietLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{state: filepath.Join(t.TempDir(), "accounts"), log: &quietLog{}}
	for _, name := range []string{"alice", "bad", "bob", "carol"} {
		h.set(t, name, "1")
	}
	return h
}

func (h *hostile) set(t *testing.T, name, value string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(h.state, 0o700), os.WriteFile(filepath.Join(h.state, name), []byte(value), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

func (h *hostile) active(t *testing.T, name string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.state, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text) == "1"
}

// open opens the target. When the test is over nothing of the program is left, and no two runs of it overlapped.
func (h *hostile) open(t *testing.T, mode string, parallel int, timeout time.Duration) targets.Target {
	t.Cleanup(func() {
		notes, err := os.ReadFile(h.state + ".groups")
		if err != nil {
			t.Error(err)
		}
		for _, note := range strings.Fields(string(notes)) {
			if note == "overlap" && parallel == 0 {
				t.Error("the program was started while something of the run before was left")
			} else if left := members(note); len(left) > 0 {
				t.Errorf("of group %s is left: %s", note, left)
			}
		}
	})
	return open(t, exec.Program{
		Command: []string{"./testdata/hostile.py", mode}, Folder: absolute(t, "."), Directory: t.TempDir(),
		Environment: map[string]string{"STATE": h.state, "TOKEN": "hunter2-of-exec"}, Timeout: timeout, Parallel: max(1, parallel),
	}, targets.Need{Paths: []string{"userName"}, Log: hclog.New(&hclog.LoggerOptions{Output: h.log, Level: hclog.Debug})})
}

// members are the processes of a group that have not ended.
func members(group string) (list []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(after)
		if len(fields) > 2 && fields[2] == group && fields[0] != "Z" && fields[0] != "X" {
			list = append(list, string(text))
		}
	}
	return list
}

func named(name string) identity.Account {
	return identity.Account{ID: identity.AccountID(name), UserName: name, Active: true}
}

// TestHostilePrograms: whatever a program does about one account, the next is disabled, nothing of it is left, and
// nobody's memory or log is filled.
func TestHostilePrograms(t *testing.T) {
	const limit = 2 * time.Second
	for mode, says := range map[string]string{
		"endless":    "a line of more than 1048576 bytes",
		"junk":       `a line that dirsweep does not understand: it is no answer: invalid character 'o' in literal null (expecting 'u'): "no such user"`,
		"list":       "it is no answer",
		"misspelt":   `unknown field "actve"`,
		"latin1":     "it is not UTF-8",
		"wrong-id":   "it answered request 3 while it was asked 2",
		"half":       "it ended in the middle of an answer; whether it was done is not known",
		"exit-0":     "does not understand",
		"dies":       "it ended without an answer",
		"silent":     "no answer to disable within 2s; whether it was done is not known",
		"background": "no answer to disable within 2s",
		"escaped":    "no answer to disable within 2s",
		"bomb":       "no answer to disable within 2s",
		"deaf":       "within 2s",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t)
			target := h.open(t, mode, 0, limit)
			p := begin(t, target)
			began := time.Now()
			_, err := p.Disable(t.Context(), named("bad"))
			if !errors.Is(err, targets.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("%v, want %q", err, says)
			}
			if took := time.Since(began); took > limit+8*time.Second {
				t.Errorf("it took %s", took)
			}
			if mode == "deaf" {
				return // that one is of no use to anybody
			}
			if _, err := p.Disable(t.Context(), named("bob")); err != nil || h.active(t, "bob") {
				t.Errorf("the next account: %v", err)
			}
			if a, err := p.Account(t.Context(), "bob"); err != nil || a.Active {
				t.Errorf("read back: %+v, %v", a, err)
			}
		})
	}
}

// TestHostileProgramsStayAlone: one program's endless line takes a bounded part of memory, and another target does not
// wait.
func TestHostileProgramsStayAlone(t *testing.T) {
	bad, good := newHostile(t), newHostile(t)
	p, q := begin(t, bad.open(t, "endless", 0, 30*time.Second)), begin(t, good.open(t, "silent", 0, 30*time.Second))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan error)
	go func() {
		_, err := p.Disable(t.Context(), named("bad"))
		done <- err
	}()
	for _, name := range []string{"alice", "bob", "carol"} {
		if _, err := q.Disable(t.Context(), named(name)); err != nil || good.active(t, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := <-done; !errors.Is(err, targets.ErrUnavailable) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("an endless line took %d bytes", grown)
	}
}

// TestX1GroupIsKilledAndOthersGoOn: a grandchild keeps the pipe open, and the time limit ends it too; meanwhile others
// are closed by the program's other run.
func TestX1GroupIsKilledAndOthersGoOn(t *testing.T) {
	h := newHostile(t)
	p := begin(t, h.open(t, "background", 2, 4*time.Second))
	began := time.Now()
	done := make(chan error)
	go func() {
		_, err := p.Disable(t.Context(), named("bad"))
		done <- err
	}()
	time.Sleep(100 * time.Millisecond)
	for _, name := range []string{"alice", "bob", "carol"} {
		if _, err := p.Disable(t.Context(), named(name)); err != nil || h.active(t, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	select {
	case err := <-done:
		t.Errorf("the others were delayed: %s, %v", time.Since(began), err)
		return
	default:
	}
	err := <-done
	if took := time.Since(began); !errors.Is(err, targets.ErrUnavailable) || took > 12*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	if a, err := p.Account(t.Context(), "bad"); err != nil || !a.Active {
		t.Errorf("what came of it is not known, and is read: %+v, %v", a, err)
	}
}

// TestX1NothingIsStartedOverTheRest: a run that was killed is gone before the next begins, each time.
func TestX1NothingIsStartedOverTheRest(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	p := begin(t, h.open(t, "background", 0, time.Second))
	for range 3 {
		if _, err := p.Disable(t.Context(), named("bad")); !errors.Is(err, targets.ErrUnavailable) {
			t.Error(err)
		}
		if _, err := p.Disable(t.Context(), named("alice")); err != nil {
			t.Error(err)
		}
	}
}

// TestX2NothingIsBelieved: a program that says that it did what it did not is caught by reading.
func TestX2NothingIsBelieved(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	p := begin(t, h.open(t, "lies", 0, 10*time.Second))
	if _, err := p.Disable(t.Context(), named("bad")); err != nil {
		t.Error(err)
	}
	if a, err := p.Account(t.Context(), "bad"); err != nil || !a.Active {
		t.Errorf("it is still active, and read as %+v, %v", a, err)
	}
}

// TestX6NoiseIsBounded: five megabytes of it, not UTF-8, with control characters, on standard error.
func TestX6NoiseIsBounded(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	target := h.open(t, "noise", 0, 20*time.Second)
	if _, err := begin(t, target).Disable(t.Context(), named("bad")); err != nil {
		t.Error(err)
	}
	closing(t, target)
	text := h.log.String()
	for _, r := range text {
		if r != '\n' && unicode.IsControl(r) {
			t.Fatalf("the log has a control character: %q", r)
		}
	}
	if n := len(text); n < 1000 || n > 100_000 || !strings.Contains(text, "noise of the program") || !strings.Contains(text, "lines_left_out") {
		t.Errorf("%d bytes are logged: %.2000s", n, text)
	}
}

// TestX6UnknownErrorsAreFailures: a word that the protocol does not have is no success, and no verdict.
func TestX6UnknownErrorsAreFailures(t *testing.T) {
	t.Parallel()
	p := begin(t, newHostile(t).open(t, "unknown", 0, 10*time.Second))
	_, err := p.Disable(t.Context(), named("bad"))
	if !errors.Is(err, targets.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), `no known class, "eight": userdel: user bad is used by process 7`) {
		t.Error(err)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	p := begin(t, newHostile(t).open(t, "secret", 0, 10*time.Second))
	_, err := p.Disable(t.Context(), named("bad"))
	if text := fmt.Sprint(err); !strings.Contains(text, "with (secret)") || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%q", text)
	}
}

// TestUnaskedLines: what a program writes unasked is not taken for the next answer.
func TestUnaskedLines(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	p := begin(t, h.open(t, "twice", 0, 10*time.Second))
	if _, err := p.Disable(t.Context(), named("bad")); err != nil {
		t.Error(err)
	}
	time.Sleep(200 * time.Millisecond)
	if a, err := p.Account(t.Context(), "alice"); err != nil || a.ID != "alice" {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestListsAreBounded: a list without an end takes as long as it is given, and nobody else waits for it.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	p := begin(t, h.open(t, "drip", 2, 10*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	done := make(chan error)
	go func() {
		var last error
		for _, last = range p.Accounts(ctx) {
		}
		done <- last
	}()
	time.Sleep(200 * time.Millisecond)
	if _, err := p.Disable(t.Context(), named("alice")); err != nil || ctx.Err() != nil {
		t.Errorf("it waited for the list: %v", err)
	}
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestLeaversDoNotWaitForLists: not even where the program runs once beside the list.
func TestLeaversDoNotWaitForLists(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	p := begin(t, h.open(t, "drip", 1, 10*time.Second))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	listing := make(chan struct{})
	go func() {
		defer close(done)
		once := sync.OnceFunc(func() { close(listing) })
		for range p.Accounts(ctx) {
			once()
		}
	}()
	<-listing
	soon, stop := context.WithTimeout(t.Context(), 8*time.Second)
	defer stop()
	if _, err := p.Disable(soon, named("alice")); err != nil || h.active(t, "alice") {
		t.Error(err)
	}
	cancel()
	<-done
}

// TestFailuresInARowPause: a program that cannot start is not started a thousand times a second.
func TestFailuresInARowPause(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "broken.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho x >> starts\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	target := open(t, exec.Program{Command: []string{script}, Directory: dir}, targets.Need{})
	var last error
	for range 50 {
		_, last = target.Begin(t.Context())
		if !errors.Is(last, targets.ErrUnavailable) {
			t.Fatal(last)
		}
	}
	starts, err := os.ReadFile(filepath.Join(dir, "starts"))
	if n := strings.Count(string(starts), "x"); err != nil || n < 2 || n > 4 {
		t.Errorf("started %d times: %v", n, err)
	}
	if !strings.Contains(fmt.Sprint(last), "it is started once more in") {
		t.Error(last)
	}
}

// TestACallThatIsCutShortMayFinish: when dirsweep is stopped, a program has a moment to answer what it was asked.
func TestACallThatIsCutShortMayFinish(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "slow.sh")
	text := `#!/bin/sh
while read -r line; do
  case $line in
  *hello*) echo '{"id":1,"hello":{"version":1,"operations":["accounts","account","disable"]}}' ;;
  *) sleep 1; echo '{"id":2,"receipt":"done"}' ;;
  esac
done
`
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	p := begin(t, open(t, exec.Program{Command: []string{script}, Directory: dir, Parallel: 1}, targets.Need{}))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if r, err := p.Disable(ctx, named("alice")); err != nil || r.RequestID != "done" {
		t.Errorf("%+v, %v", r, err)
	}
	began := time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := begin(t, newHostile(t).open(t, "silent", 0, time.Minute)).Disable(ctx, named("bad"))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, targets.ErrUnavailable) || time.Since(began) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
