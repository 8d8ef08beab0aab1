package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/targets/exec"
	"github.com/dirsweep/dirsweep/targets/exec/conformance"
)

// A tried is what exec-test prints as JSON.
type tried struct {
	Program string               `json:"program"`
	Passed  bool                 `json:"passed"`
	Checks  []conformance.Result `json:"checks"`
}

func (a *app) execTestCommand() *cobra.Command {
	var yes bool
	var timeout time.Duration
	var names []string
	c := &cobra.Command{
		Use:   "exec-test PROGRAM [ARGUMENT...]",
		Short: "Try a program for `target \"exec\"` against the protocol",
		Long: "The program is started as a target starts it, and each thing that its hello promises is tried, by accounts whose names begin with\n" +
			conformance.Prefix + "; they are deleted again where it can delete. It is not for an application that people use: what a program\n" +
			"does wrong, it does there. The protocol is docs/targets/exec.md. Flags come before PROGRAM.\n\n" +
			"Exit code 0: it keeps what it promises, 1: it does not.",
		Example: "  dirsweep exec-test --yes --environment BADGES_DB ./badges.py",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, args, 1)
			}
			program, err := programOf(args, names, timeout)
			if err != nil {
				return err
			}
			if err := a.confirmTrial(args[0], yes); err != nil {
				return err
			}
			log, err := a.logger(a.err, hclog.Warn)
			if err != nil {
				return err
			}
			out := tried{Program: args[0], Checks: []conformance.Result{}}
			out.Passed, err = conformance.Run(c.Context(), program, log, func(r conformance.Result) {
				out.Checks = append(out.Checks, r)
				if !a.json {
					a.printTried(r)
				}
			})
			if err != nil {
				return err
			}
			if err := a.show(out, func() { a.printf("%s\n", verdict(out)) }); err != nil || out.Passed {
				return err
			}
			return exit(ExitFailed)
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "of an answer")
	c.Flags().StringArrayVar(&names, "environment", nil, "a variable of this environment that the program gets; may be repeated")
	return c
}

// programOf is the program that was named on the command line.
func programOf(command, names []string, timeout time.Duration) (exec.Program, error) {
	folder, err := filepath.Abs(".")
	if err != nil {
		return exec.Program{}, err
	}
	if timeout <= 0 {
		return exec.Program{}, fmt.Errorf("--timeout %s: it has to be longer than nothing", timeout)
	}
	p := exec.Program{
		Command: command, Folder: folder, Directory: folder, Environment: map[string]string{},
		Timeout: timeout, StartTimeout: timeout, Parallel: 2,
	}
	for _, name := range names {
		value, set := os.LookupEnv(name)
		if !set {
			return p, fmt.Errorf("--environment %s: it is not set", name)
		}
		p.Environment[name] = value
	}
	return p, nil
}

// confirmTrial asks before accounts are made. Where nobody can be asked, --yes has to say it.
func (a *app) confirmTrial(program string, yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(os.Stdin) || !isTerminal(a.err) {
		return errors.New("exec-test makes accounts and deletes them; nothing was begun: say --yes")
	}
	_, _ = fmt.Fprintf(a.err, "Make accounts named %s… by %s, and delete them? [y/N] ", conformance.Prefix, clean(program))
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") && !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return errors.New("not begun; nothing was changed")
	}
	return nil
}

func (a *app) printTried(r conformance.Result) {
	mark := a.style.add("ok")
	switch r.Outcome {
	case conformance.Failed:
		mark = a.style.warn("!!")
	case conformance.LeftOut:
		mark = a.style.faint("--")
	}
	line := r.Check
	if r.Detail != "" {
		line += ": " + strings.ReplaceAll(r.Detail, "\n", "; ")
	}
	a.printf("%s  %s\n", mark, clean(line))
}

func verdict(t tried) string {
	failed, left := 0, 0
	for _, c := range t.Checks {
		switch c.Outcome {
		case conformance.Failed:
			failed++
		case conformance.LeftOut:
			left++
		}
	}
	if failed > 0 {
		return fmt.Sprintf("%s does not keep what it promises: %s of %d failed (!!).", clean(t.Program), count(failed, "check", "checks"), len(t.Checks))
	}
	return fmt.Sprintf("%s keeps what it promises: %d of %d checks passed, %d left out since it does not promise them (--).",
		clean(t.Program), len(t.Checks)-left, len(t.Checks), left)
}
