package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/audit"
	"github.com/dirsweep/dirsweep/sync/sweep/evidence"
)

func (a *app) evidenceCommand() *cobra.Command {
	var file, from string
	c := &cobra.Command{
		Use:   "evidence [PERSON]",
		Short: "Print the evidence about a leaver, or list whose there is",
		Long: "When a leaver's last account was proven closed, a signed file is written: who, why, which accounts, what was read back and when, with\n" +
			"the audit records that say so. It stays for as long as `audit { keep }` says, also when the person is released or returns; a second\n" +
			"leaving has a second file. The files lie in evidence/ beside the state.\n\n" +
			"With PERSON alone this prints the file of their last case, or of the open one as it stands. With --since, or without PERSON, it lists\n" +
			"the files of the cases opened since. PERSON is " + personIs + ".",
		Example: "  dirsweep evidence --since 30d\n  dirsweep evidence alice --output alice.json\n  dirsweep evidence verify alice.json",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return operand(c, args)
			}
			if len(args) == 1 && from == "" {
				return a.printEvidenceOf(c.Context(), args[0], file)
			}
			if file != "" {
				return errors.New("--output writes one person's file: name the person, and leave --since out")
			}
			return a.listEvidence(c.Context(), strings.Join(args, ""), from)
		},
	}
	c.Flags().StringVar(&file, "output", "", "write this new file instead")
	c.Flags().StringVar(&from, "since", "", sinceIs)
	c.AddCommand(a.evidenceVerifyCommand())
	return c
}

func (a *app) printEvidenceOf(ctx context.Context, person, file string) error {
	var raw []byte
	if err := a.call(ctx, control.CmdEvidence, control.Request{Person: person}, &raw); err != nil {
		return err
	}
	if file == "" {
		_, err := a.out.Write(raw)
		return err
	}
	return writeNew(file, raw)
}

// writeNew writes a file that must not exist yet, for its owner only.
func writeNew(path string, content []byte) error {
	err := audit.WriteNew(path, content)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; name another file", path)
	}
	return err
}

