package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const (
	redrawEvery = 100 * time.Millisecond // bars on a terminal
	lineEvery   = 10 * time.Second       // lines elsewhere
)

// A progress shows on standard error how a pass gets on: bars on a terminal, elsewhere a line now and then. It
// implements reconcile.Progress: counts are only noted there, and drawn by a goroutine of its own that Close ends.
type progress struct {
	w    io.Writer
	bars *mpb.Progress // nil without a terminal

	mu    sync.Mutex
	parts []*part

	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
}

// A part is one source's or target's reading or writing.
type part struct {
	label       string
	done, total int
	bar         *mpb.Bar
}

func (a *app) newProgress() *progress {
	p := &progress{w: a.err, stop: make(chan struct{}), stopped: make(chan struct{})}
	every := lineEvery
	if isTerminal(a.err) && !a.json {
		p.bars = mpb.New(mpb.WithOutput(a.err), mpb.WithWidth(60))
		every = redrawEvery
	}
	go p.run(every)
	return p
}

// Reading implements reconcile.Progress.
func (p *progress) Reading(name string, done, total int) { p.set("read "+name, done, total) }

// Applying implements reconcile.Progress.
func (p *progress) Applying(target string, done, total int) { p.set("write "+target, done, total) }

func (p *progress) set(label string, done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.parts, func(x *part) bool { return x.label == label })
	if i < 0 {
		p.parts = append(p.parts, &part{label: label, done: done, total: total})
		return
	}
	p.parts[i].done, p.parts[i].total = done, total
}

// note prints a line.
func (p *progress) note(format string, args ...any) {
	w := p.w
	if p.bars != nil {
		w = p.bars
	}
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}

func (p *progress) run(every time.Duration) {
	defer close(p.stopped)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.draw()
		}
	}
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		p.line()
		return
	}
	for _, part := range p.parts {
		if part.bar == nil {
			part.bar = p.bars.AddBar(0, mpb.PrependDecorators(decor.Name(part.label, decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)))
		}
		part.bar.SetTotal(int64(max(part.total, part.done)), false)
		part.bar.SetCurrent(int64(part.done))
	}
}

func (p *progress) line() {
	var texts []string
	for _, part := range p.parts {
		text := fmt.Sprintf("%s %d", part.label, part.done)
		if part.total > 0 {
			text += fmt.Sprintf("/%d", part.total)
		}
		texts = append(texts, text)
	}
	if len(texts) > 0 {
		_, _ = fmt.Fprintln(p.w, strings.Join(texts, ", "))
	}
}

// Close ends the drawing and takes the bars away.
func (p *progress) Close() {
	p.once.Do(func() {
		close(p.stop)
		<-p.stopped
		if p.bars == nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, part := range p.parts {
			if part.bar != nil {
				part.bar.Abort(true)
			}
		}
		p.bars.Wait()
	})
}
