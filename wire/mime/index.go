package mime

import (
	"encoding/binary"
	"time"

	"github.com/mohar-mail/mohar/wire/addr"
)

// indexVersion is the first octet of a stored index. Another layout, or another
// meaning of a word below, needs another version; old ones stay readable.
const indexVersion = 1

// AppendBinary appends the stored form of the index to dst:
//
//	version, size, flags, defects,
//	length of envelope, envelope,
//	count of references, references, preview,
//	the parts in preorder.
//
// Numbers are uvarints; a string is its length and octets, or the number of one
// of the known words. The envelope stands early so that it can be read alone.
// A nil error is promised (encoding.BinaryAppender).
func (x *Index) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, indexVersion)
	dst = binary.AppendUvarint(dst, uint64(x.Size))
	dst = binary.AppendUvarint(dst, uint64(x.Flags))
	dst = binary.AppendUvarint(dst, uint64(x.Defects))
	env := x.Root.Envelope
	if env == nil {
		env = &Envelope{}
	}
	// Two octets hold the length of nearly every envelope; a longer one is moved.
	at := len(dst)
	dst = appendEnvelope(append(dst, 0, 0), env)
	n := len(dst) - at - 2
	if n < 1<<14 {
		dst[at], dst[at+1] = byte(n)|0x80, byte(n>>7)
	} else {
		var l [binary.MaxVarintLen64]byte
		k := binary.PutUvarint(l[:], uint64(n))
		dst = append(dst, l[:k-2]...)
		copy(dst[at+k:], dst[at+2:at+2+n])
		copy(dst[at:], l[:k])
	}
	dst = binary.AppendUvarint(dst, uint64(len(x.References)))
	for _, r := range x.References {
		dst = appendString(dst, r)
	}
	dst = appendString(dst, x.Preview)
	return appendPart(dst, x.Root, 0, true), nil
}

func appendString(dst []byte, s string) []byte {
	if len(s) >= minWord && len(s) <= maxKnownWord {
		if i := knownWord(s); i >= 0 {
			return binary.AppendUvarint(dst, uint64(i)<<1|1)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(s))<<1)
	return append(dst, s...)
}

func appendEnvelope(dst []byte, e *Envelope) []byte {
	dst = appendString(dst, e.Date)
	if e.Sent.IsZero() {
		dst = append(dst, 0)
	} else {
		_, zone := e.Sent.Zone()
		dst = append(dst, 1)
		dst = binary.AppendVarint(dst, e.Sent.Unix())
		dst = binary.AppendVarint(dst, int64(zone))
	}
	dst = appendString(dst, e.Subject)
	domain := ""
	lists := [...][]addr.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc}
	total := 0
	for _, list := range lists {
		total += len(list)
	}
	// The sum goes first, so that reading makes one array for all lists.
	dst = binary.AppendUvarint(dst, uint64(total))
	for _, list := range lists {
		dst = binary.AppendUvarint(dst, uint64(len(list)))
		for _, a := range list {
			dst, domain = appendAddress(dst, a, domain)
		}
	}
	dst = appendString(dst, e.InReplyTo)
	return appendString(dst, e.MessageID)
}

// The octet before an address: its kind and two shortcuts.
const (
	addrKindMask   = 3
	addrNoName     = 4
	addrSameDomain = 8 // the domain is that of the address before
)

func appendAddress(dst []byte, a addr.Address, domain string) ([]byte, string) {
	head := byte(a.Kind)
	if a.Name == "" {
		head |= addrNoName
	}
	if a.Domain == domain {
		head |= addrSameDomain
	}
	dst = append(dst, head)
	if a.Name != "" {
		dst = appendString(dst, a.Name)
	}
	dst = appendString(dst, a.Local)
	if a.Domain != domain {
		dst = appendString(dst, a.Domain)
	}
	return dst, a.Domain
}

// The optional things of a part, as bits before it.
const (
	partParams = 1 << iota
	partID
	partDescription
	partEncoding
	partDisposition
	partLanguage
	partLocation
	partMD5
	partEnvelope
	partChildren
	partDecoded // DecodedSize differs from Size
)

