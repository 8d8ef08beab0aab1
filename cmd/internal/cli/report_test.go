package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

func TestPlanReadsLikeAPlan(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	const ou = "ou=sales,dc=example,dc=org"
	report := control.Report{
		Outcome: control.Failed, Facts: control.Facts{Absent: 1, Waiting: map[string]int{"held": 7, "disputed": 1, "expression": 0}},
		By: control.Origin{Daemon: 4711, Config: "/etc/dirsweep/config.hcl"}, Observed: map[string]int{"disable": 1, "create": 3}, Digest: "72973296d4fe5c6e", Counts: map[string]int{"disable": 1, "finish": 1, "create": 1, "update": 1},
		Changes: []control.Change{
			{Op: "disable", Target: "wiki", Person: "corp/1", Name: "ann", Account: "7", UserName: "ann", Container: ou, Cause: "deleted", Rule: "config.hcl:31"},
			{Op: "finish", Step: "sessions", Target: "wiki", Person: "corp/1", Name: "ann", Account: "7", UserName: "ann", Container: ou, Cause: "deleted", Rule: "config.hcl:31"},
			{
				Op: "create", Target: "chat", Person: "corp/2", Name: "bob", UserName: "bob@example.org", Container: ou, Cause: "joined", Rule: "config.hcl:44",
				Attributes: []control.Attribute{{Path: "userName", After: raw(`"bob@example.org"`)}, {Path: "title", After: raw(`"Lead\u001b[31m"`)}},
			},
			{
				Op: "update", Target: "wiki", Person: "corp/3", Name: "cyd\x1b[2J", Account: "9", UserName: "cyd", Cause: "changed", Rule: "config.hcl:35",
				Attributes: []control.Attribute{
					{Path: "displayName", Before: raw(`"Cyd A"`), After: raw(`"Cyd B"`)}, {Path: "title", Before: raw(`"x"`), After: raw("null")},
				},
				Grant: []string{"wiki-admins"}, Withdraw: []string{"wiki-readers"},
			},
		},
		Held: []control.Hold{{
			Digest: "976b3f9de375", Kind: "cohort", Target: "wiki", Cause: "deleted", Container: ou, Reason: "7 would be closed, 4 are allowed now",
			People: []control.HeldPerson{{UserName: "p1"}, {UserName: "p2"}, {UserName: "p3"}, {UserName: "p4"}, {UserName: "p5"}, {UserName: "p6"}, {Name: "p7"}},
		}},
		Findings: []control.Finding{{Kind: "disputed", Subject: "wiki: dan", Detail: "two people fit"}},
		Targets:  []control.Part{{Name: "wiki", Impossible: []string{"tickets: they live for 10 h"}}, {Name: "chat"}, {Name: "hr", Mode: "observe"}, {Name: "crm", Error: "crm: 401: the target refused our credentials", At: "config.hcl:60"}},
	}
	want := `wiki
  - disable, finish sessions  ann (ou=sales,dc=example,dc=org)  deleted, config.hcl:31
  ~ update                    cyd, cyd�[2J  changed, config.hcl:35
      displayName  "Cyd A" -> "Cyd B"
      title        "x" -> (cleared)
      grant wiki-admins
      withdraw wiki-readers
  ! cannot be done for leavers: tickets: they live for 10 h

chat
  + create  bob@example.org, bob (ou=sales,dc=example,dc=org)  joined, config.hcl:44
      userName  "bob@example.org"
      title     "Lead\u001b[31m"

! held 976b3f9de375: 7 people in wiki, deleted, from ou=sales,dc=example,dc=org: 7 would be closed, 4 are allowed now
      p1, p2, p3, p4, p5 and 2 more
      a pass holds it, until ` + "`dirsweep approve 976b3f9de375` closes these accounts or `dirsweep reject 976b3f9de375` keeps them as they are" + `

! disputed: wiki: dan: two people fit

! target crm skipped: 401: the target refused our credentials (config.hcl:60)
Plan: 1 to disable, 1 closing step, 1 to create, 1 to update. Waits for you: 1 disputed, 7 held. Failed: 1 source or target.
Observe mode (hr), nothing is written. Would disable 1, create 3.
digest 72973296d4fe5c6e
by the daemon (pid 4711), with its config /etc/dirsweep/config.hcl
`
	var out bytes.Buffer
	a := &app{out: &out, style: newStyle(false)}
	a.printReport(report, planned)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("the plan (-want +got):\n%s", diff)
	}
}

