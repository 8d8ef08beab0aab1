package cli

import (
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/daemon"
)

func (a *app) holdsCommand() *cobra.Command {
	var ask daemon.Ask
	c := &cobra.Command{
		Use:   "holds",
		Short: "Show what waits for an operator, and its digest",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []daemon.Hold
			if err := a.ask(c.Context(), daemon.CmdHolds, ask, &list); err != nil {
				return err
			}
			return a.show(list, func() {
				var rows [][]string
				for _, h := range list {
					rows = append(rows, []string{h.Digest, holdName(h), people(h.People), clock(h.Since), decision(h), clean(h.Reason)})
				}
				a.printTable("Nothing is held.", []string{"digest", "what", "who", "since", "decision", "reason"}, rows)
			})
		},
	}
	c.Flags().BoolVar(&ask.All, "all", false, "decided ones too")
	return c
}

func decision(h daemon.Hold) string {
	switch {
	case !h.Approved.IsZero():
		return "approved " + clock(h.Approved)
	case !h.Rejected.IsZero():
		return "rejected " + clock(h.Rejected)
	}
	return "waits"
}
