//go:build unix

package bench

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// leaversVariable is how many people the directory of BenchmarkLeavers has.
const leaversVariable = "BENCH_LEAVERS" // 10000

// A hindrance is what one application, or the operator, does while people leave.
type hindrance struct {
	name    string
	trouble *scimtest.Fault // at the odd application
	late    bool            // the odd application is in its first load
	reload  bool            // the config is written anew before every leaver
	answers bool            // single calls of the odd application are as usual: it too closes at once
}

func hindrances() []hindrance {
	listing := func(r *http.Request) bool { return r.URL.Query().Get("startIndex") != "" }
	hang := scimtest.Slow(time.Hour)
	busy := scimtest.Answer(http.StatusTooManyRequests, "", "Retry-After", "600")
	drips := &scimtest.Fault{Path: "/Users", Match: listing, Trouble: drip}
	return []hindrance{
		{name: "nothing is wrong", answers: true},
		{name: "its listing drips a byte every 5 s", trouble: drips, answers: true},
		{name: "it hangs in every request", trouble: &scimtest.Fault{Trouble: hang}},
		{name: "its group list hangs", trouble: &scimtest.Fault{Path: "/Groups", Trouble: hang}, answers: true},
		{name: "it answers 429 for 600 s", trouble: &scimtest.Fault{Trouble: busy}},
		{name: "it is in its first load", late: true},
		{name: "the config is reloaded", reload: true, answers: true},
	}
}

// BenchmarkLeavers has people leave one by one, a daemon reading the directory every second, while one of three
// applications misbehaves. It prints how long it took from the directory's acknowledgement until the account was
// inactive, at the two others, and at the odd one where its single calls answer.
func BenchmarkLeavers(b *testing.B) {
	people, leavers := 10_000, 20
	if text := os.Getenv(leaversVariable); text != "" {
		people = number(b, leaversVariable, text)
	}
	for b.Loop() {
		program := build(b)
		var lines []string
		for _, h := range hindrances() {
			lines = append(lines, h.play(b, program, people, leavers))
		}
		fmt.Printf("\n%s\n|---|--:|--:|--:|\n%s\n",
			"| while an application, or the operator, does this | median s | worst s at the others | worst s at the odd one |",
			strings.Join(lines, "\n"))
	}
}

