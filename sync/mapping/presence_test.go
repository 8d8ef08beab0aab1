package mapping_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/mapping"
)

// presence compiles a source block's expressions; its zone is Berlin's.
func presence(t testing.TB, src string) *mapping.Source {
	t.Helper()
	exprs, files := parse(t, src)
	zone, err := mapping.LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s, diags := mapping.CompileSource(
		mapping.SourceExpressions{Active: exprs["active"], Leave: exprs["leave_date"], Enter: exprs["enter_date"], Zone: zone},
		ldapSchema(), mapping.Env{Files: files, Clock: noon},
	)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return s
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// TestR13WhatTheClockSaysOfSomebody: whether somebody is active at noon UTC of 2026-03-01, since when not, and when the
// clock alone changes that.
func TestR13WhatTheClockSaysOfSomebody(t *testing.T) {
	const dates = "leave_date = person.title\nenter_date = person.department\n"
	for name, c := range map[string]struct {
		block               string
		leave, enter, lock  string // title, department and nsAccountLock of the entry
		kindEnds            string
		want                string // "active", "not active", "?"
		ended, why, changes string
	}{
		"no dates": {block: dates, want: "active"},
		"the time is not over": {
			block: dates, leave: "2026-12-31",
			want: "active", changes: "leaves 2027-01-01 00:00 CET by leave_date (config.hcl:1)",
		},
		"in summer time": {
			block: dates, leave: "2026-06-30 18:00",
			want: "active", changes: "leaves 2026-06-30 18:00 CEST by leave_date (config.hcl:1)",
		},
		"with seconds": {
			block: dates, leave: "2026-06-30 18:00:30",
			want: "active", changes: "leaves 2026-06-30 18:00:30 CEST by leave_date (config.hcl:1)",
		},
		"the last day is today": {
			block: dates, leave: "2026-03-01",
			want: "active", changes: "leaves 2026-03-02 00:00 CET by leave_date (config.hcl:1)",
		},
		"the last second": {
			block: dates, leave: "2026-03-01T12:00:01Z",
			want: "active", changes: "leaves 2026-03-01 13:00:01 CET by leave_date (config.hcl:1)",
		},
		"at the instant it is over": {
			block: dates, leave: "2026-03-01T12:00:00Z",
			want: "not active", ended: "2026-03-01T12:00:00Z",
			why: "their time ended 2026-03-01 13:00 CET by leave_date (config.hcl:1)",
		},
		"over": {
			block: dates, leave: "2026-02-28",
			want: "not active", ended: "2026-02-28T23:00:00Z",
			why: "their time ended 2026-03-01 00:00 CET by leave_date (config.hcl:1)",
		},
		"not begun": {
			block: dates, enter: "2026-03-02",
			want: "not active", why: "they come 2026-03-02 00:00 CET by enter_date (config.hcl:2)",
			changes: "comes 2026-03-02 00:00 CET by enter_date (config.hcl:2)",
		},
		"begun": {block: dates, enter: "2026-03-01", want: "active"},
		"begun, and not over": {
			block: dates, enter: "2026-02-01", leave: "2026-04-30",
			want: "active", changes: "leaves 2026-05-01 00:00 CEST by leave_date (config.hcl:1)",
		},
		"not begun, and an end": {
			block: dates, enter: "2026-04-01", leave: "2026-04-30",
			want: "not active", why: "they come 2026-04-01 00:00 CEST by enter_date (config.hcl:2)",
			changes: "comes 2026-04-01 00:00 CEST by enter_date (config.hcl:2)",
		},
		"over before it begins":      {block: dates, enter: "2026-04-01", leave: "2026-03-30", want: "not active"},
		"locked, and an end":         {block: dates, leave: "2026-12-31", lock: "TRUE", want: "not active"},
		"an end that cannot be read": {block: dates, leave: "soon", want: "?"},
		"neither can the beginning":  {block: dates, enter: "31.12.2026", want: "?"},
		"locked, and cannot be read": { // one reason is enough
			block: dates, leave: "soon", lock: "TRUE",
			want: "not active",
		},
		"over, and cannot be read": {
			block: dates, leave: "2026-02-28", enter: "soon",
			want: "not active", ended: "2026-02-28T23:00:00Z",
			why: "their time ended 2026-03-01 00:00 CET by leave_date (config.hcl:1)",
		},
		"both over and locked": { // since when is not known
			block: dates, leave: "2026-02-28", lock: "TRUE",
			want: "not active",
		},

		"the entry's own end": {
			kindEnds: "2026-03-31T16:00:00Z",
			want:     "active", changes: "leaves 2026-03-31 18:00 CEST by accountExpires",
		},
		"the entry's own end has passed": {
			kindEnds: "2026-02-28T16:00:00Z",
			want:     "not active", ended: "2026-02-28T16:00:00Z",
			why: "their time ended 2026-02-28 17:00 CET by accountExpires",
		},
		"the earlier of two ends": {
			block: dates, leave: "2026-12-31", kindEnds: "2026-03-31T16:00:00Z",
			want: "active", changes: "leaves 2026-03-31 18:00 CEST by accountExpires",
		},
		"who is yet to come and ends before": {
			block: dates, enter: "2026-04-02", kindEnds: "2026-03-31T16:00:00Z",
			want: "not active",
		},
		"an expression overrules the entry": {
			block: "active = person.uid != null", kindEnds: "2026-02-28T16:00:00Z",
			want: "active",
		},
		"an expression asks the entry": {
			block: "active = person.active && person.uid != null", kindEnds: "2026-03-31T16:00:00Z",
			want: "active", changes: "leaves 2026-03-31 18:00 CEST by accountExpires",
		},

		"an expression over a date": {
			block: "active = !date_after(now(), person.title)", leave: "2026-12-31T17:00:00Z", want: "active",
			changes: "leaves 2026-12-31 18:00:01 CET by active (config.hcl:1)",
		},
		"that has passed": {
			block: "active = date_before(now(), person.title)", leave: "2026-02-28T17:00:00Z", want: "not active",
			ended: "2026-02-28T17:00:00Z", why: "their time ended 2026-02-28 18:00 CET by active (config.hcl:1)",
		},
		"and days of grace": {
			block: `active = date_before(date_add(now(), "-30d"), person.title)`, leave: "2026-02-28T17:00:00Z", want: "active",
			changes: "leaves 2026-03-30 19:00 CEST by active (config.hcl:1)",
		},
		"and days before": {
			block: `active = date_before(person.title, date_add(now(), "14d"))`, leave: "2026-04-01T00:00:00Z", want: "not active",
			why: "they come 2026-03-18 01:00:01 CET by active (config.hcl:1)", changes: "comes 2026-03-18 01:00:01 CET by active (config.hcl:1)",
		},
		"a comparison that changes nothing yet": { // the first date has no say before the second
			block: "active = person.nsAccountLock != \"TRUE\" && (date_before(now(), person.title) || date_before(now(), person.department))",
			leave: "2026-04-01T00:00:00Z", enter: "2026-05-01T00:00:00Z", want: "active", changes: "leaves 2026-05-01 02:00 CEST by active (config.hcl:1)",
		},
	} {
		p := alice()
		p.Attributes["title"], p.Attributes["department"] = []string{c.leave}, []string{c.enter}
		p.Active = c.lock == ""
		if p.Ends = at(t, c.kindEnds); !p.Ends.IsZero() {
			p.EndsBy, p.Active = "accountExpires", noon().Before(p.Ends)
		}
		got, err := presence(t, c.block).Presence(p, noon())
		said := map[bool]string{true: "active", false: "not active"}[got.Active]
		if err != nil {
			said = "?"
		}
		if said != c.want || !got.Ended.Equal(at(t, c.ended)) || got.Why != c.why || got.Next.String() != c.changes {
			t.Errorf("%s:\n got %s, %s, since %s, %q, %q\nwant %s, since %s, %q, %q", name, said, fmt.Sprint(err), got.Ended, got.Why, got.Next,
				c.want, c.ended, c.why, c.changes)
		}
	}
}

// TestR13TheNextInstantIsExact: whatever the expression and the dates, nothing changes before the instant that is told,
// and the value has changed at it: second by second.
func TestR13TheNextInstantIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 13))
	const seconds = 40
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	comparison := func() string {
		clock := pick("now()", `date_add(now(), "5s")`, `date_add(now(), "-7s")`, `date_add(date_parse(now()), person.cn)`)
		date := pick("person.title", "person.department", `date_add(person.title, "3s")`, `default(person.sn, person.title)`)
		if random.IntN(2) == 0 {
			clock, date = date, clock
		}
		return pick("", "!") + pick("date_before", "date_after") + "(" + clock + ", " + date + ")"
	}
	written := func() string {
		when := noon().Add(time.Duration(random.IntN(seconds*1000)) * time.Millisecond)
		return pick("", when.Format(time.RFC3339), when.Format("20060102150405.000Z"), when.Format(time.RFC3339Nano))
	}
	changed := 0
	for range 150 {
		block := fmt.Sprintf("active = %s %s %s", comparison(), pick("&&", "||"), pick("person.active", comparison(), comparison()+" && "+comparison()))
		if random.IntN(2) == 0 {
			block += "\nleave_date = person.employeeNumber\nenter_date = person.mail"
		}
		s := presence(t, block)
		p := alice()
		p.Attributes = identity.Attributes{
			"title": {written()}, "department": {written()}, "sn": {written()}, "cn": {pick("2s", "-2s", "1500ms", "")},
			"employeeNumber": {written()}, "mail": {written()},
		}
		if p.Attributes["cn"][0] == "" {
			delete(p.Attributes, "cn")
			if strings.Contains(block, "person.cn") {
				continue // a null duration is an error, of which there is nothing to be told
			}
		}
		if random.IntN(2) == 0 {
			p.Ends, p.EndsBy = noon().Add(time.Duration(random.IntN(seconds))*time.Second), "accountExpires"
		}
		now, err := s.Presence(p, noon())
		if err != nil {
			t.Fatal(block, err)
		}
		then := time.Time{}
		const step = 250 * time.Millisecond // an end need not be a whole second
		for later := noon().Add(step); later.Before(noon().Add((seconds+15)*time.Second)) && then.IsZero(); later = later.Add(step) {
			q := p
			q.Active = p.Ends.IsZero() || later.Before(p.Ends)
			if seen, err := s.Presence(q, later); err != nil {
				t.Fatal(err)
			} else if seen.Active != now.Active {
				then = later
			}
		}
		said := now.Next.At
		if said.IsZero() != then.IsZero() || !then.IsZero() && (said.After(then) || then.Sub(said) >= step) {
			t.Errorf("%s\n%v, ends %s: told %s, seen %s", block, p.Attributes, p.Ends, said, then)
		}
		if !then.IsZero() {
			changed++
		}
	}
	if changed < 40 {
		t.Errorf("only %d of 150 changed at all", changed)
	}
}

