//go:build unix

package directory

import (
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
)

// BenchmarkPeople reads a directory of 100,000 people, eight attributes each; cpu-s/op is this process alone, the
// server not included.
func BenchmarkPeople(b *testing.B) {
	const n = 100_000
	s := slapdtest.Start(b, slapdtest.Options{People: n, Groups: 100})
	src := open(b, sources.Need{
		Attributes: []string{"cn", "displayName", "givenName", "mail", "sn", "telephoneNumber", "title", "uid"}, Groups: true,
	}, as(s, s.ReaderDN(), "page_size = 1000", `groups { base_dn = "ou=groups,dc=example,dc=org" }`)...)
	before := cpu(b)
	for b.Loop() {
		count := 0
		for _, err := range src.People(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			count++
		}
		if count != n {
			b.Fatalf("%d people, want %d", count, n)
		}
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "people/s")
}

func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
