package cli

import "github.com/spf13/cobra"

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Work with the config", Args: cobra.NoArgs}
	c.AddCommand(&cobra.Command{
		Use:   "show",
		Short: "Print the config as it is understood, defaults included, secrets left out",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			shown := cfg.Show()
			return a.show(map[string]string{"path": cfg.Path, "digest": cfg.Digest, "config": shown}, func() { a.printf("%s", shown) })
		},
	})
	return c
}
