// Package programtest builds the program for the suites that run it as its users do.
package programtest

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build makes dirsweep as path, with more flags for `go build`.
//
// It also lets go test's cache know what the program is made of. The cache sees the packages that a test is linked
// with, and the files and folders that a test opens; a program that another process builds is neither, so Build opens
// every folder of the module that it is called in.
func Build(path string, flags ...string) error {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	if err := open(strings.TrimSpace(string(module))); err != nil {
		return fmt.Errorf("look at the source: %w", err)
	}
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "github.com/dirsweep/dirsweep/cmd/dirsweep")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", filepath.Base(path), err, out)
	}
	return nil
}

// open reads every folder below root in which source may be. For the cache a folder is the names, sizes and times of
// what is in it.
func open(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		name := entry.Name()
		if path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "node_modules") {
			return fs.SkipDir
		}
		return nil
	})
}
