package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Prune removes what the trail has kept long enough: files of which every record is older than before, the current one
// never, and broken trails that were set aside before that. It returns how many. A record tells first how far the trail
// is gone and with which hash it ended there, so that what remains still proves that nothing else was removed. It may
// be called beside Append, once at a time.
func (t *Trail) Prune(ctx context.Context, before time.Time) (removed int, err error) {
	old, last, err := t.olderThan(before)
	if err == nil && len(old) > 0 {
		_, err = t.Append(ctx, Record{
			Kind: Prune, Upto: last.Seq, Digest: last.Hash, Count: len(old),
			Note: fmt.Sprintf("the records up to %d were removed: they are older than %s", last.Seq, before.UTC().Format(time.RFC3339)),
		})
	}
	if err == nil {
		err = t.remove(old)
	}
	if err == nil {
		removed, err = t.pruneBroken(before)
	}
	if err != nil {
		return 0, fmt.Errorf("prune the audit trail: %w", err)
	}
	return len(old) + removed, nil
}

// olderThan lists the files to prune, and the last record in them.
func (t *Trail) olderThan(before time.Time) (old []file, last edge, err error) {
	files, err := trailFiles(t.path)
	if err != nil {
		return nil, last, err
	}
	for _, f := range files {
		if f.first == 0 {
			break
		}
		end, err := lastRecord(f)
		if err != nil {
			return nil, last, err
		}
		if !end.At.Before(before) {
			break
		}
		old, last = append(old, f), end
	}
	return old, last, nil
}

// remove takes files away, oldest first, so that a crash leaves a trail that only begins earlier than its last Prune
// says.
func (t *Trail) remove(old []file) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	for _, f := range old {
		t.older = slices.DeleteFunc(t.older, func(s standing) bool { return s.path == f.path })
		if err := os.Remove(f.path); err != nil {
			return err
		}
	}
	return nil
}

const asideSuffix = ".broken"

// pruneBroken removes broken trails that were set aside.
func (t *Trail) pruneBroken(before time.Time) (removed int, err error) {
	dir := filepath.Dir(t.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	stem := strings.TrimSuffix(filepath.Base(t.path), filepath.Ext(t.path))
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), stem) || !strings.HasSuffix(entry.Name(), asideSuffix) {
			continue
		}
		info, err := entry.Info()
		if err != nil || !info.ModTime().Before(before) {
			continue // another one removed it, or it is not old enough
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
