package control

import (
	"net"
	"os/user"
	"path/filepath"
	"runtime"
	"testing"
)

// TestR16WhoIsWhomTheSystemSees: what a client claims of itself counts only where root tells who called it by sudo.
func TestR16WhoIsWhomTheSystemSees(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Log("this system does not tell who is at the other end of a socket")
		return
	}
	l, err := Listen(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ctx := withPeer(t.Context(), served)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	sudo := "alice as " + me.Username
	want := map[string]string{"mallory": me.Username, "": me.Username, "alice as mallory": me.Username, sudo: me.Username}
	if me.Uid == "0" {
		want[sudo] = sudo
	}
	for claimed, want := range want {
		if got := actor(ctx, claimed); got != want {
			t.Errorf("%q at the socket is %q, want %q", claimed, got, want)
		}
	}
	if got := actor(t.Context(), "alice"); got != "alice" {
		t.Errorf("without a peer alice is %q", got)
	}
	for _, c := range []interface{ Close() error }{client, served, l} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
