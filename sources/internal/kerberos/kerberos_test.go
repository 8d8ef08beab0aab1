package kerberos

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/types"
)

// TestBindings: the hash is that of the certificate's own signature, but for those that are weak (RFC 5929, 4.1). The
// values were made by another program.
func TestBindings(t *testing.T) {
	const sha256 = "81acd762140fa692a142822d2fbe4dc6f54bcaa501f68ab37e5aeed0bafe4d99"
	for algorithm, want := range map[x509.SignatureAlgorithm]string{
		x509.SHA256WithRSA:   sha256,
		x509.SHA1WithRSA:     sha256,
		x509.PureEd25519:     sha256,
		x509.ECDSAWithSHA384: "36f6bfde68a9fb8e384dc0bedb500b9f1bc4b8999319a0b2fef6fe0145fcecc3bc46a21da2979665927189033a0ac456",
		x509.SHA512WithRSA: "db819b5cbf393ade5b8d3dd23fb202a49a6acbd5a3102e79ee70c5b24d87ebcd" +
			"a146b1bbdc7f1380ba7b3b2c6616a98f91e2452035c9f75fb7748c9227d0189c",
	} {
		got := Bindings(&x509.Certificate{Raw: []byte("a certificate"), SignatureAlgorithm: algorithm})
		if hash, found := bytes.CutPrefix(got, []byte("tls-server-end-point:")); !found || hex.EncodeToString(hash) != want {
			t.Errorf("%s: %s", algorithm, got)
		}
	}
}

// TestChecksum: bindings and flags, as RFC 4121, 4.1.1 lays them out. The values were made by another program.
func TestChecksum(t *testing.T) {
	for bindings, want := range map[string]string{
		"tls-server-end-point:x": "10000000940f5f81c8639abc45436f7fdd8b216d0a000000",
		"":                       "10000000000000000000000000000000000000000a000000",
	} {
		var bound []byte
		if bindings != "" {
			bound = []byte(bindings)
		}
		if got := hex.EncodeToString(checksum(bound, flagMutual|flagSequence)); got != want {
			t.Errorf("%q: %s, want %s", bindings, got, want)
		}
	}
}

func key(b byte) types.EncryptionKey {
	return types.EncryptionKey{KeyType: etypeID.AES256_CTS_HMAC_SHA1_96, KeyValue: bytes.Repeat([]byte{b}, 32)}
}

// signed is a message as a server signs it, with the signature in front: rotated is how far it says so.
func signed(t testing.TB, payload []byte, by types.EncryptionKey, flags byte, rotated int) []byte {
	t.Helper()
	message := gssapi.WrapToken{Flags: flags, EC: 12, SndSeqNum: 7, Payload: payload}
	if err := message.SetCheckSum(by, keyusage.GSSAPI_ACCEPTOR_SEAL); err != nil {
		t.Fatal(err)
	}
	token, err := message.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	body := token[header:]
	cut := len(body) - rotated
	token[6], token[7] = 0, byte(rotated)
	return append(append(bytes.Clone(token[:header]), body[cut:]...), body[:cut]...)
}

// TestOffer: what the server offers is believed where it has signed it, with the key that it named last; and no security
// layer is chosen beside TLS.
func TestOffer(t *testing.T) {
	all, none := []byte{7, 0, 255, 255}, []byte{6, 0, 255, 255}
	for name, c := range map[string]struct {
		token []byte
		ok    bool
	}{
		"signed":                            {signed(t, all, key(1), sentByAcceptor|acceptorsKey, 0), true},
		"with the signature in front":       {signed(t, all, key(1), sentByAcceptor|acceptorsKey, 12), true},
		"rotated some other way":            {signed(t, all, key(1), sentByAcceptor|acceptorsKey, 5), true},
		"by another key":                    {signed(t, all, key(2), sentByAcceptor|acceptorsKey, 12), false},
		"by the first key, after a new one": {signed(t, all, key(1), sentByAcceptor, 12), false},
		"by ourselves":                      {signed(t, all, key(1), acceptorsKey, 12), false},
		"sealed":                            {signed(t, all, key(1), sentByAcceptor|sealed|acceptorsKey, 12), false},
		"security layers only":              {signed(t, none, key(1), sentByAcceptor|acceptorsKey, 12), false},
		"too long":                          {signed(t, append(all, 0), key(1), sentByAcceptor|acceptorsKey, 12), false},
		"nothing":                           {nil, false},
		"cut short":                         {signed(t, all, key(1), sentByAcceptor|acceptorsKey, 12)[:header+3], false},
	} {
		t.Run(name, func(t *testing.T) {
			sign := &Context{key: key(1), acceptor: true, sent: types.Authenticator{SeqNumber: 42}}
			answer, err := sign.NegotiateSaslAuth(c.token, "")
			if (err == nil) != c.ok {
				t.Fatalf("%x, %v", answer, err)
			}
			if !c.ok {
				return
			}
			var message gssapi.WrapToken
			if err := message.Unmarshal(answer, false); err != nil {
				t.Fatal(err)
			}
			if ok, err := message.Verify(key(1), keyusage.GSSAPI_INITIATOR_SEAL); !ok || !bytes.Equal(message.Payload, []byte{1, 0, 0, 0}) ||
				message.SndSeqNum != 42 || message.Flags != acceptorsKey {
				t.Errorf("%+v, %v", message, err)
			}
		})
	}
}

// TestExplained: the errors of a key distribution center, as an administrator needs them; and which of them are refusals
// that another try does not change.
func TestExplained(t *testing.T) {
	for text, refused := range map[string]bool{
		"KRB Error: (6) KDC_ERR_C_PRINCIPAL_UNKNOWN": true, "KRB Error: (24) KDC_ERR_PREAUTH_FAILED": true,
		"KRB Error: (18) KDC_ERR_CLIENT_REVOKED": true, "KRB Error: (23) KDC_ERR_KEY_EXPIRED": true,
		"KRB Error: (37) KRB_AP_ERR_SKEW": false, "KRB Error: (7) KDC_ERR_S_PRINCIPAL_UNKNOWN": false, "something else": false,
	} {
		err := explained(errors.New(text))
		var is *RefusedError
		if errors.As(err, &is) != refused {
			t.Errorf("%s: %v", text, err)
		}
	}
	var away *UnreachableError
	if err := explained(errors.New("[Root cause: Networking_Error] Networking_Error: TGS Exchange Error")); !errors.As(err, &away) {
		t.Error(err)
	}
}

// Whatever a server sends for an offer is one that it signed, or an error.
func FuzzOffer(f *testing.F) {
	f.Add(signed(f, []byte{7, 0, 0, 0}, key(1), sentByAcceptor, 12))
	f.Add([]byte{5, 4, 1, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, token []byte) {
		if payload, err := unwrap(token, key(1), false); err == nil && len(token) != header+len(payload)+12 {
			t.Errorf("%x of %x", payload, token)
		}
		_, _, _ = new(Context).InitSecContext("", token)
	})
}
