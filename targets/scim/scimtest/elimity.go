package scimtest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
	"github.com/google/uuid"
	"github.com/scim2/filter-parser/v2"
)

// StartElimity runs elimity-com/scim in process: its protocol, schemas and filters, and a store in memory of ours that
// applies patches and keeps names unique. Lookups by name and externalId, and creates, take the same time however many
// accounts there are.
func StartElimity(tb testing.TB) *Server {
	tb.Helper()
	users, groups := newShelf("userName"), newShelf("displayName")
	server, err := scim.NewServer(&scim.ServerArgs{
		ServiceProviderConfig: &scim.ServiceProviderConfig{MaxResults: 200, SupportFiltering: true, SupportPatch: true},
		ResourceTypes: []scim.ResourceType{
			{
				ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(),
				SchemaExtensions: []scim.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}, Handler: users,
			},
			{ID: optional.NewString("Group"), Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: groups},
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return serve(tb, "/scim/v2", signedIn(http.StripPrefix("/scim", server)))
}

// signedIn asks for the token.
func signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			fail(w, http.StatusUnauthorized, "", "who are you?")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A shelf is elimity's storage of one resource type.
type shelf struct {
	unique string // the attribute that has to be

	mu         sync.RWMutex
	records    map[string]*record
	order      []*record // as created
	byUnique   map[string]string
	byExternal map[string]string
}

type record struct {
	id      string
	doc     map[string]any
	changes int
	created time.Time
}

func newShelf(unique string) *shelf {
	return &shelf{unique: unique, records: map[string]*record{}, byUnique: map[string]string{}, byExternal: map[string]string{}}
}

func (s *shelf) name(doc map[string]any) string {
	name, _ := doc[s.unique].(string)
	return strings.ToLower(name)
}

func external(doc map[string]any) string {
	id, _ := doc["externalId"].(string)
	return id
}

// put stores doc as id, under a held lock.
func (s *shelf) put(id string, doc map[string]any) (scim.Resource, error) {
	if holder, taken := s.byUnique[s.name(doc)]; taken && holder != id {
		return scim.Resource{}, scimerrors.ScimErrorUniqueness
	}
	r := s.records[id]
	if r == nil {
		r = &record{id: id, created: time.Now()}
		s.records[id] = r
		s.order = append(s.order, r)
	} else {
		delete(s.byUnique, s.name(r.doc))
		delete(s.byExternal, external(r.doc))
	}
	r.doc = doc
	r.changes++
	s.byUnique[s.name(doc)] = id
	if e := external(doc); e != "" {
		s.byExternal[e] = id
	}
	return r.resource(), nil
}

func (r *record) resource() scim.Resource {
	res := scim.Resource{
		ID: r.id, Attributes: clone(r.doc),
		Meta: scim.Meta{Created: &r.created, LastModified: &r.created, Version: `W/"` + strconv.Itoa(r.changes) + `"`},
	}
	if e := external(r.doc); e != "" {
		res.ExternalID = optional.NewString(e)
	}
	return res
}

func clone(doc map[string]any) map[string]any {
	data, err := json.Marshal(doc)
	var out map[string]any
	if err != nil || json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}

func (s *shelf) Create(_ *http.Request, attributes scim.ResourceAttributes) (scim.Resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(uuid.NewString(), clone(attributes))
}

func (s *shelf) Get(_ *http.Request, id string) (scim.Resource, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.records[id]; r != nil {
		return r.resource(), nil
	}
	return scim.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
}

func (s *shelf) GetAll(_ *http.Request, params scim.ListRequestParams) (scim.Page, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	matching := s.order
	if params.FilterValidator != nil {
		matching = nil
		for _, r := range s.candidates(params.FilterValidator.GetFilter()) {
			if params.FilterValidator.PassesFilter(r.doc) == nil {
				matching = append(matching, r)
			}
		}
	}
	page := scim.Page{TotalResults: len(matching), Resources: []scim.Resource{}}
	first := min(len(matching), max(0, params.StartIndex-1))
	for _, r := range matching[first:min(len(matching), first+max(0, params.Count))] {
		page.Resources = append(page.Resources, r.resource())
	}
	return page, nil
}

// candidates are those that the filter can match.
func (s *shelf) candidates(e filter.Expression) []*record {
	by, ok := e.(*filter.AttributeExpression)
	if !ok || by.Operator != filter.EQ {
		return s.order
	}
	value, _ := by.CompareValue.(string)
	var id string
	switch by.AttributePath.String() {
	case s.unique:
		id = s.byUnique[strings.ToLower(value)]
	case "externalId":
		id = s.byExternal[value]
	default:
		return s.order
	}
	if r := s.records[id]; r != nil {
		return []*record{r}
	}
	return nil
}

func (s *shelf) Replace(_ *http.Request, id string, attributes scim.ResourceAttributes) (scim.Resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[id] == nil {
		return scim.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
	}
	return s.put(id, clone(attributes))
}

func (s *shelf) Delete(_ *http.Request, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return scimerrors.ScimErrorResourceNotFound(id)
	}
	delete(s.records, id)
	delete(s.byUnique, s.name(r.doc))
	delete(s.byExternal, external(r.doc))
	s.order = slices.DeleteFunc(s.order, func(have *record) bool { return have == r })
	return nil
}

func (s *shelf) Patch(_ *http.Request, id string, operations []scim.PatchOperation) (scim.Resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return scim.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
	}
	doc := clone(r.doc)
	for _, o := range operations {
		err := apply(doc, o.Op, o.Path, plainJSON(o.Value))
		if errors.Is(err, errNoTarget) {
			return scim.Resource{}, scimerrors.ScimErrorNoTarget
		}
		if err != nil {
			return scim.Resource{}, scimerrors.ScimErrorInvalidValue
		}
	}
	return s.put(id, doc)
}

// plainJSON undoes the library's own types.
func plainJSON(v any) any {
	data, err := json.Marshal(v)
	var out any
	if err != nil || json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}
