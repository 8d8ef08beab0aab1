package scimtest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestGate(t *testing.T) {
	s, _ := StartFast(t, 1, Quirks{})
	call := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.Token())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "cut"
		}
		defer func() { _ = resp.Body.Close() }()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return fmt.Sprintf("%d, then cut after %d", resp.StatusCode, len(data))
		}
		return fmt.Sprintf("%d %s", resp.StatusCode, data)
	}
	const off = `{"Operations":[{"op":"replace","path":"active","value":false}]}`
	one := "/Users/10000001"
	http.DefaultClient.CloseIdleConnections()

	if got := call(http.MethodGet, one, ""); !strings.Contains(got, `"active":true`) {
		t.Error(got)
	}
	s.Inject(Fault{Path: one, Trouble: Stale()})
	before := call(http.MethodGet, one, "")
	if got := call(http.MethodPatch, one, off); !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
	if got := call(http.MethodGet, one, ""); got != before {
		t.Errorf("not stale: %s", got)
	}
	s.Clear()
	if got := call(http.MethodGet, one, ""); !strings.Contains(got, `"active":false`) {
		t.Error(got)
	}
	s.Inject(Fault{Method: http.MethodDelete, Times: 1, Trouble: Cut()})
	s.Inject(Fault{Method: http.MethodDelete, Times: 1, Trouble: CutAfter()})
	s.Inject(Fault{Method: http.MethodGet, Times: 2, Trouble: CutBody(5)})
	if got := call(http.MethodGet, one, ""); got != "200, then cut after 5" {
		t.Error(got)
	}
	if got := call(http.MethodDelete, one, ""); got != "cut" || s.User(t, "10000001") == nil {
		t.Errorf("%s, and it is gone", got)
	}
	if got := call(http.MethodDelete, one, ""); got != "cut" || s.User(t, "10000001") != nil {
		t.Errorf("%s, and it is still there", got)
	}
	if s.Writes() != 3 || s.Count(http.MethodDelete, "/Users/") != 2 || s.Count(http.MethodPatch, "") != 1 {
		t.Errorf("%d writes: %+v", s.Writes(), s.Calls())
	}
	http.DefaultClient.CloseIdleConnections()
}
