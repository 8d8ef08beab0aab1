package reconcile_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// health returns what is remembered of the source and the target of a company.
func (l *lab) health() (source state.SourceRecord, target state.TargetRecord) {
	l.t.Helper()
	l.must(l.ledger.View(l.t.Context(), func(r *state.Reader) (err error) {
		if source, _, err = r.Source("corp"); err == nil {
			target, _, err = r.Target("wiki")
		}
		return err
	}))
	return source, target
}

// TestR20AStopIsNobodysFailure: three passes that are stopped while the application is slow do not count against it.
func TestR20AStopIsNobodysFailure(t *testing.T) {
	l, _, app := company(t, 20, "", nil)
	for range 3 {
		ctx, cancel := context.WithCancelCause(t.Context())
		app.Inject(scimtest.Fault{Trouble: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			cancel(errors.New("terminated signal received"))
			<-r.Context().Done()
		}})
		if _, err := l.engine().Run(ctx, reconcile.Pass{Mode: reconcile.Full}); err == nil {
			t.Error("a pass that was stopped ended well")
		}
		app.Clear()
	}
	source, target := l.health()
	if target.Failures != 0 || target.Reason != "" || !target.Next.IsZero() || source.Failures != 0 {
		t.Errorf("after three stops: %+v, %+v", source, target)
	}
	l.full()
}

// TestR21HealthIsNotGoodWhileWritesAreRefused: who could not be read, and whose writes are refused, is told until it is
// over.
func TestR21HealthIsNotGoodWhileWritesAreRefused(t *testing.T) {
	l, dir, app := company(t, 20, "", nil)
	dir.Set(t, dir.PersonDN(slapdtest.UID(1)), "sn", "Changed")
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: scimtest.Answer(403, `{"detail":"this token may only read"}`)})
	l.run(reconcile.Pass{Mode: reconcile.Full})
	if _, target := l.health(); target.Refused != 1 || target.RefusedReason == "" {
		t.Errorf("with a token that may only read: %+v", target)
	}
	app.Clear()
	l.full()
	if _, target := l.health(); target.Refused != 0 || target.RefusedReason != "" {
		t.Errorf("with a token that may write again: %+v", target)
	}

	real := l.sources[0].Source
	l.sources[0].Source = broken{real}
	l.run(reconcile.Pass{Mode: reconcile.Full})
	l.run(reconcile.Pass{Mode: reconcile.Delta})
	if source, _ := l.health(); source.Failures != 2 || source.Reason == "" || time.Since(source.Since) > time.Minute {
		t.Errorf("with a source that cannot be read: %+v", source)
	}
	l.sources[0].Source = real
	l.full()
	if source, _ := l.health(); source.Failures != 0 || source.Reason != "" || !source.Since.IsZero() {
		t.Errorf("with a source that can be read again: %+v", source)
	}
}

// TestR21FindingsLiveUntilTheyAreSolved: a pass that could not look does not take back what an earlier one saw.
func TestR21FindingsLiveUntilTheyAreSolved(t *testing.T) {
	l, dir, app := company(t, 20, "", func(t *reconcile.Target) { t.Correlate = []string{"emails"} })
	dir.AddPerson(t, "one", map[string][]string{"mail": {"shared@example.org"}})
	dir.AddPerson(t, "two", map[string][]string{"mail": {"shared@example.org"}})
	app.AddUser(t, "shared", map[string]any{"active": true, "emails": []any{map[string]any{"value": "shared@example.org"}}})
	stand := func() (n int) {
		t.Helper()
		l.must(l.ledger.View(t.Context(), func(r *state.Reader) error {
			n = 0
			for f, err := range r.Findings() {
				if err != nil {
					return err
				}
				if f.Kind == "disputed" {
					n++
				}
			}
			return nil
		}))
		return n
	}
	l.run(reconcile.Pass{Mode: reconcile.Full})
	before := stand()
	if before == 0 {
		t.Fatal("no dispute was found")
	}
	real := l.sources[0].Source
	l.sources[0].Source = broken{real}
	l.run(reconcile.Pass{Mode: reconcile.Full})
	if got := stand(); got != before {
		t.Errorf("a source that could not be read leaves %d of %d disputes", got, before)
	}
	l.sources[0].Source = real
	app.Inject(scimtest.Fault{Trouble: scimtest.Answer(503, "down")})
	l.run(reconcile.Pass{Mode: reconcile.Full})
	if got := stand(); got != before {
		t.Errorf("a target that could not be read leaves %d of %d disputes", got, before)
	}
	app.Clear()
	dir.Set(t, dir.PersonDN("two"), "mail", "two@example.org")
	l.run(reconcile.Pass{Mode: reconcile.Full})
	if got := stand(); got != 0 {
		t.Errorf("%d disputes stand after they were solved", got)
	}
}
