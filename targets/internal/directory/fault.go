package directory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
	"github.com/dirsweep/dirsweep/targets"
)

// classed makes an error one of the classes of package targets. One that is of a class already stays as it is.
func classed(err error) error {
	if err == nil || targets.Classed(err) {
		return err
	}
	var signIn *ldapclient.SignInError
	var unreachable *ldapclient.UnreachableError
	var incomplete *ldapclient.IncompleteError
	switch {
	case errors.As(err, &signIn) && ldapclient.RefusedSignIn(err):
		return fmt.Errorf("%w: %w", targets.ErrUnauthorized, err)
	case errors.As(err, &unreachable), errors.As(err, &signIn), errors.As(err, &incomplete):
		return fmt.Errorf("%w: %w", targets.ErrUnavailable, err)
	}
	if class := classOf(err); class != nil {
		return &advisedError{class, err, advice(err)}
	}
	return err
}

// classOf is the class of a result code (RFC 4511, 4.1.9 and appendix A); nil for what is no answer of a server.
func classOf(err error) error {
	var answer *ldap.Error
	if !errors.As(err, &answer) {
		return nil
	}
	switch answer.ResultCode {
	case ldap.LDAPResultNoSuchObject:
		return targets.ErrNotFound
	case ldap.LDAPResultEntryAlreadyExists, ldap.LDAPResultNoSuchAttribute, ldap.LDAPResultAttributeOrValueExists,
		ldap.LDAPResultAssertionFailed:
		return targets.ErrConflict
	case ldap.LDAPResultInsufficientAccessRights:
		return targets.ErrForbidden
	case ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded,
		ldap.LDAPResultReferral, ldap.LDAPResultOperationsError, ldap.LDAPResultProtocolError, ldap.LDAPResultOther,
		ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultLoopDetect:
		return targets.ErrUnavailable
	}
	return targets.ErrRejected
}

// An advisedError is an answer with what can be done about it.
type advisedError struct {
	class  error
	err    error
	advice string
}

func (e *advisedError) Error() string {
	text := e.class.Error() + ": " + e.err.Error()
	if e.advice != "" {
		text += " (" + e.advice + ")"
	}
	return text
}

func (e *advisedError) Unwrap() []error { return []error{e.class, e.err} }

// advice is the next step for an answer; "" where it says it itself. Active Directory tells in hexadecimal which of
// Windows's errors it is (MS-ERREF 2.2).
func advice(err error) string {
	var answer *ldap.Error
	if !errors.As(err, &answer) {
		return ""
	}
	words := ""
	if answer.Err != nil {
		words = strings.ToUpper(answer.Err.Error())
	}
	switch {
	case answer.ResultCode == ldap.LDAPResultReferral:
		return "the server is read-only and refers to another one: name that in url" + referred(answer)
	case strings.Contains(words, "0000052D"):
		return "the password does not fit the policy in force: length, complexity or history"
	case strings.Contains(words, "000021C8"):
		return "another account in the forest has this userPrincipalName"
	case strings.Contains(words, "00000524"), strings.Contains(words, "00002071"):
		return "another account has this name"
	case answer.ResultCode == ldap.LDAPResultUndefinedAttributeType:
		return "the server's schema does not know an attribute of it: load that schema, or do not map it"
	case answer.ResultCode == ldap.LDAPResultObjectClassViolation:
		return "an object class does not allow it, or asks for more: see object_classes"
	case answer.ResultCode == ldap.LDAPResultNotAllowedOnNonLeaf:
		return "there are entries below it"
	}
	return ""
}

// referred names where a server refers to.
func referred(answer *ldap.Error) string {
	if answer.Packet == nil {
		return ""
	}
	for _, child := range answer.Packet.Children {
		for _, part := range child.Children {
			for _, url := range part.Children {
				if text, ok := url.Value.(string); ok && strings.HasPrefix(text, "ldap") {
					return ": " + text
				}
			}
		}
	}
	return ""
}

// unlisted is why a listing came to no end.
func unlisted(err error) error {
	err = classed(err)
	for _, class := range []error{targets.ErrIncomplete, targets.ErrUnauthorized, targets.ErrUnavailable} {
		if errors.Is(err, class) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", targets.ErrIncomplete, err)
}

// written is the error of a write. One that had no answer may have been made: it is not made again on another
// connection.
func written(err error) error {
	var unreachable *ldapclient.UnreachableError
	if errors.As(err, &unreachable) {
		return fmt.Errorf("%w: %s", targets.ErrUnavailable, err.Error())
	}
	return err
}
