package reconcile_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dirsweep/dirsweep/sync/reconcile/modeltest"
)

func TestModelSurvey(t *testing.T) {
	site, err := modeltest.NewSite()
	if err != nil {
		t.Fatal(err)
	}
	gen := modeltest.Histories(30)
	counts := &modeltest.Counts{}
	sums := map[modeltest.Invariant]int{}
	start := time.Now()
	var genTime time.Duration
	for seed := range 200 {
		g := time.Now()
		h := gen.Example(seed)
		genTime += time.Since(g)
		dir, err := os.MkdirTemp("/dev/shm", "model")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			v, err := modeltest.Play(site, dir, h, hclog.NewNullLogger(), nil, counts)
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			for i := range modeltest.Sum(v) {
				sums[i]++
			}
		})
		os.RemoveAll(dir)
	}
	t.Logf("%s, gen %s, %d steps", time.Since(start), genTime, counts.Steps)
	for _, i := range modeltest.Invariants() {
		t.Logf("%4d %s", sums[i], i)
	}
}
