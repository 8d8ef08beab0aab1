package demo

import (
	"context"
	"crypto/subtle"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
	"github.com/google/uuid"
)

// application is one SCIM 2.0 application in memory, on a loopback port of its own: what a wiki or a chat server would
// be to dirsweep.
type application struct {
	name  string
	token string

	listener net.Listener
	server   *http.Server
	wg       sync.WaitGroup

	mu     sync.Mutex
	down   bool
	writes int
	users  *resources
	groups *resources // nil where the application has none
}

// serveSCIM starts an application. groups are the displayNames of those it has from the start. Close ends it.
func serveSCIM(ctx context.Context, name, token string, groups ...string) (*application, error) {
	a := &application{name: name, token: token}
	user := schema.CoreUserSchema()
	enterprise := schema.ExtensionEnterpriseUser()
	a.users = &resources{app: a, schema: user, extensions: []schema.Schema{enterprise}, unique: "userName", byID: map[string]*record{}}
	types := []scim.ResourceType{{
		ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Schema: user,
		SchemaExtensions: []scim.SchemaExtension{{Schema: enterprise}}, Handler: a.users,
	}}
	if len(groups) > 0 {
		group := schema.CoreGroupSchema()
		a.groups = &resources{app: a, schema: group, unique: "displayName", byID: map[string]*record{}}
		types = append(types, scim.ResourceType{ID: optional.NewString("Group"), Name: "Group", Endpoint: "/Groups", Schema: group, Handler: a.groups})
		for _, g := range groups {
			a.groups.insert(scim.ResourceAttributes{"displayName": g})
		}
	}
	server, err := scim.NewServer(&scim.ServerArgs{
		ServiceProviderConfig: &scim.ServiceProviderConfig{
			MaxResults: 100, SupportFiltering: true, SupportPatch: true,
			AuthenticationSchemes: []scim.AuthenticationScheme{{
				Type: scim.AuthenticationTypeOauthBearerToken, Name: "Bearer token", Description: "a token for the whole application", Primary: true,
			}},
		},
		ResourceTypes: types,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a.server = &http.Server{Handler: a.gate(http.StripPrefix("/scim", server)), ReadHeaderTimeout: 10 * time.Second}
	a.wg.Go(func() { _ = a.server.Serve(a.listener) })
	return a, nil
}

// URL is the base of the SCIM API.
func (a *application) URL() string { return "http://" + a.listener.Addr().String() + "/scim/v2" }

// Close ends every connection.
func (a *application) Close() {
	_ = a.server.Close()
	a.wg.Wait()
}

// setDown makes the application drop every connection without an answer, or work again.
func (a *application) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *application) isDown() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.down
}

// written is how many requests have asked for a change so far.
func (a *application) written() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writes
}

