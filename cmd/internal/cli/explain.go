package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain PERSON|ACCOUNT",
		Short: "Show why a person has, lacks or would change each account, and by which line of the config",
		Long: "Show why a person has, lacks or would change each account, and by which line of the config. It reads the source and the targets, and\n" +
			"writes nothing. With --config NEW, beside a running daemon too, it is how things would stand with that config.\n" +
			"PERSON is " + personIs + "; ACCOUNT is the name or id of an account that is nobody's.",
		Example: "  dirsweep explain alice\n  dirsweep --config new.hcl explain alice@example.org",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) (err error) {
			conn, err := a.preview(c.Context(), nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, conn.close()) }()
			var list []control.Explanation
			if err := conn.Call(c.Context(), control.CmdExplain, control.Request{Person: args[0]}, &list); err != nil {
				return err
			}
			return a.show(list, func() { a.printExplanations(list) })
		},
	}
}

func (a *app) printExplanations(list []control.Explanation) {
	person := ""
	for _, e := range list {
		if e.Person != person {
			person = e.Person
			a.printf("%s  %s\n", a.style.bold(clean(first(e.Name, e.Person))), clean(e.Person))
			a.printFacts([][2]string{{"dn", e.DN}, {"source says", e.Where}, {"by the clock", e.Next}})
			for _, entry := range e.Entries {
				text := entry.Entry + ": " + entry.Says
				if len(entry.Attributes) > 0 {
					text += "; gives " + strings.Join(entry.Attributes, ", ")
				}
				a.printFacts([][2]string{{"  " + entry.Source, text}})
			}
		}
		if e.Target == "" {
			continue
		}
		scope := "not in scope"
		if e.InScope {
			scope = "in scope"
		}
		account := "none"
		if e.Account != "" {
			account = first(e.UserName, e.Account) + " (" + e.Account + ")"
		}
		a.printf("\n  %s\n", a.style.bold(e.Target))
		a.printFacts([][2]string{
			{"scope", scope + because(e.Because)},
			{"account", account},
			{"situation", strings.TrimSuffix(e.Situation+because(e.Why), ": ")},
			{"manages", e.Manages},
			{"held", e.Held},
			{"impossible", strings.Join(e.Impossible, "; ")},
		})
		a.printExplained(e)
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (a *app) printFacts(facts [][2]string) {
	for _, f := range facts {
		if f[1] != "" {
			a.printf("    %-12s %s\n", f[0], clean(f[1]))
		}
	}
}

func (a *app) printExplained(e control.Explanation) {
	steps := group(e.Changes, e.Target)
	if len(steps) == 0 {
		a.printf("    %-12s nothing\n", "would change")
	} else {
		a.printf("    would change:\n")
	}
	for _, s := range steps {
		a.printStep("    ", s, len(s.ops()))
	}
	for i, h := range e.History {
		word := ""
		if i == 0 {
			word = "history"
		}
		text := strings.Join(strings.Fields(strings.Join([]string{clock(h.At), first(h.Op, h.Kind), h.Step, h.Outcome, h.Error}, " ")), " ")
		if cause := why(control.Change{Cause: h.Cause, Rule: h.Rule}); cause != "" {
			text += " (" + cause + ")"
		}
		if h.Actor != "" {
			text += " by " + h.Actor
		}
		a.printf("    %-12s %s\n", word, clean(text))
	}
}
