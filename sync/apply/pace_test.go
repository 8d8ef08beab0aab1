package apply_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/apply"
)

func TestR04LeaversKeepAShareOfTheRate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := apply.NewPacer(apply.Rate{PerSecond: 10, Parallel: 8})
		ctx, stop := context.WithCancel(t.Context())
		ordinary := 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 50 { // joiners without end
			wg.Go(func() {
				for p.Wait(ctx) == nil {
					mu.Lock()
					ordinary++
					mu.Unlock()
				}
			})
		}
		<-time.After(time.Minute) // on the bubble's clock
		start := time.Now()
		for range 20 {
			if err := p.Wait(apply.ForLeavers(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("20 leavers took %s beside joiners; a fifth of 10 a second is 10s", took)
		}
		stop()
		wg.Wait()
		mu.Lock()
		defer mu.Unlock()
		if ordinary < 480 || ordinary > 80*8+18 {
			t.Errorf("%d ordinary requests in about a minute at 8 a second", ordinary)
		}
	})
}

func TestLeaversAloneHaveAllOfTheRate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := apply.NewPacer(apply.Rate{PerSecond: 10})
		start := time.Now()
		for range 110 {
			if err := p.Wait(apply.ForLeavers(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start).Round(time.Millisecond); took != 10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestNoRateNoWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := apply.NewPacer(apply.Rate{})
		start := time.Now()
		for range 10000 {
			if p.Wait(apply.ForLeavers(t.Context())) != nil || p.Wait(t.Context()) != nil {
				t.Fatal("refused")
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %s", took)
		}
	})
}

func TestASlowRateStillLetsEveryKindThrough(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := apply.NewPacer(apply.Rate{PerSecond: 0.5})
		start := time.Now()
		for range 3 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
