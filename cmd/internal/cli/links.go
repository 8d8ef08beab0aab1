package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

func (a *app) linkCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "link PERSON TARGET ACCOUNT",
		Short: "Settle a dispute: say whose an account is",
		Long: "PERSON is " + personIs + "; ACCOUNT is an id or a userName at TARGET. Nothing is written to the application: what the account\n" +
			"should be like, or that it has to be closed, is the next pass's business.",
		Example: "  dirsweep link alice wiki a.smith",
		Args:    operands(3),
		RunE: func(c *cobra.Command, args []string) error {
			request.Person, request.Targets, request.Account = args[0], args[1:2], args[2]
			var link control.Link
			if err := a.callWhole(c.Context(), control.CmdLink, request, &link); err != nil {
				return err
			}
			return a.show(link, func() {
				a.printf("%s (%s) at %s is the account of %s (%s) from now on.\n",
					clean(link.UserName), clean(link.Account), link.Target, clean(link.Name), link.Person)
			})
		},
	}
	reasonFlag(c, &request)
	return c
}

func (a *app) unlinkCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "unlink PERSON TARGET",
		Short: "Undo a wrong adoption, or end a case that nothing can prove: forget that an account is somebody's",
		Long: "PERSON is " + personIs + ". Nothing is written to the application. Of somebody who left, the account there is taken off their case:\n" +
			"say so only when you have seen to it yourself. Whose the account is, the next pass looks for anew.",
		Example: "  dirsweep unlink alice wiki --reason 'it is the account of another Alice'",
		Args:    operands(2),
		RunE: func(c *cobra.Command, args []string) error {
			request.Person, request.Targets = args[0], args[1:2]
			var link control.Link
			if err := a.call(c.Context(), control.CmdUnlink, request, &link); err != nil {
				return err
			}
			return a.show(link, func() {
				a.printf("%s (%s) at %s is nobody's account now; it was linked to %s (%s).\n",
					clean(link.UserName), clean(link.Account), link.Target, clean(link.Name), link.Person)
			})
		},
	}
	reasonFlag(c, &request)
	return c
}

func (a *app) relinkCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "relink TARGET",
		Short: "Find a target's accounts anew after it was rebuilt or moved and their ids are others",
		Long: "Each link whose id is gone leads from now on to the one account that bears the person's externalId, else their userName. A link\n" +
			"without such an account stays as it is and is named. Nothing is written to the application, and nobody's link is lost.",
		Example: "  dirsweep relink wiki --reason 'restored from the backup of Monday'",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) error {
			request.Targets = args
			var r control.Relinked
			if err := a.callWhole(c.Context(), control.CmdRelink, request, &r); err != nil {
				return err
			}
			return a.show(r, func() {
				a.printLinks("! no account found", r.Missing)
				a.printf("%s: %s to another id now, %d as before, %d without an account.\n",
					r.Target, count(len(r.Moved), "link leads", "links lead"), r.Same, len(r.Missing))
			})
		},
	}
	reasonFlag(c, &request)
	return c
}

func (a *app) forgetCommand() *cobra.Command {
	var request control.Request
	c := &cobra.Command{
		Use:   "forget TARGET",
		Short: "Forget a target that is no more: its links, orphan accounts and findings",
		Long: "It refuses while the account of somebody who left is not seen closed there. Where the target is in the config still, the next pass\n" +
			"links its accounts as if for the first time.",
		Example: "  dirsweep forget oldwiki --reason 'switched off on 1 March'",
		Args:    operand,
		RunE: func(c *cobra.Command, args []string) error {
			request.Targets = args
			var r control.Relinked
			if err := a.call(c.Context(), control.CmdForget, request, &r); err != nil {
				return err
			}
			return a.show(r, func() { a.printf("%s: %s forgotten.\n", r.Target, count(r.Forgotten, "link", "links")) })
		},
	}
	reasonFlag(c, &request)
	return c
}

func reasonFlag(c *cobra.Command, request *control.Request) {
	c.Flags().StringVar(&request.Reason, "reason", "", "why, for the audit trail")
}

func (a *app) printLinks(what string, links []control.Link) {
	for _, l := range links {
		a.printf("%s  %s: %s, %s (%s)\n", a.style.warn(what), l.Target, clean(l.UserName), clean(l.Name), l.Person)
	}
}

// callWhole has a command answered that needs the sources or targets.
func (a *app) callWhole(ctx context.Context, command control.Command, request control.Request, answer any) (err error) {
	c, err := a.whole(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	request.Actor = actor()
	return c.Call(ctx, command, request, answer)
}
