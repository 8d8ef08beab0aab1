//go:build unix

package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	gocmp "github.com/google/go-cmp/cmp"
	googleuuid "github.com/google/uuid"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// same fails where following shows something else than reading everything.
func same(t *testing.T, follows, reads *source, people int) {
	t.Helper()
	now, want := stateOf(t, follows, false), stateOf(t, reads, true)
	if diff := gocmp.Diff(want.People, now.People); diff != "" || len(now.People) != people {
		t.Errorf("%d people, want %d:\n%s", len(now.People), people, diff)
	}
}

// TestLatestSeesWhoGoesOutOfSight: whoever is moved to where the source may not look is not there any more.
func TestLatestSeesWhoGoesOutOfSight(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	s.Restrict(t, `to dn.subtree="`+s.FormerDN()+`" by * none`)
	follows, reads := following(t, s)
	same(t, follows, reads, 12)
	s.Move(t, s.PersonDN(slapdtest.UID(3)), s.FormerDN())
	s.Set(t, s.PersonDN(slapdtest.UID(4)), "title", "x")
	same(t, follows, reads, 11)
	sales := s.AddUnit(t, "sales", s.PeopleDN())
	s.Move(t, s.AddPerson(t, "ann", nil), sales)
	same(t, follows, reads, 12)
	s.Move(t, sales, s.FormerDN())
	same(t, follows, reads, 11)
}

// TestLatestOfAMovedUnit: people who go with their unit are in their groups again once it is back, also where they are more
// than there are groups, and nothing is read anew for it.
func TestLatestOfAMovedUnit(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 12, Groups: 2})
	unit := s.AddUnit(t, "unit", s.PeopleDN())
	for n := 1; n <= 6; n++ {
		s.Move(t, s.PersonDN(sambatest.UID(n)), unit)
	}
	follows, reads := followingDomain(t, s)
	same(t, follows, reads, 12)
	before := follows.follower.mirror
	for range 2 {
		away := s.Move(t, unit, s.FormerDN())
		same(t, follows, reads, 6)
		unit = s.Move(t, away, s.PeopleDN())
		same(t, follows, reads, 12)
	}
	if follows.follower.mirror != before {
		t.Error("everybody was read anew")
	}
}

// TestFindOfALeaverAsksNoGroups: of who is elsewhere no groups are looked for where all that is asked is whether they left.
func TestFindOfALeaverAsksNoGroups(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 6, Groups: 2})
	_, reads := following(t, s)
	who := anchored(t, reads, s.PersonDN(slapdtest.UID(3)))
	s.AddGroup(t, "former", s.Move(t, who.DN, s.FormerDN()))
	for leaving, want := range map[bool]bool{true: false, false: true} {
		who.Leaving = leaving
		seen, err := reads.Find(t.Context(), who)
		if err != nil || seen.Where != sources.Elsewhere || len(seen.Person.Groups) > 0 != want {
			t.Errorf("leaving %t: %+v, %v", leaving, seen, err)
		}
	}
}

// TestLatestFollowsNoMemberOf: it changes with the group alone, and no change of its entry tells of it.
func TestLatestFollowsNoMemberOf(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	follows, reads := following(t, s)
	for _, source := range []*source{follows, reads} {
		source.need.Attributes = append(source.need.Attributes, "memberOf")
	}
	same(t, follows, reads, 12)
	s.AddGroup(t, "staff", s.PersonDN(slapdtest.UID(3)))
	same(t, follows, reads, 12)
	if follows.follower.mirror != nil {
		t.Error("it is followed")
	}
}

