package rest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// R10: what the application's clock says is remembered of every answer, refusals too, but not of one out of a cache.
func TestDate(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	answer := http.Header{}
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil // the server adds none
		for name, values := range answer {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	c, err := New(Options{URL: server.URL, Auth: Auth{Basic: &Basic{Username: "dirsweep"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return at.Add(time.Minute) }
	for _, step := range []struct {
		name   string
		status int
		header http.Header
		want   time.Time
	}{
		{"none", 200, http.Header{}, time.Time{}},
		{"out of a cache", 200, http.Header{"Date": {at.Format(http.TimeFormat)}, "Age": {"30"}}, time.Time{}},
		{"no date", 200, http.Header{"Date": {"yesterday"}}, time.Time{}},
		{"a refusal's", 404, http.Header{"Date": {at.Format(http.TimeFormat)}}, at},
		{"kept", 200, http.Header{}, at},
	} {
		answer, status = step.header, step.status
		_, _ = c.Do(t.Context(), http.MethodGet, "/Users/1", nil, nil, nil)
		if said, came := c.Date(); !said.Equal(step.want) || !said.IsZero() && !came.Equal(at.Add(time.Minute)) {
			t.Errorf("%s: %s, %s", step.name, said, came)
		}
	}
}
