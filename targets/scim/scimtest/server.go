// Package scimtest has the SCIM applications that tests and benchmarks run against: three that are not ours
// (elimity-com/scim in process, SCIMMY and better-auth on Node), a fast one of our own that can also be as wrong as an
// application gets, and a gate in front of each that counts writes and makes trouble.
package scimtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// token is what every server here wants to hear.
const token = "for-tests-only-0123456789-0123456789"

// A Server is an application under test, behind its gate.
type Server struct {
	*Gate
	base string // path below which the application answers
	http *httptest.Server
	app  http.Handler // without the gate
}

// serve starts app, which answers below base, behind a gate. It stops with the test.
func serve(tb testing.TB, base string, app http.Handler) *Server {
	tb.Helper()
	s := &Server{Gate: NewGate(app), base: base, app: app}
	s.http = httptest.NewServer(s.Gate)
	tb.Cleanup(func() {
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// URL is the address that a target block names.
func (s *Server) URL() string { return s.http.URL + s.base }

// Token is the bearer token.
func (s *Server) Token() string { return token }

// Block is the kind's own part of a target block.
func (s *Server) Block() string {
	return fmt.Sprintf("url          = %q\nbearer_token = %q\n", s.URL(), token)
}

// Raw calls the application past the gate, and returns the status and the decoded body, nil where there is none.
func (s *Server) Raw(tb testing.TB, method, path string, body any) (int, map[string]any) {
	tb.Helper()
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			tb.Fatal(err)
		}
	}
	req := httptest.NewRequest(method, s.http.URL+s.base+path, &content)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/scim+json")
	req.Header.Set("Accept", "application/scim+json, application/json")
	req.Header.Set("Prefer", "return=representation")
	rec := httptest.NewRecorder()
	s.app.ServeHTTP(rec, req)
	var doc map[string]any
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
			tb.Fatalf("%s %s: %d, and a body that is not JSON: %q", method, path, rec.Code, rec.Body)
		}
	}
	return rec.Code, doc
}

// Add creates a resource past the gate and returns its id.
func (s *Server) Add(tb testing.TB, endpoint string, doc map[string]any) string {
	tb.Helper()
	status, got := s.Raw(tb, http.MethodPost, endpoint, doc)
	id, _ := got["id"].(string)
	if status != http.StatusCreated || id == "" {
		tb.Fatalf("POST %s: %d %v", endpoint, status, got)
	}
	return id
}

// AddUser creates an account past the gate and returns its id. extra is merged into it.
func (s *Server) AddUser(tb testing.TB, userName string, extra map[string]any) string {
	tb.Helper()
	doc := map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": userName, "active": true,
		"emails": []any{map[string]any{"value": strings.ToLower(url.PathEscape(userName)) + "@example.org", "type": "work", "primary": true}},
	}
	for k, v := range extra {
		doc[k] = v
	}
	return s.Add(tb, "/Users", doc)
}

// AddGroup creates a group past the gate and returns its id.
func (s *Server) AddGroup(tb testing.TB, name string, members ...string) string {
	tb.Helper()
	list := []any{}
	for _, id := range members {
		list = append(list, map[string]any{"value": id})
	}
	return s.Add(tb, "/Groups", map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": name, "members": list,
	})
}

// User reads an account past the gate; nil where it is gone.
func (s *Server) User(tb testing.TB, id string) map[string]any {
	tb.Helper()
	status, doc := s.Raw(tb, http.MethodGet, "/Users/"+url.PathEscape(id), nil)
	switch status {
	case http.StatusOK:
		return doc
	case http.StatusNotFound:
		return nil
	}
	tb.Fatalf("GET /Users/%s: %d %v", id, status, doc)
	return nil
}

// Patch changes a resource past the gate with one operation.
func (s *Server) Patch(tb testing.TB, path, op, attribute string, value any) {
	tb.Helper()
	operation := map[string]any{"op": op, "path": attribute}
	if value != nil {
		operation["value"] = value
	}
	status, doc := s.Raw(tb, http.MethodPatch, path, map[string]any{
		"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": []any{operation},
	})
	if status >= 300 {
		tb.Fatalf("PATCH %s: %d %v", path, status, doc)
	}
}

// Change reads an account past the gate, lets edit change it, and replaces it.
func (s *Server) Change(tb testing.TB, id string, edit func(doc map[string]any)) {
	tb.Helper()
	doc := s.User(tb, id)
	edit(doc)
	delete(doc, "meta")
	delete(doc, "groups")
	if status, got := s.Raw(tb, http.MethodPut, "/Users/"+url.PathEscape(id), doc); status >= 300 {
		tb.Fatalf("PUT /Users/%s: %d %v", id, status, got)
	}
}

// Users are all accounts by userName, read past the gate. One that exists twice fails the test.
func (s *Server) Users(tb testing.TB) map[string]map[string]any {
	tb.Helper()
	out := map[string]map[string]any{}
	for start := 1; ; {
		status, page := s.Raw(tb, http.MethodGet, fmt.Sprintf("/Users?startIndex=%d&count=500", start), nil)
		if status != http.StatusOK {
			tb.Fatalf("list users: status %d", status)
		}
		resources, _ := page["Resources"].([]any)
		for _, item := range resources {
			doc := item.(map[string]any)
			name := doc["userName"].(string)
			if _, twice := out[name]; twice {
				tb.Fatalf("%s exists twice", name)
			}
			out[name] = doc
		}
		start += len(resources)
		if total, _ := page["totalResults"].(float64); len(resources) == 0 || start > int(total) {
			return out
		}
	}
}

// Members returns the ids of a group's members, read past the gate.
func (s *Server) Members(tb testing.TB, group string) []string {
	tb.Helper()
	_, doc := s.Raw(tb, http.MethodGet, "/Groups/"+url.PathEscape(group), nil)
	var ids []string
	list, _ := doc["members"].([]any)
	for _, item := range list {
		if member, ok := item.(map[string]any); ok {
			ids = append(ids, fmt.Sprint(member["value"]))
		}
	}
	return ids
}
