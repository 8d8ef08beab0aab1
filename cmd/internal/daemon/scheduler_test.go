package daemon

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/robfig/cron/v3"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// played runs a scheduler in fake time from the bubble's midnight and returns which passes began when: "delta
// 00:01:00".
func played(t *testing.T, full, delta string, last, takes, lasts time.Duration, during func(r *scheduler)) []string {
	t.Helper()
	var began []string
	synctest.Test(t, func(t *testing.T) {
		began = play(t, full, delta, last, takes, lasts, during)
	})
	return began
}

func play(t *testing.T, full, delta string, last, takes, lasts time.Duration, during func(r *scheduler)) (began []string) {
	midnight := time.Now().Truncate(24 * time.Hour)
	under := false
	r := &scheduler{
		times: func() (cron.Schedule, cron.Schedule) { return parse(t, full), parse(t, delta) },
		full:  make(chan struct{}, 1),
		delta: make(chan struct{}, 1),
		pass: func(ctx context.Context, mode reconcile.Mode) {
			if under {
				t.Error("two passes are being judged at once")
			}
			under = true
			began = append(began, fmt.Sprintf("%s %s", mode, time.Since(midnight).Truncate(time.Second)))
			sleep(ctx, takes)
			under = false
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	if during != nil {
		go during(r)
	}
	var lastFull time.Time
	if last != 0 {
		lastFull = time.Now().Add(-last)
	}
	r.run(ctx, lastFull)
	return began
}

func sleep(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

func parse(t *testing.T, spec string) cron.Schedule {
	t.Helper()
	if spec == "" {
		return nil
	}
	s, err := cron.ParseStandard(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPassesByTheClock(t *testing.T) {
	t.Parallel()
	const never = time.Duration(0)
	for _, tt := range []struct {
		name              string
		full, delta       string
		last, takes, runs time.Duration
		want              []string
	}{
		{
			"the first pass ever is full, then deltas until the next full", "30 0 * * *", "@every 10m", never, 0, 45 * time.Minute,
			[]string{"full 0s", "delta 10m0s", "delta 20m0s", "full 30m0s", "delta 40m0s"},
		},
		{
			"a full pass missed while down is caught up", "0 22 * * *", "@every 10m", 3 * time.Hour, 0, 15 * time.Minute,
			[]string{"full 0s", "delta 10m0s"},
		},
		{
			"a restart between two full passes begins with a delta", "0 22 * * *", "@every 10m", time.Hour, 0, 15 * time.Minute,
			[]string{"delta 0s", "delta 10m0s"},
		},
		{
			"a delta longer than its interval is not queued up", "0 22 * * *", "@every 1m", time.Hour, 150 * time.Second, 11 * time.Minute,
			[]string{"delta 0s", "delta 3m30s", "delta 7m0s", "delta 10m30s"},
		},
		{
			"a full pass that comes due during a delta runs right after it", "2 0 * * *", "@every 1m", time.Hour, 150 * time.Second, 5 * time.Minute,
			[]string{"delta 0s", "full 2m30s"},
		},
		{
			"without a delta schedule there are only full passes", "@every 20m", "", never, 0, 50 * time.Minute,
			[]string{"full 0s", "full 20m0s", "full 40m0s"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := played(t, tt.full, tt.delta, tt.last, tt.takes, tt.runs, nil); !slices.Equal(got, tt.want) {
				t.Errorf("passes %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFullPassOnDemandWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	got := played(t, "0 22 * * *", "@every 10m", time.Hour, time.Minute, 12*time.Minute, func(r *scheduler) {
		sleep(context.Background(), 30*time.Second) // within the first delta
		nudge(r.full)
		nudge(r.full)
	})
	if want := []string{"delta 0s", "full 1m0s", "delta 11m0s"}; !slices.Equal(got, want) {
		t.Errorf("passes %q, want %q", got, want)
	}
}

func TestAPushedChangeWaitsForNoClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes time.Duration // a pass
		every time.Duration // between signs
		want  []string
	}{
		"at once": {0, 20 * time.Minute, []string{"delta 0s", "delta 20m0s", "delta 40m0s"}},
		"what comes during a pass has one after it":   {2 * time.Second, 21 * time.Minute, []string{"delta 0s", "delta 21m0s", "delta 42m0s"}},
		"a stream of them leaves a third of the time": {2 * time.Second, 500 * time.Millisecond, []string{"delta 0s", "delta 3s", "delta 6s"}},
		"but after a long pass nobody waits as long":  {10 * time.Minute, time.Second, []string{"delta 0s", "delta 10m5s", "delta 20m10s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := played(t, "0 22 * * *", "@every 59m", time.Hour, c.takes, 45*time.Minute, func(r *scheduler) {
				for range 45 * time.Minute / c.every {
					sleep(context.Background(), c.every)
					nudge(r.delta)
				}
			})
			if len(got) < 3 || !slices.Equal(got[:3], c.want) {
				t.Errorf("passes %q, want %q first", got[:min(len(got), 5)], c.want)
			}
		})
	}
}

func TestASignIsAReasonToRead(t *testing.T) {
	d := &Daemon{log: hclog.NewNullLogger(), delta: make(chan struct{}, 1), pushing: map[string]control.Push{}}
	asked := func() bool {
		select {
		case <-d.delta:
			return true
		default:
			return false
		}
	}
	before := time.Now()
	for range 2 {
		if d.signed("corp", sources.Sign{Pushing: true}); !asked() || d.pushing["corp"].On || !d.pushing["corp"].CatchingUp {
			t.Errorf("a sign is no reason to read, or is taken for the read: %+v", d.pushing["corp"])
		}
	}
	if d.caughtUp(before); d.pushing["corp"].On {
		t.Error("a pass that began before has seen what happened since")
	}
	if d.caughtUp(time.Now().Add(time.Second)); !d.pushing["corp"].On || d.pushing["corp"].CatchingUp {
		t.Errorf("after a pass: %+v", d.pushing["corp"])
	}
	if d.signed("corp", sources.Sign{Pushing: true}); !asked() || !d.pushing["corp"].On {
		t.Errorf("another sign: %+v", d.pushing["corp"])
	}
	if d.signed("corp", sources.Sign{Why: "the server is away"}); asked() || d.pushing["corp"].On || d.pushing["corp"].Why == "" {
		t.Errorf("%+v", d.pushing["corp"])
	}
	if d.caughtUp(time.Now().Add(time.Second)); d.pushing["corp"].On {
		t.Error("a pass listens")
	}
}

// TestWhatIsLeftIsDoneNext: what a pass leaves is done by another, once nobody is at work any more; not for ever.
func TestWhatIsLeftIsDoneNext(t *testing.T) {
	d := &Daemon{
		delta: make(chan struct{}, 1), passes: map[reconcile.Mode]int{}, turns: &turnClock{changed: make(chan struct{}, 1)},
	}
	next := func() bool {
		select {
		case <-d.delta:
			return true
		default:
			return false
		}
	}
	pass := func(leaves bool) bool {
		d.running(reconcile.Delta, true)
		if leaves {
			d.leave()
		}
		d.running(reconcile.Delta, false)
		return next()
	}
	if pass(false) || !pass(true) || pass(false) {
		t.Error("a pass follows one that leaves nothing, or does not follow one that does")
	}
	d.running(reconcile.Full, true)
	if pass(true) {
		t.Error("a pass follows while another is at work")
	}
	if d.running(reconcile.Full, false); !next() {
		t.Error("no pass follows once nobody is at work any more")
	}
	pass(false)
	for n := range 2 * mostAgain {
		if again := pass(true); again != (n < mostAgain) {
			t.Errorf("after %d passes in a row that left something: again %t", n+1, again)
		}
	}
}
