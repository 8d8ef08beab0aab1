package scim_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A list is either proven complete, each account once, or an error. Never a part, never silently.
func TestR02NoPartIsAWhole(t *testing.T) {
	const users = 250
	for name, test := range map[string]struct {
		quirks   scimtest.Quirks
		pageSize int
		partly   bool // it can't be proven
	}{
		"pages":                                       {pageSize: 100},
		"a last page that is full":                    {pageSize: 125},
		"one page":                                    {},
		"pages capped below what is asked":            {quirks: scimtest.Quirks{PageCap: 7}},
		"a count above the cap is refused":            {quirks: scimtest.Quirks{PageCap: 100, RefuseOverCap: true}},
		"nothing declared":                            {quirks: scimtest.Quirks{Undeclared: true, PageCap: 60}},
		"ids are numbers":                             {quirks: scimtest.Quirks{NumericID: true}, pageSize: 100},
		"totalResults too small":                      {quirks: scimtest.Quirks{TotalOff: -150}, pageSize: 100},
		"totalResults counts the page":                {quirks: scimtest.Quirks{TotalOfPage: true, PageCap: 50}},
		"no totalResults, but an empty page":          {quirks: scimtest.Quirks{NoTotal: true}, pageSize: 100},
		"no totalResults, and pages repeat":           {quirks: scimtest.Quirks{NoTotal: true, FirstPastEnd: true}, pageSize: 100, partly: true},
		"totalResults too small, and pages repeat":    {quirks: scimtest.Quirks{TotalOff: -50, FirstPastEnd: true}, pageSize: 100, partly: true},
		"totalResults too large":                      {quirks: scimtest.Quirks{TotalOff: 1}, pageSize: 100, partly: true},
		"totalResults too large, one page":            {quirks: scimtest.Quirks{TotalOff: 1}, partly: true},
		"counted from 0":                              {quirks: scimtest.Quirks{ZeroBased: true}, pageSize: 100},
		"page one again past the end":                 {quirks: scimtest.Quirks{FirstPastEnd: true}, pageSize: 125},
		"paging ignored":                              {quirks: scimtest.Quirks{IgnorePaging: true}, pageSize: 100},
		"paging ignored, in one page":                 {quirks: scimtest.Quirks{IgnorePaging: true}},
		"paging ignored, and entries are missing":     {quirks: scimtest.Quirks{IgnorePaging: true, TotalOff: 3}, pageSize: 100, partly: true},
		"entries twice, on two pages":                 {quirks: scimtest.Quirks{Overlap: 5}, pageSize: 50},
		"entries between pages are missing":           {quirks: scimtest.Quirks{Skip: 5}, pageSize: 50, partly: true},
		"an account goes while we read":               {quirks: scimtest.Quirks{Churn: 1}, pageSize: 100},
		"accounts keep going while we read":           {quirks: scimtest.Quirks{Churn: 1000}, pageSize: 20, partly: true},
		"cursor":                                      {quirks: scimtest.Quirks{Cursor: true}, pageSize: 100},
		"cursor, no totalResults":                     {quirks: scimtest.Quirks{Cursor: true, NoTotal: true}, pageSize: 100},
		"cursor, totalResults too large":              {quirks: scimtest.Quirks{Cursor: true, TotalOff: 5}, pageSize: 100, partly: true},
		"cursor, an account goes while we read":       {quirks: scimtest.Quirks{Cursor: true, Churn: 1}, pageSize: 100},
		"a cursor in a circle":                        {quirks: scimtest.Quirks{Cursor: true, CursorCircle: true}, pageSize: 100, partly: true},
		"a cursor nobody asked for, nothing declared": {quirks: scimtest.Quirks{Cursor: true, Undeclared: true}, pageSize: 100},
	} {
		t.Run(name, func(t *testing.T) {
			s, f := scimtest.StartFast(t, users, test.quirks)
			block := s.Block()
			if test.pageSize > 0 {
				block += fmt.Sprintf("page_size = %d\n", test.pageSize)
			}
			target := open(t, block, targets.Need{Paths: []string{"userName"}})
			seen := map[identity.AccountID]int{}
			var failed error
			for a, err := range target.Accounts(t.Context()) {
				if err != nil {
					failed = err
					continue
				}
				seen[a.ID]++
			}
			for id, n := range seen {
				if n != 1 {
					t.Errorf("%s came %d times", id, n)
				}
			}
			left, _ := f.Len()
			switch {
			case test.partly && !errors.Is(failed, targets.ErrIncomplete):
				t.Errorf("believed, with %d accounts: %v", len(seen), failed)
			case !test.partly && failed != nil:
				t.Error(failed)
			case !test.partly && (len(seen) < left || len(seen) > users):
				t.Errorf("%d accounts came, there are %d", len(seen), left)
			}
		})
	}
}