// TestLatestOfAFilteredDomain: who does not fit the filter any more is not there, whatever else has happened to them since
// (A3, A4), and can be looked up.
func TestLatestOfAFilteredDomain(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 12})
	follows, reads := followingDomain(t, s,
		`filter = "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"`)
	same(t, follows, reads, 12)
	before := follows.follower.mirror
	dn := func(n int) string { return s.PersonDN(sambatest.UID(n)) }
	all := stateOf(t, follows, false).People
	s.Disable(t, dn(1))
	s.Disable(t, dn(2))
	away := s.Move(t, dn(2), s.FormerDN())
	s.Move(t, s.Move(t, dn(3), s.FormerDN()), s.PeopleDN())
	s.Delete(t, s.Move(t, dn(4), s.FormerDN()))
	same(t, follows, reads, 9)
	for n, want := range map[int]sources.Where{0: sources.Elsewhere, 1: sources.Elsewhere, 2: sources.InScope, 3: sources.Tombstone} {
		seen, err := follows.Find(t.Context(), sources.Lookup{Anchor: all[n].ID.Anchor, DN: all[n].DN})
		if err != nil || seen.Where != want || want == sources.Elsewhere && seen.Person.Active {
			t.Errorf("%s: %+v, %v", all[n].DN, seen, err)
		}
	}
	s.Enable(t, dn(1))
	s.Enable(t, s.Move(t, away, s.PeopleDN()))
	same(t, follows, reads, 11)
	if follows.follower.mirror != before {
		t.Error("everybody was read anew")
	}
}

// TestLatestTriesAgain: a server that could not be followed is tried again after a while.
func TestLatestTriesAgain(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	follows, reads := following(t, s)
	s.HideAttribute(t, "contextCSN")
	same(t, follows, reads, 12)
	s.Show(t)
	if same(t, follows, reads, 12); follows.follower.mirror != nil {
		t.Error("it is tried each time")
	}
	follows.now = func() time.Time { return time.Now().Add(unwatchable) }
	if same(t, follows, reads, 12); follows.follower.mirror == nil {
		t.Errorf("it is not tried again: %s", follows.follower.why)
	}
}

// TestLatestOverACutConnection: servers, and what is in between, cut idle connections without a word. That is no reason to
// read everybody anew (E2).
func TestLatestOverACutConnection(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	follows, reads := following(t, s)
	same(t, follows, reads, 12)
	before := follows.follower.mirror
	for range 2 {
		s.Delete(t, s.PersonDN(slapdtest.UID(len(stateOf(t, reads, true).People))))
		_ = follows.follower.session.Raw.Close()
		same(t, follows, reads, len(stateOf(t, reads, true).People))
	}
	if follows.follower.mirror != before {
		t.Error("everybody was read anew")
	}
}

// TestLatestOfWhoMayNotSeeDeletions: nobody would hear of them, so that everything is read each time.
func TestLatestOfWhoMayNotSeeDeletions(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 12, Blind: true})
	follows, reads := followingDomain(t, s)
	same(t, follows, reads, 12)
	s.Delete(t, s.PersonDN(sambatest.UID(3)))
	same(t, follows, reads, 11)
	if follows.follower.mirror != nil {
		t.Error("it is followed")
	}
	lines, err := follows.Check(t.Context())
	want := `  dsacls "CN=Deleted Objects,dc=ad,dc=example,dc=test" /takeownership
  dsacls "CN=Deleted Objects,dc=ad,dc=example,dc=test" /G "dirsweep@ad.example.test:LCRP"`
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), want) {
		t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
	}
}

// TestMembersOfOtherDomainsAreTold: they are read by no source of this domain, and who wonders why they have no account is
// told (C8).
func TestMembersOfOtherDomainsAreTold(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 3, Groups: 1})
	s.Join(t, s.GroupDN("group001"), "<SID=S-1-5-21-1-2-3-1105>")
	follows, reads := followingDomain(t, s)
	same(t, follows, reads, 3)
	lines, err := reads.Check(t.Context())
	if want := "warning: group group001 lists 1 members from other domains"; err != nil ||
		!strings.Contains(strings.Join(lines, "\n"), want) {
		t.Errorf("%v\n%s", err, strings.Join(lines, "\n"))
	}
}

