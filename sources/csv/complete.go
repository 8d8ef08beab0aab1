package csv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// rowsWord stands in a trailer for the number of rows.
const rowsWord = "{rows}"

// A trailer is the last line by which an export says that a file is whole.
type trailer struct {
	pattern *regexp.Regexp // nil where none is declared
	counts  bool           // it says how many rows there are
	line    int            // where it was; 0 until then
	rows    int            // that it says
}

func (c completeness) trailerOf() *trailer {
	t := &trailer{}
	if c.trailer == "" {
		return t
	}
	before, after, counts := strings.Cut(c.trailer, rowsWord)
	pattern := `^\s*` + regexp.QuoteMeta(before) + `\s*$`
	if counts {
		pattern = `^\s*` + regexp.QuoteMeta(before) + `\s*(\d{1,12})\s*` + regexp.QuoteMeta(after) + `\s*$`
	}
	t.pattern, t.counts = regexp.MustCompile(pattern), counts
	return t
}

// is reports whether a line is the trailer, and remembers what it says.
func (t *trailer) is(text []byte, line int) bool {
	if t.pattern == nil {
		return false
	}
	said := t.pattern.FindSubmatch(text)
	if said == nil {
		return false
	}
	t.line = line
	if t.counts {
		t.rows, _ = strconv.Atoi(string(said[1])) // twelve digits at most
	}
	return true
}

// judge says, at the end of a file, what its trailer leaves to be wished.
func (t *trailer) judge(declared string, rows, last int) error {
	switch {
	case t.pattern == nil:
		return nil
	case t.line == 0:
		return &lineError{
			last, fmt.Sprintf("the file ends without its last line %q", declared),
			"it is cut: have it written anew; or take trailer away where the export writes none",
		}
	case t.counts && t.rows != rows:
		return &lineError{
			t.line, fmt.Sprintf("the last line says %d rows, and there are %d", t.rows, rows),
			"rows are lost or doubled: have it written anew",
		}
	}
	return nil
}

// beside is the path of a file that stands beside another one.
func (b *block) beside(pattern, path string) string {
	if rest, ok := strings.CutPrefix(pattern, "{file}"); ok {
		return path + rest
	}
	if rest, ok := strings.CutPrefix(pattern, "{stem}"); ok {
		return strings.TrimSuffix(path, filepath.Ext(path)) + rest
	}
	return b.at(pattern)
}

// done checks that the file which is written after another one is there, and was.
func (b *block) done(p *part) error {
	if b.complete.done == "" {
		return nil
	}
	path := b.beside(b.complete.done, p.path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf(
			"%s is not there: the export writes it when the file is whole, and may be under way, or have failed", b.shown(path),
		)
	case err != nil:
		return err
	case info.ModTime().Before(p.info.ModTime()):
		return fmt.Errorf("%s is older than the file: the next export may be under way, or have failed", b.shown(path))
	}
	return nil
}

// maxChecksums bounds a file of checksums.
const maxChecksums = 1 << 20

// checksum compares a file with what the file beside it says.
func (b *block) checksum(p *part, sum string) error {
	if b.complete.sha256 == "" {
		return nil
	}
	path := b.beside(b.complete.sha256, p.path)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there: the export may be under way, or have failed", b.shown(path))
	}
	if err == nil && info.Size() > maxChecksums {
		err = fmt.Errorf("%s is no file of checksums: it has %d bytes", b.shown(path), info.Size())
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	want := checksumFor(string(text), filepath.Base(p.path))
	switch {
	case want == "":
		return fmt.Errorf(
			`%s has no checksum of it: it reads like "<64 hexadecimal digits>  %s"`, b.shown(path), filepath.Base(p.path),
		)
	case !strings.EqualFold(want, sum):
		return fmt.Errorf(
			"its checksum is not that in %s: the file is cut, changed or another one; have both written anew", b.shown(path),
		)
	}
	return nil
}

// checksumFor finds a file's checksum in what sha256sum writes, or in a file that holds one alone.
func checksumFor(text, name string) string {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		words := strings.Fields(line)
		if len(words) == 0 || len(words[0]) != 64 || strings.Trim(words[0], "0123456789abcdefABCDEF") != "" {
			continue
		}
		of := strings.TrimPrefix(strings.TrimSpace(strings.Replace(line, words[0], "", 1)), "*")
		if of == "" || filepath.Base(of) == name {
			return words[0]
		}
	}
	return ""
}
