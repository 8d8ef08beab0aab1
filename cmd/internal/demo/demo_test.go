package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elimity-com/scim"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testLog(t *testing.T) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn})
}

func TestOnceEndsRight(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Once: true, JSON: true, Out: &out, Log: testLog(t)}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var s struct {
		Summary
		Closed []struct {
			Proven float64 `json:"provenSeconds"`
			Seen   float64 `json:"seenSeconds"`
		} `json:"closed"`
		Took float64 `json:"tookSeconds"`
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Took <= 0 || bytes.Contains(out.Bytes(), []byte("_")) {
		t.Errorf("names and durations: %s", out.String())
	}
	if s.People != companySize || s.Joined != 5 || s.Moved != 4 || s.Left != 4 || s.Held != 50 || s.Orphans == 0 || s.Files != 4 || len(s.Wrong) > 0 {
		t.Errorf("summary: %s", out.String())
	}
	if len(s.Closed) != 7 {
		t.Errorf("closed: %s", out.String())
	}
	for _, c := range s.Closed {
		if c.Proven <= 0 || c.Seen < c.Proven {
			t.Errorf("proven after %g s, seen after %g s", c.Proven, c.Seen)
		}
	}
}

func TestLiveEndsRightWhenItIsToldToEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := Run(ctx, Options{Out: &out, Log: testLog(t)}); err != nil {
		t.Errorf("%v", err)
	}
	t.Log(out.String())
	for _, want := range []string{" shows the account of ", "exactly what they should"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

// TestCheckFindsWhatIsWrong plays a day, looks at what is said of it, then tampers with applications that are right,
// and expects the demo's own eyes to see it.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	w, err := newWorld(t.Context(), schedule{full: "@daily", window: "24h"}, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(false); err != nil {
			t.Error(err)
		}
	})
	var out bytes.Buffer
	tell := newTeller(Options{Out: &out})
	summary, err := day(t.Context(), w, tell, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	tell.summary(summary)
	t.Log(out.String())
	for _, want := range []string{
		"wiki: link 1, create 199", "chat: create 100", "3 proven closed", "it is closed again", "the target is not available",
		"50 people held", "approve", "5 joined, 4 moved, 4 left", "7 accounts closed", "4 evidence files verified", "exactly what they should",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	differences := func() []string {
		wrong, err := w.differences(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return wrong
	}
	if wrong := differences(); len(wrong) > 0 {
		t.Fatalf("it is wrong before anything is tampered with: %q", wrong)
	}
	gone, err := w.company.someoneWho(func(p *person) bool { return p.left && p.chats() })
	if err != nil {
		t.Fatal(err)
	}
	here, err := w.company.pick(func(p *person) bool { return len(p.channels()) > 0 })
	if err != nil {
		t.Fatal(err)
	}
	active := func(on bool) func(scim.ResourceAttributes) {
		return func(a scim.ResourceAttributes) { a["active"] = on }
	}
	tests := []struct {
		name         string
		tamper, mend func() bool
		want         string
	}{
		{
			"a leaver's account is open",
			func() bool { return w.chat.meddle(gone.mail(), active(true)) }, func() bool { return w.chat.meddle(gone.mail(), active(false)) }, "chat: " + gone.mail(),
		},
		{
			"an account of somebody who works here is closed",
			func() bool { return w.wiki.meddle(here.uid, active(false)) }, func() bool { return w.wiki.meddle(here.uid, active(true)) }, "wiki: " + here.uid,
		},
		{
			"an account that is nobody's was touched",
			func() bool { return w.wiki.meddle("administrator", active(false)) }, func() bool { return w.wiki.meddle("administrator", active(true)) }, "wiki: administrator",
		},
		{
			"somebody's name is wrong",
			func() bool {
				return w.chat.meddle(here.mail(), func(a scim.ResourceAttributes) { a["displayName"] = "Nobody" })
			},
			func() bool {
				return w.chat.meddle(here.mail(), func(a scim.ResourceAttributes) { a["displayName"] = here.cn() })
			}, "chat: " + here.mail(),
		},
		{
			"somebody is in no channel",
			func() bool { return w.chat.empty(here.channels()[0]) }, nil, "chat: ",
		},
		{
			"an account too many",
			func() bool {
				w.wiki.put(scim.ResourceAttributes{"userName": "stranger", "active": true})
				return true
			}, nil, "should not be there",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.tamper() {
				t.Fatal("there was nothing to tamper with")
			}
			if wrong := differences(); !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, tt.want) }) {
				t.Errorf("found %q, want one with %q", wrong, tt.want)
			}
			if tt.mend != nil && (!tt.mend() || len(differences()) > 0) {
				t.Error("it is not right again after it was mended")
			}
		})
	}
	w.wiki.setDown(true)
	if _, err := w.differences(t.Context()); err == nil {
		t.Error("an application that gives no answer was found right")
	}
}

func TestWrongEndIsAnError(t *testing.T) {
	for _, asJSON := range []bool{true, false} {
		var out bytes.Buffer
		wrong := func(context.Context, *world, *teller, hclog.Logger) (Summary, error) {
			return Summary{Wrong: []string{"wiki: no account for alice"}}, nil
		}
		err := run(t.Context(), Options{JSON: asJSON, Out: &out, Log: testLog(t)}, wrong, schedule{full: "@daily", window: "24h"})
		if !errors.Is(err, ErrWrong) || !strings.Contains(out.String(), "no account for alice") {
			t.Errorf("%v\n%s", err, out.String())
		}
	}
}
