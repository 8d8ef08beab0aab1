package main

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A mutant is one fault put into the program on purpose.
type mutant struct {
	at    string   // file and line of its description
	name  string   // one word
	rules []string // R4, S5, Batch, D1, B3, F2
	says  string   // what is broken, in one sentence
	file  string   // below the module's root
	in    string   // the declaration that holds old; "" for anywhere in the file
	old   string
	new   string
	pkg   string // of the test that has to fail
	test  string // which is it: a pattern, as of go test -run
	// hangs says that the mutant is noticed by a test that does not end.
	hangs bool
	// model says that the model check finds it too, by random histories.
	model bool
}

// inModel is the mutant as the model check has to find it.
func (m mutant) inModel() mutant {
	m.name, m.pkg, m.test, m.hangs, m.model = m.name+"-by-the-model", "sync/reconcile", "^TestModel$", false, false
	return m
}

func (m mutant) fits(pattern *regexp.Regexp) bool {
	return pattern.MatchString(m.name) || slices.ContainsFunc(m.rules, pattern.MatchString)
}

// readMutants reads every file of mutants in a folder. A file holds one mutant after the other, each begun by its
// rules:
//
//	R8 D1 B1: not-found-is-gone
//	a proxy's 404 proves that an account is gone
//	file sync/apply/absence.go in Absence
//	- case !f.Own && !f.Unlisted:
//	+ case false:
//	test sync/apply TestR08Absence
//
// Lines of "-" and "+" are compared and written without their indentation. What comes after "#" at a line's beginning
// is a comment. A line "model" makes a second mutant of it, which TestModel has to find.
func readMutants(folder string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.mutants"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no file of mutants", folder)
	}
	var all []mutant
	names := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		mutants, err := parseMutants(filepath.Base(file), string(text))
		if err != nil {
			return nil, err
		}
		for _, m := range mutants {
			if first, twice := names[m.name]; twice {
				return nil, fmt.Errorf("%s: the name %s is taken by %s", m.at, m.name, first)
			}
			names[m.name] = m.at
		}
		all = append(all, mutants...)
	}
	return all, nil
}

func parseMutants(name, text string) (mutants []mutant, err error) {
	var m *mutant
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		at := fmt.Sprintf("%s:%d", name, n)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if line == "" {
			m = nil
			continue
		}
		if m == nil {
			rules, word, ok := strings.Cut(line, ": ")
			if !ok {
				return nil, fmt.Errorf("%s: a mutant begins with its rules, a colon and its name", at)
			}
			mutants = append(mutants, mutant{at: at, name: word, rules: strings.Fields(rules)})
			m = &mutants[len(mutants)-1]
			continue
		}
		if err := m.line(line); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	for _, m := range mutants {
		if m.says == "" || m.file == "" || m.old == "" || m.pkg == "" {
			return nil, fmt.Errorf("%s: %s needs a sentence, a file, what is replaced (-) and a test", m.at, m.name)
		}
		if m.model {
			mutants = append(mutants, m.inModel())
		}
	}
	return mutants, lines.Err()
}

func (m *mutant) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case m.says == "":
		m.says = line
	case word == "file":
		m.file, m.in, _ = strings.Cut(rest, " in ")
	case word == "model":
		m.model = true
	case word == "-":
		m.old = join(m.old, rest)
	case word == "+":
		m.new = join(m.new, rest)
	case word == "test" || word == "hangs":
		m.pkg, m.test, _ = strings.Cut(rest, " ")
		m.hangs = word == "hangs"
	default:
		return fmt.Errorf("not understood: %s", line)
	}
	return nil
}

func join(text, line string) string {
	if text == "" {
		return line
	}
	return text + "\n" + line
}

// An edit is one file's other content.
type edit struct {
	file    string // absolute
	content []byte
}

// apply replaces old by new, which has to be there exactly once.
func (m mutant) apply(root string) (edit, error) {
	name := filepath.Join(root, filepath.FromSlash(m.file))
	text, err := os.ReadFile(name)
	if err != nil {
		return edit{}, fmt.Errorf("%s: the mutant no longer applies: %w", m.at, err)
	}
	from, to, err := m.span(name, text)
	if err != nil {
		return edit{}, fmt.Errorf("%s: the mutant no longer applies: %w", m.at, err)
	}
	found := m.pattern().FindAllIndex(text[from:to], -1)
	if len(found) != 1 {
		return edit{}, fmt.Errorf("%s: the mutant no longer applies: what it replaces is %d times in %s",
			m.at, len(found), m.place())
	}
	content := slices.Concat(text[:from+found[0][0]], []byte(m.new), text[from+found[0][1]:])
	return edit{file: name, content: content}, nil
}

func (m mutant) place() string {
	if m.in == "" {
		return m.file
	}
	return m.in + " of " + m.file
}

// pattern is old, with any indentation.
func (m mutant) pattern() *regexp.Regexp {
	lines := strings.Split(m.old, "\n")
	for i, line := range lines {
		lines[i] = regexp.QuoteMeta(line)
	}
	return regexp.MustCompile(strings.Join(lines, `\n[\t ]*`))
}

// span is where in a file the mutant may be.
func (m mutant) span(name string, text []byte) (from, to int, err error) {
	if m.in == "" {
		return 0, len(text), nil
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return 0, 0, err
	}
	for _, decl := range file.Decls {
		if slices.Contains(declares(decl), m.in) {
			return files.Position(decl.Pos()).Offset, files.Position(decl.End()).Offset, nil
		}
	}
	return 0, 0, errors.New("nothing called " + m.in + " is in " + m.file)
}

// declares are the names of a declaration: Absence, Session.hides, mostSuspects.
func declares(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return []string{funcName(d)}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// funcName is a function's name, and its receiver's type before it: Session.hides.
func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "." + d.Name.Name
	}
	return d.Name.Name
}
