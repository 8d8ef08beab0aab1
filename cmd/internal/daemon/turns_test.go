package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A clockWorld is people who turn at instants, a clock on the wall that can be set, and passes that judge whoever is due.
type clockWorld struct {
	mu    sync.Mutex
	began time.Time     // the wall shows midnight
	set   time.Duration // by how much the clock on the wall was set
	turns []time.Time   // still to come, by the wall
	world
	clock   *turnClock
	passes  []string // when they began, by the wall: "00:00:10"
	judging chan struct{}
}

// A world is how things are in one.
type world struct {
	stuck  bool          // passes leave everybody as they are
	broken bool          // the state cannot be read
	takes  time.Duration // a pass
}

func (w *clockWorld) wall() (shown time.Time) {
	w.change(func() { shown = time.Now().Add(w.set).Round(0) })
	return shown
}

// change changes the world.
func (w *clockWorld) change(what func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what()
}

func (w *clockWorld) at(text string) time.Time {
	shown, err := time.Parse("15:04:05", text)
	if err != nil {
		panic(err)
	}
	return w.began.Add(time.Duration(shown.Hour())*time.Hour + time.Duration(shown.Minute())*time.Minute + time.Duration(shown.Second())*time.Second)
}

// pass judges everybody who is due by now.
func (w *clockWorld) pass(ctx context.Context) {
	began := w.wall()
	w.passes = append(w.passes, began.Format("15:04:05"))
	sleep(ctx, w.takes)
	w.change(func() {
		if !w.stuck {
			w.turns = slices.DeleteFunc(w.turns, func(at time.Time) bool { return !at.After(began) })
		}
	})
	w.clock.told(began)
}

// play runs a turnClock for a while of fake time, with a pass at its start as a daemon has it.
func (w *clockWorld) play(t *testing.T, lasts time.Duration, during func()) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	w.judging = make(chan struct{}, 1)
	w.clock = &turnClock{
		now: w.wall, log: hclog.NewNullLogger(), changed: make(chan struct{}, 1),
		begin: func() { nudge(w.judging) },
		read: func(_ context.Context, after time.Time) (next time.Time, overdue bool, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.broken {
				return next, false, errors.New("the disk is gone")
			}
			for _, at := range w.turns {
				if at.After(after) {
					return at, overdue, nil
				}
				overdue = true
			}
			return next, overdue, nil
		},
	}
	go func() {
		for w.pass(ctx); ctx.Err() == nil; {
			select {
			case <-ctx.Done():
			case <-w.judging:
				w.pass(ctx)
			}
		}
	}()
	if during != nil {
		go during()
	}
	w.clock.run(ctx)
	synctest.Wait()
	return w.passes
}

// TestR13TheClockBeginsAPass: a pass begins at the very second at which somebody turns, once for all who turn together,
// and whatever becomes of the clock.
func TestR13TheClockBeginsAPass(t *testing.T) {
	for name, c := range map[string]struct {
		turns  []string
		world  world
		lasts  time.Duration
		during func(w *clockWorld)
		want   []string
	}{
		"nobody turns": {lasts: 48 * time.Hour, want: []string{"00:00:00"}},
		"each at their second": {
			turns: []string{"00:00:10", "00:00:11", "03:00:00"}, lasts: 4 * time.Hour,
			want: []string{"00:00:00", "00:00:10", "00:00:11", "03:00:00"},
		},
		"a thousand together": {
			turns: slices.Repeat([]string{"18:00:00"}, 1000), lasts: 20 * time.Hour, want: []string{"00:00:00", "18:00:00"},
		},
		"who turned while nothing ran": {turns: []string{"00:00:00"}, lasts: time.Hour, want: []string{"00:00:00"}},
		"who turns while a pass is at work": {
			turns: []string{"00:00:10", "00:00:12"}, world: world{takes: 3 * time.Second}, lasts: time.Hour,
			want: []string{"00:00:00", "00:00:10", "00:00:13"},
		},
		"a clock that is set forward": { // by an hour, at 00:10:00: what came to be due at once is judged at once
			turns: []string{"00:30:00", "02:00:00"}, lasts: 3 * time.Hour,
			during: func(w *clockWorld) { time.Sleep(10 * time.Minute); w.change(func() { w.set += time.Hour }) },
			want:   []string{"00:00:00", "01:10:00", "02:00:00"},
		},
		"a computer that sleeps": { // the time that passes is not counted meanwhile: for a program it is a clock set forward
			turns: []string{"00:30:00"}, lasts: time.Hour,
			during: func(w *clockWorld) { time.Sleep(time.Minute); w.change(func() { w.set += 8 * time.Hour }) },
			want:   []string{"00:00:00", "08:01:00"},
		},
		"a clock that is set back": { // everybody is judged anew by the clock as it is, and who has yet to turn does
			turns: []string{"00:30:00", "02:00:00"}, lasts: 4 * time.Hour,
			during: func(w *clockWorld) {
				time.Sleep(time.Hour)
				w.change(func() {
					w.set -= 45 * time.Minute
					w.turns = append([]time.Time{w.at("00:30:00")}, w.turns...) // they are active again, as the pass will find
				})
			},
			want: []string{"00:00:00", "00:30:00", "00:15:00", "00:30:00", "02:00:00"},
		},
		"a clock that is corrected a little": {
			turns: []string{"00:30:00"}, lasts: time.Hour,
			during: func(w *clockWorld) {
				for range 100 {
					time.Sleep(10 * time.Second)
					w.change(func() { w.set -= 20 * time.Millisecond })
				}
			},
			want: []string{"00:00:00", "00:30:00"},
		},
		"a source that cannot be read": { // tried again and again, less and less often, until it is judged
			turns: []string{"00:00:10"}, world: world{stuck: true}, lasts: time.Hour,
			during: func(w *clockWorld) { time.Sleep(2 * time.Minute); w.change(func() { w.stuck = false }) },
			want:   []string{"00:00:00", "00:00:10", "00:00:15", "00:00:25", "00:00:45", "00:01:25", "00:02:45"},
		},
		"others do not wait for who is stuck": {
			turns: []string{"00:00:10", "00:40:01", "00:50:01"}, world: world{stuck: true}, lasts: time.Hour,
			during: func(w *clockWorld) {
				time.Sleep(30 * time.Minute)
				w.change(func() { w.turns, w.stuck = w.turns[1:], false })
			},
			want: []string{
				"00:00:00", "00:00:10", "00:00:15", "00:00:25", "00:00:45", "00:01:25", "00:02:45", "00:05:25", "00:10:45", "00:21:25",
				"00:40:01", "00:50:01",
			},
		},
		"a state that cannot be read": {
			turns: []string{"00:00:20"}, world: world{broken: true}, lasts: 30 * time.Minute,
			during: func(w *clockWorld) { time.Sleep(17 * time.Second); w.change(func() { w.broken = false }) },
			want:   []string{"00:00:00", "00:00:05", "00:00:15", "00:00:35"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := clockWorld{world: c.world, began: time.Now().Round(0)}
				for _, at := range c.turns {
					w.turns = append(w.turns, w.at(at))
				}
				during := func() {}
				if c.during != nil {
					during = func() { c.during(&w) }
				}
				got := w.play(t, c.lasts, during)
				if fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("passes began at\n     %s\nwant %s", got, c.want)
				}
			})
		})
	}
}
