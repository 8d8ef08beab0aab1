package exec_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/exec"
	"github.com/dirsweep/dirsweep/targets/targettest"
)

// samples are the programs that docs/targets/exec.md shows.
const samples = "../../packaging/samples/exec"

// open opens a target; what its program writes to its standard error goes to the test's log.
func open(t *testing.T, p exec.Program, need targets.Need) targets.Target {
	t.Helper()
	if p.Timeout == 0 {
		p.Timeout = 30 * time.Second
	}
	if p.StartTimeout == 0 {
		p.StartTimeout = 30 * time.Second
	}
	if p.Parallel == 0 {
		p.Parallel = 2
	}
	if need.Log == nil {
		need.Log = hclog.New(&hclog.LoggerOptions{Output: testLog{t}, Level: hclog.Info})
	}
	target, err := exec.Open(p, need)
	if err != nil {
		t.Fatal(err)
	}
	once := &closedOnce{Target: target}
	t.Cleanup(func() { closing(t, once) })
	return once
}

// closedOnce is a target that a test may close before it is over.
type closedOnce struct {
	targets.Target
	once sync.Once
}

func (c *closedOnce) Close() (err error) {
	c.once.Do(func() { err = c.Target.Close() })
	return err
}

func (c *closedOnce) Check(ctx context.Context) ([]string, error) {
	return c.Target.(targets.Checker).Check(ctx)
}

func closing(t *testing.T, target targets.Target) {
	t.Helper()
	began := time.Now()
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("closing took %s", took)
	}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(text []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(text)))
	return len(text), nil
}

