package apply_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// kept is what enabling the account needs to undo, as it is recorded.
type kept = map[string]string

// closed is alice's account 1 in sales, that dirsweep has disabled, with a closing step that moves it.
func closed(t *testing.T) (*desk, state.Link) {
	t.Helper()
	there := account("1", "a", "a")
	there.Active, there.Attributes["move"] = false, identity.Text("sales")
	d := newDesk(t, memory.New(), there)
	d.witness()
	d.app.Steps(d.app.Shown("move"))
	link := d.link(alice, "1")
	link.State, link.Disabled = identity.LinkDisabled, d.x.Now()
	d.putLink(link)
	return d, link
}

// move is the closing step of an account.
func (d *desk) move(link state.Link) apply.Job {
	job := d.sweep(identity.Finish, link)
	job.Change.Step, job.Have.Active = "move", false
	return job
}

// R8: that a closing step is done is read back, and so is that the account is inactive after it. What it kept is
// remembered as soon as the call may have had its effect.
func TestR08AClosingStepIsReadBack(t *testing.T) {
	opened := func(d *desk) { d.app.Put(account("1", "a", "a")) }
	for _, c := range []struct {
		name   string
		script func(d *desk)
		err    error
		says   string
		seen   string
		kept   kept
	}{
		{"done", nil, nil, "", "inactive", kept{"move": "sales"}},
		{
			"answered well, and not done",
			func(d *desk) { d.app.Always("do move", applytest.Answer{Hollow: true}) },
			targets.ErrConflict, "read back, move is not done", "inactive", nil,
		},
		{
			"refused",
			func(d *desk) { d.app.Always("do move", applytest.Answer{Err: targets.ErrRejected}) },
			targets.ErrRejected, "", "", nil,
		},
		{
			"its answer was lost, and it is repeated",
			func(d *desk) { d.app.Script("do move", applytest.Answer{Err: targets.ErrUnavailable, Lost: true}) },
			nil, "", "inactive",
			kept{"move": "sales"},
		},
		{
			"all its answers are lost",
			func(d *desk) { d.app.Always("do move", applytest.Answer{Err: targets.ErrUnavailable, Lost: true}) },
			targets.ErrUnavailable, "", "",
			kept{"move": "sales"},
		},
		{
			"what is left cannot be read",
			func(d *desk) { d.app.Always("left move", applytest.Answer{Err: targets.ErrUnavailable}) },
			targets.ErrUnavailable, "read back", "inactive",
			kept{"move": "sales"},
		},
		{
			"shown after a while",
			func(d *desk) { d.app.Script("do move", applytest.Answer{Hollow: true, During: d.moveLater}) },
			nil, "", "inactive", nil,
		},
		{
			"somebody enables it meanwhile",
			func(d *desk) { d.app.Always("do move", applytest.Answer{During: func() { opened(d) }}) },
			targets.ErrConflict, "still active", "active", nil,
		},
		{
			"somebody deletes it meanwhile",
			func(d *desk) { d.app.Always("do move", applytest.Answer{During: func() { d.app.Remove("1") }}) },
			nil, "", "gone", nil,
		},
		{
			"the target has no such step any more",
			func(d *desk) { d.app.Steps() },
			targets.ErrRejected, "no such step", "", nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d, link := closed(t)
				if c.script != nil {
					c.script(d)
				}
				r := d.x.Do(t.Context(), d.p, d.move(link))
				if !errors.Is(r.Err, c.err) || (r.Err == nil) != (c.err == nil) || !strings.Contains(fmt.Sprint(r.Err), c.says) {
					t.Errorf("error %v, want %v: %s", r.Err, c.err, c.says)
				}
				d.want("seen", c.seen, r.Seen)
				d.want("remembered", c.kept, d.recorded(alice).Kept)
				d.want("intents left", 0, len(d.intents()))
			})
		})
	}
}

// moveLater moves account 1 once it was looked at.
func (d *desk) moveLater() {
	d.app.Script("left move", applytest.Answer{During: func() {
		d.app.Put(identity.Account{ID: "1", UserName: "a", ExternalID: "a", Attributes: map[string]identity.Value{"move": `"done"`}})
	}})
}

