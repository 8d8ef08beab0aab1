package scim

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

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
	mu   sync.Mutex
	done bool
	got  features
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
	t.discovered.mu.Lock()
	defer t.discovered.mu.Unlock()
	if t.discovered.done {
		return t.discovered.got, nil
	}
	f := features{patch: true, groups: true}
	resp, err := t.rest.Get(ctx, "/ServiceProviderConfig", nil)
	if absent(err) {
		resp, err = t.rest.Get(ctx, "/ServiceProviderConfigs", nil) // SCIM 1.1's name, kept by Salesforce
	}
	if err != nil && !absent(err) {
		return f, err
	}
	if err == nil {
		var doc providerConfig
		if err := resp.Decode(&doc); err != nil {
			t.log.Warn("ServiceProviderConfig cannot be read, taking the usual", "error", err)
		} else {
			f.take(doc)
		}
	}
	resp, err = t.rest.Get(ctx, "/ResourceTypes", nil)
	if err != nil && !absent(err) {
		return f, err
	}
	if err == nil {
		f.groups = mentionsGroups(resp)
	}
	t.discovered.got, t.discovered.done = f, true
	return f, nil
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
	if !errors.As(err, &refused) || errors.Is(err, targets.ErrUnavailable) {
		return false
	}
	switch refused.Status {
	case http.StatusUnauthorized:
		return false
	case http.StatusForbidden:
		return true // Discovery may need another right than accounts do; those will tell.
	}
	return true
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