// gate lets requests in that bear the token, one at a time, while the application is up.
func (a *application) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.down {
			panic(http.ErrAbortHandler)
		}
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(token), []byte(a.token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"401"}`, http.StatusUnauthorized)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			a.writes++
		}
		next.ServeHTTP(w, r)
	})
}

// put makes an account behind dirsweep's back, as an administrator of the application would.
func (a *application) put(attributes scim.ResourceAttributes) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users.insert(attributes)
}

// meddle changes an account behind dirsweep's back; it reports whether there is one.
func (a *application) meddle(userName string, change func(scim.ResourceAttributes)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.users.byID {
		if name, _ := r.attributes["userName"].(string); strings.EqualFold(name, userName) {
			change(r.attributes)
			r.touch()
			return true
		}
	}
	return false
}

// empty takes everybody out of a group behind dirsweep's back; it reports whether there is one.
func (a *application) empty(group string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.groups.byID {
		if r.attributes["displayName"] == group {
			delete(r.attributes, "members")
			r.touch()
			return true
		}
	}
	return false
}

// record is one user or group.
type record struct {
	id                string
	attributes        scim.ResourceAttributes
	created, modified time.Time
	version           int
}

func (r *record) touch() {
	r.modified = time.Now().UTC()
	r.version++
}

// resources are all users or all groups of an application. The application's lock is held during every request.
type resources struct {
	app        *application
	schema     schema.Schema
	extensions []schema.Schema
	unique     string // the attribute of which no two may have the same value, letter case ignored
	order      []string
	byID       map[string]*record
}

func (s *resources) insert(attributes scim.ResourceAttributes) *record {
	now := time.Now().UTC()
	r := &record{id: uuid.NewString(), attributes: attributes, created: now, modified: now, version: 1}
	s.byID[r.id] = r
	s.order = append(s.order, r.id)
	return r
}

func (s *resources) show(r *record) scim.Resource {
	attributes := maps.Clone(r.attributes)
	if s.app.groups != nil && s != s.app.groups {
		if groups := s.app.groupsOf(r.id); len(groups) > 0 {
			attributes["groups"] = groups
		}
	}
	return scim.Resource{
		ID: r.id, Attributes: attributes,
		Meta: scim.Meta{Created: &r.created, LastModified: &r.modified, Version: `W/"` + strconv.Itoa(r.version) + `"`},
	}
}

// groupsOf lists the groups that an account is a member of, as User.groups does.
func (a *application) groupsOf(id string) []any {
	var list []any
	for _, gid := range a.groups.order {
		group := a.groups.byID[gid]
		members, _ := group.attributes["members"].([]any)
		if slices.ContainsFunc(members, func(m any) bool { return valueOf(m) == id }) {
			list = append(list, map[string]any{"value": gid, "display": group.attributes["displayName"]})
		}
	}
	return list
}

// valueOf is the "value" of a member of a multi-valued attribute.
func valueOf(item any) string {
	m, _ := item.(map[string]any)
	v, _ := m["value"].(string)
	return v
}

// free reports whether no other resource has these attributes' unique value.
func (s *resources) free(id string, attributes scim.ResourceAttributes) bool {
	want, _ := attributes[s.unique].(string)
	for _, r := range s.byID {
		if have, _ := r.attributes[s.unique].(string); r.id != id && strings.EqualFold(have, want) {
			return false
		}
	}
	return true
}

func (s *resources) find(id string) (*record, error) {
	r, ok := s.byID[id]
	if !ok {
		return nil, scimerrors.ScimErrorResourceNotFound(id)
	}
	return r, nil
}

// Create implements scim.ResourceHandler.
func (s *resources) Create(_ *http.Request, attributes scim.ResourceAttributes) (scim.Resource, error) {
	if !s.free("", attributes) {
		return scim.Resource{}, scimerrors.ScimErrorUniqueness
	}
	return s.show(s.insert(attributes)), nil
}

// Get implements scim.ResourceHandler.
func (s *resources) Get(_ *http.Request, id string) (scim.Resource, error) {
	r, err := s.find(id)
	if err != nil {
		return scim.Resource{}, err
	}
	return s.show(r), nil
}

// GetAll implements scim.ResourceHandler.
func (s *resources) GetAll(_ *http.Request, params scim.ListRequestParams) (scim.Page, error) {
	passes := func(scim.Resource) bool { return true }
	if params.FilterValidator != nil {
		passes = s.filter(params.FilterValidator.GetFilter())
	}
	var found []scim.Resource
	for _, id := range s.order {
		if shown := s.show(s.byID[id]); passes(shown) {
			found = append(found, shown)
		}
	}
	page := scim.Page{TotalResults: len(found), Resources: []scim.Resource{}}
	if from := params.StartIndex - 1; from < len(found) {
		page.Resources = found[from:min(from+params.Count, len(found))]
	}
	return page, nil
}

// Replace implements scim.ResourceHandler.
func (s *resources) Replace(_ *http.Request, id string, attributes scim.ResourceAttributes) (scim.Resource, error) {
	r, err := s.find(id)
	if err != nil {
		return scim.Resource{}, err
	}
	return s.write(r, attributes)
}

// Delete implements scim.ResourceHandler.
func (s *resources) Delete(_ *http.Request, id string) error {
	if _, err := s.find(id); err != nil {
		return err
	}
	delete(s.byID, id)
	s.order = slices.DeleteFunc(s.order, func(other string) bool { return other == id })
	if groups := s.app.groups; groups != nil && s != groups {
		for _, group := range groups.byID {
			remove(group.attributes, "members", []any{map[string]any{"value": id}})
		}
	}
	return nil
}

// Patch implements scim.ResourceHandler.
func (s *resources) Patch(_ *http.Request, id string, operations []scim.PatchOperation) (scim.Resource, error) {
	r, err := s.find(id)
	if err != nil {
		return scim.Resource{}, err
	}
	attributes, err := s.patch(r.attributes, operations)
	if err != nil {
		return scim.Resource{}, err
	}
	return s.write(r, attributes)
}

func (s *resources) write(r *record, attributes scim.ResourceAttributes) (scim.Resource, error) {
	if !s.free(r.id, attributes) {
		return scim.Resource{}, scimerrors.ScimErrorUniqueness
	}
	r.attributes = attributes
	r.touch()
	return s.show(r), nil
}
