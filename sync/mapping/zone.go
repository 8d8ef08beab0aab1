package mapping

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // Windows and small containers have no time zones of their own
)

// An edge says which end of a time somebody's date is.
type edge bool

const (
	begins edge = false // enter_date
	ends   edge = true  // leave_date
)

// LoadZone is the time zone of a name such as "Europe/Berlin", UTC for "".
func LoadZone(name string) (*time.Location, error) {
	if strings.EqualFold(name, "Local") { // what that is depends on the machine, and so would who leaves
		return nil, fmt.Errorf(`%q is no time zone: name one, such as "Europe/Berlin"`, name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf(`%q is no time zone: name one, such as "Europe/Berlin" or "UTC"`, name)
	}
	return zone, nil
}

// parseInstant is the instant that somebody's date stands for. What names an instant by itself is taken at its word
// (see parseDate, also for never). A day begins when the zone's calendar comes to it, and ends when it comes to the
// next one. A time of day without an offset is what the zone's clocks show; of one that they show twice, in autumn, the
// first begins and the last ends something, so that nobody is closed too early; one that they leave out, in spring, is
// when they leave it out.
func parseInstant(s string, zone *time.Location, at edge) (time.Time, error) {
	s = strings.TrimSpace(s)
	for _, layout := range []string{"2006-01-02", "20060102", "2006-01-02Z07:00"} {
		day, err := time.Parse(layout, s)
		if err != nil || day.Year() < 1 {
			continue
		}
		if strings.HasSuffix(layout, "Z07:00") {
			zone = day.Location()
		}
		return edgeOf(day, zone, at), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if shown, err := time.Parse(layout, s); err == nil && shown.Year() > 0 {
			first, last := shows(shown, zone)
			if at == ends {
				first = last
			}
			return first.UTC(), nil
		}
	}
	return parseDate(s)
}

// edgeOf is when a day of a zone begins or ends. That the last day which four digits can write ends is how people write
// never.
func edgeOf(day time.Time, zone *time.Location, at edge) time.Time {
	if at == ends {
		day = day.AddDate(0, 0, 1)
	}
	if day.Year() > 9999 {
		return time.Time{}
	}
	first, _ := shows(day, zone)
	return first.UTC()
}

// shows is when the clocks of a zone show a time of day, first and last; when they leave it out, for one that they
// never show. Of shown, only what it reads counts, whatever zone it is in.
func shows(shown time.Time, zone *time.Location) (first, last time.Time) {
	_, own := shown.Zone()
	read := shown.Unix() + int64(own)
	offset := func(t time.Time) int64 { _, seconds := t.In(zone).Zone(); return int64(seconds) }
	near := time.Unix(read-offset(time.Unix(read, 0)), 0).In(zone)
	changes := transitions(near)
	for _, at := range append([]time.Time{near}, changes...) {
		for _, side := range []time.Time{at, at.Add(-time.Second)} {
			seen := time.Unix(read-offset(side), 0)
			if offset(seen) != offset(side) {
				continue
			}
			if first.IsZero() || seen.Before(first) {
				first = seen
			}
			if last.IsZero() || seen.After(last) {
				last = seen
			}
		}
	}
	if !first.IsZero() {
		return first, last
	}
	for _, at := range changes {
		before, after := at.Unix()+offset(at.Add(-time.Second)), at.Unix()+offset(at)
		if before <= read && read < after {
			return at, at
		}
	}
	return near, near
}

// transitions are when the zone's clocks are changed next to an instant.
func transitions(near time.Time) (list []time.Time) {
	start, end := near.ZoneBounds()
	for _, at := range []time.Time{start, end} {
		if !at.IsZero() {
			list = append(list, at)
		}
	}
	return list
}
