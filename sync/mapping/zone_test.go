package mapping

import (
	"testing"
	"time"
)

// TestR13WhatADateStandsFor: the instant of each way in which a date is written, in a zone, as the end of somebody's
// time and as its beginning.
func TestR13WhatADateStandsFor(t *testing.T) {
	for _, c := range []struct {
		zone, written, ends, begins string
	}{
		// A day ends when the next one begins, where the person works.
		{"Europe/Berlin", "2026-12-31", "2026-12-31T23:00:00Z", "2026-12-30T23:00:00Z"},
		{"Europe/Berlin", "20261231", "2026-12-31T23:00:00Z", "2026-12-30T23:00:00Z"},
		{"Europe/Berlin", "2026-06-30", "2026-06-30T22:00:00Z", "2026-06-29T22:00:00Z"}, // summer time
		{"", "2026-12-31", "2027-01-01T00:00:00Z", "2026-12-31T00:00:00Z"},
		{"Pacific/Auckland", "2026-12-31", "2026-12-31T11:00:00Z", "2026-12-30T11:00:00Z"},
		{"Europe/Berlin", " 2026-12-31 ", "2026-12-31T23:00:00Z", "2026-12-30T23:00:00Z"},
		{"Europe/Berlin", "2026-12-31+02:00", "2026-12-31T22:00:00Z", "2026-12-30T22:00:00Z"}, // its own offset
		{"Europe/Berlin", "2026-12-31Z", "2027-01-01T00:00:00Z", "2026-12-31T00:00:00Z"},

		// The days on which summer time begins and ends have 23 and 25 hours.
		{"Europe/Berlin", "2026-03-29", "2026-03-29T22:00:00Z", "2026-03-28T23:00:00Z"},
		{"Europe/Berlin", "2026-10-25", "2026-10-25T23:00:00Z", "2026-10-24T22:00:00Z"},

		// A time of day is what the clocks there show.
		{"Europe/Berlin", "2026-12-31T18:00", "2026-12-31T17:00:00Z", "2026-12-31T17:00:00Z"},
		{"Europe/Berlin", "2026-12-31 18:00", "2026-12-31T17:00:00Z", "2026-12-31T17:00:00Z"},
		{"Europe/Berlin", "2026-07-31 18:00:30", "2026-07-31T16:00:30Z", "2026-07-31T16:00:30Z"},
		{"Europe/Berlin", "2026-07-31T18:00:30", "2026-07-31T16:00:30Z", "2026-07-31T16:00:30Z"},
		// Shown twice: the last ends something, the first begins it.
		{"Europe/Berlin", "2026-10-25T02:30", "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z"},
		{"Europe/Berlin", "2026-10-25T02:00", "2026-10-25T01:00:00Z", "2026-10-25T00:00:00Z"},
		{"Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z"},
		{"Europe/Berlin", "2026-10-25T01:59", "2026-10-24T23:59:00Z", "2026-10-24T23:59:00Z"},
		// Never shown: when it is left out.
		{"Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-03-29T01:59", "2026-03-29T00:59:00Z", "2026-03-29T00:59:00Z"},

		// Where midnight itself is left out, the day begins an hour later; where it is shown twice, with the first.
		{"Africa/Cairo", "2024-04-25", "2024-04-25T22:00:00Z", "2024-04-24T22:00:00Z"},
		{"America/Havana", "2025-11-01", "2025-11-02T04:00:00Z", "2025-11-01T04:00:00Z"},
		{"America/Havana", "2025-11-02", "2025-11-03T05:00:00Z", "2025-11-02T04:00:00Z"},
		// Samoa had no 30 December 2011: it ended as it would have begun.
		{"Pacific/Apia", "2011-12-29", "2011-12-30T10:00:00Z", "2011-12-29T10:00:00Z"},
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "2011-12-31", "2011-12-31T10:00:00Z", "2011-12-30T10:00:00Z"},

		// What names an instant by itself is that instant, whatever the zone.
		{"Europe/Berlin", "2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"},
		{"Europe/Berlin", "2026-12-31T18:00:00+05:30", "2026-12-31T12:30:00Z", "2026-12-31T12:30:00Z"},
		{"Europe/Berlin", "20261231180000Z", "2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"},
		{"Europe/Berlin", "202612311800+0100", "2026-12-31T17:00:00Z", "2026-12-31T17:00:00Z"},
		{"Europe/Berlin", "134275392000000000", "2026-07-03T08:00:00Z", "2026-07-03T08:00:00Z"}, // FILETIME

		// Never.
		{"Europe/Berlin", "", "never", "never"},
		{"Europe/Berlin", "0", "never", "never"},
		{"Europe/Berlin", "9223372036854775807", "never", "never"},
		{"Europe/Berlin", "9999-12-31", "never", "9999-12-30T23:00:00Z"}, // who begins then has not begun

		// No date: nothing is taken for never.
		{"Europe/Berlin", "31.12.2026", "?", "?"},
		{"Europe/Berlin", "2026-02-30", "?", "?"},
		{"Europe/Berlin", "2026-12-31T24:30", "?", "?"},
		{"Europe/Berlin", "soon", "?", "?"},
		{"Europe/Berlin", "20261231180000", "?", "?"}, // generalized time has a Z or an offset
		{"Europe/Berlin", "0000-00-00", "?", "?"},
	} {
		zone, err := LoadZone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[edge]string{ends: c.ends, begins: c.begins} {
			got, err := parseInstant(c.written, zone, at)
			text := got.Format(time.RFC3339)
			switch {
			case err != nil:
				text = "?"
			case got.IsZero():
				text = "never"
			}
			if text != want {
				t.Errorf("%s in %q, as an end %t: %s, %v; want %s", c.written, c.zone, at, text, err, want)
			}
		}
	}
}

func TestR13AZoneIsNamed(t *testing.T) {
	for name, good := range map[string]bool{
		"": true, "UTC": true, "Europe/Berlin": true, "America/Argentina/Buenos_Aires": true,
		"Local": false, "local": false, "CEST": false, "Berlin": false, "+01:00": false, "../zone": false,
	} {
		if _, err := LoadZone(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