func TestR02TroubleWhileReading(t *testing.T) {
	page := func(body string) scimtest.Trouble {
		return scimtest.Answer(http.StatusOK, body, "Content-Type", "application/scim+json")
	}
	for name, test := range map[string]struct {
		fault scimtest.Fault
		is    error // besides ErrIncomplete; nil where the list is complete in the end
	}{
		"cut once":                  {scimtest.Fault{Times: 1, Trouble: scimtest.CutBody(9000)}, nil},
		"cut at once, once":         {scimtest.Fault{Times: 1, Trouble: scimtest.Cut()}, nil},
		"busy, in seconds":          {scimtest.Fault{Times: 1, Trouble: scimtest.Answer(429, "{}", "Retry-After", "1")}, nil},
		"busy for an hour":          {scimtest.Fault{Trouble: scimtest.Answer(429, "{}", "Retry-After", "3600")}, targets.ErrUnavailable},
		"busy, its own header":      {scimtest.Fault{Times: 1, Trouble: scimtest.Answer(429, "no", "X-Retry-After", "1")}, nil},
		"forbidden, but throttled":  {scimtest.Fault{Times: 1, Trouble: scimtest.Answer(403, `{"detail":"userRateLimitExceeded"}`)}, nil},
		"down":                      {scimtest.Fault{Trouble: scimtest.Answer(503, "down")}, targets.ErrUnavailable},
		"always cut":                {scimtest.Fault{Trouble: scimtest.CutBody(9000)}, targets.ErrUnavailable},
		"a proxy's page":            {scimtest.Fault{Trouble: page("<html>Log in</html>")}, targets.ErrUnavailable},
		"no list":                   {scimtest.Fault{Trouble: page(`{}`)}, targets.ErrRejected},
		"a bare array":              {scimtest.Fault{Trouble: page(`[]`)}, targets.ErrRejected},
		"an entry without an id":    {scimtest.Fault{Trouble: page(`{"totalResults":1,"Resources":[{"userName":"x"}]}`)}, targets.ErrRejected},
		"an entry that is null":     {scimtest.Fault{Trouble: page(`{"totalResults":1,"Resources":[null]}`)}, targets.ErrRejected},
		"a total that is none":      {scimtest.Fault{Trouble: page(`{"totalResults":-3,"Resources":[]}`)}, targets.ErrRejected},
		"refused":                   {scimtest.Fault{Trouble: scimtest.Answer(401, `{"detail":"token expired"}`)}, targets.ErrUnauthorized},
		"forbidden":                 {scimtest.Fault{Trouble: scimtest.Answer(403, `{"detail":"no"}`)}, targets.ErrUnauthorized},
		"gone":                      {scimtest.Fault{Trouble: scimtest.Answer(404, ``)}, targets.ErrUnavailable},
		"gone, it says itself":      {scimtest.Fault{Trouble: scimtest.Answer(404, "", "Content-Type", "application/scim+json")}, targets.ErrUnavailable},
		"a redirect to a stranger":  {scimtest.Fault{Trouble: scimtest.Answer(302, "", "Location", "https://elsewhere.example/Users")}, targets.ErrRejected},
		"an empty list that claims": {scimtest.Fault{Trouble: page(`{"totalResults":9,"Resources":[]}`)}, targets.ErrIncomplete},
		"the second page is empty":  {scimtest.Fault{Match: beyondFirst, Trouble: page(`{"totalResults":250,"Resources":[]}`)}, targets.ErrIncomplete},
		"the second page is down":   {scimtest.Fault{Match: beyondFirst, Trouble: scimtest.Answer(500, "")}, targets.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := scimtest.StartFast(t, 250, scimtest.Quirks{})
			test.fault.Path = "/Users"
			s.Inject(test.fault)
			target := open(t, s.Block()+"page_size = 100\n", targets.Need{Paths: []string{"userName"}})
			n := 0
			var failed error
			for _, err := range target.Accounts(t.Context()) {
				if failed = err; err == nil {
					n++
				}
			}
			switch {
			case test.is == nil && (failed != nil || n != 250):
				t.Errorf("%d accounts, %v", n, failed)
			case test.is != nil && (!errors.Is(failed, targets.ErrIncomplete) || !errors.Is(failed, test.is)):
				t.Errorf("%d accounts, %v", n, failed)
			case failed != nil && strings.Contains(failed.Error(), s.Token()):
				t.Errorf("R15: the error tells our token: %v", failed)
			}
		})
	}
}

func beyondFirst(r *http.Request) bool { return r.URL.Query().Get("startIndex") != "1" }

func TestR02ASilentTargetIsUnavailable(t *testing.T) {
	s, _ := scimtest.StartFast(t, 3, scimtest.Quirks{})
	target := open(t, s.Block()+"timeout = \"50ms\"\n", targets.Need{Paths: []string{"userName"}})
	s.Inject(scimtest.Fault{Trouble: scimtest.Slow(time.Minute)})
	if _, err := target.Account(t.Context(), "10000001"); !errors.Is(err, targets.ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := target.Account(ctx, "10000001"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, targets.ErrUnavailable) {
		t.Error(err)
	}
}
