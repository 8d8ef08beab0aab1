package scim

// A profile is what one application is known to do differently from RFC 7644. Its zero value is the RFC itself. Each
// line of the table names where it is known from; docs/targets/scim.md says what is proven against which server.
type profile struct {
	name string

	noPath    bool // PATCH says {"op":"replace","value":{"active":false}}: Okta's form
	textBools bool // booleans are written, and stored, as "True" and "False": what Entra sends by default
	capitals  bool // operations are Add, Replace, Remove
	put       bool // no PATCH of accounts: they are read, changed and replaced whole

	removeListed bool // members leave by path "members" and a value list: the old Entra form, which the RFC reads as "remove all"
	maxMembers   int  // of one group change; 0 for 100
	// membersHidden is the filter attribute by which groups of one account are found where groups do not show their
	// members.
	membersHidden string

	filters     []string // attributes that a filter may name; nil for learning it by trial
	singleValue bool     // one value in each list
	plainRefs   bool     // manager is a plain id
	pageSize    int      // the most that a page holds; 0 for unknown
	json        bool     // application/json instead of application/scim+json

	keepDeleted bool     // DELETE destroys more than an account: refused unless allow_delete = true
	noDelete    bool     // there is no DELETE
	required    []string // paths that the application insists on, besides userName
}

func profiles() []profile {
	return []profile{
		// docs.aws.amazon.com/singlesignon/latest/developerguide/limitations.html, patchgroup.html
		{
			name: "aws", pageSize: 50, singleValue: true, membersHidden: "members", maxMembers: 100,
			filters: []string{"userName", "externalId", "id"}, required: []string{"displayName", "name.familyName", "name.givenName"},
		},
		// MicrosoftDocs/entra-docs application-provisioning-config-problem-scim-compatibility.md: for servers built for
		// that client only
		{name: "entra", textBools: true, capitals: true, removeListed: true, plainRefs: true},
		// github/docs provisioning-user-accounts-with-scim: DELETE is irreversible and takes repositories and keys with
		// it
		{name: "github", keepDeleted: true, filters: []string{"userName", "externalId", "id", "displayName"}, required: []string{"externalId", "emails"}},
		// gitlabhq doc/development/internal_api: filters only by id
		{name: "gitlab", capitals: true, filters: []string{"id"}, required: []string{"externalId"}},
		{name: "miro", maxMembers: 100},
		// help.okta.com: apps made for its client take PATCH without path
		{name: "okta", noPath: true},
		// The same documents: apps made by its wizard take PUT alone.
		{name: "okta-put", put: true},
		// help.salesforce.com xcloud.identity_scim_rest_api: accounts can't be deleted
		{name: "salesforce", noDelete: true, required: []string{"emails", "name.familyName"}},
		// docs.slack.dev/reference/scim-api: DELETE deactivates
		{name: "slack", pageSize: 1000, json: true, required: []string{"emails"}},
		// docs.snowflake.com bcr-2276: unknown filters answer 200 and nothing
		{name: "snowflake", filters: []string{"userName", "id", "externalId"}},
	}
}
