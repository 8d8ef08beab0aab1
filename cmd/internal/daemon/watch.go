package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/dirsweep/dirsweep/cmd/internal/control"
	"github.com/dirsweep/dirsweep/sync/audit"
)

// settleTime is how long a folder is left to settle after its first change: editors write, rename and remove in one go.
const settleTime = 300 * time.Millisecond

// A watch tells when the config, or a file that it names, may have changed. It watches folders and not files, since
// editors rename over files.
type watch struct {
	notify *fsnotify.Watcher
	now    chan struct{} // asks for a look at once; buffered by one
	own    []string      // prefixes of the names of our own files, which change all the time
}

func newWatch(state string) (*watch, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the config: %w", err)
	}
	return &watch{notify: notify, now: make(chan struct{}, 1), own: []string{
		state, control.TrailPath(state), control.SocketPath(state),
		strings.TrimSuffix(control.TrailPath(state), ".jsonl") + "-", filepath.Join(filepath.Dir(state), "scratch"),
		control.EvidencePath(state), filepath.Join(filepath.Dir(state), audit.TempPrefix),
	}}, nil
}

// add watches folders, those that are watched already too.
func (w *watch) add(folders []string) error {
	for _, folder := range folders {
		if err := w.notify.Add(folder); err != nil {
			return fmt.Errorf("watch the config's folder %s: %w", folder, err)
		}
	}
	return nil
}

func (w *watch) nudge() { nudge(w.now) }

// run calls look when something changed, not more than once a settleTime, until ctx is done.
func (w *watch) run(ctx context.Context, look func()) {
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-w.notify.Events:
			if !open {
				return
			}
			if settled == nil && !w.ours(event.Name) {
				settled = time.After(settleTime)
			}
		case <-w.notify.Errors: // an overflow: something may have changed
			w.nudge()
		case <-settled:
			settled = nil
			look()
		case <-w.now:
			look()
		}
	}
}

func (w *watch) ours(name string) bool {
	abs, err := filepath.Abs(name)
	if err != nil {
		return false
	}
	for _, prefix := range w.own {
		if p, err := filepath.Abs(prefix); err == nil && strings.HasPrefix(abs, p) {
			return true
		}
	}
	return false
}

// Close ends the watch.
func (w *watch) Close() error { return w.notify.Close() }