// TestR13WhatTheClockChangesAtATarget: the next instant at which somebody joins or leaves an application's scope, or is
// to look different there.
func TestR13WhatTheClockChangesAtATarget(t *testing.T) {
	for _, c := range []struct {
		block, title, want string
	}{
		{`scope = member_of("wiki-users")`, "2026-03-02", ""},
		{`scope = date_before(now(), person.title)`, "2026-03-02", "leaves wiki 2026-03-02 00:00 UTC by scope (config.hcl:1)"},
		{`scope = !date_before(now(), person.title)`, "2026-03-02", "joins wiki 2026-03-02 00:00 UTC by scope (config.hcl:1)"},
		{`scope = date_before(now(), person.title)`, "2026-02-02", ""},
		{`scope = date_before(now(), person.title) || member_of("staff")`, "2026-03-02", ""}, // in scope all the same
		{`scope = date_before(now(), person.title)`, "soon", ""},
		{`account = { userName = person.uid, title = date_before(now(), person.title) ? "new" : "old" }`, "2026-03-02", "changes at wiki 2026-03-02 00:00 UTC by title (config.hcl:1)"},
		{`entitlements = date_before(now(), person.title) ? ["new"] : []`, "2026-03-02", "changes at wiki 2026-03-02 00:00 UTC by entitlements (config.hcl:1)"},
		{"scope = date_before(now(), person.title)\nentitlements = date_before(now(), \"2026-03-01T15:00:00Z\") ? [\"new\"] : []", "2026-03-02", "changes at wiki 2026-03-01 15:00 UTC by entitlements (config.hcl:2)"},
		{"scope = date_before(person.title, now())\nentitlements = date_before(now(), \"2026-03-01T15:00:00Z\") ? [\"new\"] : []", "2026-03-02", "joins wiki 2026-03-02 00:00:01 UTC by scope (config.hcl:1)"},
	} {
		block := c.block
		if !strings.Contains(block, "account") {
			block += "\naccount = { userName = person.uid }"
		}
		p := alice()
		p.Attributes["title"] = []string{c.title}
		if got := mustCompile(t, block).Next(p, noon(), "wiki").String(); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.block, c.title, got, c.want)
		}
	}
}