// R16: the trail names the closing step, and what it found there.
func TestR16AClosingStepIsTold(t *testing.T) {
	d, link := closed(t)
	if r := d.x.Do(t.Context(), d.p, d.move(link)); r.Err != nil {
		t.Fatal(r.Err)
	}
	for rec, err := range d.trail.Records() {
		if err != nil {
			t.Fatal(err)
		}
		d.want("told", []string{"finish", "move", audit.Done, "inactive", `"sales"`},
			[]string{rec.Op, rec.Step, rec.Outcome, rec.Seen, string(rec.Before["move"])})
	}
}

// R7: of a closing step that was cut short the application says whether it is done, where it shows that; nothing is
// repeated.
func TestR07RecoverAsksWhatIsLeftOfAClosingStep(t *testing.T) {
	for _, c := range []struct {
		name string
		at   identity.Value
		told string
	}{
		{"done", `"done"`, "finish found done inactive"},
		{"not done", `"sales"`, "finish found not done inactive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, link := closed(t)
			there, _ := d.app.Get("1")
			there.Attributes["move"] = c.at
			d.app.Put(there)
			d.cutShort(d.move(link).Change)
			d.recover(1)
			d.want("the trail", []string{c.told}, d.told())
			d.want("writes", []string{"left move 1"}, d.writes())
		})
	}
}

// S6: enabling an account undoes what its closing kept, and that is forgotten once it is seen active; what somebody else
// disabled has nothing to undo. A step that a sweep has under way is undone too, though the change was planned before.
func TestS6EnablingUndoesWhatClosingKept(t *testing.T) {
	for _, c := range []struct {
		name   string
		link   func(*state.Link)
		script func(d *desk)
		undone []kept
		left   kept
	}{
		{"disabled by dirsweep", nil, nil, []kept{{"move": "sales"}}, nil},
		{"planned before that was kept", func(l *state.Link) { l.Kept = nil }, nil, []kept{{"move": "sales"}}, nil},
		{"disabled by somebody else", func(l *state.Link) { l.Opened = true }, nil, []kept{nil}, kept{"move": "sales"}},
		{
			"refused",
			nil, func(d *desk) { d.app.Always("enable", applytest.Answer{Err: targets.ErrRejected}) },
			nil,
			kept{"move": "sales"},
		},
		{
			"its answer was lost, and it is repeated",
			nil, func(d *desk) { d.app.Script("enable", applytest.Answer{Err: targets.ErrUnavailable, Lost: true}) },
			[]kept{{"move": "sales"}, {"move": "sales"}},
			nil,
		},
		{
			"answered well, and not done",
			nil, func(d *desk) { d.app.Always("enable", applytest.Answer{Hollow: true}) },
			nil,
			kept{"move": "sales"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				d, link := closed(t)
				link.Kept = kept{"move": "sales"}
				d.putLink(link)
				if c.link != nil {
					c.link(&link)
				}
				if c.script != nil {
					c.script(d)
				}
				d.x.Do(t.Context(), d.p, apply.Job{
					Change: change(identity.Enable, alice, "1"), Have: identity.Account{ID: "1"}, Link: link,
				})
				d.want("undone", c.undone, d.app.Undone())
				d.want("still to be undone", c.left, d.recorded(alice).Kept)
			})
		})
	}
}

// S6: what one step kept is there beside what another did, and is not lost by one that finds its work done.
func TestS6WhatStepsKeptIsKept(t *testing.T) {
	d, link := closed(t)
	there, _ := d.app.Get("1")
	there.Attributes["stamp"] = identity.Text("a clerk")
	d.app.Put(there)
	d.app.Steps(d.app.Shown("move"), d.app.Shown("stamp"))
	for _, step := range []string{"move", "stamp", "move"} {
		job := d.move(link)
		job.Change.Step = step
		r := d.x.Do(t.Context(), d.p, job)
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		link = r.Link
	}
	d.want("remembered", kept{"move": "sales", "stamp": "a clerk"}, d.recorded(alice).Kept)
}
