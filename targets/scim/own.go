package scim

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

var _ targets.Identifier = (*pass)(nil)

// Own asks for the account that we are signed in as, RFC 7644 §3.11, which many applications do not know of. Where one
// does not tell, the name that is signed in with is all that is known.
func (t *pass) Own(ctx context.Context) (targets.Own, error) {
	own := targets.Own{}
	if t.spec.auth.Basic != nil {
		own.UserName = t.spec.auth.Basic.Username
	}
	if t.nameless.Load() {
		return own, nil
	}
	resp, err := t.rest.Do(ctx, http.MethodGet, "/Me", nil, nil, nil)
	switch {
	case refusesMe(err):
		t.nameless.Store(true)
		return own, nil
	case err != nil:
		return own, fmt.Errorf("ask whom we are signed in as: %w", err)
	}
	var r resource
	if err := resp.Decode(&r); err == nil && r.id() != "" {
		name, _ := r["userName"].(string)
		return targets.Own{ID: r.id(), UserName: name}, nil
	}
	t.nameless.Store(true)
	return own, nil
}

// refusesMe reports whether the application answered that it does not tell, rather than not at all.
func refusesMe(err error) bool {
	var refused *rest.StatusError
	if throttled := (*targets.ThrottledError)(nil); errors.As(err, &throttled) || !errors.As(err, &refused) {
		return false
	}
	return refused.Status == http.StatusNotImplemented || refused.Status < 500 && refused.Status != http.StatusUnauthorized
}
