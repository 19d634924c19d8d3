package jmap

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/fxamacker/cbor/v2"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/serve/jmap/message"
	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/kv"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/jmap/jmapserver"
	"github.com/mohar-mail/mohar/wire/mime"
)

// Blob ids. A message is "B" and the email's id; an upload "U" and a random
// number. A part is "P", the message's email id or upload id, and after each "-"
// a part id with "_" for "." ; several such name a part of a message within a
// message.

func messageBlob(e mailbox.EmailID) string { return "B" + e.String() }

// maxNesting bounds the messages within messages that a blob id may name.
const maxNesting = 10

// errNoBlob is the answer to a blob id that names nothing.
func errNoBlob() error { return fault.New(fault.NotFound, "jmap.blob", "There is no such file.") }

// upload is the row of an uploaded file.
type upload struct {
	Body    body.Ref `cbor:"1,keyasint"`
	Size    int64    `cbor:"2,keyasint"`
	Expires int64    `cbor:"3,keyasint"` // Unix seconds
}

func keyUpload(id string) []byte { return []byte("up/" + id) }

// blobContent gives the octets that a blob id names.
func (d *Door) blobContent(ctx context.Context, a mohar.AccountID, id wire.ID) ([]byte, error) {
	m, partID, err := d.blobMessage(ctx, a, id)
	if err != nil {
		return nil, err
	}
	if partID == "" {
		return m.Read(0, MaxMessage+1)
	}
	p := message.FindPart(m.Index.Root, partID)
	if p == nil {
		return nil, errNoBlob()
	}
	return m.Decoded(p, MaxMessage)
}

// blobMessage finds the message that a blob id names or lies in; partID is ""
// for the message itself.
func (d *Door) blobMessage(ctx context.Context, a mohar.AccountID, id wire.ID) (m *message.Message, partID string, err error) {
	if len(id) < 2 || !id.Valid() {
		return nil, "", errNoBlob()
	}
	switch rest := string(id[1:]); id[0] {
	case 'B':
		m, err = d.blobEmail(ctx, a, rest, false)
		return m, "", err
	case 'U':
		m, err = d.blobUpload(ctx, a, string(id))
		return m, "", err
	case 'P':
		return d.blobPart(ctx, a, strings.Split(rest, "-"))
	}
	return nil, "", errNoBlob()
}

func (d *Door) blobPart(ctx context.Context, a mohar.AccountID, path []string) (m *message.Message, partID string, err error) {
	if len(path) < 2 || len(path) > maxNesting {
		return nil, "", errNoBlob()
	}
	if strings.HasPrefix(path[0], "U") {
		if m, err = d.blobUpload(ctx, a, path[0]); err == nil {
			err = parse(m)
		}
	} else {
		m, err = d.blobEmail(ctx, a, path[0], true)
	}
	if err != nil {
		return nil, "", err
	}
	for i, step := range path[1:] {
		partID = strings.ReplaceAll(step, "_", ".")
		if i == len(path)-2 {
			break
		}
		p := message.FindPart(m.Index.Root, partID)
		if p == nil {
			return nil, "", errNoBlob()
		}
		content, err := m.Decoded(p, MaxMessage)
		if err != nil {
			return nil, "", err
		}
		m = message.Of(content, m.Blob+"-"+step)
	}
	return m, partID, nil
}

// parse gives a message that came without its tree one.
func parse(m *message.Message) error {
	content, err := m.Read(0, MaxMessage+1)
	if err != nil {
		return err
	}
	m.Index = &mime.Parse(content).Index
	return nil
}

func (d *Door) blobEmail(ctx context.Context, a mohar.AccountID, id string, tree bool) (*message.Message, error) {
	eid, err := mailbox.ParseEmailID(id)
	if err != nil {
		return nil, errNoBlob()
	}
	var e *mailbox.Email
	err = d.view(ctx, a, func(r *mailbox.Reader) (err error) { e, err = r.Email(eid); return err })
	if fault.Is(err, fault.NotFound) {
		return nil, errNoBlob()
	}
	if err != nil {
		return nil, err
	}
	return d.stored(ctx, e, tree)
}

func (d *Door) blobUpload(ctx context.Context, a mohar.AccountID, id string) (*message.Message, error) {
	var u upload
	err := d.view(ctx, a, func(r *mailbox.Reader) error {
		data, err := r.KV().Get(keyUpload(id))
		if errors.Is(err, kv.ErrNotFound) {
			return errNoBlob()
		}
		if err != nil {
			return err
		}
		return cbor.Unmarshal(data, &u)
	})
	if err != nil {
		return nil, err
	}
	return &message.Message{Blob: id, Read: func(off, n int64) ([]byte, error) {
		return d.cfg.Mail.Bodies().ReadRange(ctx, u.Body, off, n)
	}}, nil
}

