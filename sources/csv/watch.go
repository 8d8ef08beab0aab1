package csv

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/dirsweep/dirsweep/sources"
)

// lookEach is how often Watch looks by itself: file systems on a network tell of nothing that others do there.
const lookEach = 10 * time.Second

// Watch implements sources.Watcher. Where the system tells of changes in the folders of the files, Watch looks at them at
// once, and anyhow every few seconds; it tells when a file is there that was not, or is another one than before, and has
// been left alone.
func (s *source) Watch(ctx context.Context, tell func(sources.Sign)) {
	ticks := time.NewTicker(s.look)
	defer ticks.Stop()
	var events chan fsnotify.Event // nil, where the system tells of nothing
	var faults chan error
	notify, err := fsnotify.NewWatcher()
	if err == nil {
		defer notify.Close()
		events, faults = notify.Events, notify.Errors
	} else {
		s.log.Debug("the system does not tell of changed files; they are looked at by the clock", "source", s.name, "error", err)
	}
	told := s.looks()
	seen := told
	tell(sources.Sign{Pushing: true})
	settle := time.NewTimer(s.settle)
	defer settle.Stop()
	for {
		if notify != nil {
			s.follow(notify)
		}
		select {
		case <-ctx.Done():
			return
		case <-events:
		case fault := <-faults:
			s.log.Debug("a change of files may have been missed, and they are looked at", "source", s.name, "error", fault)
		case <-ticks.C:
		case <-settle.C:
			if seen != told {
				told = seen
				tell(sources.Sign{Pushing: true})
			}
		}
		if now := s.looks(); now != seen {
			seen = now
			settle.Reset(s.settle)
		}
	}
}

// follow has the system tell of the folders that the files are in now.
func (s *source) follow(notify *fsnotify.Watcher) {
	for _, pattern := range s.patterns {
		folders, err := filepath.Glob(folderOf(s.glob(pattern)))
		if err != nil {
			continue
		}
		for _, folder := range folders {
			if !slices.Contains(notify.WatchList(), folder) {
				_ = notify.Add(folder) // a folder that tells of nothing is looked at by the clock
			}
		}
	}
}

func folderOf(path string) string { return filepath.Dir(path) }

// looks is a text that changes whenever a file of the list, or one beside it that tells of its completeness, does.
func (s *source) looks() string {
	l, err := s.block.found()
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	for _, p := range l {
		for _, path := range s.watched(p.path) {
			text.WriteString(stamp(path))
		}
	}
	return text.String()
}

// watched are a file and those beside it.
func (s *source) watched(path string) []string {
	list := []string{path}
	for _, pattern := range []string{s.complete.done, s.complete.sha256} {
		if pattern != "" {
			list = append(list, s.beside(pattern, path))
		}
	}
	return list
}