// TestR13WhatTellsNoInstant: expressions that look at the clock otherwise than by comparing it with a date are named,
// since nobody can tell when their value changes.
func TestR13WhatTellsNoInstant(t *testing.T) {
	for active, told := range map[string]bool{
		`date_before(now(), person.title)`:                                                    true,
		`!date_after(date_add(now(), "1d"), person.title) && person.active`:                   true,
		`person.title != "x"`:                                                                 true,
		`date_format(now(), "YYYY") == person.title`:                                          false,
		`date_before(now(), person.title) && now() != person.title`:                           false,
		`date_before(date_add(person.title, "1d"), date_add(now(), now()))`:                   false,
		`length([for d in values("title") : d if date_before(now(), d)]) > 0`:                 false,
		`length([for n in [now()] : n if date_before(n, person.title)]) > 0`:                  false,
		`date_before(now(), date_add(now(), "1d"))`:                                           false,
		`length([for d in values("title") : d if date_before(now(), person.department)]) > 0`: true,
	} {
		if got := presence(t, "active = "+active).Untold(); (len(got) == 0) != told || !told && got[0] != "active at config.hcl:1" {
			t.Errorf("%s: %q", active, got)
		}
	}
}

// TestR13ADateOfNowIsRefused: an instant that moves with the clock never comes.
func TestR13ADateOfNowIsRefused(t *testing.T) {
	exprs, files := parse(t, `leave_date = date_add(now(), "1d")`)
	_, diags := mapping.CompileSource(mapping.SourceExpressions{Leave: exprs["leave_date"]}, ldapSchema(), mapping.Env{Files: files})
	if !diags.HasErrors() {
		t.Error("it is accepted")
	}
}

