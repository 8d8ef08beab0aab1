package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
)

// R2: whatever keeps a directory from answering in full ends in an error that says so, and after it nobody is
// yielded.
func TestR02NoPartIsAWhole(t *testing.T) {
	limit := func(code int64) func(*answer, asked) {
		return func(w *answer, q asked) {
			if q.number < 3 {
				w.persons(2*q.number-1, 2*q.number)
				w.page(fmt.Sprint(q.number))
				return
			}
			w.persons(5, 5)
			w.done(code)
		}
	}
	tests := []struct {
		name   string
		people func(w *answer, q asked)
		lines  []string
		want   string // of the error
		count  int    // of people before it
	}{
		{
			"time limit",
			limit(3),
			nil,
			"page 3 of ou=people,dc=example,dc=org, after 4 entries: time limit exceeded (3) (raise",
			4,
		},
		{"size limit", limit(4), nil, "size limit exceeded (4) (give the bind DN an unlimited size limit", 4},
		{"referral", limit(10), nil, "referral (10)", 4},
		{"admin limit", limit(11), nil, "admin limit exceeded (11) (lower page_size", 4},
		{"busy", limit(51), nil, "busy (51)", 4},
		{"unavailable", limit(52), nil, "unavailable (52)", 4},
		{"unwilling", limit(53), nil, "unwilling to perform (53)", 4},
		{"other", limit(80), nil, "other (80)", 4},
		{"a code beyond the library's own", limit(4096), nil, "refresh required (4096)", 4},
		{"no such object", func(w *answer, _ asked) { w.done(32) }, nil, "no such object (32) (it does not exist, or", 0},
		{
			"size limit on the first page",
			func(w *answer, _ asked) { w.persons(1, 2); w.done(4) },
			nil,
			"size limit exceeded",
			0,
		},
		{"connection cut", func(w *answer, q asked) {
			w.persons(2*q.number-1, 2*q.number)
			if q.number == 3 {
				w.cut()
				return
			}
			w.page("c")
		}, nil, "page 3 of ou=people,dc=example,dc=org, after 4 entries: ", 4},
		{
			"a cookie that never ends",
			func(w *answer, _ asked) { w.persons(1, 2); w.page("again") },
			nil,
			"the same page came twice",
			2,
		},
		{"empty pages without end", func(w *answer, _ asked) { w.page("again") }, nil, "101 empty pages in a row", 0},
		{"people without end", func(w *answer, q asked) {
			w.persons(2*q.number-1, 2*q.number)
			w.page(fmt.Sprint(q.number))
		}, []string{"max_entries = 20"}, "the server does not stop sending (raise max_entries", 20},
		{"paging forgotten", func(w *answer, q asked) {
			w.persons(2*q.number-1, 2*q.number)
			if q.number == 1 {
				w.page("1")
				return
			}
			w.done(0)
		}, nil, "the server forgot the paging control", 2},
		{"a reference to another server", func(w *answer, _ asked) {
			w.persons(1, 1)
			w.reference("ldap://other.example.org/ou=abroad,ou=people,dc=example,dc=org??sub")
			w.page("")
		}, nil, "ldap://other.example.org/ou=abroad", 0},
		{
			"never answering",
			func(*answer, asked) {},
			[]string{`timeout = "50ms"`},
			"the server did not answer in time (50ms)",
			0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := (&fake{people: tt.people}).start(t)
			people, _, err := everyone(t, reading(t, sources.Need{}, []string{url}, tt.lines...))
			if !errors.Is(err, sources.ErrIncomplete) || !strings.Contains(fmt.Sprint(err), tt.want) ||
				!strings.HasPrefix(fmt.Sprint(err), "corp: ") {
				t.Errorf("error %q, want one of ErrIncomplete with %q", err, tt.want)
			}
			if len(people) != tt.count {
				t.Errorf("%d people before the error, want %d", len(people), tt.count)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	tests := []struct {
		name   string
		people func(w *answer, q asked)
		lines  []string
		want   int
	}{
		{"paging ignored from the start, and no limit hit", func(w *answer, _ asked) { w.persons(1, 7); w.done(0) }, nil, 7},
		{"the same cookie on every page, as 389 Directory Server sends it", func(w *answer, q asked) {
			w.persons(2*q.number-1, 2*q.number)
			w.page(map[bool]string{true: "0"}[q.number < 4])
		}, nil, 8},
		{"a few empty pages", func(w *answer, q asked) {
			if q.number%3 == 0 {
				w.persons(q.number, q.number)
			}
			w.page(map[bool]string{true: "more"}[q.number < 9])
		}, nil, 3},
		{"nobody", func(w *answer, _ asked) { w.page("") }, nil, 0},
		{"not paged", func(w *answer, q asked) {
			if q.paged {
				w.done(12)
				return
			}
			w.persons(1, 3)
			w.done(0)
		}, []string{"page_size = 0"}, 3},
		{"Active Directory's partitions without people", func(w *answer, _ asked) {
			w.persons(1, 1)
			w.reference("ldap://DomainDnsZones.example.org/DC=DomainDnsZones,DC=example,DC=org")
			w.reference("ldap://ForestDnsZones.example.org/DC=ForestDnsZones,DC=example,DC=org")
			w.reference("ldap://example.org/CN=Configuration,DC=example,DC=org")
			w.page("")
		}, nil, 1},
		{"a reference that the config knows of", func(w *answer, _ asked) {
			w.persons(1, 1)
			w.reference("ldap://other.example.org/ou=berlin,ou=abroad,ou=people,dc=example,dc=org??sub")
			w.page("")
		}, []string{`ignore_referrals = ["OU=Abroad, OU=people,DC=example,DC=org"]`}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := (&fake{people: tt.people}).start(t)
			people, personal, err := everyone(t, reading(t, sources.Need{}, []string{url}, tt.lines...))
			if err != nil || len(personal) > 0 || len(people) != tt.want {
				t.Errorf("%d people, want %d; %v %v", len(people), tt.want, err, personal)
			}
		})
	}
}

// People come page by page: nothing is asked for before it is wanted, and nothing is kept.
func TestStreams(t *testing.T) {
	var asks atomic.Int32
	url := (&fake{people: func(w *answer, q asked) {
		asks.Store(int32(q.number))
		w.persons(2*q.number-1, 2*q.number)
		w.page(map[bool]string{true: "more"}[q.number < 50])
	}}).start(t)
	count := 0
	for _, err := range reading(t, sources.Need{}, []string{url}).People(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; int(asks.Load()) != (count+1)/2 {
			t.Fatalf("%d pages were asked for at person %d", asks.Load(), count)
		}
	}
	if count != 100 {
		t.Errorf("%d people, want 100", count)
	}
}

// A cancelled context is never a complete list, wherever it strikes.
func TestCancelled(t *testing.T) {
	url := (&fake{people: func(w *answer, q asked) {
		w.persons(2*q.number-1, 2*q.number)
		w.page(map[bool]string{true: "more"}[q.number < 3])
	}}).start(t)
	for after := range 7 {
		ctx, cancel := context.WithCancel(t.Context())
		if after == 0 {
			cancel()
		}
		count := 0
		var last error
		for _, err := range reading(t, sources.Need{}, []string{url}).People(ctx) {
			if last = err; err == nil {
				count++
			}
			if count == after {
				cancel()
			}
		}
		cancel()
		if !errors.Is(last, sources.ErrIncomplete) || !errors.Is(last, context.Canceled) {
			t.Errorf("cancelled after %d of 6 people: %d people, then %v", after, count, last)
		}
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := (&fake{people: func(*answer, asked) { cancel() }}).start(t)
	_, _, err := gather(reading(t, sources.Need{}, []string{url}).People(ctx))
	if !errors.Is(err, sources.ErrIncomplete) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Another server is tried until the first person has been yielded, and never after.
func TestFailover(t *testing.T) {
	whole := func(w *answer, _ asked) { w.persons(1, 2); w.page("") }
	busy := func(w *answer, _ asked) { w.done(51) }
	cutLater := func(w *answer, q asked) {
		if q.number == 1 {
			w.persons(1, 2)
			w.page("more")
			return
		}
		w.cut()
	}
	tests := []struct {
		name          string
		first, second func(*answer, asked)
		count         int
		want          string // of the error, "" for none
	}{
		{"the first works", whole, busy, 2, ""},
		{"the first is busy", busy, whole, 2, ""},
		{"the first cuts the connection", func(w *answer, _ asked) { w.cut() }, whole, 2, ""},
		{"the first never answers", func(*answer, asked) {}, whole, 2, ""},
		{"both are busy", busy, busy, 0, "busy (51)"},
		{"the first fails after a page", cutLater, whole, 2, "page 2"},
		{"the first refuses by a code beyond the library's own", func(w *answer, _ asked) { w.done(4096) }, whole, 0, "(4096)"},
		{"the first hits a limit: so will the second", func(w *answer, _ asked) { w.done(4) }, whole, 0, "size limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			urls := []string{(&fake{people: tt.first}).start(t), (&fake{people: tt.second}).start(t)}
			people, _, err := everyone(t, reading(t, sources.Need{}, urls, `timeout = "2s"`))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if len(people) != tt.count {
				t.Errorf("%d people, want %d", len(people), tt.count)
			}
		})
	}
}

// A password that one server refuses is not tried on the others: that would lock the account.
func TestRefusedPasswordIsTriedOnce(t *testing.T) {
	whole := func(w *answer, _ asked) { w.persons(1, 2); w.page("") }
	first, second := &fake{people: whole, bind: 49}, &fake{people: whole}
	src := reading(t, sources.Need{}, []string{first.start(t), second.start(t)})
	people, _, err := everyone(t, src)
	if len(people) > 0 || err == nil ||
		!strings.Contains(err.Error(), "sign in as cn=reader,dc=example,dc=org: invalid credentials (49)") {
		t.Error(len(people), err)
	}
	if _, err := src.Find(t.Context(), sources.Lookup{Anchor: "uuid-1"}); err == nil {
		t.Error("somebody was found")
	}
	if first.binds.Load() != 1 || second.binds.Load() != 0 {
		t.Errorf("%d and %d binds, want 1 and 0", first.binds.Load(), second.binds.Load())
	}
}

func TestPersonErrors(t *testing.T) {
	url := (&fake{people: func(w *answer, _ asked) {
		w.persons(1, 1)
		w.entry("uid=nameless,ou=people,dc=example,dc=org", "uid", "nameless")
		w.entry("uid=odd,ou=people,dc=example,dc=org", "uid", "odd", "entryUUID", "uuid-9", "userAccountControl", "yes")
		w.persons(2, 2)
		w.page("")
	}}).start(t)
	people, personal, err := everyone(t, reading(t, sources.Need{}, []string{url}))
	if err != nil || len(people) != 2 || len(personal) != 2 {
		t.Fatalf("%d people, %d personal errors, %v", len(people), len(personal), err)
	}
	if e := personal[0]; e.ID.Anchor != "" || e.DN != "uid=nameless,ou=people,dc=example,dc=org" ||
		!strings.Contains(e.Error(), "no entryUUID that the bind DN may read") {
		t.Error(e)
	}
	if e := personal[1]; e.ID.Anchor != "uuid-9" ||
		!strings.Contains(e.Error(), `userAccountControl "yes" is not a number`) {
		t.Error(e)
	}
}

// Attributes come back under the names asked for, whatever the server makes of case and options.
func TestAttributes(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		need   []string
		pairs  []string
		want   string // %q of Person.Attributes
		active bool
	}{
		{"another letter case", []string{"givenName"}, []string{"GIVENNAME", "Ann"}, `map["givenName":["Ann"]]`, true},
		{"binary, known", []string{"jpegPhoto"}, []string{"jpegPhoto", "\xff\xd8x"}, `map["jpegPhoto":["/9h4"]]`, true},
		{
			"binary by option",
			[]string{"userCertificate"},
			[]string{"userCertificate;binary", "abc"},
			`map["userCertificate":["YWJj"]]`,
			true,
		},
		{
			"a language beside the plain value",
			[]string{"cn"},
			[]string{"cn;lang-de", "Anna", "cn", "Ann"},
			`map["cn":["Ann"]]`,
			true,
		},
		{"a language alone", []string{"cn"}, []string{"cn;lang-de", "Anna"}, `map["cn":["Anna"]]`, true},
		{
			"a language that is asked for",
			[]string{"cn", "cn;lang-de"},
			[]string{"cn", "Ann", "CN;lang-DE", "Anna"},
			`map["cn":["Ann"] "cn;lang-de":["Anna"]]`, true,
		},
		{"not asked for", []string{"cn"}, []string{"sn", "Lee", "nsAccountLock", "FALSE"}, `map[]`, true},
		{"389: locked", nil, []string{"nsAccountLock", "TRUE"}, `map[]`, false},
		{
			"389: locked, and asked for",
			[]string{"nsAccountLock"},
			[]string{"nsaccountlock", "true"},
			`map["nsAccountLock":["true"]]`,
			false,
		},
		{"eDirectory: disabled", nil, []string{"loginDisabled", "TRUE"}, `map[]`, false},
		{"ppolicy: locked by an administrator", nil, []string{"pwdAccountLockedTime", "000001010000Z"}, `map[]`, false},
		{"ppolicy: locked by bad passwords", nil, []string{"pwdAccountLockedTime", "20260430230000Z"}, `map[]`, true},
		{"AD: disabled", nil, []string{"userAccountControl", "514"}, `map[]`, false},
		{"AD: enabled", nil, []string{"userAccountControl", "512"}, `map[]`, true},
		{"AD: never expires", nil, []string{"accountExpires", "9223372036854775807"}, `map[]`, true},
		{"AD: never expires, the other way", nil, []string{"accountExpires", "0"}, `map[]`, true},
		{"AD: expires this instant", nil, []string{"accountExpires", "134220672000000000"}, `map[]`, false},
		{"AD: expires in a second", nil, []string{"accountExpires", "134220672010000000"}, `map[]`, true},
		{"shadow: expired", nil, []string{"shadowExpire", "20574"}, `map[]`, false},
		{"shadow: tomorrow", nil, []string{"shadowExpire", "20575"}, `map[]`, true},
		{"ppolicy: ends this instant", nil, []string{"pwdEndTime", "20260501000000Z"}, `map[]`, false},
		{"FreeIPA: ends in an hour", nil, []string{"krbPrincipalExpiration", "20260501010000Z"}, `map[]`, true},
		{"shadow: never", nil, []string{"shadowExpire", "-1"}, `map[]`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := (&fake{people: func(w *answer, _ asked) {
				w.entry("uid=a,ou=people,dc=example,dc=org", append([]string{"entryUUID", "u"}, tt.pairs...)...)
				w.page("")
			}}).start(t)
			src := reading(t, sources.Need{Attributes: tt.need}, []string{url})
			src.now = func() time.Time { return now }
			people, personal, err := everyone(t, src)
			if err != nil || len(people) != 1 {
				t.Fatal(err, personal)
			}
			if got := fmt.Sprintf("%q", people[0].Attributes); got != tt.want {
				t.Errorf("attributes %s, want %s", got, tt.want)
			}
			if people[0].Active != tt.active {
				t.Errorf("active %t, want %t", people[0].Active, tt.active)
			}
		})
	}
}

// Only what is needed is asked for.
func TestAsks(t *testing.T) {
	var got []string
	url := (&fake{people: func(w *answer, q asked) { got = q.attributes; w.page("") }}).start(t)
	if _, _, err := everyone(t, reading(t, sources.Need{Attributes: []string{"cn", "entryuuid"}}, []string{url}, `name = "CN"`)); err != nil {
		t.Fatal(err)
	}
	want := "cn entryuuid modifyTimestamp accountExpires ds-pwp-account-disabled ds-pwp-account-expiration-time ibm-pwdAccountLocked " +
		"inetUserStatus krb5KDCFlags krb5ValidEnd krbPrincipalExpiration krbTicketFlags loginDisabled loginExpirationTime " +
		"msDS-UserAccountDisabled nsAccountLock orclActiveEndDate orclIsEnabled pwdAccountDisabled pwdAccountLockedTime pwdEndTime " +
		"sambaAcctFlags sambaKickoffTime shadowExpire userAccountControl"
	if strings.Join(got, " ") != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
}
