package acceptance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// R7, for the whole program: the daemon is killed at random moments of a pass of 2,000 changes, and started again each
// time. In the end everything is as it should be, no account exists twice, every change is told, and the trail
// verifies.
func TestKilledFiftyTimes(t *testing.T) {
	const people, kills = 1600, 50
	dir := slapdtest.Start(t, slapdtest.Options{People: people})
	app := scimtest.StartElimity(t)
	wide := `guard {
    max_sweep_percent = 100
    max_sweep_count   = 10000
  }`
	i := newInstall(t, source("corp", dir, ""), target("wiki", app, wide))
	i.must("sync")

	for n := 1; n <= 200; n++ { // leavers
		dir.Delete(t, dir.PersonDN(slapdtest.UID(n)))
	}
	for n := 201; n <= 1200; n++ { // movers
		dir.Set(t, dir.PersonDN(slapdtest.UID(n)), "cn", fmt.Sprintf("New Name %d", n))
	}
	for n := 1; n <= 800; n++ { // joiners
		dir.AddPerson(t, fmt.Sprintf("joiner%d", n), nil)
	}
	shrink := "guard {\n max_shrink_percent = 50\n max_sweep_percent = 100\n max_sweep_count = 1000\n}"
	i.configure(source("corp", dir, ""), slow(target("wiki", app, wide)), shrink)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range kills {
		cmd := i.command("run")
		log, err := os.Create(filepath.Join(i.dir, fmt.Sprintf("run%d.log", n)))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		before := app.Writes()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		died := make(chan error, 1)
		go func() { died <- cmd.Wait() }()
		// Some die before they have done anything, most in the middle of it.
		deadline := time.Now().Add(time.Duration(random.IntN(1500)) * time.Millisecond)
		if n%5 != 0 {
			deadline = time.Now().Add(20 * time.Second)
		}
		enough := before + 1 + random.IntN(60)
		tick := time.NewTicker(time.Millisecond)
	waiting:
		for time.Now().Before(deadline) && app.Writes() < enough {
			select {
			case err := <-died:
				text, _ := os.ReadFile(log.Name())
				t.Fatalf("the daemon ended by itself: %v\n%s", err, text)
			case <-tick.C:
				continue waiting
			}
		}
		tick.Stop()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-died
		_ = log.Close()
	}
	t.Logf("%d writes arrived while it was killed %d times", app.Writes()-people, kills)
	i.configure(source("corp", dir, ""), target("wiki", app, wide), shrink)
	i.must("sync")

	after := app.Users(t) // fails where an account exists twice
	if len(after) != people+800 {
		t.Errorf("%d accounts, want %d", len(after), people+800)
	}
	for n := 1; n <= people; n++ {
		doc := after[slapdtest.UID(n)]
		switch {
		case n <= 200 && doc["active"] != false:
			t.Errorf("%s left and is active", slapdtest.UID(n))
		case n > 200 && doc["active"] != true:
			t.Errorf("%s is here and not active", slapdtest.UID(n))
		case n > 200 && n <= 1200 && doc["displayName"] != fmt.Sprintf("New Name %d", n):
			t.Errorf("%s is still called %v", slapdtest.UID(n), doc["displayName"])
		}
	}
	i.must("audit", "verify")
	told := changesTold(t, filepath.Join(i.dir, "state", "audit.jsonl"))
	for n := 1; n <= 200; n++ {
		if !told["disable "+slapdtest.UID(n)] {
			t.Errorf("nothing tells that %s was disabled", slapdtest.UID(n))
		}
	}
	for n := 201; n <= 1200; n++ {
		if !told["update "+slapdtest.UID(n)] {
			t.Errorf("nothing tells that %s was updated", slapdtest.UID(n))
		}
	}
	for n := 1; n <= 800; n++ {
		if !told[fmt.Sprintf("create joiner%d", n)] {
			t.Errorf("nothing tells that joiner%d was created", n)
		}
	}
	before := app.Writes()
	i.must("sync")
	if got := app.Writes() - before; got != 0 {
		t.Errorf("%d writes after everything was done", got)
	}
}

// slow gives the application a rate at which a pass of thousands takes its time.
func slow(block string) string {
	return strings.Replace(block, "per_second = 5000, parallel = 16", "per_second = 400, parallel = 8", 1)
}

// changesTold are the changes that the trail calls done, as "operation userName".
func changesTold(t *testing.T, path string) map[string]bool {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	told := map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var rec audit.Record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Kind == audit.Change && (rec.Outcome == audit.Done || rec.Outcome == audit.FoundDone) {
			told[rec.Op+" "+rec.UserName] = true
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return told
}
