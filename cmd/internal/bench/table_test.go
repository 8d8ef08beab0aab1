//go:build unix

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage is what one process took.
type usage struct {
	wall, cpu time.Duration
	rss       int64 // bytes at the peak
}

// then is the usage of one process after another.
func (u usage) then(next usage) usage {
	return usage{wall: u.wall + next.wall, cpu: u.cpu + next.cpu, rss: max(u.rss, next.rss)}
}

// measure runs a command to its end and says what it took. The command's own output goes nowhere.
func measure(b *testing.B, command *exec.Cmd) usage {
	b.Helper()
	var errs bytes.Buffer
	command.Stderr = &errs
	start := time.Now()
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	stop, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- watchPeak(command.Process.Pid, stop) }()
	err := command.Wait()
	wall := time.Since(start)
	close(stop)
	u := usage{wall: wall, rss: <-peak, cpu: command.ProcessState.UserTime() + command.ProcessState.SystemTime()}
	if err != nil {
		b.Fatalf("%s: %v\n%s", command.Args[0], err, errs.String())
	}
	fmt.Printf("%-11s %6.2f s, CPU %6.2f s, %5.1f MB\n", filepath.Base(command.Args[0]), u.wall.Seconds(), u.cpu.Seconds(), megabytes(u.rss))
	return u
}

// watchPeak reads a process's peak until stop. getrusage's ru_maxrss will not do: a child of ours starts with what we
// had at the fork.
func watchPeak(pid int, stop <-chan struct{}) (peak int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return peak
		case <-tick.C:
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(string(status)) {
			if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kilobytes, _ := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
				peak = max(peak, kilobytes<<10)
			}
		}
	}
}

// samples are rounds of the same.
type samples []usage

// typical is the median of each time, and the largest peak.
func (s samples) typical() (u usage) {
	var walls, cpus []time.Duration
	for _, one := range s {
		walls, cpus, u.rss = append(walls, one.wall), append(cpus, one.cpu), max(u.rss, one.rss)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	u.wall, u.cpu = walls[len(s)/2], cpus[len(s)/2]
	return u
}

// A table has one row for each thing measured, at each size.
type table []row

type row struct {
	what   string
	people int
	usage
	base *usage // what it is compared with; nil for nothing
}

// String is the table in Markdown, with what growth tells below it.
func (t table) String() string {
	var b strings.Builder
	b.WriteString("| what | people | wall s | CPU s | peak RSS MB | people/s | wall × | CPU × | RSS × |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range t {
		fmt.Fprintf(&b, "| %s | %d | %.2f | %.2f | %.1f | %.0f |", r.what, r.people, r.wall.Seconds(), r.cpu.Seconds(), megabytes(r.rss),
			float64(r.people)/r.wall.Seconds())
		if r.base == nil {
			b.WriteString(" | | |\n")
			continue
		}
		fmt.Fprintf(&b, " %.1f | %.1f | %.1f |\n", float64(r.wall)/float64(r.base.wall), float64(r.cpu)/float64(r.base.cpu),
			float64(r.rss)/float64(r.base.rss))
	}
	return b.String() + "\n" + t.growth()
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// growth compares each row with the same at the smallest size.
func (t table) growth() string {
	var b strings.Builder
	b.WriteString("| from the smallest size | people × | wall × | CPU × | bytes a person |\n|---|--:|--:|--:|--:|\n")
	for i, r := range t {
		first := slices.IndexFunc(t, func(other row) bool { return other.what == r.what })
		if small := t[first]; first < i {
			fmt.Fprintf(&b, "| %s | %.0f | %.1f | %.1f | %.0f |\n", r.what, float64(r.people)/float64(small.people),
				float64(r.wall)/float64(small.wall), float64(r.cpu)/float64(small.cpu),
				float64(r.rss-small.rss)/float64(r.people-small.people))
		}
	}
	return b.String()
}
