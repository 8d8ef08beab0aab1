//go:build unix

package bench

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// How many people leave in BenchmarkLatency, of how many.
const (
	latencyPeople  = "LATENCY_PEOPLE"  // 5000
	latencyLeavers = "LATENCY_LEAVERS" // 500
)

// meanBetween is the mean time between two who leave: with it an application at the default rate is half busy.
const meanBetween = 500 * time.Millisecond

// BenchmarkLatency has people leave in five ways, at random instants and without waiting for one another, while the rest
// of the directory changes as well and a full pass runs. It prints how long it took from the directory's acknowledgement
// until the account was read back inactive, by the benchmark's own clock, and what dirsweep itself says.
func BenchmarkLatency(b *testing.B) {
	people := number(b, latencyPeople, cmp.Or(os.Getenv(latencyPeople), "5000"))
	leavers := number(b, latencyLeavers, cmp.Or(os.Getenv(latencyLeavers), "500"))
	for b.Loop() {
		latency(b, build(b), people, leavers)
	}
}

func latency(b *testing.B, program string, people, leavers int) {
	dir := slapdtest.Start(b, slapdtest.Options{People: people})
	all := make([]string, people)
	for n := range all {
		all[n] = dir.PersonDN(slapdtest.UID(n + 1))
	}
	dir.AddGroup(b, "staff", all...)
	app, _ := scimtest.StartFast(b, 0, scimtest.Quirks{})
	folder := b.TempDir()
	config := filepath.Join(folder, "config.hcl")
	text := fmt.Sprintf(`
state { path = %q }
guard {
  max_sweep_percent  = 100
  max_sweep_count    = 100000
  max_shrink_percent = 100
}
%s
target "scim" "app" {
  %s
  scope   = member_of("staff")
  account = {
    userName    = lower(person.uid)
    displayName = person.cn
  }
}
`, filepath.Join(folder, "state.db"), dir.Block("corp"), app.Block())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.Command(program, "--config", config, "sync", "--yes").CombinedOutput(); err != nil {
		b.Fatalf("sync: %v\n%s", err, out)
	}
	run := exec.Command(program, "--config", config, "run")
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		b.Fatal(err)
	}
	run.Stdout, run.Stderr = log, log
	if err := run.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		_ = run.Wait()
	}()
	untilStatus(b, program, config, "the daemon does not run", func(s control.Status) bool {
		return s.Daemon.Push["corp"].On && slices.ContainsFunc(s.Runs, func(r control.Run) bool { return r.Ended.After(s.Daemon.Since) })
	})

	ways := []struct {
		name  string
		leave func(dn string)
	}{
		{"deleted", func(dn string) { dir.Delete(b, dn) }},
		{"disabled", func(dn string) { dir.Disable(b, dn) }},
		{"expired", func(dn string) {
			dir.Set(b, dn, "objectClass", append(dir.Values(b, dn, "objectClass"), "shadowAccount")...)
			dir.Set(b, dn, "shadowExpire", "1")
		}},
		{"moved out", func(dn string) { dir.Move(b, dn, dir.FormerDN()) }},
		{"taken out of the group", func(dn string) { dir.Leave(b, dir.GroupDN("staff"), dn) }},
	}
	r := rand.New(rand.NewPCG(1, 2))
	took := make([][]time.Duration, len(ways))
	var mu sync.Mutex
	var waiting sync.WaitGroup
	stop := make(chan struct{})
	waiting.Go(func() { // elsewhere
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := leavers + 1; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				dir.Set(b, dir.PersonDN(slapdtest.UID(leavers+1+n%(people-leavers))), "title", fmt.Sprint("title ", n))
			}
		}
	})
	full := exec.Command(program, "--config", config, "sync", "--yes")
	var watching sync.WaitGroup
	for n := 1; n <= leavers; n++ {
		if n == leavers/2 {
			if err := full.Start(); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(time.Duration(r.ExpFloat64() * float64(meanBetween)))
		way, uid := r.IntN(len(ways)), slapdtest.UID(n)
		ways[way].leave(dir.PersonDN(uid))
		left := time.Now()
		watching.Go(func() {
			after := untilInactive(b, app, uid, left)
			mu.Lock()
			defer mu.Unlock()
			took[way] = append(took[way], after)
		})
	}
	watching.Wait()
	close(stop)
	waiting.Wait()
	if err := full.Wait(); err != nil {
		fmt.Println("the full pass:", err)
	}
	var lines []string
	for i, way := range ways {
		lines = append(lines, percentiles(way.name, took[i]))
	}
	lines = append(lines, percentiles("all", slices.Concat(took...)))
	fmt.Printf("\n| slapd, %d people: somebody is | how many | P50 s | P95 s | worst s |\n|---|--:|--:|--:|--:|\n%s\n", people, strings.Join(lines, "\n"))
	extra := 0
	for n := leavers + 1; n <= people; n++ {
		if _, doc := app.Raw(b, http.MethodGet, `/Users?filter=userName%20eq%20%22`+slapdtest.UID(n)+`%22`, nil); !activeIn(doc) {
			extra++
		}
	}
	fmt.Printf("closed who did not leave: %d\n", extra)
	out, _ := exec.Command(program, "--config", config, "status").CombinedOutput()
	fmt.Println(string(out))
}

func activeIn(doc map[string]any) bool {
	list, _ := doc["Resources"].([]any)
	return len(list) == 1 && list[0].(map[string]any)["active"] == true
}

// percentiles is a line of the table. A time of a minute is that of somebody who was missed.
func percentiles(name string, took []time.Duration) string {
	if len(took) == 0 {
		return "| " + name + " | 0 | | | |"
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[min(len(took)-1, int(share*float64(len(took))))].Seconds() }
	return fmt.Sprintf("| %s | %d | %.3f | %.3f | %.3f |", name, len(took), at(0.5), at(0.95), took[len(took)-1].Seconds())
}
