package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// leastKilled is the share of the generated mutants that the packages' own tests have to kill, in percent.
const leastKilled = 90

// generatedFrom are the packages that decide, and the door to the targets.
func generatedFrom() []string {
	return []string{"sync/judge", "sync/guard", "sync/correlate", "sync/plan", "sync/apply"}
}

// A generated mutant is one small edit that an operator made.
type generated struct {
	id   string // what and where, without a line number: other edits of the file leave it as it is
	pkg  string
	line int
	edit edit
}

// runGenerated tries a sample of generated mutants, as many of each package. Those that do not compile are no mutants:
// the next one takes their place.
func runGenerated(ctx context.Context, r *runner, packages []string, count int, seed uint64, out io.Writer) error {
	reasons, err := readReasons(filepath.Join(r.root, survivorsFile))
	if err != nil {
		return err
	}
	var tried []generated
	var results []result
	var failed []error
	for i, pkg := range packages {
		candidates, err := generate(r.root, pkg)
		if err != nil {
			return err
		}
		shuffle(candidates, seed)
		if res := r.test(ctx, edit{}, "./"+pkg, ".", unbroken*r.timeout); res.err != nil || res.killer != "" {
			return errors.Join(fmt.Errorf("without any mutant, %s fails: %s: %s", pkg, res.killer, res.details), res.err)
		}
		want := (count - len(tried)) / (len(packages) - i) // what a small package lacks, the next ones give
		for want > 0 && len(candidates) > 0 && ctx.Err() == nil {
			batch := candidates[:min(want, len(candidates))]
			candidates = candidates[len(batch):]
			got := each(ctx, r.parallel, batch, func(g generated) result {
				return r.test(ctx, g.edit, "./"+g.pkg, ".", min(r.timeout, hanging))
			})
			for j, res := range got {
				if !res.builds {
					continue
				}
				if res.err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", batch[j].id, res.err))
				}
				tried, results = append(tried, batch[j]), append(results, res)
				want--
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	killed := generatedTable(out, tried, results, reasons)
	rate := 100 * float64(killed) / float64(max(1, len(tried)))
	fmt.Fprintf(out, "%d generated mutants, %d killed: %.1f %%\n", len(tried), killed, rate)
	if len(tried) < count {
		failed = append(failed, fmt.Errorf("there are only %d mutants to generate", len(tried)))
	}
	if killed*100 < leastKilled*len(tried) {
		failed = append(failed, fmt.Errorf("%d of %d generated mutants are killed, and %d %% have to be",
			killed, len(tried), leastKilled))
	}
	return errors.Join(failed...)
}

// readReasons reads why the survivors that are known survive: "mutant | reason", a line each.
func readReasons(name string) (reasons map[string]string, err error) {
	reasons = map[string]string{}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return reasons, nil
	}
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, " | ")
		if at < 0 {
			return nil, fmt.Errorf("%s:%d: a survivor is a mutant, a bar and a reason", name, n)
		}
		reasons[strings.TrimSpace(line[:at])] = strings.TrimSpace(line[at+3:])
	}
	return reasons, lines.Err()
}

// shuffle orders mutants by a hash of what they are: an edit elsewhere changes nothing of the sample.
func shuffle(list []generated, seed uint64) {
	rank := func(g generated) uint64 {
		h := fnv.New64a()
		fmt.Fprint(h, seed, " ", g.id)
		return mix(h.Sum64())
	}
	slices.SortFunc(list, func(a, b generated) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.id, b.id))
	})
}

// mix spreads a hash whose last bytes decide over all its bits.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// generate makes every mutant of a package's files.
func generate(root, pkg string) (list []generated, err error) {
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pkg), "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		g := generator{set: set, text: text, name: name, pkg: pkg, seen: map[string]int{}}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				g.fn = funcName(fn)
				ast.Inspect(fn.Body, g.node)
			}
		}
		list = append(list, g.list...)
	}
	return list, nil
}

// A generator walks one file and applies every operator where it fits.
type generator struct {
	set  *token.FileSet
	text []byte
	name string
	pkg  string
	fn   string
	seen map[string]int
	list []generated
}

