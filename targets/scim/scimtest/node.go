package scimtest

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"
)

//go:embed testdata
var projects embed.FS

// StartSCIMMY runs SCIMMY, a strict SCIM engine on Node, with a small store of ours. Node and npm have to be there.
func StartSCIMMY(tb testing.TB) *Server {
	tb.Helper()
	return startNode(tb, "scimmy", nil)
}

// StartBetterAuth runs better-auth with its SCIM plugin, a whole service that is not ours. A rate above 0 makes it
// answer 429 after so many requests in 10 seconds.
func StartBetterAuth(tb testing.TB, rate int) *Server {
	tb.Helper()
	return startNode(tb, "betterauth", []string{fmt.Sprintf("RATE=%d", rate)}, "--legacy-peer-deps")
}

// startNode runs the project until the test ends. The server ends with its stdin, so a killed test leaves none behind.
func startNode(tb testing.TB, project string, env []string, flags ...string) *Server {
	tb.Helper()
	dir := install(tb, project, flags)
	cmd := exec.Command("node", "server.mjs")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(append(os.Environ(), "SCIM_TOKEN="+token, "BETTER_AUTH_TELEMETRY=0"), env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("%s: %v", project, err)
	}
	tb.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var at struct {
		Port int
		Base string
	}
	if err != nil || json.Unmarshal(line, &at) != nil {
		tb.Fatalf("%s did not start: %v %q", project, err, line)
	}
	backend := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", at.Port)}
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	tb.Cleanup(transport.CloseIdleConnections)
	return serve(tb, at.Base, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(backend) }, Transport: transport})
}

// install puts the project and its npm packages, as its lock names them, into a cache folder, once.
func install(tb testing.TB, project string, flags []string) string {
	tb.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Fatalf("%s is needed to run the SCIM server %s (apt-get install nodejs npm): %v", tool, project, err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.New()
	files := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json", "server.mjs"} {
		data, err := fs.ReadFile(projects, "testdata/"+project+"/"+name)
		if err != nil {
			tb.Fatal(err)
		}
		files[name] = data
		_, _ = sum.Write(data)
	}
	parent := filepath.Join(cache, "dirsweep-tests")
	dir := filepath.Join(parent, project+"-"+hex.EncodeToString(sum.Sum(nil))[:12])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	unlock, err := lockedfile.MutexAt(dir + ".lock").Lock()
	if err != nil {
		tb.Fatal(err)
	}
	defer unlock()
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	cmd := exec.Command("npm", append([]string{"ci", "--no-audit", "--no-fund", "--ignore-scripts"}, flags...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("npm ci in %s: %v\n%s", dir, err, out)
	}
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		tb.Fatal(err)
	}
	return dir
}
