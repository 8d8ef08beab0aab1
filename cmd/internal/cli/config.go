package cli

import "github.com/spf13/cobra"

func (a *app) configCommand() *cobra.Command {
	return family("config", "Work with the config", &cobra.Command{
		Use:     "show",
		Short:   "Print the config as it is understood, defaults included, secrets left out",
		Example: "  dirsweep config show",
		Args:    nothing,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.loadOffline()
			if err != nil {
				return err
			}
			shown := cfg.Show()
			return a.show(map[string]string{"path": cfg.Path, "digest": cfg.Digest, "config": shown}, func() { a.printf("%s", shown) })
		},
	})
}
