// Command mutants breaks the program on purpose and sees whether a test notices: one named mutant or more for each
// rule, and a sample of generated ones over the packages that decide.
//
// No file of the tree is changed: each mutant is handed to go test as an overlay. Only a test that fails kills; a
// mutant that does not compile, that no longer applies, or whose test does not pass without it, is an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	root     string
	only     string
	named    bool
	generate int
	seed     uint64
	parallel int
	timeout  time.Duration
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", ".", "folder of the module")
	flags.StringVar(&o.only, "only", "", "only named mutants whose rule or name fits this `pattern`, R8 say")
	flags.BoolVar(&o.named, "named", true, "the named mutants")
	flags.IntVar(&o.generate, "generate", 200, "how many generated mutants")
	flags.Uint64Var(&o.seed, "seed", 1, "which of them")
	flags.IntVar(&o.parallel, "parallel", 2, "how many at once")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "for the tests of one mutant")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("no arguments are taken: %s", strings.Join(flags.Args(), " "))
	}
	if o.only != "" {
		o.generate = 0
	}
	o.root, err = filepath.Abs(o.root)
	return o, err
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := runner{root: o.root, dir: dir, timeout: o.timeout, parallel: max(1, o.parallel)}

	var failed []error
	if o.named {
		failed = append(failed, runNamed(ctx, &r, o.only, out))
	}
	if o.generate > 0 {
		failed = append(failed, runGenerated(ctx, &r, generatedFrom(), o.generate, o.seed, out))
	}
	return errors.Join(failed...)
}

// where the data of this program is, below the module's root.
const (
	dataFolder    = "cmd/internal/mutants/testdata"
	survivorsFile = dataFolder + "/survivors.txt"
	notBuiltFile  = dataFolder + "/without.txt"
)

func runNamed(ctx context.Context, r *runner, only string, out io.Writer) error {
	mutants, err := readMutants(filepath.Join(r.root, dataFolder))
	if err != nil {
		return err
	}
	if only != "" {
		if mutants, err = choose(mutants, only); err != nil {
			return err
		}
	}
	if err := r.passWithout(ctx, mutants); err != nil {
		return err
	}
	results := each(ctx, r.parallel, mutants, func(m mutant) result {
		edit, err := m.apply(r.root)
		if err != nil {
			return result{err: err}
		}
		timeout := r.timeout
		if m.hangs {
			timeout = min(timeout, hanging)
		}
		return r.test(ctx, edit, "./"+m.pkg, m.test, timeout)
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := namedTable(out, mutants, results); err != nil || only != "" {
		return err
	}
	without, err := readReasons(filepath.Join(r.root, notBuiltFile))
	if err != nil {
		return err
	}
	return withoutTable(out, uncovered(mutants, nil), without)
}

// hanging is for a test that notices by not ending; without the mutant it has to end well before.
const hanging = 15 * time.Second

func choose(mutants []mutant, only string) (chosen []mutant, err error) {
	fits, err := regexp.Compile("^(?:" + only + ")$")
	if err != nil {
		return nil, err
	}
	for _, m := range mutants {
		if m.fits(fits) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no mutant has the rule or the name %s", only)
	}
	return chosen, nil
}