// TestR01DeletionsAreTraced: a domain controller that shows what was deleted, and nothing of somebody, has not deleted them.
func TestR01DeletionsAreTraced(t *testing.T) {
	for _, blind := range []bool{false, true} {
		s := sambatest.Start(t, sambatest.Options{People: 3, Blind: blind})
		_, src := followingDomain(t, s)
		someone := stateOf(t, src, true).People[0]
		stranger := sources.Lookup{Anchor: "00112233-4455-6677-8899-aabbccddeeff", DN: "CN=x," + s.PeopleDN()}
		seen, err := src.Find(t.Context(), stranger)
		if err != nil || seen.Where != sources.Gone || seen.Untraced == blind ||
			strings.Contains(seen.Proof, "deleted objects") == blind {
			t.Errorf("blind %v: %+v, %v", blind, seen, err)
		}
		s.Delete(t, someone.DN)
		seen, err = src.Find(t.Context(), sources.Lookup{Anchor: someone.ID.Anchor, DN: someone.DN})
		if want := map[bool]sources.Where{false: sources.Tombstone, true: sources.Gone}[blind]; err != nil || seen.Where != want || seen.Untraced {
			t.Errorf("blind %v: %+v, %v", blind, seen, err)
		}
		src.findBases = []string{s.PeopleDN()}
		if seen, err = src.Find(t.Context(), stranger); err != nil || seen.Where != sources.Gone || seen.Untraced {
			t.Errorf("where deleted objects are not looked for: %+v, %v", seen, err)
		}
	}
}

// TestLatestOfARestoredController: a controller that was put back to an image of itself counts from there again, and has
// other changes under the numbers that were read.
func TestLatestOfARestoredController(t *testing.T) {
	s := sambatest.Start(t, sambatest.Options{People: 12, Groups: 2})
	s.Stop(t)
	restore := s.Save(t)
	s.Start(t)
	follows, reads := followingDomain(t, s)
	same(t, follows, reads, 12)
	s.AddPerson(t, "newcomer", nil)
	for range 3 {
		s.Set(t, s.PersonDN(sambatest.UID(5)), "title", "director")
		s.Set(t, s.PersonDN(sambatest.UID(5)), "title")
	}
	same(t, follows, reads, 13)
	s.Stop(t)
	restore()
	s.Start(t)
	s.Delete(t, s.PersonDN(sambatest.UID(3)))
	same(t, follows, reads, 11)
	s.Delete(t, s.PersonDN(sambatest.UID(4)))
	same(t, follows, reads, 10)
}

// TestLatestOf389AfterAnOutage: what was told while nobody listened is told to nobody, so that everybody is read anew,
// however long the server keeps a list of changes (A9).
func TestLatestOf389AfterAnOutage(t *testing.T) {
	s := dirsrvtest.Start(t, dirsrvtest.Options{People: 12, Groups: 2})
	follows, reads := following389(t, s, s.URL())
	soon(t, follows, reads, 12)
	before := follows.follower.mirror
	s.Stop(t)
	s.Start(t)
	s.Delete(t, s.PersonDN(dirsrvtest.UID(3)))
	if same(t, follows, reads, 11); follows.follower.mirror == before {
		t.Error("what was followed before the outage is followed on")
	}
	s.Delete(t, s.PersonDN(dirsrvtest.UID(4)))
	soon(t, follows, reads, 10)
}

// A message is what a server says to a question for changes.
type message struct {
	ldap.Response
	entry    *ldap.Entry
	referral string
	controls []ldap.Control
}

func (a message) Entry() *ldap.Entry { return a.entry }

func (a message) Referral() string { return a.referral }

func (a message) Controls() []ldap.Control { return a.controls }

