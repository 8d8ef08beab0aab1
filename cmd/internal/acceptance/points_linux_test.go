package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dirsweep/dirsweep/sources/ldap/slapdtest"
	"github.com/dirsweep/dirsweep/state"
	"github.com/dirsweep/dirsweep/state/bolt"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets/scim/scimtest"
)

// A point is where the daemon is killed.
type point string

const (
	atIntent   point = "intent"   // the state has an intent, and nothing was sent
	atSent     point = "sent"     // the application has a request, and has not carried it out
	atAnswered point = "answered" // it has, and answered; the state does not know
	atSettled  point = "settled"  // the state knows, and nothing followed
	atChunk    point = "chunk"    // people's records are in the state, and what it means that they changed is not
	atMarker   point = "marker"   // what makes a batch count is in the state: a read, a hold, a run; or all but that is
	atEvidence point = "evidence" // the file of a case is written, and has its name or not yet
)

// R7, for the whole program: the daemon is killed 29 times at each of seven points, which a tracer and the application
// hold it at, while people join, change and leave, groups lose everybody and the config is edited. In the end the
// application's own log says that nobody was made twice, that everybody who left is closed, and that nobody who is held
// was touched.
func TestKilledAtEachPoint(t *testing.T) {
	const each, atLeast, total = 29, 20, 200
	seed := rand.Uint64()
	if given := os.Getenv("DIRSWEEP_TEST_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DIRSWEEP_TEST_SEED=%d", seed)
	c := newCompany(t, rand.New(rand.NewPCG(seed, 0)))
	c.must("sync")

	var plan []point
	for _, p := range []point{atIntent, atSent, atAnswered, atSettled, atChunk, atMarker, atEvidence} {
		plan = append(plan, slices.Repeat([]point{p}, each)...)
	}
	c.random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	began, hits := time.Now(), map[point]int{}
	for n, p := range plan {
		c.change(n, p)
		where, hit := c.killedAt(p)
		if !hit {
			t.Logf("kill %d missed %s: %s", n, p, where)
			continue
		}
		hits[p]++
		c.where[where]++
	}
	t.Logf("killed in %s: %v", time.Since(began).Round(time.Millisecond), hits)
	for _, where := range slices.Sorted(maps.Keys(c.where)) {
		t.Logf("%4d × %s", c.where[where], where)
	}
	sum := 0
	for _, p := range slices.Compact(slices.Sorted(slices.Values(plan))) {
		sum += hits[p]
		if hits[p] < atLeast {
			t.Errorf("killed %d times at %s, want %d", hits[p], p, atLeast)
		}
	}
	if sum < total {
		t.Errorf("killed %d times, want %d", sum, total)
	}
	c.settle()
	c.judge()
}

// A company is an install, its directory and its application, with what happens to its people.
type company struct {
	*install
	people *slapdtest.Server
	app    *scimtest.Server
	random *rand.Rand
	where  map[string]int // how often the daemon was killed where exactly

	leavers, movers, contractors, teams []string // who, and which groups, nothing has happened to yet

	joined  []string
	away    []string // who left and may come back
	left    map[string]bool
	back    map[string]bool
	held    map[string]bool   // who leaves by what the guard holds
	called  map[string]string // people's new names
	dropped []string          // contractors whom the config leaves out
}

const teams, members = 220, 3

// newCompany has as many people as things will happen to. The first groups are those that will lose everybody.
func newCompany(t *testing.T, random *rand.Rand) *company {
	const emptied, contractors = 110, 30
	c := &company{
		random: random, where: map[string]int{}, called: map[string]string{},
		left: map[string]bool{}, back: map[string]bool{}, held: map[string]bool{},
	}
	titles := map[string][]string{}
	for g := 1; g <= teams; g++ {
		if g <= emptied {
			c.teams = append(c.teams, slapdtest.GroupName(g))
			continue
		}
		c.leavers = append(c.leavers, slapdtest.UID(g), slapdtest.UID(g+teams))
		if uid := slapdtest.UID(g + 2*teams); len(c.contractors) < contractors {
			c.contractors = append(c.contractors, uid)
			titles[uid] = []string{"Contractor of " + uid}
		} else {
			c.movers = append(c.movers, uid)
		}
	}
	c.people = slapdtest.Start(t, slapdtest.Options{
		People: teams * members, Groups: teams,
		Person: func(n int) map[string][]string {
			if title := titles[slapdtest.UID(n)]; title != nil {
				return map[string][]string{"title": title}
			}
			return nil
		},
	})
	c.people.AddGroup(t, "joiners")
	c.app = scimtest.StartElimity(t)
	c.install = newInstall(t)
	c.write("0 2 * * *", 16)
	return c
}

