package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dirsweep/dirsweep"

// pkg is one of our packages, without its tests, with the files of every platform.
type pkg struct {
	Folder  string // below the module's root, slash-separated; "" for the root
	Files   []*ast.File
	Imports []string
	fset    *token.FileSet
}

// ours are the imports that belong to this module, by folder.
func (p pkg) ours() []string {
	var list []string
	for _, imp := range p.Imports {
		if rest, ok := strings.CutPrefix(imp, module+"/"); ok {
			list = append(list, rest)
		}
	}
	return list
}

// listPackages reads every package of the module. It reads folders and files itself, where `go list` would see one
// platform only, and in a process of its own, behind the back of go test's cache.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	root := filepath.Join("..", "..")
	var list []pkg
	err := filepath.WalkDir(root, func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		folder, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		if name := entry.Name(); folder != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "bin") {
			return fs.SkipDir
		}
		p := pkg{Folder: strings.TrimPrefix(filepath.ToSlash(folder), "."), fset: token.NewFileSet()}
		if err := p.parse(dir); err != nil {
			return err
		}
		if len(p.Files) > 0 {
			list = append(list, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 10 {
		t.Fatalf("only %d packages found", len(list))
	}
	return list
}

func (p *pkg) parse(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(p.fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, file)
		for _, imp := range file.Imports {
			p.Imports = append(p.Imports, strings.Trim(imp.Path.Value, `"`))
		}
	}
	slices.Sort(p.Imports)
	p.Imports = slices.Compact(p.Imports)
	return nil
}

// below reports whether folder is dir or inside it.
func below(folder string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return folder == dir || strings.HasPrefix(folder, dir+"/") })
}

// testOnly reports whether a folder holds a suite or a test server: only tests may import it.
func testOnly(folder string) bool {
	return strings.HasSuffix(path.Base(folder), "test") || folder == "state/failing"
}

var pure = []string{"sync/mapping", "sync/judge", "sync/correlate", "sync/plan", "sync/guard"}

// layers are the packages that carry decisions out, each seeing those before it.
var layers = []string{"sync/people", "sync/holds", "sync/survey", "sync/orders", "sync/reconcile"}

// What the kinds of both sides share that speak LDAP, and that speak to databases.
const (
	ldapClient = "sources/ldapclient"
	sqlClient  = "sources/sqlclient"
)

// shared is what kinds of both sides may import.
var shared = []string{ldapClient, sqlClient, "sources/arguments", "sources/certificates"}

// mayImport is DESIGN's "imports flow one way", for one of our folders importing another.
func mayImport(from, to string) bool {
	contracts := []string{"sync/identity", "sources", "targets", "state"}
	isContract := slices.Contains(contracts, to)
	switch {
	case testOnly(from):
		return true
	case to == "sync/identity":
		return from != "sync/identity"
	case below(from, "cmd"):
		return true
	case below(from, pure...):
		return below(to, pure...)
	case below(from, "sync/audit"):
		return false
	case below(from, "sync/roster"):
		return to == "state" || below(to, pure...)
	case below(from, "sync/join"):
		return to == "sources" || to == "sync/roster" || below(to, pure...)
	case below(from, "sync/apply", "sync/sweep"):
		return isContract || below(to, pure...) || below(to, "sync/audit", "sync/apply", "sync/sweep")
	case slices.Contains(layers, from) && from != "sync/reconcile":
		above := layers[slices.Index(layers, from)+1:]
		return isContract || below(to, "sync") && !below(to, above...)
	case below(from, "sync/reconcile"):
		return isContract || below(to, "sync")
	case from == "sources" || from == "targets" || from == "state":
		return false
	}
	// What is left is below sources/, targets/ or state/: a kind, which sees its parent, the parent's internal/ and
	// itself.
	parent, kind, _ := strings.Cut(from, "/")
	kind, _, _ = strings.Cut(kind, "/")
	if kind == "all" {
		return below(to, parent)
	}
	return to == parent || below(to, parent+"/internal", parent+"/"+kind) || slices.Contains(shared, to) && parent != "state"
}

func TestImportsFlowOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, to := range p.ours() {
			if !mayImport(p.Folder, to) {
				t.Errorf("%s imports %s", p.Folder, to)
			}
			if testOnly(to) && !testOnly(p.Folder) {
				t.Errorf("%s imports %s, which is for tests only", p.Folder, to)
			}
		}
	}
}

