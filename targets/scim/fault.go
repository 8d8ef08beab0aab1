package scim

import (
	"encoding/json"
	"strings"

	"github.com/dirsweep/dirsweep/targets/internal/rest"
)

const errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"

// readFault reads an error as RFC 7644 §3.12 has it. One that names the RFC's schema is the application's own: no proxy
// says so.
func readFault(body []byte) rest.Fault {
	fault := rest.ReadFault(body)
	var doc resource
	if json.Unmarshal(body, &doc) == nil {
		schemas, _ := doc.get("schemas").([]any)
		for _, schema := range append(schemas, doc.get("schemas")) {
			text, _ := schema.(string)
			fault.Own = fault.Own || strings.EqualFold(text, errorSchema)
		}
	}
	return fault
}
