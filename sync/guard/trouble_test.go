package guard_test

import (
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/guard"
)

// A target that fails again and again is left alone for ever longer, up to an hour, and never longer than that,
// whatever becomes of the clock.
func TestR09Trouble(t *testing.T) {
	var trouble guard.Trouble
	began := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	now := began
	for n, minutes := range []int{0, 0, 1, 2, 4, 8, 16, 32, 60, 60} {
		wait := time.Duration(minutes) * time.Minute
		trouble = trouble.Again("503", now)
		if trouble.Failures != n+1 || trouble.Since != began || trouble.Reason != "503" {
			t.Fatalf("after failure %d: %+v", n+1, trouble)
		}
		if got := trouble.Quarantined(now); got != (wait > 0) {
			t.Errorf("after failure %d: quarantined %t", n+1, got)
		}
		if wait > 0 && (!trouble.Quarantined(now.Add(wait-time.Second)) || trouble.Quarantined(now.Add(wait))) {
			t.Errorf("after failure %d it is not left alone for %s: until %s", n+1, wait, trouble.Next.Sub(now))
		}
		now = now.Add(time.Minute)
	}
	if trouble.Quarantined(now.Add(-24 * time.Hour)) {
		t.Error("a clock that has gone back makes the quarantine longer")
	}
}
