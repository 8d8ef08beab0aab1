package reconcile_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/sync/reconcile"
)

// listing is a source that cannot be asked for one person.
type listing struct{ real sources.Source }

func (s listing) Close() error { return s.real.Close() }

func (s listing) People(ctx context.Context) iter.Seq2[identity.Person, error] {
	return s.real.People(ctx)
}

// A source that cannot be asked makes nobody leave, unless the config says that absence leaves: then whoever is missing
// from two reads a delta apart does, within the limits and without a floor, and of too many nobody does.
func TestR01AbsenceLeavesOnlyWhereTheConfigSaysSo(t *testing.T) {
	l, dir, app := company(t, 40, "", nil)
	l.sources[0].Source = listing{l.sources[0].Source}
	full := reconcile.Pass{Mode: reconcile.Full}
	one := slapdtest.UID(1)
	dir.Delete(t, dir.PersonDN(one))
	if report := l.run(full); app.Users(t)[one]["active"] != true || len(findings(report, "unproven")) != 1 {
		t.Fatalf("%v, %+v", app.Users(t)[one]["active"], report.Findings)
	}
	l.sources[0].AbsenceLeaves = true
	for range 2 {
		if report := l.run(full); app.Users(t)[one]["active"] != true || len(findings(report, "unproven")) != 1 {
			t.Fatalf("%v, %+v", app.Users(t)[one]["active"], report.Findings)
		}
	}
	l.now = func() time.Time { return time.Now().Add(time.Minute) }
	if report := l.run(full); app.Users(t)[one]["active"] != false || len(findings(report, "unproven")) != 0 {
		t.Fatalf("%v, %+v", app.Users(t)[one]["active"], report.Findings)
	}
	before := len(active(t, app))
	for n := 2; n <= 9; n++ {
		dir.Delete(t, dir.PersonDN(slapdtest.UID(n)))
	}
	for minutes := range 3 {
		l.now = func() time.Time { return time.Now().Add(time.Duration(minutes+2) * time.Minute) }
		if report := l.run(full); len(active(t, app)) != before ||
			len(report.Held) != 1 || report.Held[0].Kind != identity.HoldShrink {
			t.Fatalf("%d of %d are active, held %+v", len(active(t, app)), before, report.Held)
		}
	}
}
