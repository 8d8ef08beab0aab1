package evidence

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dirsweep/dirsweep/sync/audit"
)

// A Key signs evidence.
type Key struct {
	private ed25519.PrivateKey
}

// OpenKey reads the key at path (PEM, PKCS #8), and makes it there where there is none, for its owner only. The public
// key is put beside it, at path + ".pub" (PEM, PKIX), to be given to whoever checks evidence.
func OpenKey(path string) (*Key, error) {
	k, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = newKey(path)
	}
	if err == nil {
		err = k.publish(path + ".pub")
	}
	if err != nil {
		return nil, fmt.Errorf("the key that signs evidence: %w", err)
	}
	return k, nil
}

func readKey(path string) (*Key, error) {
	private, err := readPEM[ed25519.PrivateKey](path, x509.ParsePKCS8PrivateKey)
	if err != nil {
		return nil, err
	}
	return &Key{private}, nil
}

// readPEM reads one half of an ed25519 key.
func readPEM[K ed25519.PrivateKey | ed25519.PublicKey](path string, parse func(der []byte) (any, error)) (K, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	parsed, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k, ok := parsed.(K)
	if !ok {
		return nil, fmt.Errorf("%s is not an ed25519 key", path)
	}
	return k, nil
}

func newKey(path string) (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &Key{private}, audit.WriteNew(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (k *Key) publish(path string) error {
	if known, err := ReadPublicKey(path); err == nil && known.Equal(k.Public()) {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return audit.WriteNew(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// ReadPublicKey reads what OpenKey put beside a key.
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	return readPEM[ed25519.PublicKey](path, x509.ParsePKIXPublicKey)
}

// Public is the key that checks what this one signed.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Fingerprint names the key: "SHA256:" and the base64 of the hash of its public half.
func (k *Key) Fingerprint() string { return fingerprint(k.Public()) }

// sign returns e with the public key and the signature.
func (k *Key) sign(e Evidence) (Evidence, error) {
	e.Key, e.Signature = k.Public(), []byte{}
	plain, err := encode(e)
	if err != nil {
		return e, err
	}
	e.Signature = ed25519.Sign(k.private, plain)
	return e, nil
}