func begin(t *testing.T, target targets.Target) targets.Pass {
	t.Helper()
	p, err := target.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func wanted(n int) identity.Account {
	name := fmt.Sprintf("user%03d", n)
	return identity.Account{
		UserName: name, ExternalID: "anchor-" + name, Active: true,
		Attributes: map[string]identity.Value{"displayName": identity.Text("Person " + name), "title": identity.Text("Engineer")},
	}
}

// TestBadges: the sample of some twenty lines passes the suite that SCIM applications and directories pass.
func TestBadges(t *testing.T) {
	targettest.Run(t, func(t *testing.T) *targettest.Harness {
		db := filepath.Join(t.TempDir(), "badges.db")
		query := func(t *testing.T, sql string) (rows [][]any) {
			t.Helper()
			script := "import json,sqlite3,sys; db = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None); print(json.dumps(db.execute(sys.argv[2]).fetchall()))"
			out, err := osexec.Command("python3", "-c", script, db, sql).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if err := json.Unmarshal(out, &rows); err != nil {
				t.Fatal(err)
			}
			return rows
		}
		return &targettest.Harness{
			Open: func(t *testing.T) targets.Target {
				return open(t, exec.Program{
					Command: []string{"./badges.py"}, Folder: absolute(t, samples), Directory: t.TempDir(),
					Environment: map[string]string{"BADGES_DB": db},
				}, targets.Need{Paths: []string{"displayName", "externalId", "title", "userName"}})
			},
			Want: wanted, Text: "displayName", Clearable: "title", FindBy: []string{"externalId", "displayName"}, Conflicts: true,
			Look: func(t *testing.T, id identity.AccountID) (a identity.Account, ok bool) {
				rows := query(t, "select userName, displayName, title, active from badge where id = "+string(id))
				if len(rows) == 0 {
					return a, false
				}
				a = identity.Account{ID: id, UserName: rows[0][0].(string), Active: rows[0][3] == 1.0, Attributes: map[string]identity.Value{}}
				for i, path := range []string{"displayName", "title"} {
					if text, _ := rows[0][1+i].(string); text != "" {
						a.Attributes[path] = identity.Text(text)
					}
				}
				return a, true
			},
			Meddle: func(t *testing.T, id identity.AccountID) func() bool {
				query(t, "update badge set externalId = 'theirs' where id = "+string(id))
				return func() bool { return query(t, "select externalId from badge where id = "+string(id))[0][0] == "theirs" }
			},
		}
	})
}

// rooms is an application with groups and closing steps.
type rooms struct{ file string }

type room struct {
	ID         string         `json:"id"`
	UserName   string         `json:"userName"`
	ExternalID string         `json:"externalId"`
	Active     any            `json:"active"`
	Attributes map[string]any `json:"attributes"`
	Groups     []string       `json:"groups"`
	Desk       string         `json:"desk"`
	Sessions   int            `json:"sessions"`
	Note       string         `json:"note,omitempty"`
}

type roomData struct {
	Next   int                 `json:"next"`
	Users  []room              `json:"users"`
	Groups []map[string]string `json:"groups"`
}

func newRooms(t *testing.T) *rooms {
	r := &rooms{file: filepath.Join(t.TempDir(), "rooms.json")}
	r.write(t, roomData{Users: []room{}, Groups: []map[string]string{{"id": "g1", "name": "wiki-admins"}, {"id": "g2", "name": `wiki "editors"`, "kind": "group"}}})
	return r
}

func (r *rooms) write(t *testing.T, data roomData) {
	t.Helper()
	text, err := json.Marshal(data)
	if err == nil {
		err = os.WriteFile(r.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rooms) read(t *testing.T) (data roomData) {
	t.Helper()
	text, err := os.ReadFile(r.file)
	if err == nil {
		err = json.Unmarshal(text, &data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (r *rooms) program(t *testing.T, token string) exec.Program {
	return exec.Program{
		Command: []string{absolute(t, "testdata/rooms.py")}, Directory: t.TempDir(),
		Environment: map[string]string{"ROOMS": r.file, "ROOMS_TOKEN": token},
	}
}

func (r *rooms) look(t *testing.T, id identity.AccountID) (a identity.Account, ok bool) {
	data := r.read(t)
	for _, u := range data.Users {
		if u.ID != string(id) {
			continue
		}
		a = identity.Account{ID: id, UserName: u.UserName, Active: u.Active == true, Attributes: map[string]identity.Value{}, Entitlements: []identity.Entitlement{}}
		for _, path := range []string{"displayName", "title"} {
			if text, _ := u.Attributes[path].(string); text != "" {
				a.Attributes[path] = identity.Text(text)
			}
		}
		for _, g := range data.Groups {
			for _, id := range u.Groups {
				if id == g["id"] {
					a.Entitlements = append(a.Entitlements, identity.Entitlement{Name: g["name"]})
				}
			}
		}
		a.Entitlements = identity.SortedEntitlements(a.Entitlements)
		return a, true
	}
	return a, false
}

func (r *rooms) change(t *testing.T, id identity.AccountID, edit func(*room)) {
	t.Helper()
	data := r.read(t)
	for i := range data.Users {
		if data.Users[i].ID == string(id) {
			edit(&data.Users[i])
		}
	}
	r.write(t, data)
}

func (r *rooms) lists() (n int) {
	text, _ := os.ReadFile(r.file + ".log")
	for _, op := range strings.Fields(string(text)) {
		if op == "accounts" || op == "groups" || op == "find" {
			n++
		}
	}
	return n
}

func roomsNeed() targets.Need {
	return targets.Need{Paths: []string{"displayName", "emails", "externalId", "title", "userName"}, Entitlements: true}
}

func TestRooms(t *testing.T) {
	targettest.Run(t, func(t *testing.T) *targettest.Harness {
		r := newRooms(t)
		return &targettest.Harness{
			Open:     func(t *testing.T) targets.Target { return open(t, r.program(t, "let-me-in"), roomsNeed()) },
			Intruder: func(t *testing.T) targets.Target { return open(t, r.program(t, "not-the-token"), roomsNeed()) },
			Want: func(n int) identity.Account {
				a := wanted(n)
				a.Attributes["emails"] = identity.Texts(a.UserName+"@example.org", a.UserName+".second@example.org")
				return a
			},
			Text: "displayName", Clearable: "title", FindBy: []string{"externalId", "emails"}, Conflicts: true,
			Look: r.look, Groups: []string{"wiki-admins", `wiki "editors"`}, Lists: r.lists,
			Meddle: func(t *testing.T, id identity.AccountID) func() bool {
				r.change(t, id, func(u *room) { u.Note = "theirs" })
				return func() bool {
					for _, u := range r.read(t).Users {
						if u.ID == string(id) {
							return u.Note == "theirs"
						}
					}
					return false
				}
			},
		}
	})
}
