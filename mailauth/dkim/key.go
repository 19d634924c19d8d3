package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	// RSABits is the size of new RSA keys: RFC 8301 section 3.2 asks for 2048,
	// and the record still fits a DNS answer over UDP.
	RSABits = 2048
	// minRSABits is what RFC 8301 section 3.2 says signers SHOULD use at least.
	minRSABits = 2048
	// maxTXTString is the length of one string of a TXT record (RFC 1035
	// section 3.3).
	maxTXTString = 255
	pemType      = "PRIVATE KEY"
)

// GenerateRSA makes a private key of RSABits.
func GenerateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, RSABits) }

// GenerateEd25519 makes a private key for RFC 8463.
func GenerateEd25519() (crypto.Signer, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	return k, err
}

// MarshalKey writes a private key as PEM (PKCS #8).
func MarshalKey(k crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ParseKey reads what MarshalKey wrote.
func ParseKey(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, errors.New("dkim: not a private key in PEM form")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("dkim: keys of type %T cannot sign mail", k)
}

func (k Key) strong() error {
	if pub, ok := k.Private.Public().(*rsa.PublicKey); ok && pub.N.BitLen() < minRSABits {
		return fmt.Errorf("dkim: an RSA key of %d bits is too short", pub.N.BitLen())
	}
	return nil
}

// Name is where the public key is published: selector._domainkey.domain
// (RFC 6376 section 3.6.2.1).
func (k Key) Name() string { return k.Selector + "._domainkey." + k.Domain }

// Record is the text of the TXT record to publish (RFC 6376 section 3.6.1).
func (k Key) Record() (string, error) {
	switch pub := k.Private.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			return "", fmt.Errorf("dkim: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub), nil
	default:
		return "", fmt.Errorf("dkim: keys of type %T cannot sign mail", pub)
	}
}

// ZoneLine is the record as a line of a zone file, its text cut into strings of
// at most 255 octets.
func (k Key) ZoneLine() (string, error) {
	text, err := k.Record()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(k.Name() + ". IN TXT")
	for len(text) > 0 {
		n := min(len(text), maxTXTString)
		b.WriteString(` "` + text[:n] + `"`)
		text = text[n:]
	}
	return b.String(), nil
}
