package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dirsweep/dirsweep/sync/mapping"
)

// reader reads the arguments of one block. Each method returns preset where the argument is absent, null or wrong;
// wrong ones are noted.
type reader struct {
	l     *loader
	attrs hcl.Attributes
}

// open reads a block's body; nil reads as an empty block.
func (l *loader) open(b *hcl.Block, names ...string) reader {
	if b == nil {
		return reader{l, nil}
	}
	schema := &hcl.BodySchema{}
	for _, name := range names {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, diags := b.Body.Content(schema)
	l.diags = append(l.diags, diags...)
	return reader{l, content.Attributes}
}

// expr returns an argument's expression, nil where it is absent.
func (r reader) expr(name string) hcl.Expression {
	if a := r.attrs[name]; a != nil {
		return a.Expr
	}
	return nil
}

func (r reader) fail(name, summary, detail string) {
	r.l.fail(r.attrs[name].Expr.Range(), summary, detail)
}

func (r reader) value(name string, want cty.Type) (cty.Value, bool) {
	a := r.attrs[name]
	if a == nil {
		return cty.NilVal, false
	}
	return r.l.evaluate(name, a.Expr, want)
}

func (l *loader) evaluate(name string, expr hcl.Expression, want cty.Type) (cty.Value, bool) {
	v, diags := expr.Value(l.eval)
	l.diags = append(l.diags, diags...)
	if diags.HasErrors() || v.IsNull() || !v.IsWhollyKnown() {
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		l.fail(expr.Range(), "Wrong type", fmt.Sprintf("%s: %s.", name, err))
		return cty.NilVal, false
	}
	return v, true
}

func (r reader) text(name, preset string) string {
	if v, ok := r.value(name, cty.String); ok {
		return v.AsString()
	}
	return preset
}

func (r reader) flag(name string, preset bool) bool {
	if v, ok := r.value(name, cty.Bool); ok {
		return v.True()
	}
	return preset
}

func (r reader) texts(name string) []string {
	v, ok := r.value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	list := []string{}
	for _, item := range v.AsValueSlice() {
		if item.IsNull() || item.AsString() == "" {
			r.fail(name, "Empty item", name+" holds an empty or null item.")
			continue
		}
		list = append(list, item.AsString())
	}
	return list
}

// whole reads a whole number from least to most.
func (r reader) whole(name string, preset, least, most int) int {
	v, ok := r.value(name, cty.Number)
	if !ok {
		return preset
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < int64(least) || n > int64(most) {
		r.fail(name, "Number out of range", fmt.Sprintf("%s is a whole number from %d to %d.", name, least, most))
		return preset
	}
	return int(n)
}

// percent reads 5 or "5%".
func (r reader) percent(name string, preset float64) float64 {
	v, ok := r.value(name, cty.String)
	if !ok {
		return preset
	}
	n, err := parsePercent(v.AsString())
	if err != nil {
		r.fail(name, "Not a percentage", fmt.Sprintf(`%s is a number from 0 to 100: 5 or "5%%".`, name))
		return preset
	}
	return n
}

func parsePercent(s string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), "%")), 64)
	if err != nil || !(n >= 0 && n <= 100) {
		return 0, fmt.Errorf("%q is no percentage", s)
	}
	return n, nil
}

// duration reads "30d", "24h", "90m" or "1w", at least least.
func (r reader) duration(name string, preset, least time.Duration) time.Duration {
	v, ok := r.value(name, cty.String)
	if !ok {
		return preset
	}
	d, err := mapping.ParseDuration(v.AsString())
	if err != nil || d < least {
		r.fail(name, "Not a duration", fmt.Sprintf(`%s is a time span of at least %s: "30d", "24h", "90m", "1w", "7y".`, name, span(least)))
		return preset
	}
	return d
}

// zone reads the name of a time zone, UTC where there is none.
func (r reader) zone(name string) *time.Location {
	zone, err := mapping.LoadZone(r.text(name, ""))
	if err != nil {
		r.fail(name, "Unknown time zone", err.Error()+".")
		return time.UTC
	}
	return zone
}

// choice reads one of a few words.
func (r reader) choice(name, preset string, words ...string) string {
	given := r.text(name, preset)
	for _, word := range words {
		if given == word {
			return given
		}
	}
	r.fail(name, "Unknown "+name, fmt.Sprintf("%q is none of %s.%s", given, quoted(words), didYouMean(given, words)))
	return preset
}

func quoted(words []string) string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = strconv.Quote(word)
	}
	return strings.Join(list, ", ")
}

// span writes a duration as a config does.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= year && d%year == 0 {
		return fmt.Sprintf("%dy", d/year)
	}
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
