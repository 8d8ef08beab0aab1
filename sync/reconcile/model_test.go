package reconcile_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"github.com/dirsweep/dirsweep/sync/reconcile/modeltest"
)

// How many histories TestModel plays, of how many steps. DIRSWEEP_MODEL_HISTORIES names another number; CI's is
// fullRun, and only then is it looked at what came up how often. DIRSWEEP_MODEL_SEED is where to begin;
// DIRSWEEP_MODEL_WITHOUT leaves out what it names, as in "edit anchor,id reused"; DIRSWEEP_MODEL_SURVEY=1 fails for
// nothing and shows the smallest history for each invariant that is broken, or, with DIRSWEEP_MODEL_ONLY, for those
// whose names hold that; =seeds lists the seeds alone; DIRSWEEP_MODEL_SMALLEST=off fails without showing the history.
const (
	fewHistories = 300
	fullRun      = 10_000
	modelSteps   = 30
	often        = 50 // how often each fault, in each kind of step, with each crash has to come up in a full run
)

// TestModel plays random histories against a reference model (modeltest), and fails on whatever breaks an invariant.
func TestModel(t *testing.T) {
	l := newModelLab(t)
	defer debug.SetGCPercent(debug.SetGCPercent(2500))
	n, first := number(t, "DIRSWEEP_MODEL_HISTORIES", fewHistories), number(t, "DIRSWEEP_MODEL_SEED", 0)
	began := time.Now()
	t.Run("play", func(t *testing.T) {
		for half := range 2 {
			t.Run(strconv.Itoa(half), func(t *testing.T) {
				t.Parallel()
				for seed := first + half; seed < first+n && !l.failed.Load(); seed += 2 {
					l.tryOne(t, seed)
				}
			})
		}
	})
	t.Logf("%d histories of %d steps in %s", n, modelSteps, time.Since(began).Round(time.Second))
	l.report(t, n)
}

// enough is how often each combination has to come up in n histories.
func (l *modelLab) enough(n int) int { return often * min(n, fullRun) / fullRun }

// TestModelKept plays the histories that broke something once, and break nothing now. They are named after what it was.
func TestModelKept(t *testing.T) {
	l := newModelLab(t)
	files, err := filepath.Glob(filepath.Join("testdata", "model", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d histories: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var h modeltest.History
			if err := json.Unmarshal(text, &h); err != nil {
				t.Fatal(err)
			}
			var tell io.Writer // DIRSWEEP_TEST_LOG=1 shows what happens, and the engine's log
			if os.Getenv("DIRSWEEP_TEST_LOG") != "" {
				tell = os.Stdout
			}
			for range 3 { // the engine's goroutines run in any order
				if found := l.play(t, h, tell); len(found) > 0 {
					t.Fatal(found[0])
				}
			}
		})
	}
}

// A modelLab plays histories. It is safe for concurrent use.
type modelLab struct {
	site     *modeltest.Site
	generate *rapid.Generator[modeltest.History]
	aims     modeltest.Aims
	counts   *modeltest.Counts
	survey   bool
	without  []string

	failed atomic.Bool // one history is enough

	mu    sync.Mutex
	seeds map[modeltest.Invariant][]int
}

