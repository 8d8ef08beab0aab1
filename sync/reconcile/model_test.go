package reconcile_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/reconcile/modeltest"
)

// A modelLab plays histories.
type modelLab struct {
	site   *modeltest.Site
	counts *modeltest.Counts
}

// play plays one history in a bubble of its own time.
func (l modelLab) play(t *testing.T, h modeltest.History, tell io.Writer) (broken []modeltest.Violation) {
	t.Helper()
	dir, err := os.MkdirTemp(fastFolder(t), "model")
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

// fastFolder is where a trail costs no disk.
func fastFolder(t *testing.T) string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return t.TempDir()
}

// TestModelSurvey plays histories, says how many break which invariant, and shows the smallest history found for each.
func TestModelSurvey(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("DIRSWEEP_MODEL_SURVEY"))
	if n == 0 {
		t.Skip("DIRSWEEP_MODEL_SURVEY says how many histories")
	}
	only := os.Getenv("DIRSWEEP_MODEL_ONLY")
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	site, err := modeltest.NewSite()
	if err != nil {
		t.Fatal(err)
	}
	lab := modelLab{site, &modeltest.Counts{}}
	histories := modeltest.Histories(30)
	without := strings.Split(os.Getenv("DIRSWEEP_MODEL_WITHOUT"), ",")
	gen := func(seed int) modeltest.History { return histories.Example(seed).Without(without) }
	var mu sync.Mutex
	sums, first := map[modeltest.Invariant]int{}, map[modeltest.Invariant]int{}
	start := time.Now()
	t.Run("play", func(t *testing.T) {
		for half := range 2 {
			t.Run(strconv.Itoa(half), func(t *testing.T) {
				t.Parallel()
				for seed := half; seed < n; seed += 2 {
					found := lab.play(t, gen(seed), nil)
					mu.Lock()
					for i := range modeltest.Sum(found) {
						if sums[i]++; first[i] == 0 || seed < first[i] {
							first[i] = seed
						}
					}
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d histories of %d steps in %s", n, lab.counts.Steps, time.Since(start))
	for _, i := range modeltest.Invariants() {
		if t.Logf("%4d %s", sums[i], i); sums[i] > 0 && strings.Contains(string(i), only) && only != "" {
			of := func(other modeltest.Invariant) bool { return other == i }
			small := modeltest.Shrink(gen(first[i]), func(h modeltest.History) bool {
				return modeltest.First(lab.play(t, h, nil), of) != nil
			})
			var text strings.Builder
			for try := 0; try < 20 && !strings.Contains(text.String(), string(i)); try++ { // the engine's goroutines run in any order
				text.Reset()
				lab.play(t, small, &text)
			}
			raw, _ := json.Marshal(small)
			fmt.Printf("seed %d: %s\n%s%s\n", first[i], i, text.String(), raw)
		}
	}
}