// TestR21TheSummaryNamesAllThree: what was done, what waits and what failed, also where it is nothing.
func TestR21TheSummaryNamesAllThree(t *testing.T) {
	t.Parallel()
	waiting := map[string]int{"held": 2, "expression": 120}
	for _, c := range []struct {
		report control.Report
		want   string
	}{
		{
			control.Report{Outcome: control.AsWanted, Counts: map[string]int{"create": 20}},
			"Done: 20 created. Waits for you: nothing. Failed: nothing.\n",
		},
		{
			control.Report{Outcome: control.Waiting, Facts: control.Facts{Waiting: waiting}},
			"Done: nothing. Waits for you: 120 whose mapping failed, 2 held. Failed: nothing.\n",
		},
		{
			control.Report{Outcome: control.Incomplete, Counts: map[string]int{"update": 2}, Facts: control.Facts{Failed: 1, Open: 2}},
			"Done: 2 updated. Waits for you: nothing. Failed: 1 change. Still open: 2 accounts of people who left.\n",
		},
		{
			control.Report{
				Outcome: control.Waiting, Facts: control.Facts{Waiting: map[string]int{"observed": 1}}, Observed: map[string]int{"disable": 1},
				Targets: []control.Part{{Name: "wiki", Mode: "observe"}},
			},
			"Done: nothing. Waits for you: 1 only observed. Failed: nothing.\nObserve mode (wiki), nothing written. Would disable 1.\n",
		},
	} {
		var out bytes.Buffer
		a := &app{out: &out, style: newStyle(false)}
		a.printSummary(c.report, done)
		if got, _, _ := strings.Cut(out.String(), "by this process"); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestWhatIsSaidOfManyIsSaidOnce(t *testing.T) {
	t.Parallel()
	var list []control.Finding
	for _, who := range []string{"ann", "bob", "cyd", "dan", "eve"} {
		list = append(list, control.Finding{Kind: "expression", Target: "wiki", Subject: "wiki: " + who, Detail: "c.hcl:20: no value"})
	}
	list = append(list, control.Finding{Kind: "expression", Target: "wiki", Subject: "wiki: fay", Detail: "c.hcl:21: no value"})
	var out bytes.Buffer
	(&app{out: &out, style: newStyle(false)}).printFindings(list)
	want := "! expression: 5, wiki: ann, wiki: bob, wiki: cyd and 2 more: c.hcl:20: no value\n! expression: wiki: fay: c.hcl:21: no value\n\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestPlanFormats(t *testing.T) {
	t.Parallel()
	report := control.Report{
		Digest: "72973296d4fe5c6e", By: control.Origin{Config: "c.hcl"}, Counts: map[string]int{"create": 1}, Facts: control.Facts{Waiting: map[string]int{"held": 1}},
		Changes: []control.Change{{
			Op: "create", Target: "wiki", Name: "<b>bob</b>", UserName: "bob", Cause: "joined",
			Attributes: []control.Attribute{{Path: "title", After: json.RawMessage(`"=cmd|' /C calc'!A0"`)}}, Grant: []string{"-admins"},
		}},
		Held:     []control.Hold{{Digest: "976b3f9de375", Kind: "cohort", Target: "wiki", Cause: "deleted", Reason: "too many", People: []control.HeldPerson{{UserName: "ann"}}}},
		Findings: []control.Finding{{Kind: "disputed", Subject: "wiki: dan", Detail: "two <people> fit"}},
		Targets:  []control.Part{{Name: "wiki", Mode: "enforce"}},
	}
	var out bytes.Buffer
	if err := writePlan(&out, report, "csv"); err != nil {
		t.Fatal(err)
	}
	want := `status,target,operation,userName,name,person,account,cause,rule,container,attribute,before,after
to do,wiki,create,bob,<b>bob</b>,,,joined,,,title,,"""=cmd|' /C calc'!A0"""
to do,wiki,create,bob,<b>bob</b>,,,joined,,,entitlement,,'-admins
held,wiki,cohort,ann,,,,deleted,too many,,,,
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("CSV (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := writePlan(&out, report, "html"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"&lt;b&gt;bob&lt;/b&gt;", "two &lt;people&gt; fit", "Plan: 1 to create. Waits for you: 1 held. Failed: nothing.", "digest 72973296d4fe5c6e", `<tr class="held">`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := writePlan(&out, report, "json"); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("%v: %s", err, out.String())
	}
	out.Reset()
	(&app{out: &out, style: newStyle(false)}).printTotals(report)
	if got := out.String(); !strings.HasPrefix(got, "wiki: 1 to create\n! held 976b3f9de375: ") {
		t.Errorf("the summary: %s", got)
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		20 * time.Millisecond: "20 ms", 2300 * time.Millisecond: "2.3 s", 4*time.Minute + 5*time.Second: "4 min 05 s",
		3*time.Hour + 7*time.Minute: "3 h 07 min", 80 * time.Hour: "3 days",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestProgressWithoutATerminalIsALineNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := (&app{err: &out}).newProgress()
		p.Reading("corp", 5, 0)
		p.Reading("corp", 1200, 0)
		p.Applying("wiki", 3, 40)
		<-time.After(25 * time.Second)
		p.Close()
		p.Close()
		if want := "read corp 1200, write wiki 3/40\nread corp 1200, write wiki 3/40\n"; out.String() != want {
			t.Errorf("after 25 s: %q, want %q", out.String(), want)
		}
	})
}

// What evidence says of an account names its closing steps, when they were taken and how they stand; an explanation says
// which nothing can be done about.
func TestClosingStepsAreShown(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out, style: newStyle(false)}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	a.printEvidence(evidence.Evidence{Name: "ann", Accounts: []evidence.Account{{
		Target: "wiki", UserName: "ann", Status: "proven", Seen: "inactive", Steps: []audit.Step{
			{Name: "sessions", Outcome: "sent", At: noon},
			{Name: "move", Outcome: "proven", At: noon},
			{Name: "tickets", Outcome: "impossible", At: noon, Why: "they live for 10 h"},
		},
	}}}, evidenceAnswer{})
	a.printExplanations([]control.Explanation{{
		Person: "corp/1", Target: "wiki", Impossible: []string{"tickets: they live for 10 h"},
		Changes: []control.Change{{Op: "disable", Target: "wiki", Account: "7"}, {Op: "finish", Step: "move", Target: "wiki", Account: "7"}},
		History: []control.Event{{At: noon, Op: "finish", Step: "sessions", Outcome: "done"}},
	}})
	for _, want := range []string{
		"    sessions     " + clock(noon) + "  sent, not provable\n", "    move         " + clock(noon) + "  proven\n",
		"    tickets      " + clock(noon) + "  impossible: they live for 10 h\n", "impossible   tickets: they live for 10 h\n",
		"disable, finish move", clock(noon) + " finish sessions done\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}
