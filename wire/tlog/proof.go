package tlog

import (
	"encoding/json"
	"fmt"
	"io"
)

// MaxProof bounds the JSON form of a Proof, in bytes.
const MaxProof = 128 << 10

// Proof shows that one entry is in the log that a checkpoint describes.
type Proof struct {
	Index      int64  `json:"index"`
	Leaf       string `json:"leaf"` // the entry's exact bytes
	Hashes     []Hash `json:"hashes"`
	Checkpoint string `json:"checkpoint"` // the signed note
}

// ReadProof reads the JSON form.
func ReadProof(r io.Reader) (*Proof, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxProof+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxProof {
		return nil, fmt.Errorf("tlog: proof over %d bytes", MaxProof)
	}
	p := new(Proof)
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("tlog: not a proof: %w", err)
	}
	return p, nil
}

// Check checks the signature and the way from the entry to the root, and gives
// the checkpoint.
func (p *Proof) Check(public string) (Checkpoint, error) {
	c, err := Open([]byte(p.Checkpoint), public)
	if err != nil {
		return c, err
	}
	return c, CheckInclusion(p.Hashes, c.Size, c.Root, p.Index, []byte(p.Leaf))
}
