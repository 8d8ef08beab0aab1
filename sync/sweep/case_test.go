package sweep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// A book is a ledger with at most alice's case.
type book struct {
	t      *testing.T
	ledger *state.Ledger
}

func newBook(t *testing.T) book { return book{t, state.NewLedger(memory.New())} }

func (b book) write(fn func(*state.Writer) error) {
	b.t.Helper()
	if err := b.ledger.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b book) owe(target string, status state.StepStatus, minutes int) {
	b.t.Helper()
	b.write(func(w *state.Writer) error {
		c := state.Case{Person: alice, Name: "alice", Cause: identity.Deleted, Left: at(minutes)}
		return sweep.Owe(w, c, state.Step{Target: target, Account: "1", Status: status, At: at(minutes)})
	})
}

func (b book) note(target string, minutes int, note func(*state.Step)) {
	b.t.Helper()
	b.write(func(w *state.Writer) error { return sweep.Note(w, alice, target, "1", note, at(minutes)) })
}

func (b book) prove(target string, minutes int) {
	b.t.Helper()
	b.note(target, minutes, func(s *state.Step) { s.Status, s.At = state.StepProven, at(minutes); s.Attempts++ })
}

func (b book) giveBack(target string, minutes int) {
	b.t.Helper()
	b.back(target, minutes)
}

// back is giveBack with what it ended.
func (b book) back(target string, minutes int) (ended *state.Case) {
	b.t.Helper()
	b.write(func(w *state.Writer) (err error) {
		ended, err = sweep.Return(w, alice, target, "back", at(minutes))
		return err
	})
	return ended
}

