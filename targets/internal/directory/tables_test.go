//go:build unix

package directory

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestD13EachProfile: shut it is closed, released it is open, what else its value says stays, and what cannot be read
// is neither.
func TestD13EachProfile(t *testing.T) {
	today := time.Now().Unix() / (24 * 60 * 60)
	for _, c := range []struct {
		profile    string
		have, shut []string
		released   []string
	}{
		{"389", nil, []string{"TRUE"}, nil},
		{"freeipa", []string{"FALSE"}, []string{"TRUE"}, nil},
		{"edirectory", []string{"FALSE"}, []string{"TRUE"}, nil},
		{"openldap", []string{"20260101120000Z"}, []string{"000001010000Z"}, nil},
		{"samba", []string{"[UX         ]"}, []string{"[UXD        ]"}, []string{"[UX         ]"}},
		{"samba", []string{"[U]"}, []string{"[UD         ]"}, []string{"[U          ]"}},
		{"shadow", nil, []string{"1"}, nil},
		{"shadow", []string{fmt.Sprint(today + 30)}, []string{"1"}, nil},
		{"shadow", []string{"-1"}, []string{"1"}, nil},
		{"shadow", []string{"0"}, []string{"1"}, nil},
	} {
		d := profileOf(t, c.profile)
		if closed, err := d.closed(c.have); closed || err != nil {
			t.Errorf("%s: %q is closed: %v, %v", c.profile, c.have, closed, err)
		}
		shut, err := d.shut(c.have)
		if err != nil || !slices.Equal(shut, c.shut) {
			t.Errorf("%s: %q is shut by %q, %v", c.profile, c.have, shut, err)
		}
		if closed, err := d.closed(shut); !closed || err != nil {
			t.Errorf("%s: %q is open: %v, %v", c.profile, shut, closed, err)
		}
		if released, err := d.release(shut); err != nil || !slices.Equal(released, c.released) {
			t.Errorf("%s: %q is released by %q, %v", c.profile, shut, released, err)
		}
	}
	for _, flags := range [][]string{{"UX"}, {""}, {"[U]", "[UD]"}} {
		if closed, err := profileOf(t, "samba").closed(flags); closed || err == nil {
			t.Errorf("%q counts as closed: %v, %v", flags, closed, err)
		}
	}
	disabled := []string{"[DU         ]"}
	if again, err := profileOf(t, "samba").shut(disabled); err != nil || !slices.Equal(again, disabled) {
		t.Errorf("shut again: %q, %v", again, err)
	}
	if closed, err := profileOf(t, "shadow").closed([]string{"soon"}); closed || err == nil {
		t.Errorf("a date that is none: %v, %v", closed, err)
	}
}

func profileOf(t testing.TB, name string) door {
	t.Helper()
	for _, p := range profiles() {
		if p.name == name {
			return p.door
		}
	}
	t.Fatalf("no profile %s", name)
	return door{}
}

// TestD13EveryDoorIsShut: one that is open, or cannot be read, lets somebody in.
func TestD13EveryDoorIsShut(t *testing.T) {
	two := &target{spec: &spec{doors: []door{profileOf(t, "389"), profileOf(t, "samba")}}}
	domain := &target{spec: &spec{doors: []door{domainDoor()}}}
	for _, c := range []struct {
		of         *target
		attributes map[string][]string
		open       bool
	}{
		{two, map[string][]string{"nsAccountLock": {"TRUE"}, "sambaAcctFlags": {"[UD]"}}, false},
		{two, map[string][]string{"nsAccountLock": {"true"}}, false}, // an entry without flags is none of Samba's
		{two, map[string][]string{"nsAccountLock": {"TRUE"}, "sambaAcctFlags": {"[U]"}}, true},
		{two, map[string][]string{"sambaAcctFlags": {"[UD]"}}, true},
		{two, map[string][]string{"nsAccountLock": {"TRUE"}, "sambaAcctFlags": {"?"}}, true},
		{domain, map[string][]string{"userAccountControl": {"514"}}, false},
		{domain, map[string][]string{"userAccountControl": {"0"}}, true},
		{domain, nil, true},
	} {
		if open, shown := c.of.open(ldap.NewEntry("uid=ann", c.attributes)); open != c.open {
			t.Errorf("%v: open is %v (%s)", c.attributes, open, shown)
		}
	}
}

