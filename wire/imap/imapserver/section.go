package imapserver

import (
	"errors"
	"io"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/imap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// maxHeaderRead bounds the header that HEADER.FIELDS reads into memory.
const maxHeaderRead = 4 << 20

// copyChunk is how much of a content is in memory at once.
const copyChunk = 32 << 10

var (
	errUnknownCTE = errors.New("imapserver: unknown transfer encoding")
	errChanged    = errors.New("imapserver: content is not what its index says")
)

// itemWriter writes the FETCH items of one message.
type itemWriter struct {
	c       *conn
	m       *Message
	body    Body
	flushed bool // part of the response has left
}

func (w *itemWriter) root() *mime.Part {
	if w.m.Index == nil {
		return nil
	}
	return w.m.Index.Root
}

func (w *itemWriter) item(it *imap.FetchItem) error {
	if w.simple(it) {
		return nil
	}
	switch it.Kind {
	case imap.FetchRFC822:
		return w.section("RFC822", imap.Section{}, nil)
	case imap.FetchRFC822Header:
		return w.section("RFC822.HEADER", imap.Section{Text: imap.SectionHeader}, nil)
	case imap.FetchRFC822Text:
		return w.section("RFC822.TEXT", imap.Section{Text: imap.SectionBodyText}, nil)
	case imap.FetchSection:
		name := "BODY" + string(imap.AppendSection(nil, it.Section))
		return w.section(name, it.Section, it.Partial)
	case imap.FetchBinarySize, imap.FetchBinary:
		return w.binary(it)
	}
	return fault.New(fault.Internal, "imap.fetch", "This item is not served.")
}

// span finds where a section lies in the content. found is false for a part
// that does not exist.
func (w *itemWriter) span(s imap.Section) (from, to int64, found bool) {
	root := w.root()
	if root == nil {
		// Without an index only the whole message can be given.
		return 0, w.m.Size, len(s.Part) == 0 && s.Text == imap.SectionAll
	}
	if len(s.Part) == 0 && s.Text == imap.SectionAll {
		return 0, w.m.Size, true
	}
	p := root.Find(s.Part)
	if p == nil {
		return 0, 0, false
	}
	if len(s.Part) > 0 {
		switch s.Text {
		case imap.SectionAll:
			return p.BodyStart, p.BodyEnd, true
		case imap.SectionMIME:
			return p.HeaderStart, p.BodyStart, true
		}
		// HEADER and TEXT of a part are those of the message inside it.
		if !p.IsMessage() {
			return 0, 0, false
		}
		p = p.Children[0]
	}
	if s.Text == imap.SectionBodyText {
		return p.BodyStart, p.BodyEnd, true
	}
	return p.HeaderStart, p.BodyStart, true
}

// section writes "NAME {n} octets".
func (w *itemWriter) section(name string, s imap.Section, part *imap.Partial) error {
	c := w.c
	c.out = append(c.out, name...)
	if part != nil {
		c.out = append(c.out, '<')
		c.out = imap.AppendNum(c.out, part.Offset)
		c.out = append(c.out, '>')
	}
	c.out = append(c.out, ' ')
	from, to, found := w.span(s)
	if !found {
		c.out = append(c.out, "NIL"...)
		return nil
	}
	if s.Text == imap.SectionHeaderFields || s.Text == imap.SectionHeaderFieldsNot {
		header, err := readSpan(w.body, from, min(to, from+maxHeaderRead))
		if err != nil {
			return err
		}
		text := imap.FilterHeader(header, s.Fields, s.Text == imap.SectionHeaderFieldsNot)
		a, b := clip(part, 0, int64(len(text)))
		c.out = imap.AppendLiteralHead(c.out, b-a, false)
		c.out = append(c.out, text[a:b]...)
		return nil
	}
	from, to = clip(part, from, to)
	c.out = imap.AppendLiteralHead(c.out, to-from, false)
	return w.copy(io.NewSectionReader(w.body, from, to-from), to-from)
}

// clip cuts [from,to) to a partial; past the end it is empty (RFC 9051 section 6.4.5).
func clip(p *imap.Partial, from, to int64) (int64, int64) {
	if p == nil {
		return from, to
	}
	n := uint64(to - from)
	off := min(p.Offset, n)
	length := min(p.Length, n-off)
	return from + int64(off), from + int64(off+length)
}

func readSpan(r io.ReaderAt, from, to int64) ([]byte, error) {
	b := make([]byte, to-from)
	n, err := r.ReadAt(b, from)
	if n == len(b) {
		return b, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// copy sends exactly n octets of r.
func (w *itemWriter) copy(r io.Reader, n int64) error {
	c := w.c
	for n > 0 {
		chunk := int(min(n, copyChunk))
		at := len(c.out)
		c.out = append(c.out, make([]byte, chunk)...)
		if _, err := io.ReadFull(r, c.out[at:]); err != nil {
			if !w.flushed {
				c.out = c.out[:at]
			}
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = fault.Wrap(errChanged, fault.Corrupt, "imap.fetch", "The message cannot be read.")
			}
			return err
		}
		n -= int64(chunk)
		if n > 0 && len(c.out) >= outBatch {
			w.flushed = true
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// binary writes BINARY and BINARY.SIZE (RFC 3516).
func (w *itemWriter) binary(it *imap.FetchItem) error {
	c := w.c
	size := it.Kind == imap.FetchBinarySize
	name := "BINARY"
	if size {
		name = "BINARY.SIZE"
	}
	c.out = append(c.out, name...)
	c.out = imap.AppendSection(c.out, it.Section)
	if it.Partial != nil {
		c.out = append(c.out, '<')
		c.out = imap.AppendNum(c.out, it.Partial.Offset)
		c.out = append(c.out, '>')
	}
	c.out = append(c.out, ' ')
	from, to, found := w.span(it.Section)
	if !found {
		if size {
			c.out = append(c.out, '0')
		} else {
			c.out = append(c.out, "NIL"...)
		}
		return nil
	}
	encoding, decoded := "", to-from
	if len(it.Section.Part) > 0 {
		p := w.root().Find(it.Section.Part)
		if !p.IsMultipart() && !p.IsMessage() {
			encoding, decoded = p.Encoding, p.DecodedSize
		}
	}
	if size {
		c.out = imap.AppendNum(c.out, uint64(max(decoded, 0)))
		return nil
	}
	if !mime.KnownEncoding(encoding) {
		return errUnknownCTE
	}
	a, b := clip(it.Partial, 0, decoded)
	// literal8, since decoded content may hold NUL (RFC 3516 section 4.4).
	if encoding != "base64" && encoding != "quoted-printable" {
		c.out = imap.AppendLiteralHead(c.out, b-a, true)
		return w.copy(io.NewSectionReader(w.body, from+a, b-a), b-a)
	}
	raw, err := readSpan(w.body, from, to)
	if err != nil {
		return err
	}
	r := mime.DecodeTransfer(encoding, raw)
	if _, err := io.CopyN(io.Discard, r, a); err != nil {
		return fault.Wrap(errChanged, fault.Corrupt, "imap.fetch", "The part cannot be decoded.")
	}
	c.out = imap.AppendLiteralHead(c.out, b-a, true)
	return w.copy(r, b-a)
}
