// Package dkim verifies the signatures of received mail and signs our own.
//
// Owns:      nothing; keys belong to the caller.
// Trusts:    nobody for the message; the public key of a domain for the domain.
// May touch: the resolver it is given. Reads the content, never changes it.
// Standards: RFC 6376, RFC 8301 (no SHA-1, no keys below 1024 bits), RFC 8463
// (Ed25519), RFC 8601 section 2.7.1 (words for results).
package dkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	lib "github.com/emersion/go-msgauth/dkim"

	"github.com/mohar-mail/mohar/mailauth/field"
	"github.com/mohar-mail/mohar/wire/dns"
)

// Bounds of one verification. RFC 6376 section 8.4 and 8.5: a message must not
// make the verifier work without end.
const (
	// MaxSignatures is how many signatures of a message are looked at, the
	// topmost first.
	MaxSignatures = 5
	// maxFields and maxSignatureField bound the search for the signed fields.
	maxFields         = 2000
	maxSignatureField = 8 << 10
	// maxPickWork bounds (names in h=) x (fields), over all signatures.
	maxPickWork = 1 << 20
	// maxFoldWork bounds the octets copied while unfolding: a field of many
	// short lines costs its length once for each of them.
	maxFoldWork = 16 << 20
)

// Resolver is what DKIM asks of the DNS. *dns.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (dns.Answer[string], error)
}

// Status is a result in the words of RFC 8601 section 2.7.1.
type Status string

// The results. A message without a signature has no Result at all.
const (
	Pass      Status = "pass"
	Fail      Status = "fail"
	Policy    Status = "policy" // signed, but in a way that we do not accept (l=)
	TempError Status = "temperror"
	PermError Status = "permerror"
)

// Result is the verdict about one signature.
type Result struct {
	Status     Status
	Domain     string // d=, lower case; a claim unless Status is Pass
	Selector   string // s=
	Identifier string // i=, or "@" + d=
	Algorithm  string // a=
	Signature  string // the first octets of b=, which tell signatures apart (RFC 6008)
	Reason     string // for the log and the comment of Authentication-Results
}

// signaturePrefix is how much of b= goes into header.b: RFC 6008 section 4 asks
// for 8 at least.
const signaturePrefix = 8

// fieldName is the name of the signature field.
const fieldName = "DKIM-Signature"

// Verify checks the signatures of a message. header is what field.Read gave of
// it. The order of results is that of the fields. An error means that the
// content could not be read; nothing that a message holds is an error.
func Verify(ctx context.Context, r Resolver, header []byte, content io.ReaderAt, size int64) ([]Result, error) {
	results, why := survey(header)
	if len(results) == 0 {
		return nil, nil
	}
	if why != "" {
		for i := range results {
			results[i].Status, results[i].Reason = PermError, why
		}
		return results, nil
	}
	// The library's readers are left waiting when the source fails: the source
	// ends instead, and its error is looked at afterwards.
	src := &stickyReader{r: io.NewSectionReader(content, 0, size)}
	verified, err := lib.VerifyWithOptions(src, &lib.VerifyOptions{
		MaxVerifications: MaxSignatures,
		LookupTXT: func(name string) ([]string, error) {
			ans, err := r.LookupTXT(ctx, name)
			return ans.Records, netError(err, name)
		},
	})
	if src.err != nil {
		return nil, src.err
	}
	if err != nil && !errors.Is(err, lib.ErrTooManySignatures) {
		for i := range results {
			results[i].Status, results[i].Reason = PermError, err.Error()
		}
		return results, nil
	}
	for i := range results {
		if i >= len(verified) {
			results[i].Status, results[i].Reason = PermError, "not looked at"
			continue
		}
		results[i].judge(verified[i])
	}
	return results, nil
}

// judge turns the library's finding into a result.
func (res *Result) judge(v *lib.Verification) {
	if v.Err == nil {
		// The library's reading of d= is the one that was verified.
		res.Status, res.Domain, res.Identifier, res.Reason = Pass, strings.ToLower(v.Domain), v.Identifier, ""
		return
	}
	reason := strings.TrimPrefix(v.Err.Error(), "dkim: ")
	switch {
	case res.Status == Policy:
	case lib.IsTempFail(v.Err):
		res.Status = TempError
	case lib.IsPermFail(v.Err):
		res.Status = PermError
	default:
		res.Status = Fail
	}
	if res.Reason == "" {
		res.Reason = reason
	}
}

// survey lists the signatures that will be looked at and says why none can be,
// if the header would make too much work.
func survey(header []byte) (results []Result, why string) {
	fields, foldWork, names := 0, 0, 0
	for f := range field.All(header) {
		fields++
		foldWork += len(f.Raw) * (f.Lines - 1) / 2
		if !f.Is(fieldName) || len(results) == MaxSignatures {
			continue
		}
		if len(f.Raw) > maxSignatureField {
			why = "a signature field is too long"
		}
		res, n := describe(f.Value())
		names += n
		results = append(results, res)
	}
	switch {
	case why != "":
	case len(header) >= field.MaxHeader:
		why = "the header is too long"
	case fields > maxFields || names*fields > maxPickWork:
		why = "the header has too many fields"
	case foldWork > maxFoldWork:
		why = "the header has too many folded lines"
	}
	return results, why
}

// describe reads the tags that are reported; verification has its own parser.
func describe(value []byte) (res Result, names int) {
	for tag := range bytes.SplitSeq(value[:min(len(value), maxSignatureField)], []byte{';'}) {
		k, v, ok := bytes.Cut(tag, []byte{'='})
		if !ok {
			continue
		}
		s := squeeze(v)
		switch squeeze(k) {
		case "d":
			res.Domain = strings.ToLower(s)
		case "s":
			res.Selector = strings.ToLower(s)
		case "i":
			res.Identifier = s
		case "a":
			res.Algorithm = strings.ToLower(s)
		case "b":
			res.Signature = s[:min(len(s), signaturePrefix)]
		case "h":
			names = strings.Count(s, ":") + 1
		case "l":
			// RFC 6376 section 8.2: what follows the signed length can be
			// anything, and readers see it.
			res.Status, res.Reason = Policy, "only a part of the body is signed"
		}
	}
	if res.Identifier == "" && res.Domain != "" {
		res.Identifier = "@" + res.Domain
	}
	return res, names
}

// squeeze removes all folding white space.
func squeeze(b []byte) string {
	return string(bytes.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n':
			return -1
		}
		return r
	}, b))
}

func netError(err error, name string) error {
	if err == nil {
		return nil
	}
	return &net.DNSError{Err: err.Error(), Name: name, IsTemporary: dns.IsTemporary(err), IsNotFound: dns.IsNXDomain(err)}
}

// stickyReader turns an error of its source into the end of it, and keeps it.
type stickyReader struct {
	r   io.Reader
	err error
}

func (s *stickyReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("dkim: %w", err)
		err = io.EOF
	}
	return n, err
}
