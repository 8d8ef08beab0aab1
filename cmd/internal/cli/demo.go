package cli

import (
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/dirsweep/dirsweep/cmd/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	o := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch the main job with nothing to set up",
		Long: "An embedded LDAP directory and embedded SCIM applications on loopback, about 200 people, joiners, movers and leavers arriving while\n" +
			"you watch: the real engine, config and state file. With --once it plays one scripted day, checks the applications and exits.",
		Example: "  dirsweep demo\n  dirsweep demo --once",
		Args:    nothing,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := a.logger(a.err, hclog.Warn)
			if err != nil {
				return err
			}
			o.JSON, o.Out, o.Log, o.Color = a.json, a.out, log, colored(a.out)
			return demo.Run(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&o.Once, "once", false, "play one scripted day and exit")
	c.Flags().BoolVar(&o.Keep, "keep", false, "keep the config and the state, and say where they are")
	return c
}
