package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/fatih/color"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// A style colours text, or leaves it as it is.
type style struct {
	add, change, remove, warn, bold, faint func(a ...any) string
}

func newStyle(colored bool) style {
	paint := func(attributes ...color.Attribute) func(a ...any) string {
		c := color.New(attributes...)
		if colored {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
		return c.Sprint
	}
	return style{
		add: paint(color.FgGreen), change: paint(color.FgYellow), remove: paint(color.FgRed), warn: paint(color.FgRed, color.Bold),
		bold: paint(color.Bold), faint: paint(color.Faint),
	}
}

// printTable prints rows below header, without lines, or empty where there are none.
func (a *app) printTable(empty string, header []string, rows [][]string) {
	if len(rows) == 0 {
		a.printf("%s\n", empty)
		return
	}
	printTable(a.out, header, rows)
}

func printTable(w io.Writer, header []string, rows [][]string) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SuppressTrailingSpaces()
	t.SetStyle(table.StyleDefault)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft = ""
	t.Style().Box.PaddingRight = "  "
	t.AppendHeader(cells(header))
	for _, row := range rows {
		t.AppendRow(cells(row))
	}
	t.Render()
}

func cells(texts []string) table.Row {
	row := make(table.Row, 0, len(texts))
	for _, s := range texts {
		row = append(row, s)
	}
	return row
}

// clean makes text of a directory or an application fit for a terminal: nothing in it can move the cursor or forge a
// line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == ' ' {
			return r
		}
		return '�'
	}, s)
}

// clock prints an instant as local time with its offset, to the second; "" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
}

// age prints how long ago t was.
func age(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return span(time.Since(t))
}

// span prints a duration with as much precision as a reader wants of it.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func seconds(s float64) string { return span(time.Duration(s * float64(time.Second))) }

// count prints "1 person", "2 people".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
