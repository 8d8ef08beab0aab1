package rest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxPause is the longest pause that is believed: a target that asks for more has a broken clock, and apply would park
// its leavers.
const maxPause = 24 * time.Hour

// epochFloor tells a count of seconds from a moment in Unix time: nobody asks for a pause of thirty years.
const epochFloor = 1_000_000_000

// RetryAfter reads how long a target asks us to wait: Retry-After (RFC 9110 §10.2.3, seconds or an HTTP date),
// X-Retry-After, or the reset of a rate limit (seconds, or Unix time). The result lies between 0 and 24 hours and is
// never negative; false where nothing readable was said.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	for _, name := range []string{"Retry-After", "X-Retry-After", "RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"} {
		if d, ok := pause(h.Get(name), now); ok {
			return d, true
		}
	}
	return 0, false
}

func pause(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if seconds >= epochFloor {
			seconds -= float64(now.UnixMilli()) / 1000
		}
		// The comparison is written so that NaN fails it.
		if !(seconds < maxPause.Seconds()) {
			return maxPause, true
		}
		return max(0, time.Duration(seconds*float64(time.Second))), true
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(maxPause, max(0, at.Sub(now))), true
	}
	return 0, false
}
