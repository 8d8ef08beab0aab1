package cli

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

// A checked is what check prints as JSON.
type checked struct {
	Config   string          `json:"config"`
	Digest   string          `json:"digest"`
	Warnings []string        `json:"warnings"`
	Parts    []control.Check `json:"parts"` // none with --offline
}

func (a *app) checkCommand() *cobra.Command {
	var offline bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the config, then connectivity and rights of each source and target",
		Long: "With --offline the config alone is checked: every mistake at its line, and neither secrets nor certificates have to be there.\n" +
			"Otherwise every source and target is connected to and read, and a write to an account that is not there shows whether writing is\n" +
			"allowed; what was tried, and what could not be, is printed. No account is changed. What works and is probably not meant (nobody is\n" +
			"in scope, nobody has an attribute, nobody is in a group) is marked with !.\n\n" +
			"Exit code 0: it works, 1: a mistake, or a source or target that cannot be used.",
		Example: "  dirsweep check\n  dirsweep --config new.hcl check --offline",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			load := a.loadConfig
			if offline {
				load = a.loadOffline
			}
			cfg, err := load()
			if err != nil {
				return err
			}
			out := checked{Config: cfg.Path, Digest: cfg.Digest, Warnings: warnings(cfg), Parts: []control.Check{}}
			if !offline {
				log, err := a.logger(a.err, hclog.Off)
				if err != nil {
					return err
				}
				if out.Parts, err = control.CheckAll(c.Context(), cfg, log); err != nil {
					return err
				}
			}
			if err := a.show(out, func() { a.printCheck(cfg, out, offline) }); err != nil {
				return err
			}
			for _, part := range out.Parts {
				if part.Error != "" {
					return exit(ExitFailed)
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "check the config alone")
	return c
}

func (a *app) printCheck(cfg *config.Config, out checked, offline bool) {
	a.printf("%s  config %s: %s, %s\n", a.style.add("ok"), cfg.Path,
		count(len(cfg.Sources), "source", "sources"), count(len(cfg.Targets), "target", "targets"))
	for _, w := range out.Warnings {
		a.printf("%s   %s\n", a.style.change("!"), w)
	}
	failed, doubts := 0, 0
	for _, part := range out.Parts {
		mark := a.style.add("ok")
		if part.Error != "" {
			mark = a.style.warn("!!")
			failed++
		}
		a.printf("%s  %s (%s)\n", mark, part.Name, part.Kind)
		for _, step := range part.Steps {
			a.printf("      %s\n", clean(step))
		}
		for _, doubt := range part.Doubts {
			a.printf("  %s   %s\n", a.style.change("!"), clean(doubt))
			doubts++
		}
		if part.Error != "" {
			a.printf("      %s (%s)\n", a.style.warn(clean(strings.TrimPrefix(part.Error, part.Name+": "))), part.At)
		}
	}
	switch {
	case offline:
		a.printf("The config is good. `dirsweep check` without --offline also tries every source and target.\n")
	case failed > 0:
		a.printf("%s cannot take part in a pass.\n", count(failed, "source or target", "sources and targets"))
	case doubts > 0:
		a.printf("It works; look at what is marked with ! first. `dirsweep plan` shows what a pass would do.\n")
	default:
		a.printf("Everything is ready. `dirsweep plan` shows what a pass would do.\n")
	}
}

func warnings(cfg *config.Config) []string {
	list := []string{}
	for _, w := range cfg.Warnings {
		line := w.Summary + ": " + w.Detail
		if w.Subject != nil {
			line = fmt.Sprintf("%s:%d: %s", w.Subject.Filename, w.Subject.Start.Line, line)
		}
		list = append(list, strings.ReplaceAll(line, "\n", " "))
	}
	return list
}