func (h hindrance) play(b *testing.B, program string, people, leavers int) string {
	dir := slapdtest.Start(b, slapdtest.Options{People: people})
	var apps []*scimtest.Server
	for range 3 {
		app, _ := scimtest.StartFast(b, 0, scimtest.Quirks{})
		apps = append(apps, app)
	}
	folder := b.TempDir()
	config := filepath.Join(folder, "config.hcl")
	configure := func(apps []*scimtest.Server, remark string) {
		text := daemon(dir, apps, filepath.Join(folder, "state.db")) + "\n# " + remark + "\n"
		if err := os.WriteFile(config+".new", []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(config+".new", config); err != nil {
			b.Fatal(err)
		}
	}
	loaded := apps
	if h.late {
		loaded = apps[:2]
	}
	configure(loaded, "")
	if out, err := exec.Command(program, "--config", config, "sync", "--yes").CombinedOutput(); err != nil {
		b.Fatalf("sync: %v\n%s", err, out)
	}
	configure(apps, "")
	defer startDaemon(b, program, config)()
	h.untilRunning(b, program, config)
	if h.trouble != nil {
		apps[2].Inject(*h.trouble)
		full := exec.Command(program, "--config", config, "sync", "--yes")
		if err := full.Start(); err != nil { // a full pass lists it
			b.Fatal(err)
		}
		defer func() {
			_ = full.Process.Kill()
			_ = full.Wait()
		}()
	}
	watched := apps
	if !h.answers {
		watched = apps[:2]
	}
	var took, odd []time.Duration
	before := len(apps[0].Calls())
	for n := 1; n <= leavers; n++ {
		if h.reload {
			configure(apps, fmt.Sprint(n))
		}
		uid := slapdtest.UID(n)
		dir.Delete(b, dir.PersonDN(uid))
		left := time.Now()
		for at, app := range watched {
			took := &took
			if at == 2 {
				took = &odd
			}
			*took = append(*took, untilInactive(b, app, uid, left))
		}
	}
	if h.trouble == nil && !h.late && !h.reload {
		closed := func(s control.Status) bool { return s.Open == 0 }
		untilStatus(b, program, config, "leavers are open", closed) // inactive is not proven yet
		fmt.Println(requests(apps[0].Calls()[before:], leavers))
	}
	slices.Sort(took)
	line := fmt.Sprintf("| %s | %.2f | %.2f | ", h.name, took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	if len(odd) > 0 {
		line += fmt.Sprintf("%.2f ", slices.Max(odd).Seconds())
	}
	fmt.Println(line + "|")
	return line + "|"
}

// startDaemon runs the daemon, which writes its log beside its config, until stop.
func startDaemon(b *testing.B, program, config string) (stop func()) {
	run := exec.Command(program, "--config", config, "run")
	log, err := os.Create(filepath.Join(filepath.Dir(config), "log"))
	if err != nil {
		b.Fatal(err)
	}
	run.Stdout, run.Stderr = log, log
	if err := run.Start(); err != nil {
		b.Fatal(err)
	}
	return func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		_ = run.Wait()
		_ = log.Close()
	}
}

// untilRunning waits until the daemon runs and, where no first load holds it up, has ended a pass.
func (h hindrance) untilRunning(b *testing.B, program, config string) {
	untilStatus(b, program, config, "the daemon does not run", func(s control.Status) bool {
		return h.late || hasRead(s)
	})
}

// hasRead reports whether a pass has ended since the daemon began.
func hasRead(s control.Status) bool {
	return slices.ContainsFunc(s.Runs, func(r control.Run) bool { return r.Ended.After(s.Daemon.Since) })
}

// untilStatus waits until a running daemon's status is as wanted; after a minute the benchmark fails, and says why.
func untilStatus(b *testing.B, program, config, why string, wanted func(control.Status) bool) {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-poll.C {
		out, _ := exec.Command(program, "--config", config, "status", "--json").Output()
		var status control.Status
		if json.Unmarshal(out, &status) == nil && status.Daemon != nil && wanted(status) {
			return
		}
	}
	b.Fatal(why)
}

// untilInactive is how long after left an account was seen inactive, by looking past the gate. After a minute it is
// said to be as long.
func untilInactive(b *testing.B, app *scimtest.Server, uid string, left time.Time) time.Duration {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for ; time.Since(left) < time.Minute; <-poll.C {
		_, doc := app.Raw(b, http.MethodGet, `/Users?filter=userName%20eq%20%22`+uid+`%22`, nil)
		if list, _ := doc["Resources"].([]any); len(list) == 1 && list[0].(map[string]any)["active"] == false {
			return time.Since(left)
		}
	}
	return time.Since(left)
}

// requests says what one application was asked for each leaver.
func requests(calls []scimtest.Call, leavers int) string {
	kinds := map[string]int{}
	for _, c := range calls {
		switch {
		case c.Method != http.MethodGet:
			kinds["to change it"]++
		case strings.Contains(c.Query, "filter="):
			kinds["to search for others of theirs"]++
		case strings.Contains(c.Path, "/Users/"):
			kinds["to read the account"]++
		default:
			kinds["other"]++
		}
	}
	each := func(n int) string { return fmt.Sprintf("%.1f", float64(n)/float64(leavers)) }
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, each(kinds[kind])+" "+kind)
	}
	return "requests to one application for each leaver: " + each(len(calls)) + ", of them " + strings.Join(parts, ", ")
}

// drip gives an answer a byte every five seconds.
func drip(w http.ResponseWriter, r *http.Request, next http.Handler) {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
	w.WriteHeader(rec.Code)
	for _, c := range rec.Body.Bytes() {
		if _, err := w.Write([]byte{c}); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

func daemon(dir *slapdtest.Server, apps []*scimtest.Server, state string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `
state    { path = %q }
schedule {
  full  = "0 2 * * *"
  delta = "@every 1s"
}
%s
`, state, source(dir))
	for n, app := range apps {
		fmt.Fprintf(&text, `
target "scim" "app%d" {
  %s
  rate         = { per_second = 500, parallel = 8 }
  entitlements = []
  account = {
    userName    = lower(person.uid)
    displayName = person.cn
  }
}
`, n, app.Block())
	}
	return text.String()
}
