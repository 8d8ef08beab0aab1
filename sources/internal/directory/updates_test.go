package directory

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
)

// TestWatchSeesTheFirstUpdate: what a domain controller changes first after it is watched is a sign, also where that is
// one update only; and where nothing changes there is no sign.
func TestWatchSeesTheFirstUpdate(t *testing.T) {
	var number, questions atomic.Int64
	number.Store(900)
	dc := &fake{
		dse: []string{
			"supportedCapabilities", activeDirectory, "dsServiceName", "cn=NTDS Settings,cn=dc1,dc=example,dc=org",
			"namingContexts", "dc=example,dc=org",
		},
		usn: func() string {
			questions.Add(1)
			return strconv.FormatInt(number.Load(), 10)
		},
		entry: func(w *answer, q asked) {
			switch {
			case strings.HasPrefix(q.base, "cn=NTDS"):
				w.entry(q.base, "invocationId", "\x01\x02\x03\x04")
			default:
				w.entry(q.base, "isDeleted", "TRUE")
			}
			w.done(0)
		},
	}
	src := open(t, sources.Need{}, `url = "`+dc.start(t)+`"`, `bind_dn = "cn=svc,dc=example,dc=org"`, `bind_password = "x"`,
		`base_dn = "ou=people,dc=example,dc=org"`, `anchor = "objectGUID"`)
	signs := make(chan sources.Sign, 100)
	go src.Watch(t.Context(), func(s sources.Sign) { signs <- s })
	next := func(within time.Duration) bool {
		select {
		case s := <-signs:
			if !s.Pushing {
				t.Fatal(s.Why)
			}
			return true
		case <-time.After(within):
			return false
		}
	}
	if !next(10 * time.Second) {
		t.Fatal("it does not begin")
	}
	for change := range 2 {
		number.Add(1)
		if !next(10 * time.Second) {
			t.Fatalf("change %d is no sign", change)
		}
		before := questions.Load()
		for questions.Load() < before+2 {
			if next(10 * time.Millisecond) {
				t.Fatal("a sign of nothing")
			}
		}
	}
}
