// Package kerberos signs in to LDAP servers with a Kerberos ticket: SASL GSSAPI (RFC 4752) with the Kerberos mechanism
// (RFC 4121), without a security layer of its own, inside of TLS, and bound to the server's certificate (RFC 5929).
package kerberos

import (
	"bytes"
	"crypto"
	"crypto/md5" //nolint:gosec // RFC 4121, 4.1.1.2 asks for it
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	krb5 "github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/krberror"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

// An Account is who signs in, and by what. Its files are read each time: a keytab that was renewed is used at once.
type Account struct {
	Principal string // "dirsweep@AD.EXAMPLE.ORG"; that of the cache where there is one
	Keytab    string // a file with the account's keys; "" where Cache is given
	Cache     string // a file of tickets that somebody else keeps fresh, such as kinit
	Config    string // a krb5.conf(5); "" for the key distribution center of the server's own host
}

// SignIn gets a ticket for the LDAP service of a host from the key distribution center. kdc is the host to ask, where no
// config says. bindings are the channel's (Bindings); nil for none. What it returns is for one sign-in.
func (a Account) SignIn(kdc, host string, bindings []byte) (*Context, error) {
	user, realm, err := SplitPrincipal(a.Principal)
	if err != nil && a.Cache == "" {
		return nil, err
	}
	var cache *credentials.CCache
	if a.Cache != "" {
		if cache, err = credentials.LoadCCache(a.Cache); err != nil {
			return nil, fmt.Errorf("credential_cache: %w", err)
		}
		realm = cache.GetClientRealm()
	}
	settings, err := a.settings(realm, kdc)
	if err != nil {
		return nil, err
	}
	var c *client.Client
	fast := client.DisablePAFXFAST(true) // Active Directory does not know it
	if cache != nil {
		if c, err = client.NewFromCCache(cache, settings, fast); err != nil {
			return nil, fmt.Errorf("credential_cache: %w", err)
		}
	} else {
		keys, err := keytab.Load(a.Keytab)
		if err != nil {
			return nil, fmt.Errorf("keytab: %w", err)
		}
		c = client.NewWithKeytab(user, realm, keys, settings, fast)
	}
	defer c.Destroy()
	ticket, key, err := c.GetServiceTicket("ldap/" + host)
	if err != nil {
		return nil, explained(err)
	}
	return &Context{ticket: ticket, key: key, name: c.Credentials.CName(), realm: c.Credentials.Domain(), bindings: bindings}, nil
}

// SplitPrincipal takes a principal apart (RFC 1964, 2.1.1).
func SplitPrincipal(principal string) (user, realm string, err error) {
	cut := strings.LastIndexByte(principal, '@')
	if cut <= 0 || cut == len(principal)-1 {
		return "", "", fmt.Errorf("%q is not a principal, such as dirsweep@AD.EXAMPLE.ORG", principal)
	}
	return principal[:cut], principal[cut+1:], nil
}

func (a Account) settings(realm, kdc string) (*config.Config, error) {
	if a.Config != "" {
		settings, err := config.Load(a.Config)
		if err != nil {
			return nil, fmt.Errorf("krb5_conf: %w", err)
		}
		return settings, nil
	}
	return config.NewFromString(fmt.Sprintf(`[libdefaults]
default_realm = %[1]s
dns_lookup_kdc = false
dns_lookup_realm = false
udp_preference_limit = 1
[realms]
%[1]s = {
 kdc = %[2]s
}
`, realm, kdc))
}

// A RefusedError says that the key distribution center does not let the account in: to try again with the same key
// changes nothing.
type RefusedError struct{ err error }

func (e *RefusedError) Error() string { return e.err.Error() }

func (e *RefusedError) Unwrap() error { return e.err }

// An UnreachableError says that no key distribution center answered.
type UnreachableError struct{ err error }

func (e *UnreachableError) Error() string { return e.err.Error() }

func (e *UnreachableError) Unwrap() error { return e.err }

// code is where gokrb5 tells the error code of a KRB-ERROR (RFC 4120, 7.5.9).
var code = regexp.MustCompile(`KRB Error: \((\d+)\)`)

// explained says what to do about the errors that administrators meet.
func explained(err error) error {
	number := ""
	if found := code.FindStringSubmatch(err.Error()); found != nil {
		number = found[1]
	}
	advice, refused := "", false
	switch number {
	case "6":
		advice, refused = "the domain knows no such principal: check principal", true
	case "7":
		advice = "the domain knows no service of that name: name the server in url as the domain does, not by an alias"
	case "14":
		advice = "the account has no key of a kind that both sides know: let it use AES, and make its keytab anew"
	case "18":
		advice, refused = "the account is disabled, locked or has expired", true
	case "23":
		advice, refused = "the account's password has expired: set a new one, let it not expire, and make its keytab anew", true
	case "24":
		advice, refused = "the keytab does not have the account's key any more: its password was changed since; make it anew", true
	case "32":
		advice = "the ticket has expired: whoever keeps credential_cache fresh does so no more; use keytab instead"
	case "37":
		advice = "the clocks of this machine and of the domain are too far apart: set this one's"
	case "68":
		advice = "that is not the domain's realm: write it as the domain does, in capitals"
	}
	told := fmt.Errorf("kerberos: %w", err)
	if number == "" && strings.Contains(err.Error(), krberror.NetworkingError) {
		return &UnreachableError{told}
	}
	if advice != "" {
		told = fmt.Errorf("%s (error %s of the key distribution center)", advice, number)
	}
	if refused {
		return &RefusedError{told}
	}
	return told
}

// Bindings are those of a TLS connection to a server with that certificate: tls-server-end-point (RFC 5929, 4).
func Bindings(certificate *x509.Certificate) []byte {
	hash := crypto.SHA256 // also where the certificate is signed with MD5 or SHA-1
	switch certificate.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		hash = crypto.SHA512
	default:
	}
	sum := hash.New()
	_, _ = sum.Write(certificate.Raw)
	return append([]byte("tls-server-end-point:"), sum.Sum(nil)...)
}

