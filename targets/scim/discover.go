package scim

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/dirsweep/dirsweep/targets"
	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

// features are what the application says of itself, RFC 7643 §5 and §6. One that says nothing can do what most can.
type features struct {
	declared   bool // there is a ServiceProviderConfig
	patch      bool
	etag       bool
	groups     bool
	cursor     bool // pages are read by cursor, RFC 9865
	maxResults int  // of one page, 0 for unknown
}

// discovery asks once, and again only where there was no answer.
type discovery struct {
	turn turn
	done atomic.Bool
	got  features // once done
}

type providerConfig struct {
	Patch  struct{ Supported any }
	ETag   struct{ Supported any }
	Filter struct {
		MaxResults int
	}
	Pagination struct {
		Cursor, Index           any
		DefaultPaginationMethod string
		MaxPageSize             int
	}
}

// features returns what the application can do.
func (t *target) features(ctx context.Context) (features, error) {
	if t.discovered.done.Load() {
		return t.discovered.got, nil
	}
	if err := t.discovered.turn.lock(ctx); err != nil {
		return features{}, err
	}
	defer t.discovered.turn.unlock()
	if t.discovered.done.Load() {
		return t.discovered.got, nil
	}
	f := features{patch: true, groups: true}
	config, sure, err := t.ask(ctx, "/ServiceProviderConfig")
	if err == nil && config == nil {
		config, _, err = t.ask(ctx, "/ServiceProviderConfigs") // SCIM 1.1's name, kept by Salesforce
	}
	if err != nil {
		return f, err
	}
	if config != nil {
		var doc providerConfig
		if err := config.Decode(&doc); err != nil {
			t.log.Warn("ServiceProviderConfig cannot be read, taking the usual", "error", err)
		} else {
			f.take(doc)
		}
	}
	types, surely, err := t.ask(ctx, "/ResourceTypes")
	if err != nil {
		return f, err
	}
	if types != nil {
		f.groups = mentionsGroups(types)
	}
	if sure && surely {
		t.discovered.got = f
		t.discovered.done.Store(true)
	}
	return f, nil
}

// ask reads one of the endpoints by which an application describes itself; nil where it does not. An error of its own
// (500), or a 404 that something in front of it may have said, is no description either, but may pass: sure is false,
// and it is asked again.
func (t *target) ask(ctx context.Context, at string) (resp *rest.Response, sure bool, err error) {
	resp, err = t.rest.Do(ctx, http.MethodGet, at, nil, nil, nil)
	var refused *rest.StatusError
	switch {
	case err == nil:
		return resp, true, nil
	case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
		return nil, true, nil // Discovery may need another right than accounts do; those will tell.
	case absent(err):
		return nil, refused.Own, nil
	case errors.As(err, &refused) && refused.Status == http.StatusInternalServerError:
		return nil, false, nil
	}
	return nil, false, err
}

func (f *features) take(doc providerConfig) {
	f.declared = true
	if supported, ok := readBool(doc.Patch.Supported); ok {
		f.patch = supported
	}
	f.etag, _ = readBool(doc.ETag.Supported)
	cursor, _ := readBool(doc.Pagination.Cursor)
	byIndex, said := readBool(doc.Pagination.Index)
	f.cursor = cursor && (strings.EqualFold(doc.Pagination.DefaultPaginationMethod, "cursor") || said && !byIndex)
	f.maxResults = doc.Filter.MaxResults
	if doc.Pagination.MaxPageSize > 0 {
		f.maxResults = doc.Pagination.MaxPageSize
	}
}

// mentionsGroups doubts only a list of types that has accounts and no groups in it.
func mentionsGroups(resp *rest.Response) bool {
	body := strings.ToLower(string(resp.Body))
	return !strings.Contains(body, `/users"`) || strings.Contains(body, `/groups"`)
}

// absent reports whether err means that there is no such endpoint, rather than trouble.
func absent(err error) bool {
	var refused *rest.StatusError
	if !errors.As(err, &refused) {
		return false
	}
	return refused.Status == http.StatusNotFound || refused.Status == http.StatusGone || errors.Is(err, targets.ErrRejected)
}

// pageSize is how many entries to ask for.
func (t *target) pageSize(f features) int {
	n := t.spec.pageSize
	if n == 0 {
		n = defaultPageSize
	}
	for _, limit := range []int{t.profile.pageSize, f.maxResults} {
		if limit > 0 {
			n = min(n, limit)
		}
	}
	return n
}
