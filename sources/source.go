// Package sources is the contract between dirsweep and the systems that are authoritative for people. Each kind of
// source is one folder below this one, plus one line in sources/all; sourcetest is the suite that every kind
// passes.
package sources

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sync/identity"
)

// A Source reads the people of one authoritative system. Its methods may be called from several goroutines.
type Source interface {
	// People streams everyone in scope, in any order, once a pass. A sequence that ends without an error is a
	// promise that it was complete: every page read, no size or time limit hit, no referral left unfollowed, ctx
	// not done. Anything less ends in an error (as the last pair), and no plan is made from it (R2). An error that
	// concerns one person only (a value that cannot be rendered) is a *PersonError, does not end the sequence, and
	// comes with whatever is known of that person.
	People(ctx context.Context) iter.Seq2[identity.Person, error]
	// Close ends every connection. It is called once, when nothing else is under way.
	Close() error
}

// A FactReader tells, beside the people, what has to be known of a read as a whole before anybody's absence from
// it, or from a group, is believed (R1, R2). Kinds that can tell implement it; Read asks those that do.
type FactReader interface {
	// PeopleAndFacts is People. Where the sequence ends without an error, facts have been filled in before it
	// ended; until then, and where it ends in an error or is left early, they say nothing.
	PeopleAndFacts(ctx context.Context, facts *ReadFacts) iter.Seq2[identity.Person, error]
}

// Read is s.People with what s tells of the read as a whole: nothing but zero values where it is no FactReader. whole
// asks for everything anew, also of a Follower.
func Read(ctx context.Context, s Source, whole bool) (people iter.Seq2[identity.Person, error], facts *ReadFacts) {
	facts = new(ReadFacts)
	if follower, ok := s.(Follower); ok && !whole {
		return follower.Latest(ctx, facts), facts
	}
	if teller, ok := s.(FactReader); ok {
		return teller.PeopleAndFacts(ctx, facts), facts
	}
	return s.People(ctx), facts
}

// A Follower keeps up with its directory: between whole reads it asks for what has changed alone.
type Follower interface {
	// Renew reads everything anew for Latest to go on from, and finds out what Latest had missed until then: that is
	// ReadFacts.Missed from then on. It returns false, and has read nothing for good, where the source cannot be followed:
	// its people are then read as any other source's. read is told how many entries have come. Renew is called once for
	// each full pass, before it, and beside Latest, which goes on with what there was.
	Renew(ctx context.Context, read func(n int)) (followed bool, err error)
	// Latest is PeopleAndFacts as of now, at the cost of what has changed since this process last read the source: what has
	// not is handed out as it was read. The promise of People holds for it too. A Follower that cannot tell for sure what
	// has changed (it has nothing to go on from, the server has forgotten the changes in between, or is another one) reads
	// everything anew by itself. It is called once for each pass.
	Latest(ctx context.Context, facts *ReadFacts) iter.Seq2[identity.Person, error]
}

// A Watcher has its directory say when something changes.
type Watcher interface {
	// Watch calls tell at each sign that something may have changed, and once when it has begun, also after each
	// interruption: what happened meanwhile has told nobody. It calls tell as well when it is interrupted, and goes on by
	// itself, until ctx is done. A sign proves nothing: it is a reason to read. tell must return at once. Watch is called
	// once, beside everything else.
	Watch(ctx context.Context, tell func(Sign))
}

// A Sign is what a Watcher tells.
type Sign struct {
	Pushing bool   // the directory says when something changes
	Why     string // where it does not
}

// A Finder can prove absence (R1). Kinds that can look one person up implement it; people of those that can't are
// never judged gone.
type Finder interface {
	// Find looks a person up wherever they may be now, also outside of what People reads. An error means that the
	// source gave no answer: the person is then not a leaver. It is called for each person that a complete read
	// lacks, in each pass until that is settled, and by `explain`.
	Find(ctx context.Context, who Lookup) (Sighting, error)
}

// An Identified source knows which directory it reads, so that a person whom two sources of one directory read is one
// person (R3), and a source that has been given another name reads the people that it did.
type Identified interface {
	// Directory returns the directory's own immutable identifier, the same whatever server answers and wherever in the
	// tree the source reads; "" where it has none that can be read. It is called once before each read.
	Directory(ctx context.Context) (string, error)
}

// A Selective source tells by which settings of its block it selects people, so that an edit of them is not taken for
// people's leaving (R14).
type Selective interface {
	// Selection returns the attribute by which people are known, and fingerprints of every other setting by which
	// somebody is read or not, or is in a group or not, by its name in the block: "filter", "groups.base_dn".
	Selection() (anchor string, settings map[string]uint64)
}

// A Lookup is what a Finder is told of the person to find.
type Lookup struct {
	Anchor string
	// By is the attribute that Anchor is a value of, where the source has come to know people by another (R14); "" for
	// the source's own. Who is found has the source's own anchor.
	By string
	DN string // where they were last seen; "" where that is not known, and then Sighting.Place is PlaceUnknown
	// Leaving: all that is asked is whether they have left. Of somebody elsewhere no groups are looked for then: in a large
	// group that takes a server longer than all the rest.
	Leaving bool
}