// TestR14ADateIsPartOfTheConfig: an edited date, or zone, is an edit of who is active, and one that a person was asked
// to meet before is not.
func TestR14ADateIsPartOfTheConfig(t *testing.T) {
	plain, dated := presence(t, "active = person.active"), presence(t, "active = person.active\nleave_date = person.title")
	other := presence(t, "active = person.active\nleave_date = person.department")
	enter := presence(t, "active = person.active\nenter_date = person.title")
	exprs, files := parse(t, "active = person.active\nleave_date = person.title")
	elsewhere, _ := mapping.CompileSource(mapping.SourceExpressions{Active: exprs["active"], Leave: exprs["leave_date"]}, ldapSchema(), mapping.Env{Files: files})
	prints := map[uint64]bool{}
	for _, s := range []*mapping.Source{plain, dated, other, enter, elsewhere} {
		prints[s.Print()] = true
	}
	if len(prints) != 5 {
		t.Errorf("%d of 5 are told apart", len(prints))
	}
	p := alice()
	p.Attributes["title"] = []string{"2026-02-01"}
	if unmet := dated.Unmet(p, noon()); len(unmet) != 1 || unmet[0].At != "config.hcl:2" || unmet[0].Names()[0] != "title" {
		t.Errorf("%+v", unmet)
	}
	if unmet := enter.Unmet(p, noon().AddDate(0, -2, 0)); len(unmet) != 1 {
		t.Errorf("%+v", unmet)
	}
	if unmet := dated.Unmet(p, noon().AddDate(0, -2, 0)); len(unmet) != 0 {
		t.Errorf("%+v", unmet)
	}
}
