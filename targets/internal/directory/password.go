package directory

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/sync/identity"
	"github.com/dirsweep/dirsweep/targets"
)

// usualLength is that of a random password, in characters: about 200 bits.
const usualLength = 32

// alphabets are what policies ask a password to have something of.
func alphabets() []string {
	return []string{"ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz", "23456789", "!#$%&*+-./:=?@_"}
}

// randomPassword is one that nobody knows, with something of each alphabet. It is kept nowhere.
func randomPassword(length int) (string, error) {
	kinds := alphabets()
	all := strings.Join(kinds, "")
	password := make([]byte, length)
	for i := range password {
		from := all
		if i < len(kinds) {
			from = kinds[i]
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(from))))
		if err != nil {
			return "", fmt.Errorf("make a password: %w", err)
		}
		password[i] = from[n.Int64()]
	}
	return string(password), nil
}

// newPassword is one that fits the policy in force, as far as that is told: of a domain the greatest length that any of
// its policies asks for (MS-ADTS 3.1.1.4.5, minPwdLength and msDS-MinimumPasswordLength).
func (t *target) newPassword(ctx context.Context, s *ldapclient.Session) (string, error) {
	length := usualLength
	longer := func(text string) {
		if n, err := strconv.Atoi(text); err == nil && n > length && n <= 256 {
			length = n
		}
	}
	if t.domain {
		root := t.root(ctx, s)
		if entry, err := s.Read(ctx, root, "minPwdLength"); err == nil && entry != nil {
			longer(entry.GetEqualFoldAttributeValue("minPwdLength"))
		}
		const least = "msDS-MinimumPasswordLength"
		policies := subtree("CN=Password Settings Container,CN=System,"+root, "(objectClass=msDS-PasswordSettings)", least)
		if found, err := s.Search(ctx, policies, 0, nil); err == nil {
			for _, entry := range found.Entries {
				longer(entry.GetEqualFoldAttributeValue(least))
			}
		}
	}
	return randomPassword(length)
}

// quoted is a password as a domain controller wants it: in quotes, in UTF-16 (MS-ADTS 3.1.1.3.1.5.1).
func quoted(password string) string {
	var raw []byte
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		raw = binary.LittleEndian.AppendUint16(raw, unit)
	}
	return string(raw)
}

// resetPassword gives an account a password that nobody knows, sees that it was taken, and that it opens nothing: a
// lock that a server does not heed is none.
func (t *target) resetPassword(ctx context.Context, s *ldapclient.Session, id identity.AccountID) error {
	const set = "pwdLastSet"
	entry, err := t.entry(ctx, s, id, set)
	if err != nil {
		return err
	}
	password, err := t.newPassword(ctx, s)
	if err != nil {
		return err
	}
	if err := t.sendPassword(ctx, s, entry.DN, password); err != nil {
		return t.guarded(ctx, s, entry.DN, err)
	}
	for _, d := range t.doors { // OpenLDAP takes an administrator's new password for the end of a lock
		if err := t.swap(ctx, s, id, d.attribute, d.shut); err != nil {
			return err
		}
	}
	now, err := t.entry(ctx, s, id, set)
	if err != nil {
		return err
	}
	before, after := entry.GetEqualFoldAttributeValue(set), now.GetEqualFoldAttributeValue(set)
	if t.domain && after == before {
		return fmt.Errorf("%w: it answered that all is well, and pwdLastSet is %q as it was before",
			targets.ErrConflict, after)
	}
	if !t.heeds() {
		return nil // nobody knows the password, and no lock is to be tried
	}
	opens, err := t.pool.SignsIn(ctx, s.URL, now.DN, password)
	if opens {
		return fmt.Errorf("%w: with its new password the account can sign in, though %s says that it cannot: the server "+
			"does not heed it (OpenLDAP: only with a password policy that has pwdLockout TRUE); mend that, or take another "+
			"profile",
			targets.ErrRejected, t.doors[0].attribute)
	}
	return err
}

// heeds reports whether the directory itself looks at one of the doors.
func (s *spec) heeds() bool {
	return slices.ContainsFunc(s.doors, func(d door) bool { return !d.elsewhere })
}

// sendPassword sets a password as an administrator does.
func (t *target) sendPassword(ctx context.Context, s *ldapclient.Session, dn, password string) error {
	if t.domain {
		request := ldap.NewModifyRequest(dn, nil)
		request.Replace("unicodePwd", []string{quoted(password)})
		return t.modify(ctx, s, request)
	}
	err := t.send(ctx, s, func() error {
		_, err := s.Conn.PasswordModify(ldap.NewPasswordModifyRequest(dn, "", password)) // RFC 3062
		return err
	})
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultProtocolError, ldap.LDAPResultConfidentialityRequired) {
		request := ldap.NewModifyRequest(dn, nil) // a server that does not know it, or not over this connection
		request.Replace("userPassword", []string{password})
		return t.modify(ctx, s, request)
	}
	return err
}
