// Command dirsweep keeps application accounts true to the company directory.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/dirsweep/dirsweep/cmd/internal/cli"
)

// version is set by the linker (-X main.version=…).
var version string

func main() { os.Exit(run()) }

// run ends its context on the first SIGINT or SIGTERM; a second one ends the process at once.
func run() int {
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr, built())
}

// collectLess lets the heap grow to 2.3 times what lives in it before it is collected, instead of twice. A pass makes
// much garbage and keeps little, so that this takes some CPU time off it; three times would keep a first pass of a
// hundred thousand people above 150 MB (docs/performance.md). GOGC, where set, is obeyed.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(130)
	}
}

func built() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
