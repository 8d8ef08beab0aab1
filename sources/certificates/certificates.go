// Package certificates makes a client's TLS settings of the files that a config names: what the kinds of both sides share.
package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Files are those of a block: ca_file, cert_file and key_file, each "" for none.
type Files struct {
	CA, Cert, Key string
}

// Config reads the files now, so that renewed ones are used with the next connection that asks for it. host is whom the
// server's certificate has to name; "" where the protocol says it.
func (f Files) Config(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no PEM certificate", f.CA)
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("cert_file, key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
