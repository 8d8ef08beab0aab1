package config

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dirsweep/dirsweep/sync/mapping"
)

// Problems are the mistakes of a config, all of them, in the order of files and lines. Warnings are among them.
type Problems struct {
	Found hcl.Diagnostics // without any value
	files map[string]*hcl.File
}

// Error lists the mistakes, one a line: "config.hcl:12: Unsupported argument: …".
func (p *Problems) Error() string {
	var lines []string
	for _, d := range p.Found {
		if d.Severity == hcl.DiagError {
			lines = append(lines, line(d))
		}
	}
	return strings.Join(lines, "\n")
}

func line(d *hcl.Diagnostic) string {
	text := strings.Join(strings.Fields(d.Summary+": "+d.Detail), " ")
	if d.Subject != nil {
		text = place(*d.Subject) + ": " + text
	}
	return text
}

// Write prints every mistake and warning with the offending text underlined. Secrets that the config spells out
// are starred.
func (p *Problems) Write(w io.Writer, color bool) error {
	const width = 120
	files := make(map[string]*hcl.File, len(p.files))
	for name, f := range p.files {
		masked := *f
		masked.Bytes = mask(f)
		files[name] = &masked
	}
	if err := hcl.NewDiagnosticTextWriter(w, files, width, color).WriteDiagnostics(p.Found); err != nil {
		return fmt.Errorf("config: write the mistakes: %w", err)
	}
	return nil
}

// tidy makes diagnostics fit to be shown: no values, nothing twice, in the order of the text.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, d := range diags {
		if slices.ContainsFunc(out, func(have *hcl.Diagnostic) bool { return repeats(d, have) }) {
			continue
		}
		clean := *d
		clean.EvalContext, clean.Expression, clean.Extra = nil, nil, nil // the text writer prints the values it finds there
		clean.Detail = maskAddresses(clean.Detail)
		out = append(out, &clean)
	}
	slices.SortStableFunc(out, func(a, b *hcl.Diagnostic) int {
		return cmp.Or(strings.Compare(start(a).Filename, start(b).Filename), cmp.Compare(start(a).Start.Byte, start(b).Start.Byte))
	})
	return out
}

// start is where a diagnostic stands; the zero range sorts first.
func start(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}

// repeats reports whether d only says again what have says: gohcl adds "Unsuitable value type" to every failed
// expression, and a kind may warn of the literal secret that this package warns of.
func repeats(d, have *hcl.Diagnostic) bool {
	if d.Subject == nil || have.Subject == nil || d.Subject.Filename != have.Subject.Filename {
		return false
	}
	switch {
	case *d.Subject == *have.Subject && d.Summary == have.Summary && d.Detail == have.Detail:
		return true
	case d.Summary == "Unsuitable value type":
		return have.Severity == hcl.DiagError && (d.Subject.Overlaps(*have.Subject) || d.Subject.Start.Line == have.Subject.Start.Line)
	case d.Summary == literalSecret:
		return have.Severity == hcl.DiagWarning && d.Subject.Overlaps(*have.Subject)
	}
	return false
}

// suggest completes a kind's complaints about names that it does not know: arguments that every block of that type
// has are hidden from it.
func suggest(diags hcl.Diagnostics, files map[string]*hcl.File, names []string) {
	for _, d := range diags {
		if d.Summary != "Unsupported argument" && d.Summary != "Unsupported block type" || strings.Contains(d.Detail, "Did you mean") || d.Subject == nil {
			continue
		}
		file := files[d.Subject.Filename]
		if file == nil || !d.Subject.CanSliceBytes(file.Bytes) {
			continue
		}
		d.Detail += didYouMean(string(d.Subject.SliceBytes(file.Bytes)), names)
	}
}

// suggestFunctions words complaints about unknown functions anew: HCL suggests whichever near name its map gives
// it first.
func suggestFunctions(diags hcl.Diagnostics, functions map[string]function.Function) {
	names := slices.Collect(maps.Keys(functions))
	for _, d := range diags {
		if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			d.Detail = fmt.Sprintf("There is no function named %q.%s", extra.CalledFunctionName(), didYouMean(extra.CalledFunctionName(), names))
		}
	}
}

func didYouMean(given string, among []string) string {
	if name := mapping.Suggest(given, among); name != "" {
		return fmt.Sprintf(" Did you mean %q?", name)
	}
	return ""
}
