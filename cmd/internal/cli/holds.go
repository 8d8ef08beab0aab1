package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) holdsCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:     "holds [DIGEST]",
		Short:   "Show what waits for an operator, and its digest; with DIGEST everybody of one hold",
		Example: "  dirsweep holds\n  dirsweep holds 976b3f9de375",
		Args:    atMostOne,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				request.Digest, request.All = args[0], true
			}
			var list []control.Hold
			if err := a.call(c.Context(), control.CmdHolds, request, &list); err != nil {
				return err
			}
			if request.Digest != "" && len(list) == 0 {
				return fmt.Errorf("there is no hold %q; `dirsweep holds` lists them", request.Digest)
			}
			return a.show(list, func() {
				if len(list) == 0 {
					a.printf("Nothing is held.\n")
				}
				a.printHeld(list, done)
				if request.Digest != "" {
					a.printMembers(list[0])
				}
			})
		},
	}
	c.Flags().BoolVar(&request.All, "all", false, "decided ones too")
	return c
}

// printMembers prints everybody of a hold.
func (a *app) printMembers(h control.Hold) {
	var rows [][]string
	for _, p := range h.People {
		rows = append(rows, []string{clean(p.UserName), clean(p.Name), clean(p.Account), clean(p.Person)})
	}
	a.printTable("Nobody by name: it is about the source as a whole.", []string{"account", "person", "id", "anchor"}, rows)
}
