package cli

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
)

// statePath makes out where a config that has mistakes keeps its state, "" where it cannot: only a plain path in the state block is seen.
func statePath(config string) string {
	names, dir := []string{config}, filepath.Dir(config)
	if info, err := os.Stat(config); err == nil && info.IsDir() {
		dir = config
		names, _ = filepath.Glob(filepath.Join(config, "*.hcl"))
	}
	parser := hclparse.NewParser()
	torn := false
	for _, name := range names {
		file, diags := parser.ParseHCLFile(name)
		torn = torn || diags.HasErrors()
		if file == nil {
			continue
		}
		content, _, _ := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "state"}}})
		for _, block := range content.Blocks {
			attributes, _ := block.Body.JustAttributes()
			path, ok := attributes["path"]
			if !ok {
				continue
			}
			value, diags := path.Expr.Value(nil)
			if diags.HasErrors() || value.IsNull() || value.Type() != cty.String {
				return ""
			}
			if text := value.AsString(); filepath.IsAbs(text) {
				return text
			}
			return filepath.Join(dir, value.AsString())
		}
	}
	if torn {
		return ""
	}
	return platformState()
}

// platformState is where the state is unless a config says otherwise.
func platformState() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "dirsweep", "state.db")
	}
	return "/var/lib/dirsweep/state.db"
}
