package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) releaseCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "release PERSON",
		Short:   "Take an emergency sweep back: the source decides about the person again",
		Long:    "PERSON is " + personIs + ".",
		Example: "  dirsweep release alice",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) error {
			request := control.Request{Person: args[0]}
			if err := a.call(c.Context(), control.CmdRelease, request, nil); err != nil {
				return err
			}
			answer := map[string]string{"released": args[0]}
			return a.show(answer, func() {
				a.printf("Released %s. The next pass gives back what the source and the scopes say.\n", clean(args[0]))
			})
		},
	}
}
