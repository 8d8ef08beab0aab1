package sweep_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

func TestR05WhichAccountsAreThePersons(t *testing.T) {
	bob := identity.PersonID{Directory: "corp", Anchor: "b"}
	hit := func(id, externalID string, active bool, holder identity.PersonID) sweep.Hit {
		return sweep.Hit{Account: identity.Account{ID: identity.AccountID(id), ExternalID: externalID, Active: active}, Holder: holder}
	}
	nobody := identity.PersonID{}
	fitted := func(h sweep.Hit, who identity.PersonID) sweep.Hit {
		h.Fitted = &who
		return h
	}
	for _, c := range []struct {
		name          string
		hits          []sweep.Hit
		own, disputed string
	}{
		{"linked", []sweep.Hit{hit("1", "", true, alice)}, "1", ""},
		{"marked", []sweep.Hit{hit("1", "a", true, nobody)}, "1", ""},
		{"found by name alone", []sweep.Hit{hit("1", "", true, nobody)}, "1", ""},
		{"found twice is one", []sweep.Hit{hit("1", "a", true, nobody), hit("1", "a", true, nobody)}, "1", ""},
		{"linked to another", []sweep.Hit{hit("1", "a", true, bob)}, "", ""},
		{"marked as another's", []sweep.Hit{hit("1", "b", true, nobody)}, "", "1"},
		{"marked as another's, and closed", []sweep.Hit{hit("1", "b", false, nobody)}, "", ""},
		{"marked as another's beside theirs", []sweep.Hit{hit("1", "b", true, nobody), hit("2", "", true, nobody)}, "2", "1"},
		{"two that nothing tells apart", []sweep.Hit{hit("1", "", true, nobody), hit("2", "", true, nobody)}, "", "1 2"},
		{"a second one beside the linked", []sweep.Hit{hit("1", "a", true, alice), hit("2", "", true, nobody)}, "1", "2"},
		{"a second marked one", []sweep.Hit{hit("1", "a", true, alice), hit("2", "a", true, nobody)}, "1 2", ""},
		{"a closed one that may be theirs is no matter", []sweep.Hit{hit("1", "a", true, alice), hit("2", "", false, nobody)}, "1", ""},
		{"there before they came", []sweep.Hit{fitted(hit("1", "", true, nobody), nobody)}, "", "1"},
		{"another's before they came", []sweep.Hit{fitted(hit("1", "", true, nobody), bob)}, "", "1"},
		{"there before, and theirs then", []sweep.Hit{fitted(hit("1", "", true, nobody), alice)}, "1", ""},
		{"there before, and marked as theirs", []sweep.Hit{fitted(hit("1", "a", true, nobody), nobody)}, "1", ""},
		{"none", nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			own, disputed := sweep.Owned(sweep.Traits{Person: alice, ExternalIDs: []string{"a"}}, c.hits)
			if ids(own) != c.own || ids(disputed) != c.disputed {
				t.Errorf("own %q, disputed %q; want %q and %q", ids(own), ids(disputed), c.own, c.disputed)
			}
		})
	}
}

func ids(hits []sweep.Hit) string {
	var out []string
	for _, h := range hits {
		out = append(out, string(h.Account.ID))
	}
	return strings.Join(out, " ")
}

func TestWhatIsLookedFor(t *testing.T) {
	got := sweep.Traits{
		ExternalIDs: []string{"a", "4711", "a", ""}, UserNames: []string{"alice", "alice"},
		Others: map[string][]string{"emails": {"a@x"}, "userName": {"other"}, "employeeNumber": {"4711"}},
	}.Keys()
	want := [][2]string{{"externalId", "a"}, {"externalId", "4711"}, {"userName", "alice"}, {"emails", "a@x"}, {"employeeNumber", "4711"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
