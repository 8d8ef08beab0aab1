package apply

import (
	"context"

	"golang.org/x/time/rate"
)

// leaverShare is the part of a target's rate that only leavers may use (R4).
const leaverShare = 0.2

type classKey struct{}

// ForLeavers returns a context whose requests, reads included, are made to close leavers: they have a share of the
// target's rate that nothing else may use (R4), and may try a target that asked for a pause.
func ForLeavers(ctx context.Context) context.Context { return context.WithValue(ctx, classKey{}, true) }

func forLeavers(ctx context.Context) bool {
	leaver, _ := ctx.Value(classKey{}).(bool)
	return leaver
}

// A Pacer keeps a target's requests within its rate. Leavers may use all of it, everything else the rate less the
// leavers' share.
type Pacer struct {
	all, rest *rate.Limiter
}

// NewPacer returns a pacer for r; a PerSecond of 0 or less sets no limit.
func NewPacer(r Rate) *Pacer {
	if r.PerSecond <= 0 {
		return &Pacer{all: rate.NewLimiter(rate.Inf, 1), rest: rate.NewLimiter(rate.Inf, 1)}
	}
	burst := max(1, int(r.PerSecond))
	return &Pacer{
		all:  rate.NewLimiter(rate.Limit(r.PerSecond), burst),
		rest: rate.NewLimiter(rate.Limit(r.PerSecond*(1-leaverShare)), max(1, int(float64(burst)*(1-leaverShare)))),
	}
}

// Share is a part of the target's rate, in requests per second.
func (p *Pacer) Share(part float64) rate.Limit { return p.all.Limit() * rate.Limit(part) }

// Wait waits until one more request may go out.
func (p *Pacer) Wait(ctx context.Context) error {
	if !forLeavers(ctx) {
		if err := p.rest.Wait(ctx); err != nil {
			return err
		}
	}
	return p.all.Wait(ctx)
}