// appendPart writes offsets from the body of the part around it. The envelope
// of the root is not repeated.
func appendPart(dst []byte, p *Part, base int64, root bool) []byte {
	bits := uint64(0)
	for _, o := range [...]struct {
		bit uint64
		on  bool
	}{
		{partParams, len(p.Params) > 0}, {partID, p.ID != ""}, {partDescription, p.Description != ""},
		{partEncoding, p.Encoding != "7bit"}, {partDisposition, p.Disposition != ""}, {partLanguage, len(p.Language) > 0},
		{partLocation, p.Location != ""}, {partMD5, p.MD5 != ""}, {partEnvelope, p.Envelope != nil && !root},
		{partChildren, len(p.Children) > 0}, {partDecoded, p.DecodedSize != p.Size()},
	} {
		if o.on {
			bits |= o.bit
		}
	}
	dst = binary.AppendUvarint(dst, bits)
	for _, n := range [...]int64{p.HeaderStart - base, p.BodyStart - p.HeaderStart, p.Size(), p.Lines} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	if bits&partDecoded != 0 {
		dst = binary.AppendUvarint(dst, uint64(p.DecodedSize))
	}
	dst = appendString(appendString(dst, p.Type), p.Subtype)
	if bits&partParams != 0 {
		dst = appendParams(dst, p.Params)
	}
	for _, o := range [...]struct {
		bit uint64
		s   string
	}{
		{partID, p.ID}, {partDescription, p.Description}, {partEncoding, p.Encoding}, {partDisposition, p.Disposition},
		{partLocation, p.Location}, {partMD5, p.MD5},
	} {
		if bits&o.bit != 0 {
			dst = appendString(dst, o.s)
		}
	}
	if bits&partDisposition != 0 {
		dst = appendParams(dst, p.DispParams)
	}
	if bits&partLanguage != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(p.Language)))
		for _, l := range p.Language {
			dst = appendString(dst, l)
		}
	}
	if bits&partEnvelope != 0 {
		dst = appendEnvelope(dst, p.Envelope)
	}
	if bits&partChildren != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(p.Children)))
		for _, c := range p.Children {
			dst = appendPart(dst, c, p.BodyStart, false)
		}
	}
	return dst
}

func appendParams(dst []byte, list []Param) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, p := range list {
		dst = appendString(appendString(dst, p.Name), p.Value)
	}
	return dst
}

// DecodeIndex reads what AppendBinary wrote. An error is of kind fault.Corrupt,
// or fault.Unsupported for another version.
func DecodeIndex(b []byte) (*Index, error) {
	x, r, err := decodeSummary(b)
	if err != nil {
		return nil, err
	}
	env := x.Root.Envelope
	r.part(x.Root, 0, 0)
	x.Root.Envelope = env
	if len(r.s) != 0 {
		r.bad = true
	}
	return x, r.err()
}

// DecodeSummary reads all but the parts: Root has only its Envelope. It is for
// lists, which show no structure.
func DecodeSummary(b []byte) (*Index, error) {
	x, r, err := decodeSummary(b)
	if err != nil {
		return nil, err
	}
	return x, r.err()
}

// DecodeEnvelope reads only the envelope. The strings of all three keep a copy
// of what they stand in.
func DecodeEnvelope(b []byte) (*Envelope, error) {
	if err := checkVersion(b); err != nil {
		return nil, err
	}
	b = b[1:]
	var head [4]uint64 // size, flags, defects, length of the envelope
	for i := range head {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, damaged()
		}
		head[i], b = n, b[k:]
	}
	if head[3] > uint64(len(b)) {
		return nil, damaged()
	}
	r := indexReader{s: string(b[:head[3]])} // only the envelope is copied
	e := &Envelope{}
	r.envelope(e)
	return e, r.err()
}

