package dkim

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"

	lib "github.com/emersion/go-msgauth/dkim"

	"github.com/mohar-mail/mohar/mailauth/field"
)

// Key signs for a domain under a selector.
type Key struct {
	Domain   string // A-label
	Selector string
	Private  crypto.Signer // *rsa.PrivateKey of 2048 bits or more, or ed25519.PrivateKey
}

// Signer makes the signatures of one domain. It is safe for concurrent use.
type Signer struct {
	keys []Key
}

// NewSigner makes a Signer of the keys of a domain, usually one of RSA, which
// every verifier knows, and one of Ed25519 (RFC 8463 section 3).
func NewSigner(keys ...Key) (*Signer, error) {
	if len(keys) == 0 {
		return nil, errors.New("dkim: a signer needs a key")
	}
	for _, k := range keys {
		probe, err := lib.NewSigner(k.options([]string{"From"}))
		if err != nil {
			return nil, err
		}
		_ = probe.Close() // nothing was signed; this ends its goroutine
		if err := k.strong(); err != nil {
			return nil, err
		}
	}
	return &Signer{keys: append([]Key(nil), keys...)}, nil
}

// sealed lists the fields that are signed once more often than they occur, so
// that nobody can add another one on the way (RFC 6376 section 8.15): a second
// From or Subject is what the reader would see.
func sealed() []string {
	return []string{"From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID", "In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Mohar-Label", "SIO-Label"}
}

// signed lists the fields that are signed as often as they occur: mailing lists
// and resending may add their own.
func signed() []string {
	return []string{"Sender", "Resent-From", "Resent-Date", "Resent-To", "Resent-Cc", "Resent-Message-ID",
		"Content-ID", "Content-Description", "Content-Language", "Auto-Submitted", "TLS-Required",
		"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive"}
}

// Sign gives the DKIM-Signature fields to stand above the content, one for each
// key, each with its final CRLF. Canonicalisation is relaxed/relaxed. The
// content must have CRLF line ends and exactly one From field.
func (s *Signer) Sign(content io.ReaderAt, size int64) ([]byte, error) {
	header, whole, err := field.Read(content, size)
	if err != nil {
		return nil, err
	}
	if !whole {
		return nil, errors.New("dkim: the header is too long to sign")
	}
	names, err := fieldsToSign(header)
	if err != nil {
		return nil, err
	}
	signers := make([]*lib.Signer, 0, len(s.keys))
	writers := make([]io.Writer, 0, len(s.keys))
	// Every signer that was begun holds a goroutine until it is closed.
	closed := 0
	defer func() {
		for _, ls := range signers[closed:] {
			_ = ls.Close()
		}
	}()
	for _, k := range s.keys {
		ls, err := lib.NewSigner(k.options(names))
		if err != nil {
			return nil, err
		}
		signers, writers = append(signers, ls), append(writers, ls)
	}
	if _, err := io.Copy(io.MultiWriter(writers...), io.NewSectionReader(content, 0, size)); err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	var out strings.Builder
	for _, ls := range signers {
		closed++
		if err := ls.Close(); err != nil {
			return nil, fmt.Errorf("dkim: %w", err)
		}
		out.WriteString(ls.Signature())
	}
	return []byte(out.String()), nil
}

func (k Key) options(names []string) *lib.SignOptions {
	return &lib.SignOptions{
		Domain: k.Domain, Selector: k.Selector, Signer: k.Private,
		HeaderCanonicalization: lib.CanonicalizationRelaxed,
		BodyCanonicalization:   lib.CanonicalizationRelaxed,
		HeaderKeys:             names,
	}
}

func fieldsToSign(header []byte) ([]string, error) {
	count := make(map[string]int)
	for f := range field.All(header) {
		count[strings.ToLower(string(f.Name))]++
	}
	if count["from"] != 1 {
		return nil, fmt.Errorf("dkim: the message has %d From fields", count["from"])
	}
	var names []string
	add := func(name string, n int) {
		for range n {
			names = append(names, name)
		}
	}
	for _, n := range sealed() {
		add(n, count[strings.ToLower(n)]+1)
	}
	for _, n := range signed() {
		add(n, count[strings.ToLower(n)])
	}
	return names, nil
}
