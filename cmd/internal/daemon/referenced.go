package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// maxReferenced bounds a file that the config names: keys, certificates and secrets are short.
const maxReferenced = 1 << 20

// quoted finds the plain texts of a config. One that is a file's name is taken for a file that the config depends on: a
// secret, a certificate or a key, which may be renewed while the config stays as it is.
var quoted = regexp.MustCompile(`"([^"\\\n$]+)"`)

// referencedFiles are what a config is made of beside its own text.
type referencedFiles struct {
	digest  string   // of the contents
	folders []string // where they are, the config's own among them; sorted
}

// gather looks at the files that the config at path names, but for skip's: our own change all the time. What cannot be
// read counts as empty: whoever needs it says so.
func gather(path string, skip func(path string) bool) referencedFiles {
	texts, dir := configText(path)
	files := referencedFiles{folders: []string{dir}}
	sum := sha256.New()
	for _, match := range quoted.FindAllStringSubmatch(texts, -1) {
		name := match[1]
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxReferenced || skip(name) {
			continue
		}
		content, _ := os.ReadFile(name)
		inner := sha256.Sum256(content)
		_, _ = sum.Write(append([]byte(name+"\x00"), inner[:]...))
		files.folders = append(files.folders, filepath.Dir(name))
	}
	slices.Sort(files.folders)
	files.folders = slices.Compact(files.folders)
	files.digest = hex.EncodeToString(sum.Sum(nil))
	return files
}

// configText returns the text of the config at path and its folder.
func configText(path string) (text, dir string) {
	names := []string{path}
	dir = filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		dir = path
		names, _ = filepath.Glob(filepath.Join(path, "*.hcl"))
	}
	var all strings.Builder
	for _, name := range names {
		content, _ := os.ReadFile(name)
		_, _ = all.Write(content)
	}
	return all.String(), dir
}
