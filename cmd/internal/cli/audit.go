package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/audit"
)

func (a *app) auditCommand() *cobra.Command {
	c := family("audit", "Verify, read or restart the audit trail", a.auditVerifyCommand(), a.auditShowCommand(), a.auditStartOverCommand())
	c.Long = "The audit trail has a record of everything that dirsweep wrote, decided or was told: who, what, before, after, why, when and the\n" +
		"outcome. Each record carries the hash of the one before, and the state remembers the last. It lies beside the state, in audit.jsonl\n" +
		"and the older audit-NUMBER.jsonl; `audit { keep }` in the config says how long."
	return c
}

func (a *app) auditVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check the whole trail for any record that is missing, changed or out of order",
		Long: "Reads every file of the trail from the disk and checks each record's hash, that it follows from the one before, and that the last one\n" +
			"that the state knows of is there. Beside a running daemon, the daemon does so. Exit code 0: it is whole; 1: it is not.",
		Example: "  dirsweep audit verify",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var s audit.Summary
			if err := a.call(c.Context(), control.CmdAudit, control.Request{}, &s); err != nil {
				return err
			}
			return a.show(s, func() { a.printTrail(s) })
		},
	}
}

func (a *app) printTrail(s audit.Summary) {
	if s.Records == 0 {
		a.printf("Audit trail OK: no record yet.\n")
		return
	}
	a.printf("Audit trail OK: %s from %s to %s, head %s.\n", count(s.Records, "record", "records"), clock(s.From), clock(s.To), s.Head.Hash)
	if s.First > 1 {
		a.printf("It begins with record %d; a record in it tells that the older ones were removed.\n", s.First)
	}
}

func (a *app) auditShowCommand() *cobra.Command {
	var person, from string
	c := &cobra.Command{
		Use:   "show",
		Short: "Print the trail's records, oldest first, and check them on the way",
		Long: "Prints one line a record, with --json the records as they stand in the trail, one JSON object a line. The files are read from the\n" +
			"disk, also beside a running daemon. PERSON is a login, full name, DN or anchor as the record has it: also of somebody forgotten since.",
		Example: "  dirsweep audit show --since 7d\n  dirsweep audit show --person alice --json",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			begin, err := since(from, time.Now())
			if err != nil {
				return err
			}
			state, err := a.statePath()
			if err != nil {
				return err
			}
			_, err = audit.Read(c.Context(), control.TrailPath(state), func(line []byte) error {
				return a.printRecord(line, person, begin)
			})
			return err
		},
	}
	c.Flags().StringVar(&person, "person", "", "only records about this PERSON")
	c.Flags().StringVar(&from, "since", "", sinceIs)
	return c
}

// printRecord prints a record where it is about the person and not older than begin.
func (a *app) printRecord(line []byte, person string, begin time.Time) error {
	r, err := audit.ParseLine(line)
	if err != nil || r.At.Before(begin) || person != "" && !r.About(person) {
		return err
	}
	if a.json {
		a.printf("%s\n", line)
		return nil
	}
	did := strings.TrimSpace(strings.Join([]string{string(r.Kind), r.Op, r.Step}, " "))
	words := []string{clock(r.At), fmt.Sprintf("#%d", r.Seq), did, r.Target, first(r.Name, r.UserName, r.Person), r.Outcome, r.Seen, r.Cause}
	if values := changed(r); values != "" {
		words = append(words, values)
	}
	for _, fact := range [][2]string{
		{"by", r.Actor}, {"because", r.Reason}, {"request", r.RequestID}, {"error:", r.Error}, {"", r.Shortened}, {"", r.Note},
	} {
		if fact[1] != "" {
			words = append(words, strings.TrimSpace(fact[0]+" "+fact[1]))
		}
	}
	a.printf("%s\n", clean(strings.Join(strings.Fields(strings.Join(words, "  ")), " ")))
	return nil
}

// changed lists the values before and after as JSON, each one bounded.
func changed(r audit.Record) string {
	if len(r.Before)+len(r.After) == 0 {
		return ""
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, values := range []audit.Values{r.Before, r.After} {
		if out.Len() > 0 {
			out.WriteString("-> ")
		}
		if err := enc.Encode(values); err != nil {
			return err.Error()
		}
	}
	return strings.ReplaceAll(out.String(), "\n", " ")
}

func (a *app) auditStartOverCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "start-over --reason TEXT",
		Short: "Set a broken trail aside and begin a new one that says so; needs dirsweep stopped",
		Long: "A broken trail stops every write. Where its files cannot be put back, this renames them to names that end in .broken and begins a new\n" +
			"trail, which goes on after the last record that the state knows of and says who set the old one aside and why.",
		Example: "  dirsweep audit start-over --reason 'the disk lost its last hour, ticket 4711'",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			if strings.TrimSpace(reason) == "" {
				return errors.New("audit start-over: say why with --reason TEXT; the new trail begins with it")
			}
			state, err := a.statePath()
			if err != nil {
				return err
			}
			if err := control.StartOver(c.Context(), state, actor(), reason); err != nil {
				return err
			}
			answer := map[string]string{"trail": control.TrailPath(state)}
			return a.show(answer, func() { a.printf("%s is a new trail; the old files end in .broken.\n", answer["trail"]) })
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why (required)")
	return c
}
