package apply_test

import (
	"context"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/targets"
)

// dated is a target that tells the time.
type dated struct {
	targets.Target
	said, came time.Time
}

func (d dated) Date() (said, came time.Time) { return d.said, d.came }

// R10: what an application's clock said goes on from there, for a short while; before a jump of our clock it said
// nothing about it.
func TestClock(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ said, came, want time.Time }{
		"just now":                   {now.Add(time.Hour), now, now.Add(time.Hour)},
		"a minute ago":               {now.Add(-time.Minute), now.Add(-time.Minute), now},
		"long ago, or before a jump": {now.Add(-time.Hour), now.Add(-time.Hour), time.Time{}},
		"before the clock went back": {now.Add(time.Hour), now.Add(time.Hour), time.Time{}},
		"never":                      {},
	} {
		s, err := apply.OpenSession(apply.SessionOptions{Now: func() time.Time { return now }},
			func(func(context.Context) error) (targets.Target, error) {
				return dated{applytest.New(), c.said, c.came}, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Clock(); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
