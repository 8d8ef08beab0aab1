package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A runner runs tests over mutants.
type runner struct {
	root     string // of the module
	dir      string // for overlays
	timeout  time.Duration
	parallel int
	count    atomic.Int64
}

// unbroken is how many times as long as the tests of one mutant all those of a package may take without any.
const unbroken = 5

// A result is what the tests said of a mutant.
type result struct {
	killer  string // the first test that failed; "" where the mutant survives
	hung    bool   // that test did not end
	passed  []string
	took    time.Duration
	builds  bool
	err     error // it could not be tried
	details string
}

func (r result) killed() bool { return r.err == nil && r.killer != "" }

// event is a line of go test -json.
type event struct {
	Action string
	Test   string
	Output string
}

// test runs the tests of a package over an edited file; the zero edit is none.
func (r *runner) test(ctx context.Context, e edit, pkg, pattern string, timeout time.Duration) (res result) {
	began := time.Now()
	defer func() { res.took = time.Since(began) }()
	args := []string{
		"test", "-json", "-vet=off", "-count=1", "-failfast", "-timeout", timeout.String(), "-run", pattern,
	}
	if e.file != "" {
		overlay, err := r.overlay(e)
		if err != nil {
			return result{err: err}
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(os.Environ(),
		"RAPID_NOFAILFILE=true",         // property tests would leave in the tree what they fail by
		"DIRSWEEP_MODEL_HISTORIES=1000", // most mutants are found by the first few
		"DIRSWEEP_MODEL_SMALLEST=off")
	cmd.Dir = r.root
	cmd.WaitDelay = 5 * time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	res = read(out)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		res.err = ctx.Err()
	case err != nil && !errors.As(err, &exit):
		res.err = err
	case !res.builds:
		res.err = fmt.Errorf("it does not compile: %s", strings.TrimSpace(res.details+stderr.String()))
	case err != nil && res.killer == "":
		res.err = fmt.Errorf("go test failed, and no test did: %s", strings.TrimSpace(res.details+stderr.String()))
	}
	return res
}

// overlay writes an edit where go test finds it.
func (r *runner) overlay(e edit) (name string, err error) {
	dir := filepath.Join(r.dir, fmt.Sprint(r.count.Add(1)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	other := filepath.Join(dir, filepath.Base(e.file))
	if err := os.WriteFile(other, e.content, 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {e.file: other}})
	if err != nil {
		return "", err
	}
	name = filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}

// read finds in the output of go test -json which test failed first. A test that panics on another goroutine, or is
// stopped because its time is over, has no end of its own: those that were running then are meant.
func read(out []byte) (res result) {
	res.builds = true
	running := []string{}
	var text strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	var crashed, failed bool
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			text.Write(lines.Bytes())
			text.WriteByte('\n')
			continue
		}
		switch e.Action {
		case "build-fail":
			res.builds = false
		case "run":
			running = append(running, e.Test)
		case "pass", "skip":
			running = slices.DeleteFunc(running, func(t string) bool { return t == e.Test })
			if e.Action == "pass" && e.Test != "" {
				res.passed = append(res.passed, e.Test)
			}
		case "fail":
			if e.Test != "" && res.killer == "" {
				res.killer = e.Test
			}
			failed = failed || e.Test == ""
		case "output", "build-output":
			text.WriteString(e.Output)
			crashed = crashed || strings.HasPrefix(e.Output, "panic: ") || strings.HasPrefix(e.Output, "fatal error: ")
			res.hung = res.hung || strings.HasPrefix(e.Output, "panic: test timed out")
		}
	}
	if failed && crashed && res.killer == "" && len(running) > 0 {
		res.killer = running[len(running)-1]
	}
	res.details = tail(text.String())
	return res
}

// tail is the end of an output, enough to see why.
func tail(text string) string {
	const most = 1500
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}

// passWithout runs the tests of every mutant without it: they have to be there, and to pass.
func (r *runner) passWithout(ctx context.Context, mutants []mutant) error {
	patterns := map[string][]string{}
	var packages []string
	for _, m := range mutants {
		if _, known := patterns[m.pkg]; !known {
			packages = append(packages, m.pkg)
		}
		if !slices.Contains(patterns[m.pkg], m.test) {
			patterns[m.pkg] = append(patterns[m.pkg], m.test)
		}
	}
	results := each(ctx, r.parallel, packages, func(pkg string) result {
		// go test takes patterns apart itself at "|" and "/", which it does not do inside of parentheses.
		return r.test(ctx, edit{}, "./"+pkg, strings.Join(patterns[pkg], "|"), unbroken*r.timeout)
	})
	var failed []error
	for i, pkg := range packages {
		res := results[i]
		if res.err != nil || res.killer != "" {
			failed = append(failed, errors.Join(
				fmt.Errorf("without any mutant, %s fails: %s: %s", pkg, res.killer, res.details), res.err))
			continue
		}
		for _, pattern := range patterns[pkg] {
			fits, err := regexp.Compile(pattern)
			if err != nil || !slices.ContainsFunc(res.passed, fits.MatchString) {
				failed = append(failed, fmt.Errorf("%s has no test %s", pkg, pattern))
			}
		}
	}
	return errors.Join(failed...)
}

// each calls fn for every item, so many at once, and returns what it said in their order.
func each[T any](ctx context.Context, parallel int, items []T, fn func(T) result) []result {
	results := make([]result, len(items))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(parallel, len(items)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(items) {
					return
				}
				results[i] = fn(items[i])
			}
		})
	}
	workers.Wait()
	return results
}
