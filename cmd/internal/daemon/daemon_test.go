package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/cmd/internal/daemon"
	"github.com/dirsweep/dirsweep/state"
)

// A house is a folder with a config whose source and target nobody answers for: what the daemon does by itself needs
// neither.
const house = `
state { path = "state.db" }
source "ldap" "corp" {
  url     = "ldap://127.0.0.1:1"
  bind    = "anonymous"
  base_dn = "dc=example,dc=org"
}
target "scim" "wiki" {
  url          = "http://127.0.0.1:1/scim"
  bearer_token = "not-much-of-a-secret"
  account      = { userName = person.uid }
}
`

func furnish(t *testing.T, dir string) (path string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "config.hcl")
	if err := os.WriteFile(path, []byte(house), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run starts a daemon and returns a client of it; the daemon has stopped, and left no goroutine, when the test ends.
func run(t *testing.T, path string) *control.SocketClient {
	t.Helper()
	running := goleak.IgnoreCurrent()
	d, err := daemon.Start(t.Context(), daemon.Options{Path: path, Version: "test", Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("the daemon ends with %v", err)
		}
	})
	client, err := control.Dial(t.Context(), filepath.Join(filepath.Dir(path), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		ended.Wait()
		goleak.VerifyNone(t, running)
	})
	return client
}

func TestCommandsOverTheSocket(t *testing.T) {
	path := furnish(t, t.TempDir())
	client := run(t, path)
	info, err := os.Stat(filepath.Join(filepath.Dir(path), "dirsweep.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}

	var s control.Status
	if err := client.Call(t.Context(), control.CmdStatus, control.Request{}, &s); err != nil {
		t.Fatal(err)
	}
	if s.Daemon == nil || s.Daemon.PID != os.Getpid() || s.Config != path || len(s.Sources) != 1 || len(s.Targets) != 1 {
		t.Errorf("status: %+v", s)
	}
	var report control.Report
	if err := client.Call(t.Context(), control.CmdPlan, control.Request{}, &report); err != nil || report.Outcome != "failed" || report.Sources[0].Error == "" {
		t.Errorf("plan without a source: %+v, %v", report, err)
	}
	for command, want := range map[control.Command]string{
		control.CmdExplain: "nobody", control.CmdEvidence: "nobody", control.CmdRelease: "nobody", control.CmdApprove: "0123",
		control.CmdReject: "0123", "frobnicate": "unknown command",
	} {
		err := client.Call(t.Context(), command, control.Request{Person: "nobody", Digest: "0123", Reason: "a test"}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of nobody: %v", command, err)
		}
	}
	for _, command := range []control.Command{control.CmdLeavers, control.CmdOrphans, control.CmdFindings, control.CmdHolds} {
		var list json.RawMessage
		if err := client.Call(t.Context(), command, control.Request{All: true}, &list); err != nil || list[0] != '[' {
			t.Errorf("%s: %s, %v", command, list, err)
		}
	}
	for _, command := range []control.Command{control.CmdVerify, control.CmdAudit} {
		if err := client.Call(t.Context(), command, control.Request{}, nil); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
}

func TestBackupOverTheSocketIsAState(t *testing.T) {
	path := furnish(t, t.TempDir())
	client := run(t, path)
	var copied bytes.Buffer
	if err := client.Backup(t.Context(), &copied); err != nil {
		t.Fatal(err)
	}
	there := furnish(t, t.TempDir())
	where := filepath.Join(filepath.Dir(there), "state.db")
	if err := os.WriteFile(where, copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	trail, err := os.ReadFile(filepath.Join(filepath.Dir(path), "audit.jsonl"))
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(there), "audit.jsonl"), trail, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	storage, err := control.OpenStorage(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(storage.Ledger.Verify(t.Context()), storage.Close()); err != nil {
		t.Error(err)
	}
}

func TestSocketOfALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	path := furnish(t, dir)
	client := run(t, path)
	if err := client.Call(t.Context(), control.CmdStatus, control.Request{}, nil); err != nil {
		t.Fatal(err)
	}
	note, err := os.ReadFile(filepath.Join(dir, "dirsweep.sock.path"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(strings.TrimSpace(string(note)))
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info, err)
	}
}

func TestNoDaemonAnswers(t *testing.T) {
	t.Parallel()
	path := furnish(t, t.TempDir())
	if _, err := control.Dial(t.Context(), filepath.Join(filepath.Dir(path), "state.db")); !errors.Is(err, control.ErrNoDaemon) {
		t.Errorf("dialling nobody: %v", err)
	}
}

// TestStartFailsAtOnce: a service manager, and an installer behind it, see that the daemon cannot run.
func TestStartFailsAtOnce(t *testing.T) {
	start := func(path string) error {
		d, err := daemon.Start(t.Context(), daemon.Options{Path: path, Log: hclog.NewNullLogger()})
		if err == nil {
			err = errors.Join(errors.New("it started"), d.Close())
		}
		return err
	}
	t.Run("a bad config", func(t *testing.T) {
		path := furnish(t, t.TempDir())
		if err := os.WriteFile(path, []byte(strings.Replace(house, "person.uid", "persn.uid", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		var mistakes *config.Problems
		if err := start(path); !errors.As(err, &mistakes) {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "state.db")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a state was made for a bad config: %v", err)
		}
	})
	t.Run("a state in use", func(t *testing.T) {
		path := furnish(t, t.TempDir())
		run(t, path)
		if err := start(path); !errors.Is(err, state.ErrLocked) {
			t.Error(err)
		}
	})
	t.Run("a socket that cannot be made", func(t *testing.T) {
		path := furnish(t, t.TempDir())
		if err := os.MkdirAll(filepath.Join(filepath.Dir(path), "dirsweep.sock", "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := start(path); err == nil || !strings.Contains(err.Error(), "control socket") {
			t.Error(err)
		}
	})
	t.Run("a dead daemon's socket is no obstacle", func(t *testing.T) {
		path := furnish(t, t.TempDir())
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "dirsweep.sock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, path)
	})
}

func TestBrokenTrailSaysWhatToDo(t *testing.T) {
	t.Parallel()
	path := furnish(t, t.TempDir())
	where := filepath.Join(filepath.Dir(path), "state.db")
	storage, err := control.OpenStorage(t.Context(), where)
	if err == nil {
		err = errors.Join(storage.Close(), os.WriteFile(control.TrailPath(where), []byte("{}\n"), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := control.OpenStorage(t.Context(), where); err == nil || !strings.Contains(err.Error(), "audit start-over") {
		t.Errorf("a broken trail: %v", err)
	}
	if err := control.StartOver(t.Context(), where, "tester", "it was broken"); err != nil {
		t.Fatal(err)
	}
	storage, err = control.OpenStorage(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	if err := storage.Close(); err != nil {
		t.Error(err)
	}
}