// A Checker tells before the first pass whether a pass can work.
type Checker interface {
	// Check connects, signs in and tries each right that the source needs. It returns what it saw, one line a
	// step, and the first failure.
	Check(ctx context.Context) ([]string, error)
}

// Where is the answer of a Finder.
type Where string

// The places where a person can be found.
const (
	InScope   Where = "in scope"  // People would return them
	Elsewhere Where = "elsewhere" // they exist outside of what People reads
	Tombstone Where = "tombstone" // the source says that they were deleted
	Gone      Where = "gone"      // the source knows nobody by that anchor
)

// A Sighting is what a source says of one anchor, and how much that is worth. Gone is an absence: it is as good as
// the server that said so was current, as the witness that it could see, and as the place where the person was is
// still to be seen (R1).
type Sighting struct {
	Where  Where
	Person identity.Person // where Where is InScope or Elsewhere: as People would return them
	Proof  string          // for evidence: what was asked, of whom, and the answer
	At     time.Time
	// Changed is when the directory says that the person came to be where they are (of Elsewhere and Tombstone);
	// zero where it does not.
	Changed time.Time

	Server   string   // the address that was asked
	Currency Currency // of that server just before it was asked
	Witness  string   // the anchor of somebody in scope whom the answer that lacked the person did show; "" for none
	Place    Place    // what is to be seen now of the place where the person was
	// Untraced, of Gone: the source keeps and shows what is deleted in it, and nothing of the person is there. A server
	// that has never heard of them says the same.
	Untraced bool
}

// A Place is what a source shows of the container that held a person.
type Place string

// What can be seen of a place.
const (
	PlaceUnknown Place = ""         // the last DN was not known, or the place was not looked at: the person was found
	PlacePeopled Place = "peopled"  // others who are in scope can be seen there
	PlaceEmpty   Place = "empty"    // it is there, and nobody in scope can be seen in it
	PlaceHidden  Place = "not seen" // it does not exist, or may not be seen
)

// A Currency is how current a server is: for each sequence of changes that it knows (one a server that takes
// writes), how far it has come. nil says that the server does not tell. Positions of one sequence have one length
// and are ordered as text.
type Currency map[string]string

// Covers reports whether a server that is as current as c knows everything that one as current as d did. Servers
// that cannot be compared, because a sequence is known to one of them alone, or because they do not tell, cover
// nothing and are covered by nothing.
func (c Currency) Covers(d Currency) bool {
	if len(c) == 0 || len(d) == 0 {
		return false
	}
	for sequence, position := range d {
		if own, known := c[sequence]; !known || len(own) != len(position) || own < position {
			return false
		}
	}
	return true
}

// ReadFacts are the facts of one whole read.
type ReadFacts struct {
	Server string // the address that was read
	// From is how current the server was before the read began: the read holds everything up to there. Until is
	// how current it was when the read had ended: the read holds nothing later. A later look-up, or read, is
	// believed where its own currency covers Until.
	From, Until Currency
	People      int    // entries in scope, those without a readable anchor included
	Nameless    Sample // the DNs of entries without a readable anchor: while there are any, a missing anchor may be one of them
	// Attributes says how many entries carried each attribute that was asked for, spelled as Need spells it, those
	// by which the kind judges who is active included. A name that nobody carried is there with 0.
	Attributes map[string]int
	Groups     []GroupFact // every group that was read, sorted by DN; nil where none were asked for
	// Unseen are the parts of what is to be read that are not there, or may not be seen, while others are: nobody of those
	// was read.
	Unseen []string
	// Version is what messages call that which was read, of a source that is written anew as a whole:
	// "people.csv of 2026-11-27 14:00 UTC"; "" of others.
	Version string
	// Stale are parts of what was read that have not been written anew for longer than the config lets them: by name, since
	// when.
	Stale map[string]string
	// Away are the servers of the directory that could not be reached when they were last tried: by address, why.
	Away map[string]string
	// Missed are the entries of which a Follower was not told that they had changed, as its last whole read found.
	Missed Sample
	// Own is the anchor of the account that the source itself signs in as, "" where that is not among the people
	// or not known (R5).
	Own string

	// Members are the sources that are joined, of a join; filled in before the sequence begins.
	Members []MemberFacts

	former func(dn string, logins []string) []string
}

// MemberFacts are what one read of a join showed of one of the joined sources.
type MemberFacts struct {
	Name  string
	Facts *ReadFacts
	Tells bool // its kind fills Facts in
	Count int  // entries
	// Nameless are the entries that could not be read, or whose key could not be told: each of them may be anybody's.
	Nameless int
	Err      error // why it was not read; nil where it was
}

// GroupsOfFormer returns the DNs, sorted, of the groups that list a person under a DN or login which nobody who
// was read has now: of somebody who is called otherwise since the last read, those are memberships that a rename
// left behind, and no leaving (R1, R3).
func (f *ReadFacts) GroupsOfFormer(dn string, logins ...string) []string {
	if f.former == nil {
		return nil
	}
	return f.former(dn, logins)
}