// TestOnlyChangesAreTakenForChanges: a list of who is there, or of nobody in particular, is no list of who has changed.
func TestOnlyChangesAreTakenForChanges(t *testing.T) {
	entry := ldap.NewEntry("uid=a,o=x", nil)
	state := func(state ldap.ControlSyncStateState) *ldap.ControlSyncState {
		return &ldap.ControlSyncState{State: state, EntryUUID: [16]byte{1}}
	}
	set := func(deletes bool) *ldap.ControlSyncInfo {
		return &ldap.ControlSyncInfo{SyncIdSet: &ldap.ControlSyncInfoSyncIdSet{
			RefreshDeletes: deletes, SyncUUIDs: []googleuuid.UUID{{2}, {3}},
		}}
	}
	for name, c := range map[string]struct {
		says      message
		now, gone int
		done      bool
		reread    bool
	}{
		"added":             {says: message{entry: entry, controls: []ldap.Control{state(ldap.SyncStateAdd)}}, now: 1},
		"changed":           {says: message{entry: entry, controls: []ldap.Control{state(ldap.SyncStateModify)}}, now: 1},
		"deleted":           {says: message{entry: entry, controls: []ldap.Control{state(ldap.SyncStateDelete)}}, gone: 1},
		"deleted, in a set": {says: message{controls: []ldap.Control{set(true)}}, gone: 2},
		"a new cookie":      {says: message{controls: []ldap.Control{&ldap.ControlSyncInfo{NewCookie: &ldap.ControlSyncInfoNewCookie{}}}}},
		"that was all":      {says: message{controls: []ldap.Control{&ldap.ControlSyncDone{RefreshDeletes: true}}}, done: true},
		"present":           {says: message{entry: entry, controls: []ldap.Control{state(ldap.SyncStatePresent)}}, reread: true},
		"present, in a set": {says: message{controls: []ldap.Control{set(false)}}, reread: true},
		"the list of who is there ends": {
			says: message{controls: []ldap.Control{&ldap.ControlSyncInfo{RefreshPresent: &ldap.ControlSyncInfoRefreshPresent{}}}}, reread: true,
		},
		"that were all who are there":     {says: message{controls: []ldap.Control{&ldap.ControlSyncDone{}}}, reread: true},
		"an entry, and not which":         {says: message{entry: entry}, reread: true},
		"a part is on another server":     {says: message{referral: "ldap://other.example.org/ou=x,o=x"}, reread: true},
		"so is a part that has no people": {says: message{referral: "ldaps://ad.example.org/CN=Configuration,DC=ad,DC=example,DC=org"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := &changes{now: map[uuid]string{}}
			done, err := found.note(c.says)
			if (err != nil) != c.reread || done != c.done || len(found.now) != c.now || len(found.gone) != c.gone {
				t.Errorf("done %v, %d changed, %d gone, %v", done, len(found.now), len(found.gone), err)
			}
		})
	}
}

// TestAListOfChangesHasAnEnd: one that breaks off without a word, as a cancelled search does in the library, is no list.
func TestAListOfChangesHasAnEnd(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 3})
	follows, _ := following(t, s)
	session, err := follows.reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	current := currency(t.Context(), session, follows.bases)
	feed, why := follows.feed(t.Context(), session, current)
	if feed == nil {
		t.Fatal(why)
	}
	found := &changes{now: map[uuid]string{}}
	if err := feed.since(t.Context(), session, current, found); err != nil {
		t.Fatal(err)
	}
	session.Close() // the library says nothing of it
	if err := feed.since(t.Context(), session, current, found); err == nil {
		t.Error("a list of changes of a connection that is closed is taken for one")
	}
}

// TestWhatIsFollowedIsCaughtUpAgain: once more before anybody is handed out, as a comparison with a whole read does.
func TestWhatIsFollowedIsCaughtUpAgain(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	follows, reads := following(t, s)
	same(t, follows, reads, 12)
	for n := 1; n <= 3; n++ {
		s.Delete(t, s.PersonDN(slapdtest.UID(n))) // who is in a group, which changes with it
		s.AddGroup(t, fmt.Sprintf("team%d", n), s.PersonDN(slapdtest.UID(n+6)))
		if _, _, err := follows.catchUp(t.Context(), &follows.follower.followed); err != nil {
			t.Fatal(err)
		}
	}
	same(t, follows, reads, 9)
}

// TestWhatIsHalfCaughtUpIsNotFollowed: changes that were told once and not taken in are told by nobody again.
func TestWhatIsHalfCaughtUpIsNotFollowed(t *testing.T) {
	s := slapdtest.Start(t, slapdtest.Options{People: 12, Groups: 2})
	follows, reads := following(t, s)
	other, _ := following(t, s)
	same(t, other, reads, 12)
	for range 2 { // what is read first is in no file yet
		same(t, follows, reads, 12)
	}
	if err := follows.follower.mirror.file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	s.Delete(t, s.PersonDN(slapdtest.UID(3)))
	follows.missed(t.Context(), &other.follower.followed, &follows.follower.followed)
	if follows.follower.mirror != nil {
		t.Error("it is followed")
	}
	same(t, follows, reads, 11)
}