func newModelLab(t *testing.T) *modelLab {
	t.Helper()
	site, err := modeltest.NewSite()
	if err != nil {
		t.Fatal(err)
	}
	return &modelLab{
		site: site, generate: modeltest.Histories(modelSteps), aims: modeltest.NewAims(), counts: &modeltest.Counts{},
		survey: os.Getenv("DIRSWEEP_MODEL_SURVEY") != "", without: strings.Split(os.Getenv("DIRSWEEP_MODEL_WITHOUT"), ","),
		seeds: map[modeltest.Invariant][]int{},
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// history is the one of a seed.
func (l *modelLab) history(seed int) modeltest.History {
	h := l.generate.Example(seed)
	l.aims.At(h, seed)
	h.Follow(seed)
	h.Date(seed)
	h.Manage(seed)
	return h.Without(l.without)
}

// tryOne plays one history, and fails the test with the smallest one that breaks the same.
func (l *modelLab) tryOne(t *testing.T, seed int) {
	h := l.history(seed)
	found := l.play(t, h, nil)
	l.note(seed, found)
	switch {
	case len(found) == 0 || l.survey:
		return
	case l.failed.Swap(true):
	case os.Getenv("DIRSWEEP_MODEL_SMALLEST") == "off":
		t.Fatalf("seed %d: %s", seed, found[0])
	default:
		t.Fatalf("seed %d: %s\n%s", seed, found[0], l.smallest(t, h, found[0].Invariant))
	}
}

// play plays one history in a bubble of its own time.
func (l *modelLab) play(t *testing.T, h modeltest.History, tell io.Writer) (broken []modeltest.Violation) {
	t.Helper()
	dir, err := os.MkdirTemp(memoryFolder(t), "model")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	log := hclog.NewNullLogger()
	if tell != nil && os.Getenv("DIRSWEEP_TEST_LOG") != "" {
		log = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: tell})
	}
	synctest.Test(t, func(*testing.T) { broken, err = modeltest.Play(l.site, dir, h, log, tell, l.counts) })
	if err != nil {
		broken = append(broken, modeltest.Violation{Invariant: modeltest.Works, What: err.Error()})
	}
	return broken
}

// memoryFolder is where a trail costs no disk, where there is such a place.
func memoryFolder(t *testing.T) string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return t.TempDir()
}

func (l *modelLab) note(seed int, found []modeltest.Violation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	broken := map[modeltest.Invariant]bool{}
	for _, v := range found {
		broken[v.Invariant] = true
	}
	for i := range broken {
		l.seeds[i] = append(l.seeds[i], seed)
	}
}

// smallest tells the smallest history found that breaks an invariant, as what happens and as JSON for
// testdata/model.
func (l *modelLab) smallest(t *testing.T, h modeltest.History, i modeltest.Invariant) string {
	t.Helper()
	breaks := func(h modeltest.History, tell io.Writer) bool {
		of := func(v modeltest.Violation) bool { return v.Invariant == i }
		return slices.ContainsFunc(l.play(t, h, tell), of)
	}
	small := modeltest.Shrink(h, func(h modeltest.History) bool { return breaks(h, nil) })
	var text strings.Builder
	for try := 0; try < 20; try++ { // the engine's goroutines run in any order
		text.Reset()
		if breaks(small, &text) {
			break
		}
	}
	raw, err := json.Marshal(small)
	if err != nil {
		t.Error(err)
	}
	return text.String() + string(raw)
}

// report says what came up, and fails the test where something that must did not.
func (l *modelLab) report(t *testing.T, n int) {
	t.Helper()
	full := n >= fullRun
	if rare := l.counts.Below(l.enough(n)); len(rare) > 0 {
		text := fmt.Sprintf("%d combinations came up less than %d times in %d histories: %v", len(rare), l.enough(n), n, rare)
		if full {
			t.Error(text)
		} else if l.survey {
			t.Log(text)
		}
	}
	if rare := l.counts.BatchesBelow(l.enough(n)); len(rare) > 0 && (full || l.survey) {
		t.Errorf("batches came up less than %d times in %d histories: %v", l.enough(n), n, rare)
	}
	for _, i := range slices.Sorted(maps.Keys(l.seeds)) {
		t.Logf("%d histories break %q: seeds %v", len(l.seeds[i]), i, l.seeds[i])
		if os.Getenv("DIRSWEEP_MODEL_SURVEY") == "seeds" {
			continue
		}
		if seed := slices.Min(l.seeds[i]); l.survey && strings.Contains(string(i), os.Getenv("DIRSWEEP_MODEL_ONLY")) {
			fmt.Printf("seed %d: %s\n%s\n", seed, i, l.smallest(t, l.history(seed), i))
		}
	}
}
