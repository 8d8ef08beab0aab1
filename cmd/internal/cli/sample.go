package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	sourcekinds "github.com/dirsweep/dirsweep/sources/all"
	targetkinds "github.com/dirsweep/dirsweep/targets/all"
)

func (a *app) sampleCommand() *cobra.Command {
	samples := map[string]string{}
	for _, k := range sourcekinds.Kinds() {
		samples[k.Name] = k.Sample
	}
	for _, k := range targetkinds.Kinds() {
		samples[k.Name] += k.Sample
	}
	var names []string
	for name := range samples {
		names = append(names, name)
	}
	slices.Sort(names)
	return &cobra.Command{
		Use:     "sample KIND",
		Short:   "Print a complete, commented block for the config: " + strings.Join(names, ", "),
		Example: "  dirsweep sample ldap > config.hcl\n  dirsweep sample scim >> config.hcl",
		Args:    operand,
		RunE: func(_ *cobra.Command, args []string) error {
			sample, ok := samples[args[0]]
			if !ok {
				return fmt.Errorf("no kind is called %q; there are: %s", args[0], strings.Join(names, ", "))
			}
			return a.show(map[string]string{"kind": args[0], "sample": sample}, func() { a.printf("%s", sample) })
		},
	}
}
