//go:build unix

package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sources/activedirectory/sambatest"
	"github.com/dirsweep/dirsweep/sources/ldap/dirsrvtest"
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
		program := build(b)
		for _, d := range []func() *directory{
			func() *directory { return openLDAP(b, people) }, func() *directory { return dirsrv(b, people) },
			func() *directory { return domain(b, people) },
		} {
			b.Run("", func(b *testing.B) { d().play(b, program, people, leavers) })
		}
	}
}

// A server is a directory that can be changed.
type server interface {
	Block(name string, lines ...string) string
	PersonDN(uid string) string
	GroupDN(name string) string
	FormerDN() string
	PeopleDN() string
	AddGroup(t testing.TB, name string, members ...string) string
	AddUnit(t testing.TB, name, parent string) string
	Delete(t testing.TB, dn string)
	Disable(t testing.TB, dn string)
	Move(t testing.TB, dn, parent string) string
	Leave(t testing.TB, group, member string)
	Set(t testing.TB, dn, attribute string, values ...string)
	Values(t testing.TB, dn, attribute string) []string
}

// A directory is one kind of server, as the benchmark sees it.
type directory struct {
	server
	name, login string
	expire      func(dn string)
}

func openLDAP(b *testing.B, people int) *directory {
	dir := slapdtest.Start(b, slapdtest.Options{People: people})
	return &directory{dir, "slapd", "uid", func(dn string) { expire(b, dir, dn) }}
}

func dirsrv(b *testing.B, people int) *directory {
	dir := dirsrvtest.Start(b, dirsrvtest.Options{People: people})
	return &directory{dir, "389 Directory Server", "uid", func(dn string) { expire(b, dir, dn) }}
}

// expire lets somebody expire as RFC 2307 has it.
func expire(b *testing.B, dir server, dn string) {
	dir.Set(b, dn, "objectClass", append(dir.Values(b, dn, "objectClass"), "shadowAccount")...)
	dir.Set(b, dn, "shadowExpire", "1")
}

func domain(b *testing.B, people int) *directory {
	dir := sambatest.Start(b, sambatest.Options{People: people})
	return &directory{dir, "Samba AD", "sAMAccountName", func(dn string) {
		dir.Set(b, dn, "accountExpires", "132537600000000000")
	}}
}

func (d *directory) play(b *testing.B, program string, people, leavers int) {
	all := make([]string, people)
	for n := range all {
		all[n] = d.PersonDN(slapdtest.UID(n + 1))
	}
	branch := d.AddUnit(b, "branch", d.PeopleDN())
	for n := leavers; n < leavers+inBranch; n++ {
		all[n] = d.Move(b, all[n], branch)
	}
	d.AddGroup(b, "staff", all...)
	app, _ := scimtest.StartFast(b, 0, scimtest.Quirks{})
	folder := b.TempDir()
	config := filepath.Join(folder, "config.hcl")
	configure := func(rate string) {
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
    userName    = lower(person.%s)
    displayName = person.cn
  }
  %s
}
`, filepath.Join(folder, "state.db"), d.Block("corp"), app.Block(), d.login, rate)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	configure("rate = { per_second = 2000, parallel = 8 }") // of the first load, which is not measured
	if out, err := exec.Command(program, "--config", config, "sync", "--yes").CombinedOutput(); err != nil {
		b.Fatalf("sync: %v\n%s", err, out)
	}
	configure("")
	defer startDaemon(b, program, config)()
	untilStatus(b, program, config, "the daemon does not run", func(s control.Status) bool {
		return s.Daemon.Push["corp"].On && hasRead(s)
	})

	ways := []struct {
		name  string
		leave func(dn string)
	}{
		{"deleted", func(dn string) { d.Delete(b, dn) }},
		{"disabled", func(dn string) { d.Disable(b, dn) }},
		{"expired", d.expire},
		{"moved out", func(dn string) { d.Move(b, dn, d.FormerDN()) }},
		{"taken out of the group", func(dn string) { d.Leave(b, d.GroupDN("staff"), dn) }},
	}
	r := rand.New(rand.NewPCG(1, 2))
	took := make([][]time.Duration, len(ways))
	var mu sync.Mutex
	var elsewhere, watching sync.WaitGroup
	stop := make(chan struct{})
	elsewhere.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				d.Set(b, all[leavers+n%(people-leavers)], "title", fmt.Sprint("title ", n))
			}
		}
	})
	full := exec.Command(program, "--config", config, "sync", "--yes")
	for n := 1; n <= leavers; n++ {
		if n == leavers/2 {
			if err := full.Start(); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(time.Duration(r.ExpFloat64() * float64(meanBetween)))
		way, uid := r.IntN(len(ways)), slapdtest.UID(n)
		ways[way].leave(d.PersonDN(uid))
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
	elsewhere.Wait()
	_ = full.Wait() // its exit code says that leavers are open, as they are
	fmt.Printf("\n| %s, %d people: somebody is | how many | P50 s | P95 s | worst s |\n", d.name, people)
	fmt.Println("|---|--:|--:|--:|--:|")
	for i, way := range ways {
		fmt.Println(percentiles(way.name, took[i]))
	}
	fmt.Println(percentiles("all", slices.Concat(took...)))
	before := app.Writes()
	d.Move(b, branch, d.FormerDN())
	left := time.Now()
	for app.Writes() == before && time.Since(left) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("a unit of %d is moved out: the first of their accounts is disabled after %.3f s, ", inBranch, time.Since(left).Seconds())
	open := 0
	untilStatus(b, program, config, "nobody notices", func(s control.Status) bool {
		open = s.Targets[0].Open
		return open > inBranch/2
	})
	fmt.Printf("and %d are known to be open after %.3f s\n", open, time.Since(left).Seconds())
	extra := 0
	for n := leavers + inBranch + 1; n <= people; n++ {
		_, doc := app.Raw(b, http.MethodGet, `/Users?filter=userName%20eq%20%22`+slapdtest.UID(n)+`%22`, nil)
		if list, _ := doc["Resources"].([]any); len(list) != 1 || list[0].(map[string]any)["active"] != true {
			extra++
		}
	}
	out, _ := exec.Command(program, "--config", config, "status", "--json").Output()
	var status control.Status
	if err := json.Unmarshal(out, &status); err != nil {
		b.Fatal(err)
	}
	fmt.Printf("%d closed who did not leave; dirsweep itself says %+v\n", extra, *status.Targets[0].Closing)
}

// inBranch is how many people are moved out with their unit.
const inBranch = 300

// percentiles is a line of the table. A time of a minute is that of somebody who was missed.
func percentiles(name string, took []time.Duration) string {
	if len(took) == 0 {
		return "| " + name + " | 0 | | | |"
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[min(len(took)-1, int(share*float64(len(took))))].Seconds() }
	return fmt.Sprintf("| %s | %d | %.3f | %.3f | %.3f |", name, len(took), at(0.5), at(0.95), took[len(took)-1].Seconds())
}
