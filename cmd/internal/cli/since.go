package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/dirsweep/dirsweep/sync/mapping"
)

// sinceIs says what a --since may be.
const sinceIs = "only since then: a day (2026-11-25), an instant (2026-11-25T08:00:00Z) or how long ago (30d, 12h, 1y)"

// since reads a --since; "" is the zero time.
func since(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day, nil
	}
	if instant, err := time.Parse(time.RFC3339, text); err == nil {
		return instant, nil
	}
	if ago, err := mapping.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("--since %q is neither a day (2026-11-25) nor an instant (2026-11-25T08:00:00Z) nor a time span (30d, 12h, 1y)", text)
}
