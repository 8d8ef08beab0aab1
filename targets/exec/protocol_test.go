package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// examples are the messages of docs/targets/exec.md.
func examples(t testing.TB) (requests, answers []string) {
	page, err := os.ReadFile("../../docs/targets/exec.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(page), "\n") {
		if text, ok := strings.CutPrefix(line, "> {"); ok {
			requests = append(requests, "{"+text)
		} else if text, ok := strings.CutPrefix(line, "< {"); ok {
			answers = append(answers, "{"+text)
		}
	}
	return requests, answers
}

// TestTheContractIsSpoken: each message of the page is one that dirsweep writes, or reads; each operation and each class
// of errors has one.
func TestTheContractIsSpoken(t *testing.T) {
	requests, answers := examples(t)
	var ops []string
	for _, text := range requests {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		var r request
		if err := dec.Decode(&r); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ops = append(ops, r.Op)
		r.Set = map[string]identity.Value{}
		for path, v := range r.SetJSON {
			r.Set[path], _ = identity.NewValue(v)
		}
		if line, err := r.line(); err != nil || strings.TrimSpace(string(line)) != text {
			t.Errorf("%s is written as %s, %v", text, line, err)
		}
	}
	for _, op := range append(operations(), opHello, opStep, opLeft) {
		if !slices.Contains(ops, op) {
			t.Errorf("no example of %s", op)
		}
	}
	classes := map[string]bool{}
	for _, text := range answers {
		a, err := parseAnswer([]byte(text + "\n"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		classes[a.Error] = true
		if a.Hello != nil && a.Hello.check() != nil {
			t.Errorf("%s: %v", text, a.Hello.check())
		}
		if a.Account != nil {
			if _, err := a.Account.account([]string{"displayName", "title"}); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if err := a.fault("x"); strings.Contains(fmt.Sprint(err), "no known class") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, class := range []string{"not_found", "conflict", "forbidden", "unauthorized", "rejected", "unavailable", "throttled", "busy"} {
		if !classes[class] {
			t.Errorf("no example of %s", class)
		}
	}
}

func TestErrorClasses(t *testing.T) {
	for class, want := range map[string]error{
		"not_found": targets.ErrNotFound, "conflict": targets.ErrConflict, "forbidden": targets.ErrForbidden, "unauthorized": targets.ErrUnauthorized,
		"rejected": targets.ErrRejected, "unavailable": targets.ErrUnavailable, "throttled": targets.ErrUnavailable, "busy": targets.ErrUnavailable,
		"": nil, "Not_Found": targets.ErrUnavailable, "0": targets.ErrUnavailable,
	} {
		err := answer{Error: class, RetryAfter: 2.1}.fault("words")
		all := []error{
			targets.ErrUnavailable, targets.ErrConflict, targets.ErrUnauthorized, targets.ErrForbidden, targets.ErrRejected,
			targets.ErrNotFound, targets.ErrIncomplete,
		}
		for _, other := range all {
			if errors.Is(err, other) != (other == want) {
				t.Errorf("%q is %v", class, err)
			}
		}
	}
	var throttled *targets.ThrottledError
	for seconds, want := range map[float64]time.Duration{0.249: time.Second, 2.1: 3 * time.Second, -1: 0, 1e300: time.Hour, 0: 0} {
		if !errors.As(answer{Error: "throttled", RetryAfter: seconds}.fault(""), &throttled) || throttled.RetryAfter != want {
			t.Errorf("%v: %+v", seconds, throttled)
		}
	}
}

// FuzzAnswer: no line breaks the parser, and what it takes is safe to log and to remember.
func FuzzAnswer(f *testing.F) {
	_, answers := examples(f)
	for _, text := range append(answers, "", "null", "[]", "{}{}", `{"id":1e99}`, `{"account":{"id":"a\u0000","userName":"b","active":2}}`, "{\"id\":1,\"left\":\"\xff\"}") {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parseAnswer(line)
		if err != nil {
			return
		}
		if unprintable(plain(a.Message, 300)) || len([]rune(plain(a.Message, 300))) > 301 {
			t.Errorf("message %q", plain(a.Message, 300))
		}
		if fault := a.fault(a.Message); (fault == nil) != (a.Error == "") {
			t.Errorf("%q is %v", a.Error, fault)
		}
		if a.Account == nil {
			return
		}
		account, err := a.Account.account([]string{"displayName"})
		if err != nil {
			return
		}
		if account.ID == "" || account.UserName == "" || unprintable(string(account.ID)+account.UserName+account.ExternalID) {
			t.Errorf("%+v", account)
		}
		if !account.Active && !bytes.Contains(line, []byte("false")) {
			t.Errorf("%s is inactive", line)
		}
	})
}
