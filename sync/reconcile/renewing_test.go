package reconcile_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// stalled is the progress of a pass that gets no further than the first report of reading a source or a target, until
// it may.
type stalled struct {
	of          string
	begun, goOn chan struct{}
	once        sync.Once
}

func (s *stalled) Reading(of string, _, _ int) {
	if of != s.of {
		return
	}
	s.once.Do(func() {
		close(s.begun)
		<-s.goOn
	})
}

func (*stalled) Applying(string, int, int) {}

// R4: while a full pass reads a directory whole that tells what has changed, whoever leaves is closed by a delta.
func TestR04NobodyWaitsForAWholeRead(t *testing.T) {
	dir := slapdtest.Start(t, slapdtest.Options{People: 3})
	app, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
	l := newLab(t)
	l.follow = true
	l.directory("corp", dir, "")
	l.application("wiki", app, "", nil)
	l.full()
	e := l.engine()
	reading := &stalled{of: "corp", begun: make(chan struct{}), goOn: make(chan struct{})}
	ended := make(chan error)
	go func() {
		_, err := e.Run(t.Context(), reconcile.Pass{Progress: reading})
		ended <- err
	}()
	<-reading.begun
	dir.Delete(t, dir.PersonDN(slapdtest.UID(2)))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := e.Run(ctx, reconcile.Pass{Mode: reconcile.Delta, Beside: true}); err != nil {
		t.Error(err)
	}
	still := []string{slapdtest.UID(1), slapdtest.UID(3)}
	if names := active(t, app); !slices.Equal(names, still) {
		t.Errorf("active are %q", names)
	}
	close(reading.goOn)
	l.must(<-ended)
	if names := active(t, app); !slices.Equal(names, still) {
		t.Errorf("after the full pass, active are %q", names)
	}
}

// byGroup is a company of three people, each of whom has an account by a group.
func byGroup(t *testing.T) (*lab, *slapdtest.Server, *scimtest.Server) {
	t.Helper()
	dir := slapdtest.Start(t, slapdtest.Options{People: 3, Groups: 1})
	app, _ := scimtest.StartFast(t, 0, scimtest.Quirks{})
	l := newLab(t)
	l.directory("corp", dir, `groups { base_dn = "`+dir.GroupsDN()+`" }`)
	l.application("wiki", app, `scope = member_of("group001")`, nil)
	l.full()
	return l, dir, app
}

// R4: somebody is back, and leaves again before they have their account back: it is not given back, or it is closed again
// at once. No other pass is needed for that.
func TestR04LeavingAgainWins(t *testing.T) {
	l, dir, app := byGroup(t)
	bob, group := dir.PersonDN(slapdtest.UID(2)), dir.GroupDN("group001")
	dir.Leave(t, group, bob)
	l.full()
	dir.Join(t, group, bob)

	e := l.engine()
	serving := &stalled{of: "wiki", begun: make(chan struct{}), goOn: make(chan struct{})}
	ended := make(chan error)
	var first reconcile.Report
	go func() {
		var err error
		first, err = e.Run(t.Context(), reconcile.Pass{Progress: serving})
		ended <- err
	}()
	<-serving.begun
	dir.Delete(t, bob)
	beside, err := e.Run(t.Context(), reconcile.Pass{Mode: reconcile.Delta, Beside: true})
	l.must(err)
	if !beside.Left {
		t.Error("nobody is told that the target was left out")
	}
	close(serving.goOn)
	l.must(<-ended)
	if !first.Left {
		t.Error("nobody is told that they were judged anew")
	}
	if names := active(t, app); !slices.Equal(names, []string{slapdtest.UID(1), slapdtest.UID(3)}) {
		t.Errorf("active are %q", names)
	}
}

// R10: an account that dirsweep is just closing is read as inactive by a pass for which its person is back: nobody else has
// disabled it, and it is given back by the next pass.
func TestR10ClosingUnderWayIsNobodyElsesDoing(t *testing.T) {
	l, dir, app := byGroup(t)
	bob, group := dir.PersonDN(slapdtest.UID(2)), dir.GroupDN("group001")
	disabled, goOn := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(disabled) })
	app.Inject(scimtest.Fault{Method: http.MethodPatch, Trouble: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		first()
		<-goOn
		w.WriteHeader(answer.Code)
	}})
	e := l.engine()
	sweeping, stop := context.WithCancel(t.Context())
	var swept sync.WaitGroup
	swept.Go(func() { e.Sweepers()["wiki"].Run(sweeping) })
	pass := func() reconcile.Report {
		report, err := e.Run(t.Context(), reconcile.Pass{})
		l.must(err)
		return report
	}
	dir.Leave(t, group, bob)
	judging, judged := context.WithCancel(t.Context()) // the sweeper closes the account, and no pass that waits for it
	_, _ = e.Run(judging, reconcile.Pass{Judged: judged})
	<-disabled
	dir.Join(t, group, bob)
	if report := pass(); len(findings(report, "disabled")) > 0 || !report.Left {
		t.Errorf("%+v, left %t", report.Findings, report.Left)
	}
	app.Clear()
	close(goOn)
	for start := time.Now(); len(active(t, app)) < 3 && time.Since(start) < 10*time.Second; {
		pass()
	}
	if names := active(t, app); len(names) < 3 {
		t.Errorf("active are %q", names)
	}
	stop()
	swept.Wait()
}
