package sources_test

import (
	"fmt"
	"testing"

	"github.com/dirsweep/dirsweep/sources"
)

func TestR01CurrencyIsAPartialOrder(t *testing.T) {
	one, two := sources.Currency{"001": "20260301"}, sources.Currency{"001": "20260302"}
	both := sources.Currency{"001": "20260302", "002": "20260301"}
	for _, c := range []struct {
		name   string
		of, by sources.Currency
		want   bool
	}{
		{"the same", one, one, true},
		{"later", one, two, true},
		{"earlier", two, one, false},
		{"one more sequence", two, both, true},
		{"one sequence less", both, two, false},
		{"other sequences", sources.Currency{"003": "20260301"}, two, false},
		{"unknown before", nil, two, false},
		{"unknown now", one, nil, false},
		{"numbers of another length", sources.Currency{"001": "10"}, sources.Currency{"001": "9"}, false},
	} {
		if got := c.by.Covers(c.of); got != c.want {
			t.Errorf("%s: %v covers %v: %t", c.name, c.by, c.of, got)
		}
	}
}

func TestR18SamplesAreBounded(t *testing.T) {
	var s sources.Sample
	for i := range sources.SampleSize + 3 {
		s.Add(fmt.Sprint(i))
	}
	if s.Count != sources.SampleSize+3 || len(s.First) != sources.SampleSize || s.First[0] != "0" {
		t.Errorf("%+v", s)
	}
	if got := (sources.Sample{Count: 3, First: []string{"a", "b"}}).String(); got != "a, b and 1 more" {
		t.Error(got)
	}
}
