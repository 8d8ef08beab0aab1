package cli

import (
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
)

//go:embed plan.html
var planPage string

// formats are what a plan can be written as.
func formats() []string { return []string{"text", "json", "csv", "html"} }

// writePlan writes a plan in one of the formats but text.
func writePlan(w io.Writer, r control.Report, format string) error {
	switch format {
	case "json":
		return encode(w, r)
	case "csv":
		return writeCSV(w, r)
	case "html":
		return writeHTML(w, r)
	}
	return fmt.Errorf("there is no format %q; there are: %s", format, strings.Join(formats(), ", "))
}

// encode writes JSON for people and programs alike.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// A planRow is one attribute, one entitlement or one step of a plan: what a spreadsheet shows as a line.
type planRow struct {
	Status                                      string // "to do", "held" or "observed"
	Target, Op, UserName, Name, Person, Account string
	Cause, Rule, Container                      string
	What, Before, After                         string
}

// rows flatten a plan; what is held comes last.
func rows(r control.Report) (out []planRow) {
	for _, c := range r.Changes {
		row := planRow{
			Status: "to do", Target: c.Target, Op: c.Op, UserName: c.UserName, Name: c.Name, Person: c.Person, Account: c.Account,
			Cause: c.Cause, Rule: c.Rule, Container: c.Container,
		}
		if modeOf(r, c.Target) != "" {
			row.Status = "observed"
		}
		n := len(out)
		if c.Step != "" {
			row.What = "step " + c.Step
		}
		for _, at := range c.Attributes {
			line := row
			line.What, line.Before, line.After = at.Path, value(at.Before, ""), value(at.After, "")
			out = append(out, line)
		}
		for _, e := range c.Grant {
			line := row
			line.What, line.After, line.Rule = "entitlement", e, first(c.GrantRule, c.Rule)
			out = append(out, line)
		}
		for _, e := range c.Withdraw {
			line := row
			line.What, line.Before, line.Rule = "entitlement", e, first(c.WithdrawRule, c.Rule)
			out = append(out, line)
		}
		if len(out) == n {
			out = append(out, row)
		}
	}
	for _, h := range r.Held {
		for _, p := range h.People {
			out = append(out, planRow{
				Status: "held", Target: first(h.Target, h.Source), Op: h.Kind, UserName: p.UserName, Name: p.Name, Person: p.Person, Account: p.Account,
				Cause: h.Cause, Rule: h.Reason, Container: h.Container,
			})
		}
	}
	return out
}

func writeCSV(w io.Writer, r control.Report) error {
	out := csv.NewWriter(w)
	lines := [][]string{{
		"status", "target", "operation", "userName", "name", "person", "account", "cause", "rule", "container", "attribute", "before", "after",
	}}
	for _, row := range rows(r) {
		lines = append(lines, []string{
			row.Status, row.Target, row.Op, row.UserName, row.Name, row.Person, row.Account, row.Cause, row.Rule, row.Container,
			row.What, row.Before, row.After,
		})
	}
	for _, line := range lines {
		for i, cell := range line {
			line[i] = inert(cell)
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// inert keeps a spreadsheet from taking a directory's text for a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func writeHTML(w io.Writer, r control.Report) error {
	page, err := template.New("plan").Parse(planPage)
	if err != nil {
		return err
	}
	return page.Execute(w, map[string]any{
		"Summary": summaryLine(r, planned), "Digest": r.Digest, "By": origin(r.By), "Rows": rows(r), "Findings": r.Findings,
		"Sources": r.Sources, "Targets": r.Targets,
	})
}
