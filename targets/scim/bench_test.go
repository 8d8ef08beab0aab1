package scim_test

import (
	"fmt"
	"testing"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// BenchmarkAccounts lists a hundred thousand accounts.
func BenchmarkAccounts(b *testing.B) {
	const n = 100_000
	s, _ := scimtest.StartFast(b, n, scimtest.Quirks{})
	target := open(b, s.Block()+"page_size = 1000\n", targets.Need{Paths: []string{"displayName", "emails", "name.familyName", "userName"}})
	b.ReportAllocs()
	for b.Loop() {
		if got := len(everyone(b, target)); got != n {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "accounts/s")
}

// BenchmarkCreate makes accounts in an application whose engine is not ours.
func BenchmarkCreate(b *testing.B) {
	s := scimtest.StartElimity(b)
	target := open(b, s.Block(), targets.Need{Paths: paths})
	n := 0
	for b.Loop() {
		n++
		want := wanted(n)
		want.UserName = fmt.Sprintf("user%07d", n)
		if _, _, err := target.Create(b.Context(), want); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accounts/s")
}
