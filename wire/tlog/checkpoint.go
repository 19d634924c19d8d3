package tlog

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says how long a log is and what its root hash is (C2SP
// tlog-checkpoint: origin, size and root, one a line).
type Checkpoint struct {
	Origin string // the log's name; also the name of its key
	Size   int64
	Root   Hash
}

// Text gives the body that is signed.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign gives the signed note. private is the text form of GenerateKey.
func (c Checkpoint) Sign(private string) ([]byte, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, fmt.Errorf("tlog: unusable signing key") // the key must not reach a log
	}
	if signer.Name() != c.Origin {
		return nil, fmt.Errorf("tlog: key of %q cannot sign for %q", signer.Name(), c.Origin)
	}
	return note.Sign(&note.Note{Text: c.Text()}, signer)
}

// Public gives the public text form that belongs to a private one.
func Public(private string) (string, error) {
	f := strings.SplitN(strings.TrimSpace(private), "+", 5)
	if _, err := note.NewSigner(strings.TrimSpace(private)); err != nil || len(f) != 5 {
		return "", fmt.Errorf("tlog: unusable signing key")
	}
	// NewSigner has proved the form: algorithm 1 (Ed25519) and a seed of 32 bytes.
	raw, err := base64.StdEncoding.DecodeString(f[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("tlog: unusable signing key")
	}
	key, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("tlog: unusable signing key")
	}
	return note.NewEd25519VerifierKey(f[2], key)
}

// Open checks the signature of a checkpoint with a public key and reads it. A
// checkpoint that names another origin than the key is refused, so that one
// log's signature never speaks for another log.
func Open(signed []byte, public string) (Checkpoint, error) {
	if len(signed) > MaxNote {
		return Checkpoint{}, fmt.Errorf("tlog: checkpoint over %d bytes", MaxNote)
	}
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("tlog: unusable public key: %w", err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("tlog: checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return c, err
	}
	if c.Origin != v.Name() {
		return c, fmt.Errorf("tlog: checkpoint of %q signed by %q", c.Origin, v.Name())
	}
	return c, nil
}

// ParseCheckpoint reads the body of a checkpoint without looking at signatures.
// Lines after the third are extensions and are ignored.
func ParseCheckpoint(text string) (Checkpoint, error) {
	bad := func(what string) (Checkpoint, error) {
		return Checkpoint{}, fmt.Errorf("tlog: checkpoint: bad %s", what)
	}
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return bad("form")
	}
	c := Checkpoint{Origin: lines[0]}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > MaxSize || strconv.FormatInt(size, 10) != lines[1] {
		return bad("size")
	}
	c.Size = size
	root, err := base64.StdEncoding.DecodeString(lines[2])
	// The decoder passes over line ends; only one spelling of a hash is taken.
	if err != nil || len(root) != tlog.HashSize || base64.StdEncoding.EncodeToString(root) != lines[2] {
		return bad("root hash")
	}
	copy(c.Root[:], root)
	return c, nil
}
