package reconcile_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/join"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// A colleague is what is true of one human, whatever the sources show of them.
type colleague struct {
	contracts map[string]bool     // those that HR lists, by identifier, and whether each has ended
	dropped   bool                // HR lists none any more
	entry     identity.Attributes // in the directory; nil for none
	guid      string
	deleted   bool
}

// works reports whether they are to have an account; sure is false where nobody can tell, so that all stays as it is.
func (c colleague) works() (active, sure bool) {
	running := c.dropped
	for _, ended := range c.contracts {
		running = running || !ended
	}
	switch {
	case c.deleted, c.entry["locked"] != nil, !running:
		return false, true
	case c.dropped:
		return false, false
	}
	return true, true
}

// A company of colleagues, and what their accounts were after the last pass.
type colleagues struct {
	*staff

	random *rand.Rand
	list   []*colleague
	was    map[string]bool // by login
	now    map[string]bool
}

func (c *colleagues) one() (int, *colleague) {
	i := c.random.IntN(len(c.list))
	return i, c.list[i]
}

// change has something happen in the world.
func (c *colleagues) change() string {
	i, who := c.one()
	ids := slices.Sorted(maps.Keys(who.contracts))
	switch c.random.IntN(9) {
	case 0:
		for _, id := range ids {
			who.contracts[id] = true
		}
		return fmt.Sprint(i, " ends")
	case 1:
		if len(ids) > 0 {
			who.contracts[ids[0]] = !who.contracts[ids[0]]
		}
		return fmt.Sprint(i, " turns a contract round")
	case 2:
		if !who.dropped {
			who.contracts[fmt.Sprintf("c%d-%d", i, len(ids))] = false
		}
		return fmt.Sprint(i, " has another contract")
	case 3:
		if len(ids) > 1 { // an ended one, where there is one: that HR lacks the last that runs says nothing for sure
			over := slices.IndexFunc(ids, func(id string) bool { return who.contracts[id] })
			delete(who.contracts, ids[max(over, 0)])
		}
		return fmt.Sprint(i, " has a contract less")
	case 4:
		clear(who.contracts)
		who.dropped = true
		return fmt.Sprint(i, " is dropped by HR")
	case 5:
		who.entry["locked"] = []string{"TRUE"}
		return fmt.Sprint(i, " is locked")
	case 6:
		delete(who.entry, "locked")
		return fmt.Sprint(i, " is unlocked")
	case 7:
		who.deleted = true
		return fmt.Sprint(i, " is deleted")
	}
	who.deleted = false
	if who.dropped {
		who.dropped, who.contracts[fmt.Sprintf("c%d-0", i)] = false, false
	}
	return fmt.Sprint(i, " is back")
}

// show has the sources show what is true.
func (c *colleagues) show() {
	clear(c.hr.people)
	clear(c.corp.people)
	for i, who := range c.list {
		for id, ended := range who.contracts {
			c.hr.people[id] = entryOf("number", numbered(i), "fullName", fmt.Sprint("Person ", i))
			if ended {
				c.hr.people[id]["lastDay"] = []string{"2026-01-31"}
			}
		}
		if c.corp.deleted[who.guid] = who.deleted; !who.deleted {
			c.corp.people[who.guid] = maps.Clone(who.entry)
		}
	}
}

// TestModelOfJoins: random people whom two sources describe, either of which may fail in any pass. Nobody who works is
// closed, whoever has left by what could be read is, and nobody has two accounts. DIRSWEEP_JOINS=1000 for more.
func TestModelOfJoins(t *testing.T) {
	histories := 30
	if n, err := strconv.Atoi(os.Getenv("DIRSWEEP_JOINS")); err == nil {
		histories = n
	}
	for seed := range histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playJoins(t, uint64(seed)) })
	}
}

func playJoins(t *testing.T, seed uint64) {
	c := &colleagues{random: rand.New(rand.NewPCG(seed, 0)), was: map[string]bool{}}
	c.staff = newStaff(t, 0, func(hr, _ *join.Member) { hr.Several = true })
	c.application("wiki", c.app, `account = { userName = person.login }`, func(target *reconcile.Target) {
		target.Guard.MaxSweepPercent, target.Guard.MaxSweepCount, target.Guard.MaxShrinkPercent = 100, 1000, 100
		target.Guard.MaxChangePercent = 100
	})
	for i := range 12 {
		c.list = append(c.list, &colleague{
			contracts: map[string]bool{fmt.Sprintf("c%d-0", i): false}, guid: fmt.Sprint("guid", i),
			entry: entryOf("employeeNumber", numbered(i), "login", loginOf(i)),
		})
	}
	for step := range 25 {
		var told []string
		if step > 0 {
			for range c.random.IntN(3) {
				told = append(told, c.change())
			}
		}
		c.show()
		c.hr.fails, c.corp.fails, c.hr.none, c.corp.none = nil, nil, false, false
		if down := c.random.IntN(8); down == 0 && step > 0 {
			c.hr.fails, c.hr.none = errors.New("no route"), c.random.IntN(2) == 0
		} else if down == 1 && step > 0 {
			c.corp.fails, c.corp.none = errors.New("no route"), c.random.IntN(2) == 0
		}
		c.clock = c.clock.Add(time.Duration(c.random.IntN(30)) * time.Hour)
		report := c.pass()
		c.now = map[string]bool{}
		for name, doc := range c.app.Users(t) {
			c.now[name] = doc["active"] == true
		}
		for i, who := range c.list {
			if wrong := c.wrong(i, who); wrong != "" {
				t.Fatalf("step %d (%v; hr %v, corp %v): %s %s; held %+v, findings %+v", step, told, c.hr.fails, c.corp.fails, loginOf(i), wrong,
					report.Held, report.Findings)
			}
		}
		c.was = c.now
	}
	if len(c.now) > len(c.list) {
		t.Fatalf("%d accounts of %d people", len(c.now), len(c.list))
	}
}

// wrong says what is not right about somebody's account; "" for nothing.
func (c *colleagues) wrong(i int, who *colleague) string {
	name := loginOf(i)
	active, sure := who.works()
	fails := c.hr.fails != nil || c.corp.fails != nil
	switch {
	case active && c.was[name] && !c.now[name]:
		return "works, and was closed"
	case !sure && c.was[name] != c.now[name] && !fails:
		return "was changed, and nobody knows whether they work"
	case active && !c.now[name] && !fails:
		return "works, and has no account"
	case sure && !active && c.now[name] && !fails:
		return "has left, and is open"
	case c.hr.fails == nil && c.corp.fails != nil && ended(who) && c.now[name] && c.was[name]:
		return "has left, as HR says, and is open while the directory is not read"
	case c.corp.fails == nil && c.hr.fails != nil && !who.deleted && who.entry["locked"] != nil && c.now[name] && c.was[name]:
		return "has left, as the directory says, and is open while HR is not read"
	}
	return ""
}

// ended reports whether HR lists contracts of somebody, and all have ended.
func ended(who *colleague) bool {
	for _, over := range who.contracts {
		if !over {
			return false
		}
	}
	return len(who.contracts) > 0
}
