package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

func (a *app) evidenceCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "evidence PERSON",
		Short:   "Print a leaver's evidence file: who, when, which accounts, what was read back",
		Long:    "PERSON is " + personIs + ". The file is JSON; `dirsweep evidence verify FILE` checks it anywhere, offline.",
		Example: "  dirsweep evidence alice --output alice.json\n  dirsweep evidence verify alice.json",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) error {
			var raw json.RawMessage
			if err := a.call(c.Context(), control.CmdEvidence, control.Request{Person: args[0]}, &raw); err != nil {
				return err
			}
			var out bytes.Buffer
			if err := json.Indent(&out, raw, "", "  "); err != nil {
				return fmt.Errorf("evidence of %s: %w", args[0], err)
			}
			out.WriteByte('\n')
			if file == "" {
				_, err := out.WriteTo(a.out)
				return err
			}
			return writeNew(file, out.Bytes())
		},
	}
	c.Flags().StringVar(&file, "output", "", "write this new file instead")
	c.AddCommand(a.evidenceVerifyCommand())
	return c
}

func (a *app) evidenceVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify FILE",
		Short:   "Check an evidence file, offline",
		Example: "  dirsweep evidence verify alice.json",
		Args:    operand,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			e, err := sweep.VerifyEvidence(f)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			answer := struct {
				File     string `json:"file"`
				Good     bool   `json:"good"`
				Person   string `json:"person"`
				Accounts int    `json:"accounts"`
				Records  int    `json:"records"`
				Open     bool   `json:"open"` // some account was not yet proven closed when the file was made
			}{args[0], true, e.Person, len(e.Accounts), len(e.Records), e.Closed == nil}
			return a.show(answer, func() { a.printEvidence(e) })
		},
	}
}

func (a *app) printEvidence(e sweep.Evidence) {
	a.printf("%s  %s (%s): %s, left %s\n", a.style.add("ok"), clean(first(e.Name, e.Person)), clean(e.Person), e.Cause, clock(e.Left))
	for _, acc := range e.Accounts {
		a.printf("    %s\n", clean(strings.Join(strings.Fields(strings.Join(
			[]string{acc.Target, acc.UserName, string(acc.Status), acc.Seen, acc.Took}, " ")), " ")))
	}
	if e.Closed == nil {
		a.printf("The case was still open when the file was made.\n")
	}
	a.printf("The file is whole and unchanged; %s.\n", count(len(e.Records), "audit record", "audit records"))
}

// writeNew writes a file that must not exist yet, for its owner only.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; name another file", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