// A Context is one sign-in. It implements ldap.GSSAPIClient.
type Context struct {
	ticket   messages.Ticket
	key      types.EncryptionKey // of the session; the server's own once it has named one
	acceptor bool                // key is the server's
	name     types.PrincipalName
	realm    string
	bindings []byte
	sent     types.Authenticator
}

// InitSecContext implements ldap.GSSAPIClient.
func (c *Context) InitSecContext(target string, token []byte) ([]byte, bool, error) {
	return c.InitSecContextWithOptions(target, token, nil)
}

// InitSecContextWithOptions implements ldap.GSSAPIClient: first it asks, and then sees the server prove that it could
// read the ticket.
func (c *Context) InitSecContextWithOptions(_ string, token []byte, _ []int) (output []byte, more bool, err error) {
	if token == nil {
		output, err = c.request()
		return output, true, err
	}
	var answer spnego.KRB5Token
	if err := answer.Unmarshal(token); err != nil {
		return nil, false, fmt.Errorf("the server's answer: %w", err)
	}
	if answer.IsKRBError() {
		return nil, false, explained(answer.KRBError)
	}
	if !answer.IsAPRep() {
		return nil, false, errors.New("the server gave no proof of itself")
	}
	plain, err := krb5.DecryptEncPart(answer.APRep.EncPart, c.key, keyusage.AP_REP_ENCPART)
	if err != nil {
		return nil, false, fmt.Errorf("the server's proof: %w", err)
	}
	var proof messages.EncAPRepPart
	if err := proof.Unmarshal(plain); err != nil {
		return nil, false, fmt.Errorf("the server's proof: %w", err)
	}
	if proof.CTime.Unix() != c.sent.CTime.Unix() || proof.Cusec != c.sent.Cusec {
		return nil, false, errors.New("the server's proof is of another request")
	}
	if len(proof.Subkey.KeyValue) > 0 {
		c.key, c.acceptor = proof.Subkey, true
	}
	return []byte{}, false, nil
}

// The flags of a context (RFC 4121, 4.1.1.1).
const (
	flagMutual   = 2
	flagSequence = 8
)

// request is the first token: the ticket, with an authenticator that holds the bindings.
func (c *Context) request() ([]byte, error) {
	sent, err := types.NewAuthenticator(c.realm, c.name)
	if err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	sent.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: checksum(c.bindings, flagMutual|flagSequence)}
	c.sent = sent
	message, err := messages.NewAPReq(c.ticket, c.key, sent)
	if err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	types.SetFlag(&message.APOptions, flags.APOptionMutualRequired)
	body, err := message.Marshal()
	if err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	token := append([]byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0}, body...) // 1.2.840.113554.1.2.2, AP-REQ
	return asn1.Marshal(asn1.RawValue{Class: asn1.ClassApplication, Tag: 0, IsCompound: true, Bytes: token})
}

