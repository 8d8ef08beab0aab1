package apply_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

func throttled(d time.Duration) applytest.Answer {
	return applytest.Answer{Err: &targets.ThrottledError{RetryAfter: d, Err: errors.New("429")}}
}

// R4, R9: a pause that the target asks for holds for everybody, across passes and restarts. Leavers probe once a
// minute.
func TestR04APauseOutlivesThePassAndTheProcess(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		leavers := apply.ForLeavers(t.Context())
		d.app.Script("create", throttled(time.Hour))
		job := apply.Job{Change: change(identity.Create, bob, ""), Want: account("", "b", "b")}
		if r := d.x.Do(t.Context(), d.p, job); !errors.Is(r.Err, targets.ErrUnavailable) {
			t.Fatal(r.Err)
		}
		d.app.Calls()
		started := time.Now()
		until := d.s.PausedUntil()
		if left := until.Sub(started); left < 59*time.Minute || left > time.Hour {
			t.Fatalf("paused for %s", left)
		}
		for _, restart := range []bool{false, true} {
			if restart {
				d.s = d.session()
			}
			if _, err := d.s.Begin(t.Context()); !errors.Is(err, apply.ErrPaused) {
				t.Errorf("restart %t: a new pass: %v", restart, err)
			}
			if !d.s.PausedUntil().Equal(until) || d.s.Paused().IsZero() {
				t.Errorf("restart %t: paused until %s, want %s", restart, d.s.PausedUntil(), until)
			}
		}
		if _, err := d.p.Account(t.Context(), "1"); !errors.Is(err, apply.ErrPaused) {
			t.Errorf("a pass under way: %v", err)
		}
		d.want("requests during the pause", 0, len(d.app.Calls()))

		// A leaver's request a minute, for as long as the answer is no.
		d.s = d.session()
		d.app.Always("begin", throttled(time.Hour))
		asked := 0
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Second) {
			_, err := d.s.Begin(leavers)
			if err == nil {
				t.Fatal("no error")
			}
			asked += len(d.app.Calls())
		}
		if asked < 9 || asked > 11 {
			t.Errorf("%d probes in ten minutes", asked)
		}

		// A probe that is answered frees the leavers, and nobody else.
		d.app.Always("begin", applytest.Answer{})
		time.Sleep(time.Minute)
		p, err := d.s.Begin(leavers)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := p.Account(leavers, "1"); err != nil {
				t.Errorf("after the probe: %v", err)
			}
		}
		if _, err := p.Account(t.Context(), "1"); !errors.Is(err, apply.ErrPaused) {
			t.Errorf("others too: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := d.s.Begin(t.Context()); err != nil || !d.s.PausedUntil().IsZero() {
			t.Errorf("after the pause: %v, %s", err, d.s.PausedUntil())
		}
	})
}

// D12: one answer that is missed costs a read no more than it does a write.
func TestReadsAreRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		for name, read := range map[string]func() error{
			"begin":        func() error { _, err := d.s.Begin(t.Context()); return err },
			"account":      func() error { _, err := d.p.Account(t.Context(), "1"); return err },
			"entitlements": func() error { _, err := d.p.Entitlements(t.Context(), account("1", "a", "a")); return err },
			"find":         func() error { _, err := d.p.Find(t.Context(), "userName", "a"); return err },
		} {
			d.app.Script(name, unavailable, throttled(2*time.Second), unavailable)
			if err := read(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			d.want(name+": calls", 4, len(d.app.Calls()))
		}
	})
}

// S11: what closes a leaver goes on with the last view of the target where a new one cannot be had.
func TestS11ClosingBeginsWithTheLastView(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		d.app.Always("begin", unavailable)
		if _, err := d.s.Begin(t.Context()); !errors.Is(err, targets.ErrUnavailable) {
			t.Errorf("a pass over everybody: %v", err)
		}
		p, err := d.s.Begin(apply.ForLeavers(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Account(t.Context(), "1"); err != nil {
			t.Error(err)
		}
		if _, err := d.session().Begin(apply.ForLeavers(t.Context())); err == nil {
			t.Error("and where there was none before")
		}
	})
}

func TestAccountsClosedWithinAMinuteShareAPass(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		recent := func() *apply.Pass {
			t.Helper()
			p, err := d.s.Recent(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		first := recent()
		if time.Sleep(30 * time.Second); recent() != first {
			t.Error("half a minute later it is another")
		}
		if time.Sleep(time.Minute); recent() == first {
			t.Error("it is kept for ever")
		}
		broken := recent()
		broken.Break(errors.New("down"))
		if recent() != broken {
			t.Error("what was left alone is asked again at once")
		}
		if time.Sleep(20 * time.Second); recent() == broken {
			t.Error("what was left alone stays so for a minute")
		}
	})
}

// R4: each request waits in the class of what it is for, reads included.
func TestR04RequestsArePacedInTheirClass(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		app := applytest.New(account("1", "a", "a"))
		s, err := apply.OpenSession(apply.SessionOptions{Target: "wiki", Rate: apply.Rate{PerSecond: 10}}, app.PacedBy)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for range 20 {
			go func() {
				for ctx.Err() == nil {
					_, _ = p.Account(ctx, "1")
				}
			}()
		}
		time.Sleep(30 * time.Second)
		start := time.Now()
		for range 20 {
			if _, err := p.Account(apply.ForLeavers(t.Context()), "1"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("20 reads for leavers took %s beside others; a fifth of 10 a second is 10s", took)
		}
	})
}

// A listing that does not end well proves nothing, and what it says of the target is learned.
func TestAListingLearns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDesk(t, memory.New(), account("1", "a", "a"))
		d.app.Script("accounts", throttled(time.Hour))
		var last error
		for _, err := range d.p.Accounts(t.Context()) {
			last = err
		}
		if last == nil || d.s.PausedUntil().IsZero() {
			t.Errorf("%v, paused until %s", last, d.s.PausedUntil())
		}
		d.s = d.session()
		time.Sleep(2 * time.Hour)
		d.p = d.pass()
		d.app.Script("accounts", applytest.Answer{Err: targets.ErrUnauthorized})
		for range d.p.Accounts(t.Context()) {
			continue
		}
		if !errors.Is(d.p.Down(), targets.ErrUnauthorized) {
			t.Errorf("down: %v", d.p.Down())
		}
		if !slices.Equal(d.app.Calls(), []string{"accounts"}) {
			t.Error("asked more than once")
		}
		for _, err := range d.p.Accounts(t.Context()) {
			last = err
		}
		if !errors.Is(last, targets.ErrUnauthorized) || len(d.app.Calls()) > 0 {
			t.Errorf("a target that is down is listed: %v", last)
		}
	})
}
