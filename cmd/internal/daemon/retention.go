package daemon

import (
	"context"
	"time"
)

// maintainEvery is how often what was kept long enough is removed.
const maintainEvery = 24 * time.Hour

// maintain looks after the trail and the evidence at the start and once a day, until ctx is done. What fails is tried
// again the next day.
func (d *Daemon) maintain(ctx context.Context) {
	ticker := time.NewTicker(maintainEvery)
	defer ticker.Stop()
	for {
		d.mu.Lock()
		keep := d.newest.Audit.Keep
		d.mu.Unlock()
		if err := d.storage.Maintain(ctx, time.Now(), keep); err != nil && ctx.Err() == nil {
			d.log.Error("the trail and the evidence were not looked after", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
