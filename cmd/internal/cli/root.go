// Package cli is the command line: one file a subcommand.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dirsweep/dirsweep/cmd/internal/config"
)

// An app is what the subcommands share.
type app struct {
	out, err io.Writer
	version  string

	config   string // --config, "" for the default
	json     bool   // --json
	logLevel string // --log-level, "" for the command's own
	style    style
}

// Main runs one command and returns its exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer, version string) int {
	a := &app{out: stdout, err: stderr, version: version, style: newStyle(colored(stdout))}
	if !colored(stdout) {
		text.DisableColors()
	}
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exit
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &code):
		return int(code)
	}
	a.complain(err)
	return ExitFailed
}

// complain tells what went wrong: of a config every mistake with its line, of anything else one line.
func (a *app) complain(err error) {
	var mistakes *config.Problems
	if a.json {
		a.complainJSON(err)
		return
	}
	if !errors.As(err, &mistakes) {
		_, _ = fmt.Fprintln(a.err, "dirsweep: "+strings.TrimSpace(err.Error()))
		return
	}
	if err := mistakes.Write(a.err, colored(a.err)); err != nil {
		_, _ = fmt.Fprintln(a.err, "dirsweep: "+mistakes.Error())
	}
}

// A mistake is one of a config, as --json tells it.
type mistake struct {
	Severity string `json:"severity"` // "error" or "warning"
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
}

func (a *app) complainJSON(err error) {
	out := struct {
		Error    string    `json:"error"`
		Mistakes []mistake `json:"mistakes,omitempty"`
	}{Error: strings.TrimSpace(err.Error())}
	var problems *config.Problems
	if errors.As(err, &problems) {
		for _, d := range problems.Found {
			out.Mistakes = append(out.Mistakes, mistakeOf(d))
		}
	}
	enc := json.NewEncoder(a.err)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out)
}

func mistakeOf(d *hcl.Diagnostic) mistake {
	m := mistake{Severity: "error", Summary: d.Summary, Detail: d.Detail}
	if d.Severity == hcl.DiagWarning {
		m.Severity = "warning"
	}
	if d.Subject != nil {
		m.File, m.Line, m.Column = d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column
	}
	return m
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dirsweep",
		Short: "Keeps application accounts true to the company directory",
		Long: "dirsweep reads the company directory, compares it with what it remembers and with what each application holds, and creates,\n" +
			"updates and closes accounts. When a person leaves, every account they hold is closed, and read back to prove it.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       a.version,
		Args:          subcommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())
	})
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetVersionTemplate("dirsweep {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", "", "config file or folder (default: $DIRSWEEP_CONFIG, ./config.hcl, ./dirsweep.hcl, "+platformConfig()+")")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	flags.StringVar(&a.logLevel, "log-level", "", "trace, debug, info, warn or error (default: info of run, nothing of commands that print a report)")
	root.AddCommand(
		a.demoCommand(), a.checkCommand(), a.planCommand(), a.syncCommand(), a.runCommand(),
		a.statusCommand(), a.leaversCommand(), a.orphansCommand(), a.findingsCommand(), a.holdsCommand(),
		a.approveCommand(), a.rejectCommand(), a.explainCommand(), a.sweepCommand(), a.releaseCommand(),
		a.linkCommand(), a.unlinkCommand(), a.relinkCommand(), a.forgetCommand(),
		a.evidenceCommand(), a.auditCommand(), a.sampleCommand(), a.execTestCommand(), a.configCommand(), a.serviceCommand(), a.stateCommand(),
		a.versionCommand(),
	)
	describe(root)
	return root
}

// describe has each command's help begin with what the command does.
func describe(c *cobra.Command) {
	if c.Long != "" && !strings.HasPrefix(c.Long, c.Short) {
		c.Long = c.Short + ".\n\n" + c.Long
	}
	for _, sub := range c.Commands() {
		describe(sub)
	}
}

// logger writes to w, which is a.err except under a service manager that has no standard error.
func (a *app) logger(w io.Writer, level hclog.Level) (hclog.Logger, error) {
	if a.logLevel != "" {
		if level = hclog.LevelFromString(a.logLevel); level == hclog.NoLevel {
			return nil, fmt.Errorf("--log-level %q is none of trace, debug, info, warn, error", a.logLevel)
		}
	}
	color := hclog.ColorOff
	if colored(w) {
		color = hclog.ForceColor
	}
	if isJournal(w) {
		w = journal{w}
	}
	return hclog.New(&hclog.LoggerOptions{Name: "dirsweep", Level: level, Output: w, JSONFormat: a.json, Color: color}), nil
}

// show prints v as JSON where --json asks for it, otherwise as print does.
func (a *app) show(v any, print func()) error {
	if !a.json {
		print()
		return nil
	}
	return encode(a.out, v)
}

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format, args...) }

// colored reports whether w is a terminal that wants colours.
func colored(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
