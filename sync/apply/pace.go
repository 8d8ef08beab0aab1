package apply

import (
	"context"

	"golang.org/x/time/rate"
)

// leaverShare is the part of a target's rate that only leavers may use (R4).
const leaverShare = 0.2

// A Pacer keeps a target's requests within its rate. Leavers may use all of it, everything else the rate less the leavers' share.
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

// Leaver waits until one more request of a sweep may go out.
func (p *Pacer) Leaver(ctx context.Context) error { return p.all.Wait(ctx) }

// Ordinary waits until one more request of any other kind may go out.
func (p *Pacer) Ordinary(ctx context.Context) error {
	if err := p.rest.Wait(ctx); err != nil {
		return err
	}
	return p.all.Wait(ctx)
}
