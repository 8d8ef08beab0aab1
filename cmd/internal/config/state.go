package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// StatePath returns where the config at path keeps its state, also where the rest of it has mistakes: a daemon that goes on with an older
// config is found by it.
func StatePath(path string) (string, error) {
	texts, dir, err := read(path)
	if err != nil {
		return "", fmt.Errorf("config: %w", err)
	}
	l := &loader{config: &Config{Path: path, Dir: dir}, eval: &hcl.EvalContext{Functions: functions(dir)}}
	parser := hclparse.NewParser()
	var bodies []*hcl.File
	torn := false
	for _, t := range texts {
		file, diags := parser.ParseHCL(t.bytes, t.name)
		torn = torn || diags.HasErrors()
		if file != nil {
			bodies = append(bodies, file)
		}
	}
	content, _, _ := hcl.MergeFiles(bodies).PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "state"}}})
	block := l.single(content.Blocks)
	if torn && block == nil {
		return "", errors.New("config: the state block cannot be made out")
	}
	l.state(block)
	if l.diags.HasErrors() {
		return "", &Problems{Found: tidy(l.diags), files: parser.Files()}
	}
	return l.config.State.Path, nil
}
