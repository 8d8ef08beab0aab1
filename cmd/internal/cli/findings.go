package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) findingsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "findings",
		Short:   "Show what dirsweep saw and did not, or could not, act on",
		Long:    "What is shown was found by passes that were run (`dirsweep sync`, or the daemon); it stays until a pass sees that it is solved.",
		Example: "  dirsweep findings\n  dirsweep findings --json",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []control.Finding
			if err := a.call(c.Context(), control.CmdFindings, control.Request{}, &list); err != nil {
				return err
			}
			return a.show(list, func() {
				var rows [][]string
				for _, g := range grouped(list) {
					rows = append(rows, []string{g.Kind, clean(g.subjects()), clock(g.First), clean(g.Detail)})
				}
				a.printTable("No findings.", []string{"kind", "about", "first seen", "detail"}, rows)
			})
		},
	}
}
