package mapping

import (
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// parseDate reads the ways in which directories write an instant: generalized time (RFC 4517 3.3.13), Windows
// FILETIME as a decimal (100 ns since 1601), ISO 8601 / RFC 3339, and plain dates, which begin at midnight UTC.
// The zero time means never: "", and the FILETIMEs 0, -1 and 2^63-1, by which Active Directory says that an
// account does not expire.
func parseDate(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	switch s {
	case "", "0", "-1", "9223372036854775807":
		return time.Time{}, nil
	}
	if strings.Trim(s, "0123456789") == "" {
		switch {
		case len(s) == 8:
			return parseLayouts(s, "20060102")
		case len(s) >= 16 && len(s) <= 19:
			return parseFiletime(s)
		}
		return time.Time{}, plain("a number of %d digits is no date that a directory writes", len(s))
	}
	if len(s) > 10 && strings.Trim(s[:10], "0123456789") == "" {
		return parseGeneralized(s)
	}
	return parseLayouts(s, time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05", "2006-01-02", "2006-01-02Z07:00")
}

func parseLayouts(s string, layouts ...string) (time.Time, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 0 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, plain("this is no date in generalized time, FILETIME or ISO 8601")
}

func parseFiletime(s string) (time.Time, error) {
	const perSecond, toUnix = 10_000_000, 11_644_473_600
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, plain("this FILETIME is out of range")
	}
	t := time.Unix(n/perSecond-toUnix, n%perSecond*100).UTC()
	if t.Year() > 9999 {
		return time.Time{}, nil // beyond what RFC 3339 can say, and written where never is meant
	}
	return t, nil
}

// parseGeneralized reads YYYYMMDDHH[MM[SS]][.fraction] with Z or an offset, which LDAP requires.
func parseGeneralized(s string) (time.Time, error) {
	digits := 10
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	if digits != 10 && digits != 12 && digits != 14 {
		return time.Time{}, plain("this generalized time has %d digits, not 10, 12 or 14", digits)
	}
	rest, unit := s[digits:], map[int]time.Duration{10: time.Hour, 12: time.Minute, 14: time.Second}[digits]
	var fraction time.Duration
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		end := 1
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		part, err := strconv.ParseFloat("0."+rest[1:end], 64)
		if err != nil || end == 1 {
			return time.Time{}, plain("this generalized time has a fraction without digits")
		}
		fraction, rest = time.Duration(part*float64(unit)), rest[end:]
	}
	for _, zone := range []string{"Z0700", "Z07"} {
		t, err := time.Parse("20060102150405"[:digits]+zone, s[:digits]+rest)
		if err == nil && t.Year() > 0 {
			return t.Add(fraction).UTC(), nil
		}
	}
	return time.Time{}, plain("this is no generalized time with Z or an offset")
}

func render(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// dateParse renders any date in RFC 3339, "" where it means never.
func dateParse(s string) (string, error) {
	t, err := parseDate(s)
	return render(t), err
}

func dateAdd(s, length string) (string, error) {
	t, err := parseDate(s)
	if err != nil || t.IsZero() {
		return "", err
	}
	d, err := ParseDuration(length)
	if err != nil {
		return "", plain(`the second argument is no duration such as "30d", "24h" or "-1w"`)
	}
	t = t.Add(d)
	if t.Year() < 1 || t.Year() > 9999 {
		return "", plain("the sum is outside of the years 1 to 9999")
	}
	return render(t), nil
}

// dateFormat is formatdate over any date that parseDate reads, null for never.
func dateFormat(args []cty.Value, _ cty.Type) (cty.Value, error) {
	if args[0].IsNull() {
		return cty.NullVal(cty.String), nil
	}
	t, err := parseDate(args[0].AsString())
	if err != nil || t.IsZero() {
		return cty.NullVal(cty.String), err
	}
	return stdlib.FormatDate(args[1], cty.StringVal(render(t)))
}

// ParseDuration reads a duration as time.ParseDuration does, and in days and weeks: "30d", "1w", "1d12h". A day is
// 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	rest, sign := s, time.Duration(1)
	if strings.HasPrefix(rest, "-") {
		rest, sign = rest[1:], -1
	}
	var total time.Duration
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"y", 365 * 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		count, after, found := strings.Cut(rest, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil || time.Duration(n) > (1<<63-1-total)/unit.length {
			return 0, plain("%q is no duration: write 30d, 24h, 90m or 1w", s)
		}
		total, rest = total+time.Duration(n)*unit.length, after
		if rest == "" {
			return sign * total, nil
		}
	}
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return 0, plain("%q is no duration: write 30d, 24h, 90m or 1w", s)
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d > 1<<63-1-total {
		return 0, plain("%q is no duration: write 30d, 24h, 90m or 1w", s)
	}
	return sign * (total + d), nil
}
