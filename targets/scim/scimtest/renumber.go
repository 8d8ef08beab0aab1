package scimtest

import "slices"

// Renumber gives every account another id, as an application does that was rebuilt and filled from an export.
func (f *Fast) Renumber() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range slices.Clone(f.users.order) {
		doc := e.doc()
		f.drop(f.users, e)
		delete(doc, "id")
		f.add(f.users, doc)
	}
}
