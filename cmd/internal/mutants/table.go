package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// namedTable prints rule, mutant, and the test that killed it; it fails where one survives or could not be tried.
func namedTable(out io.Writer, mutants []mutant, results []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RULE\tMUTANT\tBREAKS\tKILLED BY\tSECONDS")
	var failed []error
	for i, m := range mutants {
		res := results[i]
		by := m.pkg + " " + res.killer
		switch {
		case res.err != nil:
			by = "ERROR"
			failed = append(failed, fmt.Errorf("%s: %w", m.name, res.err))
		case res.killer == "":
			by = "SURVIVES"
			failed = append(failed, fmt.Errorf("%s survives %s in %s", m.name, m.test, m.pkg))
		case res.hung && !m.hangs:
			by = "HANGS"
			failed = append(failed, fmt.Errorf("%s: %s does not end; say `hangs` instead of `test` where that is meant",
				m.name, res.killer))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", strings.Join(m.rules, " "), m.name, m.says, by, seconds(res.took))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d named mutants, %d killed\n", len(mutants), len(mutants)-len(failed))
	return errors.Join(failed...)
}

// subjects are what has to have a mutant: every rule, every line of ENGINE, and every break that was reported.
func subjects() (list []string) {
	for _, kind := range []struct {
		letter string
		last   int
	}{{"R", 21}, {"S", 15}, {"D", 22}, {"B", 18}, {"F", 12}} {
		for n := 1; n <= kind.last; n++ {
			list = append(list, fmt.Sprint(kind.letter, n))
		}
	}
	return append(list, "Batch", "Limits", "Anomaly", "Edited", "Holds", "Gone", "Second", "Watching", "Claims",
		"State", "Currency", "Pauses", "Delete", "Cycles", "Protection", "Level", "Exit")
}

// uncovered are the subjects that have no mutant, and no reason for it.
func uncovered(mutants []mutant, reasons map[string]string) (list []string) {
	for _, subject := range subjects() {
		_, argued := reasons[subject]
		if !argued && !slices.ContainsFunc(mutants, func(m mutant) bool { return slices.Contains(m.rules, subject) }) {
			list = append(list, subject)
		}
	}
	return list
}

// withoutTable prints what has no mutant, and why; it fails where nobody says why.
func withoutTable(out io.Writer, list []string, reasons map[string]string) error {
	var failed []error
	for _, subject := range list {
		reason, known := reasons[subject]
		if !known {
			failed = append(failed, fmt.Errorf("%s has no mutant, and %s does not say why", subject, notBuiltFile))
		}
		fmt.Fprintf(out, "without a mutant: %s: %s\n", subject, reason)
	}
	return errors.Join(failed...)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// generatedTable prints the share that was killed in each package, and who survives.
func generatedTable(out io.Writer, mutants []generated, results []result, reasons map[string]string) (killed int) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPACKAGE\tMUTANTS\tKILLED\tOF THEM BY A TEST THAT DID NOT END\tSURVIVE\tOF THEM ARGUED")
	var packages []string
	for _, m := range mutants {
		if !slices.Contains(packages, m.pkg) {
			packages = append(packages, m.pkg)
		}
	}
	for _, pkg := range packages {
		var all, dead, hung, argued int
		for i, m := range mutants {
			if m.pkg != pkg {
				continue
			}
			all++
			switch _, known := reasons[m.id]; {
			case results[i].killed():
				dead++
				if results[i].hung {
					hung++
				}
			case known:
				argued++
			}
		}
		killed += dead
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", pkg, all, dead, hung, all-dead, argued)
	}
	w.Flush()
	fmt.Fprintln(out)
	for i, m := range mutants {
		if results[i].killed() {
			continue
		}
		reason := reasons[m.id]
		if reason == "" {
			reason = "NOT ARGUED"
		}
		fmt.Fprintf(out, "survives: %s (line %d)\n          %s\n", m.id, m.line, reason)
	}
	return killed
}