// TestReconcileDecidesNothing: package reconcile owns order and isolation. Whoever names a cause, or what became of an
// account, decides.
func TestReconcileDecidesNothing(t *testing.T) {
	packages := listPackages(t)
	decisions := map[string]bool{}
	for _, p := range packages {
		if p.Folder == "sync/identity" || p.Folder == "state" {
			for _, name := range constantsOf(p.Files, "Cause", "LinkState", "StepStatus", "Situation") {
				decisions[path.Base(p.Folder)+"."+name] = true
			}
		}
	}
	for _, known := range []string{"identity.Emergency", "identity.LinkActive", "state.StepOpen", "identity.Disputed"} {
		if !decisions[known] {
			t.Fatalf("%s was not found among the constants: %v", known, decisions)
		}
	}
	for _, p := range packages {
		if p.Folder != "sync/reconcile" {
			continue
		}
		if slices.Contains(p.Imports, module+"/sync/mapping") {
			t.Error("sync/reconcile imports sync/mapping")
		}
		for _, file := range p.Files {
			ast.Inspect(file, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && decisions[x.Name+"."+sel.Sel.Name] {
						t.Errorf("%s: names %s.%s", p.fset.Position(sel.Pos()), x.Name, sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

// constantsOf are the constants of some types, also those that take their type over from the line before.
func constantsOf(files []*ast.File, types ...string) (names []string) {
	for _, file := range files {
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				continue
			}
			of := ""
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); ok {
					of = id.Name
				} else if len(v.Values) > 0 {
					of = ""
				}
				if slices.Contains(types, of) {
					for _, name := range v.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

func TestLibrariesStayInTheirFolders(t *testing.T) {
	walls := []struct {
		library string
		folders []string
	}{
		{"go.etcd.io/bbolt", []string{"state/bolt"}},
		{"github.com/go-ldap/ldap", []string{"sources/internal/directory", ldapClient, "targets/internal/directory", "cmd/internal/demo"}},
		{"github.com/jackc/pgx", []string{sqlClient}},
		{"github.com/go-sql-driver/mysql", []string{sqlClient}},
		{"github.com/jcmturner/gokrb5", []string{"sources/internal/kerberos"}},
		{"github.com/jimlambrt/gldap", []string{"cmd/internal/demo"}},
		{"github.com/elimity-com/scim", []string{"cmd/internal/demo"}},
		{"github.com/robfig/cron", []string{"cmd"}},
		{"github.com/kardianos/service", []string{"cmd"}},
		// A source that is a file has nothing but the file system to tell it of a change.
		{"github.com/fsnotify/fsnotify", []string{"cmd", "sources/csv"}},
		{"github.com/spf13/cobra", []string{"cmd"}},
		{"testing", nil},
	}
	for _, p := range listPackages(t) {
		for _, wall := range walls {
			inside := below(p.Folder, wall.folders...) || testOnly(p.Folder)
			uses := slices.ContainsFunc(p.Imports, func(imp string) bool { return below(imp, wall.library) })
			if uses && !inside {
				t.Errorf("%s imports %s, which belongs to %s", p.Folder, wall.library, strings.Join(wall.folders, ", "))
			}
		}
	}
}

func TestPurePackagesDoNoIO(t *testing.T) {
	outside := []string{"net", "net/http", "os", "os/exec", "os/signal", "syscall", "log", "database/sql"}
	for _, p := range listPackages(t) {
		if !below(p.Folder, append(pure, "sync/identity")...) {
			continue
		}
		for _, imp := range p.Imports {
			if slices.Contains(outside, imp) {
				t.Errorf("%s imports %s", p.Folder, imp)
			}
		}
	}
}

func TestNoPackageNamedSync(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.Folder == "sync" || p.Folder == "" {
			t.Errorf("the folder %q holds Go files", p.Folder)
		}
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager"}, path.Base(p.Folder)) {
			t.Errorf("%s: the name says nothing", p.Folder)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	for _, p := range listPackages(t) {
		comments := 0
		for _, f := range p.Files {
			if f.Doc != nil {
				comments++
			}
		}
		if comments != 1 {
			t.Errorf("%s has %d package comments", p.Folder, comments)
		}
	}
}

// TestNoGlobals refuses init functions and package variables that change: one that anything assigns, takes the address
// of, or could assign from outside (an exported one that is no error).
func TestNoGlobals(t *testing.T) {
	for _, p := range listPackages(t) {
		if testOnly(p.Folder) {
			continue
		}
		for _, found := range globals(p.fset, p.Folder, p.Files) {
			t.Error(found)
		}
	}
}

func TestGlobalsAreFound(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"init", `func init() {}`, "init"},
		{"assigned", `var n int; func f() { n = 1 }`, "n"},
		{"counted", `var n int; func f() { n++ }`, "n"},
		{"element", `var m = map[string]int{}; func f() { m["a"] = 1 }`, "m"},
		{"deleted", `var m = map[string]int{}; func f() { delete(m, "a") }`, "m"},
		{"field", `var s struct{ n int }; func f() { s.n = 1 }`, "s"},
		{"address", `var n int; func f() *int { return &n }`, "n"},
		{"exported", `var Table = []int{1}`, "Table"},
		{"lock", `import "sync"; var mu sync.Mutex`, "mu"},
		{"table", `var m = map[string]int{"a": 1}; func f() int { return m["a"] }`, ""},
		{"shadow", `var n int; func f() { n := 1; n = 2; _ = n }`, ""},
		{"error", `import "errors"; var ErrGone = errors.New("gone")`, ""},
		{"assertion", `var _ interface{} = 1`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "p.go", "package p\n"+tt.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			found := globals(fset, "p", []*ast.File{file})
			if (len(found) > 0) != (tt.want != "") || tt.want != "" && !strings.Contains(found[0], " "+tt.want) {
				t.Errorf("found %q, want %q", found, tt.want)
			}
		})
	}
}

// noImports stands for every package imported: only identifiers of the package itself have to be resolved.
type noImports struct{}

func (noImports) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

func globals(fset *token.FileSet, importPath string, files []*ast.File) []string {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: noImports{}, Error: func(error) {}}
	checked, _ := conf.Check(importPath, fset, files, info) // errors are expected: nothing imported is known
	var found []string
	report := func(at token.Pos, what string) { found = append(found, fset.Position(at).String()+": "+what) }

	changed := func(e ast.Expr) {
		id := root(e)
		if id == nil {
			return
		}
		if v, ok := info.Uses[id].(*types.Var); ok && v.Parent() == checked.Scope() {
			report(id.Pos(), "changes the package variable "+id.Name)
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					report(d.Pos(), "has an init function")
				}
			case *ast.GenDecl:
				for _, name := range suspects(d) {
					report(name.Pos(), "has a package variable that can change: "+name.Name)
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, lhs := range n.Lhs {
					changed(lhs)
				}
			case *ast.IncDecStmt:
				changed(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					changed(n.X)
				}
			case *ast.CallExpr:
				if fn, ok := n.Fun.(*ast.Ident); ok && (fn.Name == "delete" || fn.Name == "clear") && len(n.Args) > 0 {
					changed(n.Args[0])
				}
			}
			return true
		})
	}
	return found
}

// suspects are the variables of a declaration that could be changed without an assignment in sight.
func suspects(d *ast.GenDecl) []*ast.Ident {
	if d.Tok != token.VAR {
		return nil
	}
	var list []*ast.Ident
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		lock := false
		if sel, ok := v.Type.(*ast.SelectorExpr); ok {
			from, _ := sel.X.(*ast.Ident)
			lock = from != nil && (from.Name == "sync" || from.Name == "atomic")
		}
		for _, name := range v.Names {
			if lock || name.IsExported() && !strings.HasPrefix(name.Name, "Err") {
				list = append(list, name)
			}
		}
	}
	return list
}

// root is the variable that an expression such as s.a[i].b reaches into.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// Each rule of the design that is kept has a test that bears its name.
func TestEveryRuleHasItsTest(t *testing.T) {
	named := map[string]bool{}
	rule := regexp.MustCompile(`(?m)^func Test(R\d\d)[A-Z]`)
	err := filepath.WalkDir(filepath.Join("..", ".."), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		for _, found := range rule.FindAllSubmatch(text, -1) {
			named[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 20; n++ {
		if name := fmt.Sprintf("R%02d", n); !named[name] {
			t.Errorf("no test is named after %s", name)
		}
	}
}