func (g *generator) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		g.negate(n.Cond)
		g.stay(n)
	case *ast.ForStmt:
		if n.Cond != nil {
			g.negate(n.Cond)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			g.cases(n)
		}
	case *ast.BinaryExpr:
		g.operator(n)
	case *ast.BasicLit:
		g.number(n)
	case *ast.Ident:
		g.truth(n)
	case *ast.ReturnStmt:
		g.noError(n)
	case *ast.BlockStmt:
		g.drop(n.List)
	case *ast.CaseClause:
		g.drop(n.Body)
	}
	return true
}

// negate turns a condition around.
func (g *generator) negate(cond ast.Expr) {
	g.add("negate", cond, "!("+g.source(cond)+")")
}

func (g *generator) cases(n *ast.SwitchStmt) {
	for _, clause := range n.Body.List {
		for _, cond := range clause.(*ast.CaseClause).List {
			g.negate(cond)
		}
	}
}

// stay takes the early return out of an if.
func (g *generator) stay(n *ast.IfStmt) {
	if len(n.Body.List) == 0 || n.Else != nil {
		return
	}
	last := n.Body.List[len(n.Body.List)-1]
	switch last := last.(type) {
	case *ast.ReturnStmt:
		g.add("stay", last, "_ = 0")
	case *ast.BranchStmt:
		g.add("stay", last, "_ = 0")
	}
}

func (g *generator) operator(n *ast.BinaryExpr) {
	other, ok := map[token.Token]string{
		token.LAND: "||", token.LOR: "&&",
		token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">",
		token.EQL: "!=", token.NEQ: "==",
		token.ADD: "-", token.SUB: "+",
	}[n.Op]
	if !ok {
		return
	}
	text := g.source(n)
	at := int(n.OpPos - n.Pos())
	g.add(n.Op.String()+" to "+other, n, text[:at]+other+text[at+len(n.Op.String()):])
}

func (g *generator) number(n *ast.BasicLit) {
	if n.Kind != token.INT {
		return
	}
	value, err := strconv.ParseInt(n.Value, 0, 64)
	if err != nil {
		return
	}
	g.add("one more", n, strconv.FormatInt(value+1, 10))
	if value > 1 {
		g.add("zero", n, "0")
	}
}

func (g *generator) truth(n *ast.Ident) {
	switch n.Name {
	case "true":
		g.add("false", n, "false")
	case "false":
		g.add("true", n, "true")
	}
}

// noError returns no error where there was one.
func (g *generator) noError(n *ast.ReturnStmt) {
	if len(n.Results) == 0 {
		return
	}
	last := n.Results[len(n.Results)-1]
	if name, ok := last.(*ast.Ident); ok && strings.HasSuffix(strings.ToLower(name.Name), "err") {
		text := g.source(n)
		g.add("no error", n, text[:int(last.Pos()-n.Pos())]+"nil")
	}
}

// drop takes one statement out.
func (g *generator) drop(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt, *ast.IncDecStmt:
		default:
			continue
		}
		g.add("drop", s, "_ = 0")
	}
}

func (g *generator) source(n ast.Node) string {
	return string(g.text[g.set.Position(n.Pos()).Offset:g.set.Position(n.End()).Offset])
}

// add notes one mutant: the text of n becomes other.
func (g *generator) add(what string, n ast.Node, other string) {
	from, to := g.set.Position(n.Pos()), g.set.Position(n.End())
	id := fmt.Sprintf("%s %s: %s `%s`", path.Join(g.pkg, filepath.Base(g.name)), g.fn, what, short(g.context(from, to)))
	if g.seen[id]++; g.seen[id] > 1 {
		id = fmt.Sprintf("%s, the %dth", id, g.seen[id])
	}
	content := slices.Concat(g.text[:from.Offset], []byte(other), g.text[to.Offset:])
	g.list = append(g.list, generated{id: id, pkg: g.pkg, line: from.Line, edit: edit{file: g.name, content: content}})
}

// context is what a mutant is known by: the text that it changes, with the whole line where that is short.
func (g *generator) context(from, to token.Position) string {
	start, end := from.Offset, to.Offset
	if end-start >= 12 {
		return string(g.text[start:end])
	}
	for start > 0 && g.text[start-1] != '\n' {
		start--
	}
	for end < len(g.text) && g.text[end] != '\n' {
		end++
	}
	return string(g.text[start:end])
}

// short is a text on one line, not too long.
func short(text string) string {
	const most = 100
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
