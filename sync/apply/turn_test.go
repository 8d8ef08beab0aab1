package apply_test

import (
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/memory"
	"github.com/dirsweep/dirsweep/sync/apply"
	"github.com/dirsweep/dirsweep/sync/apply/applytest"
	"github.com/dirsweep/dirsweep/sync/identity"
)

// TestS04OneChangeOfAnAccountAtATime: an account that is about to be enabled is not closed meanwhile, but after that, and
// as it was left; other accounts do not wait.
func TestS04OneChangeOfAnAccountAtATime(t *testing.T) {
	disabled := account("1", "a", "a")
	disabled.Active = false
	d := newDesk(t, memory.New(), disabled, account("2", "b", "b"))
	link, other := d.link(alice, "1"), d.link(bob, "2")
	enabling, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan apply.Result)
	d.app.About("enable", "1", applytest.Answer{During: func() {
		close(enabling)
		<-goOn
	}})
	do := func(op identity.Op, link state.Link) {
		ended <- d.x.Do(t.Context(), d.p, apply.Job{
			Change: change(op, link.Person, link.Account), Have: identity.Account{ID: link.Account}, Link: link,
		})
	}
	go do(identity.Enable, link)
	<-enabling
	go do(identity.Disable, other)
	if r := <-ended; r.Err != nil || r.Seen != "inactive" {
		t.Errorf("another account: %+v", r)
	}
	go do(identity.Disable, link)
	left := 2
	select {
	case r := <-ended:
		t.Errorf("the account is closed while it is being enabled: %+v", r)
		left--
	case <-time.After(100 * time.Millisecond): // as long as nothing more is to be expected
	}
	close(goOn)
	for range left {
		if r := <-ended; r.Err != nil {
			t.Error(r.Err)
		}
	}
	if now, _ := d.app.Get("1"); now.Active || d.recorded(alice).State != identity.LinkDisabled {
		t.Errorf("the account is active, or remembered as such: %+v, %+v", now, d.recorded(alice))
	}
}
