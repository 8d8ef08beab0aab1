package control

import (
	"testing"
	"time"
)

func TestClockByNearestRank(t *testing.T) {
	t.Parallel()
	if clock(nil) != nil {
		t.Error("a clock of nothing")
	}
	var took []time.Duration
	for i := 100; i > 0; i-- {
		took = append(took, time.Duration(i)*time.Second)
	}
	for _, tt := range []struct {
		took []time.Duration
		want Clock
	}{
		{took, Clock{Count: 100, P50: 50, P95: 95, Worst: 100}},
		{[]time.Duration{time.Minute}, Clock{Count: 1, P50: 60, P95: 60, Worst: 60}},
		{[]time.Duration{3 * time.Second, time.Second}, Clock{Count: 2, P50: 1, P95: 3, Worst: 3}},
	} {
		if got := *clock(tt.took); got != tt.want {
			t.Errorf("clock of %v: %+v, want %+v", tt.took, got, tt.want)
		}
	}
}