// An evidenceFile is one line of the list.
type evidenceFile struct {
	File     string    `json:"file"`
	Good     bool      `json:"good"`
	Problem  string    `json:"problem,omitempty"`
	Case     string    `json:"case,omitempty"`
	Person   string    `json:"person,omitempty"`
	Name     string    `json:"name,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Left     time.Time `json:"left,omitzero"`
	Noticed  time.Time `json:"noticed,omitzero"`
	Closed   time.Time `json:"closed,omitzero"`
	Accounts int       `json:"accounts"`
	Proven   bool      `json:"proven"` // every account was proven closed
}

func (a *app) listEvidence(ctx context.Context, person, from string) error {
	begin, err := since(from, time.Now())
	if err != nil {
		return err
	}
	state, err := a.statePath()
	if err != nil {
		return err
	}
	list, bad := []evidenceFile{}, 0
	for f, err := range evidence.Files(ctx, control.EvidencePath(state), begin) {
		if err != nil {
			return err
		}
		if f.Err == nil && person != "" && !f.Evidence.About(person) {
			continue
		}
		list = append(list, evidenceLine(f))
		if f.Err != nil {
			bad++
		}
	}
	if err := a.show(list, func() { a.printEvidenceList(list) }); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %s cannot be believed; `dirsweep evidence verify FILE` says why", bad, count(len(list), "file", "files"))
	}
	return nil
}

func evidenceLine(f evidence.File) evidenceFile {
	e := f.Evidence
	if f.Err != nil {
		return evidenceFile{File: f.Path, Problem: f.Err.Error()}
	}
	return evidenceFile{
		File: f.Path, Good: true, Case: e.Case, Person: e.Person, Name: e.Name, Cause: string(e.Cause), Reason: e.Reason, Left: e.Left,
		Noticed: e.Noticed, Closed: e.Closed, Accounts: len(e.Accounts), Proven: e.Proven(),
	}
}

func (a *app) printEvidenceList(list []evidenceFile) {
	var rows [][]string
	for _, f := range list {
		proof := "all proven closed"
		switch {
		case !f.Good:
			proof = f.Problem
		case !f.Proven:
			proof = "not all proven closed"
		}
		rows = append(rows, []string{
			clean(f.Name), f.Cause, first(clock(f.Left), "not known"), clock(f.Noticed), clock(f.Closed), fmt.Sprint(f.Accounts), clean(proof), f.File,
		})
	}
	a.printTable("No evidence.", []string{"person", "cause", "left", "noticed", "closed", "accounts", "proof", "file"}, rows)
}

// An evidenceAnswer is what verifying a file says with --json.
type evidenceAnswer struct {
	File     string               `json:"file"`
	Good     bool                 `json:"good"`
	Case     string               `json:"case"`
	Person   string               `json:"person"`
	Accounts int                  `json:"accounts"`
	Records  int                  `json:"records"`
	Open     bool                 `json:"open"`   // the case was not closed when the file was made
	Proven   bool                 `json:"proven"` // every account was proven closed
	Key      string               `json:"key"`    // the fingerprint of the key that signed it
	Known    bool                 `json:"known"`  // the key is the one that --key names
	Trail    *evidence.Comparison `json:"trail,omitempty"`
}

func (a *app) evidenceVerifyCommand() *cobra.Command {
	var key, trail string
	c := &cobra.Command{
		Use:   "verify FILE [--trail[=TRAIL]] [--key PUBLIC]",
		Short: "Check an evidence file, anywhere, offline",
		Long: "Checks that the file is as it was signed, that its records are whole and in order, that none is missing, and that all it says is what its\n" +
			"records say. A file can show no more by itself: whoever makes records and a key anew makes a file that holds. So compare it with the\n" +
			"audit trail (--trail for the one of the config, --trail=audit.jsonl for a copy), or the key with the one that you know\n" +
			"(--key evidence.key.pub, which lies beside the state). Exit code 0: it holds; 1: it does not.",
		Example: "  dirsweep evidence verify alice.json\n  dirsweep evidence verify alice.json --trail --key evidence.key.pub",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("write `dirsweep evidence verify FILE`, and the trail as --trail=TRAIL: it was given %s",
					count(len(args), "argument", "arguments"))
			}
			return a.verifyEvidence(c.Context(), args[0], trail, key)
		},
	}
	c.Flags().StringVar(&trail, "trail", "", "compare with this audit trail too")
	c.Flags().Lookup("trail").NoOptDefVal = ownTrail
	c.Flags().StringVar(&key, "key", "", "the public key that must have signed it (PEM)")
	return c
}

// ownTrail stands for the trail of the config.
const ownTrail = "the config's"

func (a *app) verifyEvidence(ctx context.Context, file, trail, key string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	e, err := evidence.Verify(in)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	answer := evidenceAnswer{
		File: file, Good: true, Case: e.Case, Person: e.Person, Accounts: len(e.Accounts), Records: len(e.Records), Open: e.Closed.IsZero(),
		Proven: e.Proven(), Key: e.Fingerprint(),
	}
	if key != "" {
		public, err := evidence.ReadPublicKey(key)
		if err != nil {
			return err
		}
		if !public.Equal(e.PublicKey()) {
			return fmt.Errorf("%s: it is signed by another key (%s) than %s", file, e.Fingerprint(), key)
		}
		answer.Known = true
	}
	if trail != "" {
		if trail == ownTrail {
			state, err := a.statePath()
			if err != nil {
				return err
			}
			trail = control.TrailPath(state)
		}
		compared, err := evidence.Compare(ctx, e, trail)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		answer.Trail = &compared
	}
	return a.show(answer, func() { a.printEvidence(e, answer) })
}

func (a *app) printEvidence(e evidence.Evidence, answer evidenceAnswer) {
	a.printf("%s  %s (%s): %s\n", a.style.add("ok"), clean(first(e.Name, e.Person)), clean(e.Person), e.Cause)
	a.printFacts([][2]string{
		{"reason", e.Reason},
		{"left", first(clock(e.Left), "not known: the directory does not say when")},
		{"noticed", clock(e.Noticed)},
		{"closed", first(clock(e.Closed), "the case was still open when the file was made, "+clock(e.Made))},
	})
	for _, account := range e.Accounts {
		took := ""
		if !account.Closed.IsZero() {
			took = seconds(account.Took) + " after " + leaving(account) + ", " + seconds(account.Ours) + " of them dirsweep's"
		}
		a.printf("  %s\n", clean(strings.Join(nonEmpty(account.Target, account.UserName, account.Words(), took, account.Error), "  ")))
		for _, step := range account.Steps {
			a.printf("    %-12s %s  %s\n", clean(step.Name), clock(step.At), clean(evidence.StepWords(step)))
		}
	}
	if !answer.Proven {
		a.printf("%s not every account was proven closed.\n", a.style.warn("!"))
	}
	a.printf("The file is whole and unchanged: %s, signed by the key %s.\n", count(answer.Records, "audit record", "audit records"), answer.Key)
	a.printf("%s\n", answer.rest())
}

func leaving(account evidence.Account) string {
	if account.Left.IsZero() {
		return "it was noticed"
	}
	return "leaving"
}

// rest says what the file does not prove by itself.
func (e evidenceAnswer) rest() string {
	switch {
	case e.Trail == nil && e.Known:
		return "The key is the one that you named. That nothing else was recorded only the audit trail proves (--trail)."
	case e.Trail == nil:
		return "That it is dirsweep's own only the audit trail proves, or a key that you know: compare it with --trail, or with --key."
	case e.Trail.Removed > 0:
		return fmt.Sprintf("The audit trail is whole and has %d of these records; it was pruned or started over since, and no longer has %d.",
			e.Trail.Found, e.Trail.Removed)
	}
	return "The audit trail is whole and has every one of these records."
}

func nonEmpty(texts ...string) (list []string) {
	for _, text := range texts {
		if text != "" {
			list = append(list, text)
		}
	}
	return list
}