// SetFormer is for kinds: it says what GroupsOfFormer answers.
func (f *ReadFacts) SetFormer(groups func(dn string, logins []string) []string) { f.former = groups }

// A GroupFact is what one read showed of one group.
type GroupFact struct {
	ID      string // its own immutable identifier; "" where it has none that is readable
	DN      string
	Name    string
	Values  int // member values, of whomever
	People  int // people in scope who are in it directly, by a member value or as their primary group
	Nested  int // member values that are groups which were read
	Unknown int // member values that are neither: of people out of scope, or of nobody
	// Hidden: no member can be seen where a group of its class must have one, or a primary group's number cannot
	// be read.
	Hidden bool
	// Dangling are member values that would name somebody in scope and name nobody in the whole directory, as far
	// as they were looked at: some of Unknown.
	Dangling Sample
}

// A Sample is a number of things and the first few of them.
type Sample struct {
	Count int
	First []string // at most SampleSize
}

// SampleSize bounds a Sample's list.
const SampleSize = 20

// Add counts one more.
func (s *Sample) Add(what string) {
	if s.Count++; len(s.First) < SampleSize {
		s.First = append(s.First, what)
	}
}

// String lists what is known, and says how many more there are.
func (s Sample) String() string {
	text := strings.Join(s.First, ", ")
	if more := s.Count - len(s.First); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// A PersonError is trouble with one person, not with the source.
type PersonError struct {
	ID  identity.PersonID // Anchor "" where even that is unknown
	DN  string
	Err error
	// Disputed: what was read may be of several humans.
	Disputed bool
	// Told: why is told of the source as a whole, by the error that the sequence ends in.
	Told bool
}

func (e *PersonError) Error() string { return e.DN + ": " + e.Err.Error() }

func (e *PersonError) Unwrap() error { return e.Err }

// A PartialError ends a sequence of people who are made of the entries of several sources, some of which were not read.
// Of whom it has returned as not active, what was read is reason enough; of everybody else nobody can tell (R2).
type PartialError struct {
	Unread map[string]error // by the name of the source: why not
}

func (e *PartialError) Error() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(e.Unread)) {
		list = append(list, fmt.Sprintf("%s was not read: %v", name, e.Unread[name]))
	}
	return strings.Join(list, "; ")
}

// Unwrap makes a PartialError match ErrIncomplete as well as its causes.
func (e *PartialError) Unwrap() []error {
	return append(slices.Collect(maps.Values(e.Unread)), ErrIncomplete)
}

// Findings are what an operator should know of a person's entry itself, in each read: the attributes that cannot
// be read as text.
func Findings(p identity.Person) []identity.Finding {
	var found []identity.Finding
	for _, attribute := range p.Unreadable {
		if slices.Contains(p.Unread, attribute) {
			continue
		}
		found = append(found, identity.Finding{
			Kind: "unreadable", Subject: p.Source + ": " + p.DN, Source: p.Source, Person: p.ID,
			Detail: attribute + " holds bytes that are not UTF-8 text; it is neither written nor cleared until the entry is corrected",
		})
	}
	return found
}

// ErrIncomplete is wrapped by every error that says: what was read is only a part (R2).
var ErrIncomplete = errors.New("the list of people is incomplete")

// A Kind is one kind of source.
type Kind struct {
	Name   string // the first label of its block: source "ldap" "corp"
	Sample string // a complete source block in HCL, as `dirsweep sample KIND` prints it
	// Decode reads the kind's own part of a source block. It touches no network and opens no file but those that
	// expressions name.
	Decode func(body hcl.Body, env Env) (Spec, hcl.Diagnostics)
}

// Env is what a kind's Decode may use.
type Env struct {
	Name string           // the block's second label
	Dir  string           // the config's folder: relative paths start here
	Eval *hcl.EvalContext // env(), file() and credential()
}

// A Spec is a decoded source block.
type Spec interface {
	// Attributes are the attribute names that this kind knows or the block declares, in their canonical spelling.
	// An expression that names any other is refused.
	Attributes() []string
	// CaseSensitive reports whether attribute names that differ in letter case are different attributes.
	CaseSensitive() bool
	// Exact are those of Attributes whose values the schema compares letter for letter; all others compare without
	// letter case.
	Exact() []string
	// Open makes the source. It touches no network: connections are made when they are first needed.
	Open(need Need) (Source, error)
}

// A Grouped source block can say whether its people's groups can be asked for; one that is no Grouped has none.
type Grouped interface {
	Grouped() bool
}

// Need is what a config wants of a source.
type Need struct {
	Attributes []string // canonical spelling, sorted: exactly those that expressions name
	Groups     bool     // whether any expression asks for groups
	// Follow says that the source is read again and again, by Latest where it is a Follower.
	Follow  bool
	Scratch string // a folder for temporary files; "" for the system's
	Log     hclog.Logger
}
