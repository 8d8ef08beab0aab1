package fieldcases

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// expectedFailures are the cases that go wrong today, and why. A case that holds has to be taken off this list.
var expectedFailures = map[string]string{}

// A case that was renamed or removed must not stay on the list.
func TestExpectedFailuresAreCases(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				cases[fn.Name.Name] = true
			}
		}
	}
	for name := range expectedFailures {
		if !cases[name] {
			t.Errorf("there is no case %s", name)
		}
	}
}