// Upload keeps a file for UploadLife, or until newer ones need its room.
func (d *Door) Upload(ctx context.Context, p jmapserver.Principal, _ wire.ID, r io.Reader) (wire.ID, int64, error) {
	w := d.cfg.Mail.Bodies().Writer(ctx)
	if _, err := io.Copy(w, r); err != nil {
		w.Abort()
		return "", 0, err
	}
	st, err := w.Finish()
	if err != nil {
		return "", 0, err
	}
	var seed [16]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return "", 0, err
	}
	id := "U" + hex.EncodeToString(seed[:])
	var freed []blob.Location
	err = d.cfg.Mail.Update(ctx, p.Account, func(w *mailbox.Writer) error {
		freed = nil
		free, err := d.makeRoom(w, st.Size)
		if err != nil {
			return err
		}
		freed = free
		row := upload{Body: d.cfg.Mail.Bodies().Add(w.Tx(), st, 1), Size: st.Size, Expires: d.clock.Now().Add(UploadLife).Unix()}
		data, err := cbor.Marshal(row)
		if err != nil {
			return err
		}
		w.Tx().PutOwned(keyUpload(id), data)
		return nil
	})
	if err != nil {
		st.Discard(ctx)
		return "", 0, err
	}
	for _, loc := range freed {
		// A blob that stays behind is found by the check; the upload is done.
		_ = d.cfg.Mail.Bodies().Free(ctx, loc)
	}
	return wire.ID(id), st.Size, nil
}

// makeRoom removes uploads that have expired, and then the oldest until another
// of that size fits (RFC 8620 section 6).
func (d *Door) makeRoom(w *mailbox.Writer, size int64) ([]blob.Location, error) {
	type row struct {
		key []byte
		u   upload
	}
	var rows []row
	var bad error
	err := w.Tx().Scan(kv.PrefixRange([]byte("up/")), func(k, v []byte) bool {
		var u upload
		if bad = cbor.Unmarshal(v, &u); bad != nil {
			return false
		}
		rows = append(rows, row{bytes.Clone(k), u})
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	total, count := size, len(rows)+1
	for _, r := range rows {
		total += r.u.Size
	}
	now := d.clock.Now().Unix()
	var freed []blob.Location
	for len(rows) > 0 {
		oldest := 0
		for i, r := range rows {
			if r.u.Expires < rows[oldest].u.Expires {
				oldest = i
			}
		}
		r := rows[oldest]
		if r.u.Expires > now && total <= d.cfg.UploadQuota && count <= MaxUploads {
			break
		}
		loc, err := d.cfg.Mail.Bodies().Release(w.Tx(), r.u.Body, 1)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		if loc != "" {
			freed = append(freed, loc)
		}
		w.Tx().Delete(r.key)
		total, count = total-r.u.Size, count-1
		rows = append(rows[:oldest], rows[oldest+1:]...)
	}
	return freed, nil
}

// Download opens a blob. A whole message is streamed; a part is decoded into
// memory first.
func (d *Door) Download(ctx context.Context, p jmapserver.Principal, _, id wire.ID) (*jmapserver.Blob, error) {
	done := func() {}
	if ref, ok, err := d.wholeBody(ctx, p.Account, id); err != nil {
		return nil, err
	} else if ok {
		content, err := d.cfg.Mail.Bodies().Open(ctx, ref)
		if err != nil {
			return nil, err
		}
		return &jmapserver.Blob{Content: content, Size: content.Size(), Close: done}, nil
	}
	data, err := d.blobContent(ctx, p.Account, id)
	if err != nil {
		return nil, err
	}
	return &jmapserver.Blob{Content: bytes.NewReader(data), Size: int64(len(data)), Close: done}, nil
}

// wholeBody finds the body of a blob that is one, not a part of one.
func (d *Door) wholeBody(ctx context.Context, a mohar.AccountID, id wire.ID) (ref body.Ref, ok bool, err error) {
	if len(id) < 2 || id[0] == 'P' {
		return ref, false, nil
	}
	err = d.view(ctx, a, func(r *mailbox.Reader) error {
		if id[0] == 'B' {
			eid, err := mailbox.ParseEmailID(string(id[1:]))
			if err != nil {
				return errNoBlob()
			}
			e, err := r.Email(eid)
			if err != nil {
				return err
			}
			ref = e.Body
			return nil
		}
		data, err := r.KV().Get(keyUpload(string(id)))
		if errors.Is(err, kv.ErrNotFound) {
			return errNoBlob()
		}
		var u upload
		if err == nil {
			err = cbor.Unmarshal(data, &u)
		}
		ref = u.Body
		return err
	})
	return ref, err == nil, err
}

// blobCopy is Blob/copy (RFC 8620 section 6.3). A principal sees one account,
// so that there is never another one to copy from.
func (d *Door) blobCopy(_ context.Context, c *jmapserver.Call) (any, error) {
	c.Args.ID("accountId")
	from := c.Args.ID("fromAccountId")
	c.Args.IDs("blobIds")
	return nil, onlyOneAccount(c, from)
}

// onlyOneAccount is the answer to a copy between accounts.
func onlyOneAccount(c *jmapserver.Call, from wire.ID) error {
	if err := c.Args.Err(); err != nil {
		return err
	}
	if from == c.Account {
		return wire.BadArgument("fromAccountId", "The two accounts are the same.")
	}
	return &wire.MethodError{Type: wire.FromAccountNotFound}
}