// write writes the config: what full passes come by, and how many changes go out side by side.
func (c *company) write(full string, parallel int) {
	c.t.Helper()
	var out []string
	for _, uid := range c.dropped {
		out = append(out, strconv.Quote("Contractor of "+uid))
	}
	scope := fmt.Sprintf("scope = length(person.groups) > 0 && !contains([%s], person.title)",
		strings.Join(append(out, `"nobody"`), ", "))
	wiki := strings.Replace(target("wiki", c.app, scope), "parallel = 16", fmt.Sprintf("parallel = %d", parallel), 1)
	c.configure(source("corp", c.people, fmt.Sprintf("groups { base_dn = %q }", c.people.GroupsDN())), wiki,
		"guard {\n max_shrink_percent = 100\n max_sweep_percent = 100\n max_sweep_count = 10000\n}",
		fmt.Sprintf("schedule { full = %q }", full))
}

// change is what happens before the daemon is started for the n-th time.
func (c *company) change(n int, p point) {
	c.t.Helper()
	for k := range 2 {
		uid := fmt.Sprintf("joiner%d", 2*n+k)
		c.people.Join(c.t, c.people.GroupDN("joiners"), c.people.AddPerson(c.t, uid, nil))
		c.joined = append(c.joined, uid)
		uid = c.movers[(2*n+k)%len(c.movers)]
		c.called[uid] = fmt.Sprintf("Name %d", 2*n+k)
		c.people.Set(c.t, c.people.PersonDN(uid), "cn", c.called[uid])
	}
	if len(c.away) > 0 && c.random.IntN(4) == 0 {
		uid := take(c.random, &c.away)
		c.people.Enable(c.t, c.people.PersonDN(uid))
		delete(c.left, uid)
		c.back[uid] = true
	}
	uid := take(c.random, &c.leavers)
	c.left[uid] = true
	if c.random.IntN(2) == 0 {
		c.people.Delete(c.t, c.people.PersonDN(uid))
	} else {
		c.people.Disable(c.t, c.people.PersonDN(uid))
		c.away = append(c.away, uid)
	}
	if p == atChunk || p == atMarker || c.random.IntN(5) == 0 {
		c.empty(take(c.random, &c.teams))
	}
	if n%25 == 0 {
		for range 3 {
			uid := take(c.random, &c.contractors)
			c.dropped, c.held[uid] = append(c.dropped, uid), true
		}
	}
	full := "0 2 * * *"
	if c.random.IntN(2) == 0 {
		full = "@every 1s" // due at every start
	}
	c.write(full, 1+15*c.random.IntN(2))
}

// empty takes everybody out of a group, which makes them leavers for no reason that the guard takes.
func (c *company) empty(group string) {
	var number int
	if _, err := fmt.Sscanf(group, "group%d", &number); err != nil {
		c.t.Fatal(err)
	}
	for n := number; n <= teams*members; n += teams {
		c.held[slapdtest.UID(n)] = true
	}
	if c.random.IntN(2) == 0 {
		c.people.Delete(c.t, c.people.GroupDN(group))
	} else {
		c.people.Set(c.t, c.people.GroupDN(group), "member", "cn=nobody,"+c.people.BaseDN())
	}
}

// take takes any one out of a list.
func take(random *rand.Rand, list *[]string) (one string) {
	n := random.IntN(len(*list))
	one = (*list)[n]
	*list = slices.Delete(*list, n, n+1)
	return one
}

