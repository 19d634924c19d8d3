package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/mohar-mail/mohar/base/fault"
)

// The files of the certificate that a node makes for itself when it is given
// none: good enough for trials and for opportunistic TLS, trusted by nobody.
const (
	ownCert     = "tls-cert.pem"
	ownKey      = "tls-key.pem"
	ownCertLife = 5 * 365 * 24 * time.Hour
)

// tlsConfig loads the certificate, or makes one in the data folder. TLS 1.2 is
// the floor (NET-05); Go's defaults bring 1.3, X25519MLKEM768 and no compression
// or renegotiation (NET-09, NET-10).
func tlsConfig(dir string, cfg TLS, hostname string) (*tls.Config, error) {
	certFile, keyFile := cfg.Cert, cfg.Key
	if certFile == "" {
		certFile, keyFile = filepath.Join(dir, ownCert), filepath.Join(dir, ownKey)
		if !stillGood(certFile, hostname) {
			if err := makeCert(certFile, keyFile, hostname); err != nil {
				return nil, err
			}
		}
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "node.tls", "The certificate cannot be loaded: "+err.Error())
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// stillGood says whether the certificate that we made is there, in force and for
// the name that the server has now.
func stillGood(certFile, hostname string) bool {
	data, err := os.ReadFile(certFile)
	if err != nil {
		return false
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	return err == nil && time.Now().Before(c.NotAfter) && c.VerifyHostname(hostname) == nil
}

func makeCert(certFile, keyFile, hostname string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hostname},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownCertLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
		DNSNames: []string{hostname, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return writeFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
