package node

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailauth/dkim"
)

// The selectors of a domain's keys. Rotation will count them up.
const (
	selectorRSA     = "mohar1r"
	selectorEd25519 = "mohar1e"
)

// signers holds the DKIM keys of our domains, loaded once each.
type signers struct {
	dir  string
	mu   sync.Mutex
	done map[string]*domainKeys
}

type domainKeys struct {
	keys   []dkim.Key
	signer *dkim.Signer
}

func newSigners(dir string) *signers {
	return &signers{dir: filepath.Join(dir, dirKeys), done: map[string]*domainKeys{}}
}

// get loads the keys of a domain (A-label); make them where they are missing and
// create is set.
func (s *signers) get(domain string, create bool) (*domainKeys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.done[domain]; ok {
		return k, nil
	}
	rsa, err := s.key(domain, selectorRSA, create, dkim.GenerateRSA)
	if err != nil {
		return nil, err
	}
	ed, err := s.key(domain, selectorEd25519, create, dkim.GenerateEd25519)
	if err != nil {
		return nil, err
	}
	k := &domainKeys{keys: []dkim.Key{rsa, ed}}
	if k.signer, err = dkim.NewSigner(k.keys...); err != nil {
		return nil, err
	}
	s.done[domain] = k
	return k, nil
}

func (s *signers) key(domain, selector string, create bool, generate func() (crypto.Signer, error)) (dkim.Key, error) {
	k := dkim.Key{Domain: domain, Selector: selector}
	file := filepath.Join(s.dir, domain+"."+selector+".pem")
	data, err := os.ReadFile(file)
	switch {
	case err == nil:
		k.Private, err = dkim.ParseKey(data)
		return k, err
	case !errors.Is(err, fs.ErrNotExist):
		return k, err
	case !create:
		return k, fault.Wrap(err, fault.NotFound, "node.dkim", "The domain has no signing key.")
	}
	if k.Private, err = generate(); err != nil {
		return k, err
	}
	if data, err = dkim.MarshalKey(k.Private); err != nil {
		return k, err
	}
	return k, writeFile(file, data, 0o600)
}

// sign gives the signatures for a message of a domain. Mail of a domain of ours
// always leaves signed: a missing key is an error, not unsigned mail.
func (s *signers) sign(_ context.Context, domain string, content []byte) ([]byte, error) {
	k, err := s.get(domain, false)
	if err != nil {
		return nil, err
	}
	return k.signer.Sign(bytes.NewReader(content), int64(len(content)))
}

// records gives the zone lines that publish a domain's keys.
func (s *signers) records(domain string) ([]string, error) {
	k, err := s.get(domain, true)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, key := range k.keys {
		line, err := key.ZoneLine()
		if err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, nil
}
