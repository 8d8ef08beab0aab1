package all

import (
	"regexp"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/sources"
)

// TestSamplesDecode: what `dirsweep sample KIND` prints is a block of that kind, without a mistake.
func TestSamplesDecode(t *testing.T) {
	secret := function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) { return cty.StringVal("x"), nil },
	})
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			text := regexp.MustCompile(`= *(env|file|credential)\(`).ReplaceAllString(kind.Sample, "= secret(")
			file, diags := hclparse.NewParser().ParseHCL([]byte(text), "sample.hcl")
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			content, diags := file.Body.Content(
				&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "source", LabelNames: []string{"kind", "name"}}}},
			)
			if diags.HasErrors() || len(content.Blocks) != 1 || content.Blocks[0].Labels[0] != kind.Name {
				t.Fatal(diags)
			}
			_, diags = kind.Decode(content.Blocks[0].Body, sources.Env{
				Name: "corp", Eval: &hcl.EvalContext{Functions: map[string]function.Function{"secret": secret}},
			})
			if len(diags) > 0 {
				t.Error(diags)
			}
		})
	}
}