// killedAt starts the daemon and kills it at a point. It says where exactly it died, and whether that was the point.
func (c *company) killedAt(p point) (where string, hit bool) {
	c.t.Helper()
	log, err := os.Create(filepath.Join(c.install.dir, "run.log"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	before, err := c.look()
	if err != nil {
		c.t.Fatal(err)
	}
	s := &strike{company: c, at: p, last: before, way: c.random.IntN(12)}
	s.op = []identity.Op{identity.Create, identity.Update, identity.Disable}[c.random.IntN(3)]
	if s.op != identity.Disable && slices.Contains([]point{atIntent, atSent, atAnswered, atSettled}, p) {
		s.left = c.random.IntN(2) // of two joiners or movers; one leaves, and there is one batch
	}
	s.mu.Lock() // nobody asks for the victim before there is one
	c.app.Inject(scimtest.Fault{Trouble: s.serve})
	s.victim = trace(c.t, c.command("run"), log, s.halted)
	s.mu.Unlock()
	late := time.AfterFunc(20*time.Second, s.victim.kill)
	<-s.victim.died
	late.Stop()
	s.under.Lock() // until the application is done with what it had got
	defer s.under.Unlock()
	c.app.Clear()
	if s.victim.err != nil || !s.victim.status.Signaled() || s.victim.status.Signal() != syscall.SIGKILL || s.err != nil {
		text, _ := os.ReadFile(log.Name())
		c.t.Fatalf("the daemon ended by itself: %v %v %v\n%s", s.victim.status, s.victim.err, s.err, text)
	}
	return s.died, s.died != "" && s.proven()
}

// A strike is one kill.
type strike struct {
	*company
	at    point
	op    identity.Op  // of the change that it is about, where it is about one
	way   int          // which of the ways in which one can die there; any number
	under sync.RWMutex // held for reading by each request

	mu       sync.Mutex // guards what follows
	victim   *traced
	left     int            // how often the daemon gets past the point before
	last     sight          // the state after its last commit
	answered bool           // the daemon is to die at the next halt
	about    request        // that the application had got, or answered
	begun    []state.Intent // of the last commit
	calls    int            // the application had had by then
	died     string         // where
	err      error
}

// A request is one write that the application got.
type request struct{ method, path, body string }

// op is what a request asks for; "" for reading.
func (r request) op() identity.Op {
	switch {
	case r.method == http.MethodGet:
		return ""
	case r.method == http.MethodPost:
		return identity.Create
	case strings.Contains(r.body, "active"):
		return identity.Disable // or identity.Enable
	}
	return identity.Update
}

// of reports whether a request is what an intent is for.
func (r request) of(i state.Intent) bool {
	if i.Change.Op == identity.Create {
		return r.method == http.MethodPost && strings.Contains(r.body, strconv.Quote(i.Change.UserName))
	}
	return i.Change.Account != "" && strings.HasSuffix(r.path, "/"+string(i.Change.Account))
}

// passes counts n times down that the daemon got to the point; true for the time at which it dies. s.mu is held.
func (s *strike) passes(n int) bool {
	s.left -= n
	return s.died == "" && s.left < 0 && n > 0
}

// serve lets the daemon die while the application has a request, or once it has answered one.
func (s *strike) serve(w http.ResponseWriter, r *http.Request, application http.Handler) {
	s.under.RLock()
	defer s.under.RUnlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	got := request{r.Method, r.URL.Path, string(body)}
	if got.op() != s.op || s.at != atSent && s.at != atAnswered {
		application.ServeHTTP(w, r)
		return
	}
	if s.at == atSent {
		s.sent(w, r, application, got)
		return
	}
	answer := httptest.NewRecorder()
	application.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
	_ = http.NewResponseController(w).Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered || !s.passes(1) {
		return
	}
	s.answered, s.about = true, got
	if s.way%3 == 0 {
		s.died = "answered: " + string(s.op) + ", at once"
		s.victim.kill()
	}
}

func (s *strike) sent(w http.ResponseWriter, r *http.Request, application http.Handler, got request) {
	s.mu.Lock()
	dies := s.passes(1)
	if dies {
		s.about = got
		s.died = "sent: " + string(s.op) + []string{", carried out all the same", ", and lost"}[s.way%2]
		s.victim.kill()
	}
	s.mu.Unlock()
	if dies {
		<-s.victim.died
		if s.way%2 == 1 {
			panic(http.ErrAbortHandler)
		}
	}
	application.ServeHTTP(w, r)
}

// halted lets the daemon die when it waits for the disk, or when the disk has what it waited for.
func (s *strike) halted(h halt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.died != "" || s.err != nil {
		return false
	}
	switch name := filepath.Base(h.path); {
	case s.at == atAnswered && s.answered:
		if s.way%3 == 1 && !h.kept {
			s.died = "answered: " + string(s.op) + ", before the disk was asked for anything"
		} else if h.kept && name == "audit.jsonl" {
			s.died = "answered: " + string(s.op) + ", once the trail told of it"
		}
	case s.at == atEvidence:
		stages := []string{"written", "kept", "named", "named and kept"}
		if stage := stages[s.way%4]; stage == filed(h) && s.passes(1) {
			s.died = "evidence: " + stage
		}
	case h.kept && name == "state.db" && slices.Contains([]point{atIntent, atSettled, atChunk, atMarker}, s.at):
		s.committed()
	}
	return s.died != "" || s.err != nil
}

// filed is how far the file of a case is; "" where the daemon waits for another.
func filed(h halt) string {
	folder, name := filepath.Split(h.path)
	fresh := filepath.Base(folder) == "evidence" && strings.HasPrefix(name, audit.TempPrefix)
	switch {
	case fresh && !h.kept:
		return "written"
	case fresh:
		return "kept"
	case name == "evidence" && !h.kept:
		return "named"
	case name == "evidence":
		return "named and kept"
	}
	return ""
}

// committed looks at what the state holds now: no commit can follow before the thread that made this one goes on, and
// nothing that was waiting for it. s.mu is held.
func (s *strike) committed() {
	now, err := s.look()
	if err != nil {
		s.err = err
		return
	}
	was := s.last
	s.last = now
	changed := func(table state.Table) bool { return now.tables[table] != was.tables[table] }
	begun, settled := s.without(now.intents, was.intents), s.without(was.intents, now.intents)
	switch {
	case s.at == atIntent && s.passes(len(begun)):
		s.begun, s.calls = begun, len(s.app.Calls())
		s.died = "intent: " + string(s.op)
	case s.at == atSettled && s.passes(len(settled)):
		s.died = "settled: " + string(s.op)
	case s.at == atChunk && changed("people") && s.passes(1):
		s.died = "chunk: people"
	case s.at == atMarker:
		table := []state.Table{"sources", "members", "holds", "runs"}[s.way%4] // members come before their hold
		if changed(table) && s.passes(1) {
			s.died = "marker: " + string(table)
		}
	}
}

// without are the intents of one list, of the kind that the strike is about, that another lacks.
func (s *strike) without(all, known []state.Intent) []state.Intent {
	return slices.DeleteFunc(slices.Clone(all), func(i state.Intent) bool {
		return i.Change.Op != s.op || slices.ContainsFunc(known, func(k state.Intent) bool { return k.Seq == i.Seq })
	})
}

// proven reports whether what the dead daemon left behind says that it died at the point. What is in the state was seen
// there before it died, but for what must not be.
func (s *strike) proven() bool {
	switch s.at {
	case atIntent:
		return !slices.ContainsFunc(s.app.Calls()[s.calls:], func(call scimtest.Call) bool {
			r := request{call.Method, call.Path, call.Body}
			return call.Method != http.MethodGet && slices.ContainsFunc(s.begun, r.of)
		})
	case atSent, atAnswered:
		now, err := s.look()
		return err == nil && slices.ContainsFunc(now.intents, s.about.of)
	}
	return true
}

// A sight is what the state held at one instant.
type sight struct {
	intents []state.Intent
	tables  map[state.Table]uint64 // what is in them, hashed
}

// look reads a copy of the state as the daemon would find it.
func (c *company) look() (now sight, err error) {
	raw, err := os.ReadFile(filepath.Join(c.install.dir, "state", "state.db"))
	if err != nil {
		return now, err
	}
	copied := filepath.Join(c.install.dir, "copy.db")
	if err := os.WriteFile(copied, raw, 0o600); err != nil {
		return now, err
	}
	store, err := bolt.Open(copied, bolt.Options{})
	if err != nil {
		return now, err
	}
	now.tables = map[state.Table]uint64{}
	ctx, ledger := context.Background(), state.NewLedger(store)
	err = store.View(ctx, func(tx state.Tx) error {
		for _, table := range state.Tables() {
			hash := fnv.New64a()
			for k, v := range tx.Range(table, nil) {
				fmt.Fprintf(hash, "%d %d %s%s", len(k), len(v), k, v)
			}
			now.tables[table] = hash.Sum64()
		}
		return nil
	})
	if err == nil {
		err = ledger.View(ctx, func(r *state.Reader) (err error) {
			now.intents, err = state.Collect(r.Intents())
			return err
		})
	}
	return now, errors.Join(err, ledger.Close())
}

// settle lets everything come to rest: what is held waits for an operator, and nothing else is open.
func (c *company) settle() {
	c.t.Helper()
	c.write("0 2 * * *", 16)
	for range 2 {
		if code, stdout, stderr := c.run("sync"); code != 3 {
			c.t.Fatalf("sync: exit %d, want 3 for what is held\n%s\n%s", code, stdout, stderr)
		}
	}
	before := c.app.Writes()
	if code, stdout, stderr := c.run("sync"); code != 3 || c.app.Writes() != before {
		c.t.Errorf("after everything was done: exit %d and %d writes\n%s\n%s", code, c.app.Writes()-before, stdout, stderr)
	}
}

// judge goes by what the application has and has logged, and then by what the install says itself.
func (c *company) judge() {
	c.t.Helper()
	after := c.app.Users(c.t) // fails where an account exists twice
	c.judgeAccounts(after)
	c.judgeRequests(after)
	var open []struct {
		Steps []struct{ UserName, Status string }
	}
	c.decode(&open, "--json", "leavers")
	waiting := map[string]bool{}
	for _, leaver := range open {
		for _, step := range leaver.Steps {
			if waiting[step.UserName] = true; step.Status != "held" {
				c.t.Errorf("%s is %s", step.UserName, step.Status)
			}
		}
	}
	for uid := range c.held {
		if !waiting[uid] {
			c.t.Errorf("%s leaves by what has to be held, and is not held", uid)
		}
	}
	if len(waiting) != len(c.held) {
		c.t.Errorf("%d leavers are open, want the %d who are held", len(waiting), len(c.held))
	}
	c.must("audit", "verify")
	told := changesTold(c.t, filepath.Join(c.install.dir, "state", "audit.jsonl"))
	for _, uid := range c.joined {
		if !told["create "+uid] {
			c.t.Errorf("nothing tells that %s was created", uid)
		}
	}
	for uid := range c.left {
		if !told["disable "+uid] {
			c.t.Errorf("nothing tells that %s was disabled", uid)
		}
	}
	c.judgeEvidence()
}

func (c *company) judgeAccounts(after map[string]map[string]any) {
	c.t.Helper()
	if want := teams*members + len(c.joined); len(after) != want {
		c.t.Errorf("%d accounts, want %d", len(after), want)
	}
	for uid, doc := range after {
		if active := doc["active"] == true; active == c.left[uid] {
			c.t.Errorf("%s: left is %t, held is %t, active is %t", uid, c.left[uid], c.held[uid], active)
		}
		if name := c.called[uid]; name != "" && doc["displayName"] != name {
			c.t.Errorf("%s is still called %v, not %s", uid, doc["displayName"], name)
		}
	}
}

// judgeRequests goes through everything that the application was ever asked.
func (c *company) judgeRequests(after map[string]map[string]any) {
	c.t.Helper()
	names, made := map[string]string{}, map[string]bool{}
	for uid, doc := range after {
		id, _ := doc["id"].(string)
		names[id] = uid
	}
	for _, call := range c.app.Calls() {
		uid := names[path.Base(call.Path)]
		switch {
		case call.Method == http.MethodGet:
		case call.Method == http.MethodPost:
			var doc struct{ UserName string }
			if err := json.Unmarshal([]byte(call.Body), &doc); err != nil {
				c.t.Fatal(err)
			}
			if made[doc.UserName] {
				c.t.Errorf("%s was to be created though they had been: %d", doc.UserName, call.Status)
			}
			made[doc.UserName] = made[doc.UserName] || call.Status == http.StatusCreated
		case c.held[uid]:
			c.t.Errorf("%s is held, and was written: %s %s", uid, call.Method, call.Body)
		case !c.left[uid] && !c.back[uid] && c.called[uid] == "":
			c.t.Errorf("%s never changed, and was written: %s %s", uid, call.Method, call.Body)
		}
	}
}

// judgeEvidence verifies the file of everybody who left, and of some of them as an auditor would.
func (c *company) judgeEvidence() {
	c.t.Helper()
	var files []struct {
		File, Name   string
		Good, Proven bool
	}
	c.decode(&files, "--json", "evidence")
	have := map[string]string{}
	for _, f := range files {
		if have[f.Name] = f.File; !f.Good || !f.Proven {
			c.t.Errorf("the evidence about %s: good is %t, proven is %t", f.Name, f.Good, f.Proven)
		}
	}
	for n, uid := range slices.Sorted(maps.Keys(c.left)) {
		if have[uid] == "" {
			c.t.Errorf("there is no evidence about %s", uid)
		} else if n < 10 {
			c.must("evidence", "verify", have[uid], "--trail")
		}
	}
	for uid := range have {
		if !c.left[uid] && !c.back[uid] {
			c.t.Errorf("there is evidence about %s, who never left", uid)
		}
	}
}

func (c *company) decode(into any, args ...string) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.must(args...)), into); err != nil {
		c.t.Fatalf("dirsweep %s: %v", strings.Join(args, " "), err)
	}
}