func decodeSummary(b []byte) (*Index, *indexReader, error) {
	r, err := newIndexReader(b)
	if err != nil {
		return nil, nil, err
	}
	x := &Index{Size: int64(r.number()), Flags: Flags(r.number()), Defects: Defect(r.number())}
	env := &Envelope{}
	x.Root = &Part{Envelope: env}
	n := r.count()
	after := r.s[n:]
	r.s = r.s[:n]
	r.envelope(env)
	r.bad = r.bad || len(r.s) != 0
	r.s = after
	x.References = r.strings()
	x.Preview = r.string()
	if r.bad {
		return nil, nil, r.err()
	}
	return x, r, nil
}

func (r *indexReader) envelope(e *Envelope) {
	e.Date = r.string()
	if r.number() != 0 {
		unix, zone := r.signed(), r.signed()
		switch {
		case zone == 0:
			e.Sent = time.Unix(unix, 0).UTC()
		case zone > -86400 && zone < 86400:
			e.Sent = time.Unix(unix, 0).In(time.FixedZone("", int(zone)))
		default:
			r.fail()
		}
	}
	e.Subject = r.string()
	domain := ""
	all := make([]addr.Address, r.count())
	for _, list := range [...]*[]addr.Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		n := r.count()
		if n > len(all) {
			r.fail()
			return
		}
		if n == 0 {
			continue
		}
		*list, all = all[:n:n], all[n:]
		for i := range *list {
			domain = r.address(&(*list)[i], domain)
		}
	}
	e.InReplyTo = r.string()
	e.MessageID = r.string()
}

func (r *indexReader) address(a *addr.Address, domain string) string {
	head := r.number()
	a.Kind = addr.Kind(head & addrKindMask)
	if head&addrNoName == 0 {
		a.Name = r.string()
	}
	a.Local = r.string()
	a.Domain = domain
	if head&addrSameDomain == 0 {
		a.Domain = r.string()
	}
	return a.Domain
}

// maxOffset keeps sums of offsets from a damaged index within int64.
const maxOffset = 1 << 50

func (r *indexReader) part(p *Part, base int64, depth int) {
	if r.parts++; depth > MaxDepth+1 || r.parts > MaxParts+1 {
		r.fail()
		return
	}
	bits := r.number()
	start, header, size, lines := r.number(), r.number(), r.number(), r.number()
	if start > maxOffset || header > maxOffset || size > maxOffset || lines > maxOffset {
		r.fail()
		return
	}
	p.HeaderStart = base + int64(start)
	p.BodyStart = p.HeaderStart + int64(header)
	p.BodyEnd = p.BodyStart + int64(size)
	p.Lines, p.DecodedSize = int64(lines), int64(size)
	if bits&partDecoded != 0 {
		p.DecodedSize = int64(r.number())
	}
	p.Type, p.Subtype, p.Encoding = r.string(), r.string(), "7bit"
	if bits&partParams != 0 {
		p.Params = r.params()
	}
	for _, o := range [...]struct {
		bit uint64
		s   *string
	}{
		{partID, &p.ID}, {partDescription, &p.Description}, {partEncoding, &p.Encoding}, {partDisposition, &p.Disposition},
		{partLocation, &p.Location}, {partMD5, &p.MD5},
	} {
		if bits&o.bit != 0 {
			*o.s = r.string()
		}
	}
	if bits&partDisposition != 0 {
		if p.Disposition == "" { // never written: its parameters would be lost
			r.fail()
			return
		}
		p.DispParams = r.params()
	}
	if bits&partLanguage != 0 {
		p.Language = r.strings()
	}
	if bits&partEnvelope != 0 {
		p.Envelope = &Envelope{}
		r.envelope(p.Envelope)
	}
	if bits&partChildren != 0 {
		n := r.count()
		if n > MaxParts+1 {
			r.fail()
			return
		}
		kids := make([]Part, n)
		p.Children = make([]*Part, n)
		for i := range kids {
			p.Children[i] = &kids[i]
			r.part(&kids[i], p.BodyStart, depth+1)
			if r.bad {
				return
			}
		}
	}
}
