package scimtest

// Put adds an account under an id of the caller's choice, or replaces the one that has it: what an application's own
// administrator, a restore or a migration does. Nothing is checked.
func (f *Fast) Put(id string, doc map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.users.byID[id]
	if e == nil {
		e = &entry{id: id}
		f.users.order = append(f.users.order, e)
		f.users.byID[id] = e
	}
	f.store(f.users, e, doc)
}

// Remove takes the account of that id away; nothing happens where there is none.
func (f *Fast) Remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.users.byID[id]; e != nil {
		f.drop(f.users, e)
	}
}

// Empty takes all accounts away.
func (f *Fast) Empty() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users = newStack(f.users.unique)
}
