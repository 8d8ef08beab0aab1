package fieldcases

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/dirsweep/dirsweep/cmd/internal/programtest"
)

// program is dirsweep, built once for all cases.
var program = sync.OnceValues(func() (string, error) { return build("dirsweep") })

// skewed is dirsweep with a clock that is ahead by as many seconds as CLOCK_AHEAD says, for what takes days. Nothing
// but time.Now differs.
var skewed = sync.OnceValues(func() (string, error) {
	overlay, err := clockOverlay()
	if err != nil {
		return "", err
	}
	return build("skewed", "-overlay", overlay)
})

// folder holds the programs.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "fieldcases") })

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "8") // most of the time a case waits; turns bounds what runs
	}
	code := m.Run()
	if dir, err := folder(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func build(name string, flags ...string) (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	return path, programtest.Build(path, flags...)
}

// clockOverlay writes this toolchain's time.go with a time.Now that reads CLOCK_AHEAD, and returns the file that `go
// build -overlay` wants.
func clockOverlay() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(text), reading, reading+"\tsec += clockAhead\n", 1)
	if changed == string(text) {
		return "", fmt.Errorf("%s: time.Now is not what it was; see clockOverlay", original)
	}
	changed = strings.Replace(changed, "import (\n", "import (\n\t\"syscall\"\n", 1) + `
var clockAhead = func() (seconds int64) {
	text, _ := syscall.Getenv("CLOCK_AHEAD")
	for _, digit := range text {
		seconds = seconds*10 + int64(digit-'0')
	}
	return seconds
}()
`
	dir, err := folder()
	if err != nil {
		return "", err
	}
	replacement := filepath.Join(dir, "time.go")
	if err := os.WriteFile(replacement, []byte(changed), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}