// reads renders the case as "left closed: target status attempts, …", times in minutes.
func (b book) reads() string {
	b.t.Helper()
	var c state.Case
	var ok bool
	if err := b.ledger.View(b.t.Context(), func(r *state.Reader) (err error) {
		c, ok, err = r.Case(alice)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	if !ok {
		return "none"
	}
	closed := "open"
	if !c.Closed.IsZero() {
		closed = fmt.Sprintf("closed %d", int(c.Closed.Sub(noon).Minutes()))
	}
	var steps []string
	for _, s := range c.Steps {
		steps = append(steps, fmt.Sprintf("%s %s %d", s.Target, s.Status, s.Attempts))
	}
	return fmt.Sprintf("left %d %s: %s", int(c.Left.Sub(noon).Minutes()), closed, strings.Join(steps, ", "))
}

func TestACaseFromLeavingToClosed(t *testing.T) {
	fail := func(s *state.Step) { s.Attempts++ }
	for _, c := range []struct {
		name string
		do   func(book)
		want string
	}{
		{"owed", func(b book) { b.owe("wiki", state.StepOpen, 0) }, "left 0 open: wiki open 0"},
		{"owed on several targets, sorted", func(b book) { b.owe("wiki", state.StepOpen, 0); b.owe("git", state.StepOpen, 0) }, "left 0 open: git open 0, wiki open 0"},
		{"owed again, it keeps its clock and attempts", func(b book) {
			b.owe("wiki", state.StepOpen, 0)
			b.note("wiki", 1, fail)
			b.owe("wiki", state.StepOpen, 5)
		}, "left 0 open: wiki open 1"},
		{"a later target does not move the clock", func(b book) { b.owe("wiki", state.StepOpen, 0); b.owe("git", state.StepOpen, 9) }, "left 0 open: git open 0, wiki open 0"},
		{"half closed is open", func(b book) { b.owe("wiki", state.StepOpen, 0); b.owe("git", state.StepOpen, 0); b.prove("git", 2) }, "left 0 open: git proven 1, wiki open 0"},
		{"closed with the last", func(b book) {
			b.owe("wiki", state.StepOpen, 0)
			b.owe("git", state.StepOpen, 0)
			b.prove("git", 2)
			b.prove("wiki", 3)
		}, "left 0 closed 3: git proven 1, wiki proven 1"},
		{"held is not closed", func(b book) { b.owe("wiki", state.StepHeld, 0) }, "left 0 open: wiki held 0"},
		{"held again stays", func(b book) { b.owe("wiki", state.StepHeld, 0); b.owe("wiki", state.StepHeld, 5) }, "left 0 open: wiki held 0"},
		{"held, then released", func(b book) { b.owe("wiki", state.StepHeld, 0); b.owe("wiki", state.StepOpen, 5) }, "left 0 open: wiki open 0"},
		{"reported is nothing owed", func(b book) { b.owe("wiki", state.StepReported, 0) }, "left 0 closed 0: wiki reported 0"},
		{"R11: come back after it was proven, the clock starts anew", func(b book) {
			b.owe("wiki", state.StepOpen, 0)
			b.prove("wiki", 1)
			b.owe("wiki", state.StepOpen, 60)
		}, "left 60 open: wiki open 0"},
		{"a case that closes again keeps no old closing time", func(b book) {
			b.owe("wiki", state.StepOpen, 0)
			b.prove("wiki", 1)
			b.owe("wiki", state.StepOpen, 60)
			b.prove("wiki", 61)
		}, "left 60 closed 61: wiki proven 1"},
		{"noting nothing known is nothing", func(b book) { b.note("wiki", 0, fail); b.owe("wiki", state.StepOpen, 0); b.note("git", 0, fail) }, "left 0 open: wiki open 0"},
		{"R3: back in scope, nothing is owed", func(b book) { b.owe("wiki", state.StepOpen, 0); b.giveBack("wiki", 4) }, "none"},
		{"R3: back in scope of one target", func(b book) {
			b.owe("wiki", state.StepOpen, 0)
			b.owe("git", state.StepOpen, 0)
			b.giveBack("wiki", 4)
		}, "left 0 open: git open 0"},
		{"back in scope of the last open one, the rest closes the case", func(b book) {
			b.owe("wiki", state.StepOpen, 0)
			b.owe("git", state.StepOpen, 0)
			b.prove("git", 2)
			b.giveBack("wiki", 4)
		}, "left 0 closed 4: git proven 1"},
		{"back without a case", func(b book) { b.giveBack("wiki", 4) }, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBook(t)
			c.do(b)
			if got := b.reads(); got != c.want {
				t.Fatalf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAProofOfLeavingIsNotLost(t *testing.T) {
	b := newBook(t)
	for _, proof := range []string{"tombstone seen", ""} {
		b.write(func(w *state.Writer) error {
			return sweep.Owe(w, state.Case{Person: alice, Proof: proof, Left: noon}, state.Step{Target: "wiki" + proof, Account: "1", Status: state.StepOpen})
		})
	}
	if err := b.ledger.View(t.Context(), func(r *state.Reader) error {
		c, _, err := r.Case(alice)
		if c.Proof != "tombstone seen" {
			t.Errorf("proof %q", c.Proof)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestR08RetriedWithinAMinuteThenWithBackoffForEver(t *testing.T) {
	for attempts, want := range map[int]time.Duration{
		0: 30 * time.Second, 1: 30 * time.Second, 2: time.Minute, 3: 2 * time.Minute, 4: 4 * time.Minute, 5: 8 * time.Minute,
		6: 16 * time.Minute, 7: 32 * time.Minute, 8: time.Hour, 100: time.Hour, 1 << 40: time.Hour,
	} {
		if got := sweep.Retry(attempts, noon).Sub(noon); got != want {
			t.Errorf("after %d attempts: %s, want %s", attempts, got, want)
		}
	}
}

// TestWhatEndsByAReturnIsToldOnce: a case that was open ends with the last account that is taken back, and one that was
// closed had ended before.
func TestWhatEndsByAReturnIsToldOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(book) *state.Case
		want string
	}{
		{"one of two", func(b book) *state.Case {
			b.owe("git", state.StepOpen, 0)
			b.owe("wiki", state.StepOpen, 0)
			return b.back("wiki", 1)
		}, "nothing"},
		{"the last of two", func(b book) *state.Case {
			b.owe("git", state.StepOpen, 0)
			b.owe("wiki", state.StepOpen, 0)
			b.back("wiki", 1)
			return b.back("git", 2)
		}, "git withdrawn"},
		{"beside one that was closed", func(b book) *state.Case {
			b.owe("git", state.StepOpen, 0)
			b.owe("wiki", state.StepOpen, 0)
			b.prove("git", 1)
			return b.back("wiki", 2)
		}, "git proven, wiki withdrawn"},
		{"a closed one", func(b book) *state.Case {
			b.owe("git", state.StepOpen, 0)
			b.prove("git", 1)
			return b.back("git", 2)
		}, "nothing"},
		{"none", func(b book) *state.Case { return b.back("git", 2) }, "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := "nothing"
			if ended := c.do(newBook(t)); ended != nil {
				var steps []string
				for _, s := range ended.Steps {
					steps = append(steps, fmt.Sprint(s.Target, " ", s.Status))
				}
				got = strings.Join(steps, ", ")
				if !ended.Closed.Equal(at(2)) {
					t.Errorf("ended at %v", ended.Closed)
				}
			}
			if got != c.want {
				t.Errorf("ended with %s, want %s", got, c.want)
			}
		})
	}
}

// TestR03WhoseAnAccountIsIsRememberedWithItsStep: nobody is linked to the account yet, and the step may be taken back.
func TestR03WhoseAnAccountIsIsRememberedWithItsStep(t *testing.T) {
	bob := identity.PersonID{Directory: "corp", Anchor: "b"}
	for _, c := range []struct {
		name   string
		status state.StepStatus
		link   identity.PersonID // whom the account is linked to
		want   string
	}{
		{"to be closed", state.StepOpen, identity.PersonID{}, "corp/a"},
		{"held", state.StepHeld, identity.PersonID{}, "corp/a"},
		{"that may be theirs", state.StepDisputed, identity.PersonID{}, ""},
		{"theirs for certain", state.StepOpen, alice, ""},
		{"somebody else's for certain", state.StepOpen, bob, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBook(t)
			b.write(func(w *state.Writer) error {
				if c.link.IsZero() {
					return nil
				}
				return w.PutLink(state.Link{Target: "wiki", Person: c.link, Account: "1", State: identity.LinkActive})
			})
			b.write(func(w *state.Writer) error {
				l := identity.Leaver{Person: alice, Target: "wiki", Account: "1", UserName: "ann"}
				if err := sweep.Open(w, l, identity.Account{ID: "1", UserName: "ann"}, c.status, "", noon); err != nil {
					return err
				}
				_, err := sweep.ReturnOne(w, alice, state.Step{Target: "wiki", Account: "1"}, "released", noon)
				return err
			})
			b.write(func(w *state.Writer) error {
				got := ""
				was, known, err := w.Unlinked("wiki", "1")
				if known {
					got = was.Fits.String()
				}
				if got != c.want || was.Fitting != 0 || known && was.UserName != "ann" {
					t.Errorf("it fits %q: %+v; want %q", got, was, c.want)
				}
				return err
			})
		})
	}
}

// R19: each account of a leaver has its own instants. What the directory does not say is not said for it, also where its
// clock is ahead of ours, and the first that was noticed stays that.
func TestR19EachAccountHasItsOwnInstants(t *testing.T) {
	b := newBook(t)
	unknown := time.Time{}
	for _, c := range []struct {
		target            string
		left, noticed     time.Time
		saysLeft, saysSaw time.Time
	}{
		{"wiki: out of scope", unknown, at(1), unknown, at(1)},
		{"chat: out of scope, in a later pass", unknown, at(2), unknown, at(2)},
		{"crm: disabled since", at(3), at(5), at(3), at(5)},
		{"desk: by a clock that is ahead", at(9), at(6), unknown, at(6)},
	} {
		l := identity.Leaver{Person: alice, Target: c.target, Account: "1", Left: c.left, Noticed: c.noticed}
		b.write(func(w *state.Writer) error {
			return sweep.Open(w, l, identity.Account{ID: "1"}, state.StepOpen, "", c.noticed.Add(time.Second))
		})
		var known state.Case
		b.write(func(w *state.Writer) (err error) { known, _, err = w.Case(alice); return err })
		said := evidence.Record(known, *sweep.StepOf(known, c.target, "1"))
		if !said.Left.Equal(c.saysLeft) || !said.Noticed.Equal(c.saysSaw) || !known.Noticed.Equal(at(1)) {
			t.Errorf("%s: left %s, noticed %s; the case: %s", c.target, said.Left, said.Noticed, known.Noticed)
		}
	}
}