// TestR05WhatIsNobodysAccount: by any one of the signs that a domain gives.
func TestR05WhatIsNobodysAccount(t *testing.T) {
	sid := func(relative uint32) string {
		raw := []byte{1, 5, 0, 0, 0, 0, 0, 5}
		for _, part := range []uint32{21, 1, 2, 3, relative} {
			raw = binary.LittleEndian.AppendUint32(raw, part)
		}
		return string(raw)
	}
	domain := &target{spec: &spec{domain: true}}
	for _, c := range []struct {
		name       string
		attributes map[string][]string
		touched    bool
	}{
		{"a person", map[string][]string{"objectSid": {sid(1104)}, "objectClass": {"top", "user"}}, true},
		{"the first of all", map[string][]string{"objectSid": {sid(1000)}, "userAccountControl": {"512"}}, true},
		{"one of the domain's own", map[string][]string{"objectSid": {sid(999)}, "userAccountControl": {"512"}}, false},
		{"krbtgt", map[string][]string{"objectSid": {sid(1104)}, "isCriticalSystemObject": {"TRUE"}}, false},
		{"a workstation", map[string][]string{"objectSid": {sid(1104)}, "userAccountControl": {"4096"}}, false},
		{"a controller", map[string][]string{"objectSid": {sid(1104)}, "userAccountControl": {"532480"}}, false},
		{"a trust", map[string][]string{"objectSid": {sid(1104)}, "userAccountControl": {"2080"}}, false},
		{"a computer", map[string][]string{"objectSid": {sid(1104)}, "objectClass": {"user", "computer"}}, false},
		{"a service", map[string][]string{"objectClass": {"msDS-GroupManagedServiceAccount"}}, false},
	} {
		if why := domain.untouchable(ldap.NewEntry("CN=x", c.attributes)); (why == "") != c.touched {
			t.Errorf("%s: %q", c.name, why)
		}
	}
	workstation := ldap.NewEntry("uid=x", map[string][]string{"userAccountControl": {"4096"}})
	if why := (&target{spec: &spec{}}).untouchable(workstation); why != "" {
		t.Errorf("elsewhere: %s", why)
	}
}

// TestR12OnlyValuesThatChangeAreWritten: of a list those that go and those that come, so that what somebody adds
// meanwhile stays.
func TestR12OnlyValuesThatChangeAreWritten(t *testing.T) {
	for _, c := range []struct {
		have, want  []string
		replace     bool
		remove, add []string
	}{
		{[]string{"a"}, []string{"b"}, true, nil, []string{"b"}},
		{nil, []string{"b"}, true, nil, []string{"b"}},
		{[]string{"a", "b"}, nil, true, nil, nil},
		{[]string{"a", "b"}, []string{"b", "c"}, false, []string{"a"}, []string{"c"}},
		{[]string{"a", "b"}, []string{"a"}, false, []string{"b"}, nil},
		{[]string{"a"}, []string{"a", "b"}, false, nil, []string{"b"}},
	} {
		got := changeOf("mail", "mail", c.have, c.want)
		if got.replace != c.replace || !slices.Equal(got.remove, c.remove) || !slices.Equal(got.add, c.add) {
			t.Errorf("from %q to %q: %+v", c.have, c.want, got)
		}
	}
	if !changeOf("mail", "mail", []string{"a", "b"}, []string{"b", "a"}).nothing() {
		t.Error("an order is a change")
	}
}

// TestR12PlacesHaveOneSpelling: nobody is moved to where they are.
func TestR12PlacesHaveOneSpelling(t *testing.T) {
	s := &spec{}
	one := s.Normal(container, identity.Text(`OU=Sales\, EMEA, DC=Example,DC=org`))
	for _, other := range []string{`ou=sales\2c emea,dc=example,dc=org`, `OU=Sales\, EMEA,DC=Example,DC=ORG`} {
		if got := s.Normal(container, identity.Text(other)); got != one {
			t.Errorf("%s is %s, and not %s", other, got, one)
		}
	}
	if got := s.Normal("title", identity.Text("A, B")); got != identity.Text("A, B") {
		t.Errorf("a title is %s", got)
	}
}

// TestD15WhatLivesOnIsTold: what no write to a directory ends, and how long it lasts.
func TestD15WhatLivesOnIsTold(t *testing.T) {
	for domain, want := range map[bool]string{true: "(files, remote desktops), last until they end: 10 hours", false: "until it is closed"} {
		steps := (&pass{target: &target{spec: &spec{domain: domain}}}).Closing()
		if len(steps) != 1 || !steps[0].Revokes || !strings.Contains(steps[0].Impossible, want) {
			t.Errorf("%+v", steps)
		}
	}
}

// TestD16WhatWasRecycledIsNotRestored: only what a domain still has whole is offered.
func TestD16WhatWasRecycledIsNotRestored(t *testing.T) {
	for recycled, want := range map[string]string{"TRUE": "backup", "": "Restore-ADObject -Identity 7"} {
		entry := ldap.NewEntry("CN=x", map[string][]string{"isRecycled": {recycled}})
		if got := restorable(entry, "7"); !strings.Contains(got, want) {
			t.Errorf("%q: %s", recycled, got)
		}
	}
}

// TestStepsKnowWhatIsDone: by what an entry says, and by nothing near it.
func TestStepsKnowWhatIsDone(t *testing.T) {
	past, future := ticks(time.Now().Add(-time.Hour)), ticks(time.Now().Add(time.Hour))
	for _, c := range []struct {
		what    func([]string) bool
		done    []string
		notDone [][]string
	}{
		{isPast, []string{past}, [][]string{nil, {future}, {"0"}, {"9223372036854775807"}, {past, past}, {"x"}}},
		{isTrue, []string{"true"}, [][]string{nil, {"FALSE"}, {"TRUE", "FALSE"}}},
		{isStamped, []string{stamped + "2026-05-01"}, [][]string{nil, {"Fourth floor"}, {"Was " + stamped}}},
	} {
		if !c.what(c.done) {
			t.Errorf("%q is not done", c.done)
		}
		for _, values := range c.notDone {
			if c.what(values) {
				t.Errorf("%q is done", values)
			}
		}
	}
}
