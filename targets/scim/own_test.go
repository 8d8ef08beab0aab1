package scim_test

import (
	"testing"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// R5: an application is asked which account is signed in as, and is not asked again where it does not tell.
func TestOwn(t *testing.T) {
	for name, c := range map[string]struct {
		trouble scimtest.Trouble
		want    targets.Own
		fails   bool
		asked   int // in two passes
	}{
		"it tells":                {scimtest.Answer(200, `{"id": "7", "userName": "robot"}`), targets.Own{ID: "7", UserName: "robot"}, false, 2},
		"it does not know of /Me": {scimtest.Answer(404, ""), targets.Own{}, false, 1},
		"it has not made /Me":     {scimtest.Answer(501, ""), targets.Own{}, false, 1},
		"a list of everybody":     {scimtest.Answer(200, `{"totalResults": 1, "Resources": [{"id": "7"}]}`), targets.Own{}, false, 1},
		"it does not answer":      {scimtest.Answer(503, ""), targets.Own{}, true, 2},
	} {
		s, _ := scimtest.StartFast(t, 1, scimtest.Quirks{})
		s.Inject(scimtest.Fault{Path: "/Me", Trouble: c.trouble})
		opened := openTarget(t, s.Block(), targets.Need{Paths: []string{"userName"}})
		for range 2 {
			own, err := begin(t, opened).(targets.Identifier).Own(t.Context())
			if own != c.want || (err != nil) != c.fails {
				t.Errorf("%s: %+v, %v", name, own, err)
			}
		}
		if n := s.Count("GET", "/Me"); n != c.asked {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}