// checksum is that of an authenticator: the bindings' and the flags (RFC 4121, 4.1.1).
func checksum(bindings []byte, wanted uint32) []byte {
	sum := binary.LittleEndian.AppendUint32(nil, md5.Size)
	if bindings == nil {
		sum = append(sum, make([]byte, md5.Size)...)
	} else {
		addresses := make([]byte, 16) // of neither side: a type and a length each
		channel := binary.LittleEndian.AppendUint32(addresses, uint32(len(bindings)))
		hash := md5.Sum(append(channel, bindings...)) //nolint:gosec // see above
		sum = append(sum, hash[:]...)
	}
	return binary.LittleEndian.AppendUint32(sum, wanted)
}

// noLayer is the security layer that is none (RFC 4752, 3.3): TLS is one.
const noLayer = 1

// NegotiateSaslAuth implements ldap.GSSAPIClient: the server says which security layers it takes, and none is chosen.
func (c *Context) NegotiateSaslAuth(token []byte, authzid string) ([]byte, error) {
	offer, err := unwrap(token, c.key, c.acceptor)
	if err != nil {
		return nil, fmt.Errorf("the server's offer: %w", err)
	}
	if len(offer) != 4 || offer[0]&noLayer == 0 {
		return nil, errors.New("the server wants a security layer of its own beside TLS: " +
			`on Samba, set "ldap server require strong auth = allow_sasl_over_tls"`)
	}
	return wrap(append([]byte{noLayer, 0, 0, 0}, authzid...), uint64(c.sent.SeqNumber), c.key, c.acceptor)
}

// DeleteSecContext implements ldap.GSSAPIClient.
func (c *Context) DeleteSecContext() error {
	*c = Context{}
	return nil
}

// The flags and the size of the header of a wrapped message (RFC 4121, 4.2.2, 4.2.6.2).
const (
	sentByAcceptor = 1
	sealed         = 2
	acceptorsKey   = 4
	header         = 16
)

// unwrap reads a message that the server has signed.
func unwrap(token []byte, key types.EncryptionKey, acceptor bool) ([]byte, error) {
	if len(token) < header || !bytes.Equal(token[:2], []byte{5, 4}) || token[3] != 0xff {
		return nil, errors.New("it is no wrapped message")
	}
	sum, rotated := int(binary.BigEndian.Uint16(token[4:])), int(binary.BigEndian.Uint16(token[6:]))
	body := token[header:]
	switch by := token[2]; {
	case by&sentByAcceptor == 0, by&sealed != 0, (by&acceptorsKey != 0) != acceptor:
		return nil, errors.New("it is not signed as it should be")
	case sum > len(body):
		return nil, errors.New("it is cut short")
	}
	if len(body) > 0 {
		rotated %= len(body)
	}
	body = append(bytes.Clone(body[rotated:]), body[:rotated]...)
	message := gssapi.WrapToken{
		Flags: token[2], EC: uint16(sum), SndSeqNum: binary.BigEndian.Uint64(token[8:]),
		Payload: body[:len(body)-sum], CheckSum: body[len(body)-sum:],
	}
	if ok, err := message.Verify(key, keyusage.GSSAPI_ACCEPTOR_SEAL); err != nil || !ok {
		return nil, fmt.Errorf("its signature is wrong: %w", err)
	}
	return message.Payload, nil
}

// wrap signs a message.
func wrap(payload []byte, sequence uint64, key types.EncryptionKey, acceptor bool) ([]byte, error) {
	kind, err := krb5.GetEtype(key.KeyType)
	if err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	message := gssapi.WrapToken{EC: uint16(kind.GetHMACBitLength() / 8), SndSeqNum: sequence, Payload: payload}
	if acceptor {
		message.Flags = acceptorsKey
	}
	if err := message.SetCheckSum(key, keyusage.GSSAPI_INITIATOR_SEAL); err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	token, err := message.Marshal()
	if err != nil {
		return nil, fmt.Errorf("kerberos: %w", err)
	}
	return token, nil
}
