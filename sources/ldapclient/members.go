package ldapclient

import (
	"crypto/sha256"
	"strings"
)

// GroupsPage bounds the pages of groups, whose entries may hold ten thousand members each where a person's holds
// ten values.
const GroupsPage = 20

// A MemberKey stands for one member. It is a cut SHA-256 and not a quick hash: who can choose a DN must not be able to
// choose a membership.
type MemberKey [16]byte

// NewMemberKey is the key of what names somebody by its kind: a DN, a login, a number of a group.
func NewMemberKey(kind byte, text string) MemberKey {
	sum := sha256.Sum256(append([]byte{kind}, text...))
	return MemberKey(sum[:16])
}

// KeyOfMember is the key of a value of a member attribute.
func KeyOfMember(attribute, value string) MemberKey {
	if strings.EqualFold(attribute, "memberUid") {
		return LoginKey(value)
	}
	if i := strings.LastIndex(value, "#'"); i > 0 && strings.HasSuffix(value, "'B") {
		value = value[:i] // Name and Optional UID (RFC 4517, 3.3.21)
	}
	return DNKey(value)
}

// DNKey is the key of a member that is named by a DN, however it is spelled.
func DNKey(dn string) MemberKey {
	normal, err := NormalDN(dn)
	if err != nil {
		return NewMemberKey('?', dn)
	}
	return NewMemberKey('d', normal)
}

// LoginKey is the key of a member that is named by a login.
func LoginKey(uid string) MemberKey { return NewMemberKey('u', uid) }
