package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) orphansCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "orphans",
		Short:   "Show accounts that belong to nobody",
		Long:    "They are known once a full pass was run (`dirsweep sync`, or the daemon).",
		Example: "  dirsweep orphans",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []control.Orphan
			if err := a.call(c.Context(), control.CmdOrphans, control.Request{}, &list); err != nil {
				return err
			}
			return a.show(list, func() {
				var rows [][]string
				for _, o := range list {
					state := "inactive"
					if o.Active {
						state = a.style.change("active")
					}
					rows = append(rows, []string{o.Target, clean(o.UserName), clean(o.Account), state, clock(o.First)})
				}
				a.printTable("No orphan accounts.", []string{"target", "userName", "account", "state", "first seen"}, rows)
			})
		},
	}
}
