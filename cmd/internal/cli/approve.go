package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) approveCommand() *cobra.Command {
	request := control.Request{}
	c := a.rule("approve DIGEST", "Release one hold, once, for those of it who still leave", control.CmdApprove, &request)
	c.Flags().StringArrayVar(&request.Except, "except", nil, "keep this person instead, as reject keeps people; may be repeated")
	return c
}

// rule makes a command about one hold.
func (a *app) rule(use, short string, command control.Command, request *control.Request) *cobra.Command {
	return &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    "`dirsweep holds` lists the holds and their digests, `dirsweep holds DIGEST` everybody of one.",
		Example: "  dirsweep " + string(command) + " 976b3f9de375",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) error {
			request.Digest = args[0]
			var r control.Ruled
			if err := a.call(c.Context(), command, *request, &r); err != nil {
				return err
			}
			return a.show(r, func() { a.printRuled(r) })
		},
	}
}

// printRuled says what became of each member of a hold.
func (a *app) printRuled(r control.Ruled) {
	word := "Approved"
	if !r.Hold.Rejected.IsZero() {
		word = "Rejected"
	}
	a.printf("%s %s: %s.\n", word, r.Hold.Digest, holdName(r.Hold))
	for _, part := range []struct {
		what string
		list []control.HeldPerson
	}{
		{"released, and closed by the daemon at once, else by the next `dirsweep sync`", r.Released},
		{"kept open until they have returned and left again; `dirsweep approve " + r.Hold.Digest + "` still releases them", r.Kept},
		{"no longer leaving, so that nothing is done", r.Staying},
	} {
		if len(part.list) > 0 {
			a.printf("  %d %s: %s\n", len(part.list), part.what, people(control.Hold{People: part.list}))
		}
	}
}
