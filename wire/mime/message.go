package mime

import (
	"strings"
	"time"

	"github.com/mohar-mail/mohar/wire/addr"
)

// Bounds of Parse. A message beyond them keeps its octets; only the tree ends.
const (
	MaxDepth        = 50      // nested multiparts and messages; deeper ones are leaves
	MaxParts        = 1000    // the last one takes the rest of the content, unread
	MaxHeaderBytes  = 1 << 20 // octets of all headers that are read for fields
	MaxHeaderFields = 2000    // fields read per header
	MaxParams       = 64      // parameters per field
	MaxFieldBytes   = 64 << 10
	MaxReferences   = 200
	MaxAddresses    = addr.DefaultMaxAddresses // per address field
	maxEnvelopeText = 4 << 10                  // subject, message-id and the like
	maxBoundary     = 200                      // RFC 2046 section 5.1.1 allows 70
)

// Defect is a set of things wrong with a message. Policy may judge by it: each
// is a place where two readers could see two different messages.
type Defect uint32

// The defects.
const (
	DefectDepth         Defect = 1 << iota // nested deeper than MaxDepth
	DefectParts                            // more than MaxParts
	DefectHeaderSize                       // more than MaxHeaderBytes or MaxHeaderFields
	DefectGarbageField                     // a header line without a field name
	DefectNoBlankLine                      // body or end of content without a blank line before it
	DefectMboxFrom                         // an mbox "From " line before the header
	DefectDuplicate                        // a field that may stand once stands twice
	DefectBareLF                           // a header line ends without CR
	DefectNUL                              // NUL in a header
	DefectNoBoundary                       // multipart without a usable boundary
	DefectUnclosed                         // multipart without its closing delimiter
	DefectEmptyMulti                       // multipart without any part
	DefectContentType                      // Content-Type that cannot be read
	DefectEncoding                         // unknown transfer encoding, or one on a composite type
	DefectParams                           // more than MaxParams, or parameters that contradict each other
	DefectLongBoundary                     // boundary longer than 70 octets
	DefectTooManyValues                    // address list or references cut
)

var defectNames = [...]string{"depth", "parts", "header-size", "garbage-field", "no-blank-line", "mbox-from", "duplicate-field",
	"bare-lf", "nul", "no-boundary", "unclosed", "empty-multipart", "content-type", "encoding", "parameters", "long-boundary", "values-cut"}

// String gives the names of the defects, separated by commas.
func (d Defect) String() string {
	var names []string
	for i, n := range defectNames {
		if d&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// Flags are facts about a whole message that lists and searches ask for.
type Flags uint16

// The flags.
const (
	HasAttachment Flags = 1 << iota // RFC 8621 section 4.1.4, hasAttachment
	HasTNEF                         // a winmail.dat part
	HasCalendar                     // a text/calendar part
	IsSigned                        // S/MIME or OpenPGP signature
	IsEncrypted                     // S/MIME or OpenPGP encryption
	IsReport                        // multipart/report: a bounce or a receipt
	Is8Bit                          // octets above 127 in the header
)

// Param is a parameter of a structured field, decoded to UTF-8; Name is in
// lower case.
type Param struct{ Name, Value string }

// getParam gives the value of the first parameter of that name, or "".
func getParam(list []Param, name string) string {
	for i := range list {
		if list[i].Name == name {
			return list[i].Value
		}
	}
	return ""
}

// Part is one node of the tree. Offsets are into the content of the message:
// the header with its blank line is [HeaderStart,BodyStart), the body
// [BodyStart,BodyEnd).
type Part struct {
	HeaderStart, BodyStart, BodyEnd int64
	// Lines is the number of line ends in the body.
	Lines int64
	// DecodedSize is the size of the body in octets after transfer decoding:
	// BINARY.SIZE of RFC 3516, size of EmailBodyPart.
	DecodedSize int64

	Type, Subtype string // in lower case; the default where the field is absent or bad
	Params        []Param
	ID            string // Content-ID with its angle brackets
	Description   string // raw: may hold RFC 2047 words
	Encoding      string // in lower case; "7bit" where absent
	Disposition   string // in lower case; "" where absent
	DispParams    []Param
	Language      []string
	Location      string
	MD5           string

	// Envelope is set on the root and on the root of each nested message.
	Envelope *Envelope
	// Children are the parts of a multipart, or the one nested message of a
	// message/rfc822 or message/global.
	Children []*Part
}

// IsMultipart says whether the part is a multipart with children.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

// IsMessage says whether the part holds a nested message: Children[0].
func (p *Part) IsMessage() bool { return p.Type == "message" && len(p.Children) == 1 }

// MediaType gives "type/subtype".
func (p *Part) MediaType() string { return p.Type + "/" + p.Subtype }

// Size is the size of the body in octets as it stands.
func (p *Part) Size() int64 { return p.BodyEnd - p.BodyStart }

// Param gives a parameter of Content-Type by its lower-case name, or "".
func (p *Part) Param(name string) string { return getParam(p.Params, name) }

// Charset gives the charset parameter as written, or "".
func (p *Part) Charset() string { return p.Param("charset") }

// Filename gives the name that the sender gave to the file, or "". It may hold
// anything, path separators too: it is text for people, not a path.
func (p *Part) Filename() string {
	if n := getParam(p.DispParams, "filename"); n != "" {
		return n
	}
	return p.Param("name")
}

// Find gives the part of an IMAP section number (RFC 9051 section 6.4.5.1),
// counted from 1; an empty path is p itself. A message that is no multipart has
// itself as part 1. p must be the root, or the root of a nested message.
func (p *Part) Find(path []int) *Part {
	whole := true // p stands for a message and not for a part of one
	for _, n := range path {
		if !whole && p.IsMessage() {
			p, whole = p.Children[0], true
		}
		switch {
		case p.IsMultipart():
			if n < 1 || n > len(p.Children) {
				return nil
			}
			p = p.Children[n-1]
		case !whole || n != 1:
			return nil
		}
		whole = false
	}
	return p
}

// Envelope holds the fields of ENVELOPE in RFC 9051 section 7.5.2. Texts are
// unfolded but not decoded: use DecodeText. Lists may be empty; who must show a
// sender or reply-to where there is none uses SenderOrFrom and ReplyToOrFrom.
type Envelope struct {
	Date      string    // as it stands
	Sent      time.Time // Date understood, with its zone; zero where it was not
	Subject   string
	From      []addr.Address
	Sender    []addr.Address
	ReplyTo   []addr.Address
	To        []addr.Address
	Cc        []addr.Address
	Bcc       []addr.Address
	InReplyTo string
	MessageID string
}

// SenderOrFrom gives Sender, or From where it is empty (RFC 9051 section 7.5.2).
func (e *Envelope) SenderOrFrom() []addr.Address {
	if len(e.Sender) == 0 {
		return e.From
	}
	return e.Sender
}

// ReplyToOrFrom gives ReplyTo, or From where it is empty.
func (e *Envelope) ReplyToOrFrom() []addr.Address {
	if len(e.ReplyTo) == 0 {
		return e.From
	}
	return e.ReplyTo
}

// Index is everything about a message that doors ask for without reading its
// content. AppendBinary and DecodeIndex store it.
type Index struct {
	Size       int64 // octets of the content
	Flags      Flags
	Defects    Defect
	References []string // msg-ids with brackets, oldest first
	Preview    string   // up to PreviewRunes characters of readable text
	Root       *Part
}

// Envelope gives the envelope of the message itself; never nil after Parse.
func (x *Index) Envelope() *Envelope { return x.Root.Envelope }

// Message is a content and what was found in it. Content is the slice that was
// given to Parse and stays the caller's.
type Message struct {
	Content []byte
	Index
}

// Header gives the octets of the header of p with its blank line.
func (m *Message) Header(p *Part) Header { return Header(m.Content[p.HeaderStart:p.BodyStart]) }

// Body gives the octets of the body of p, as they stand.
func (m *Message) Body(p *Part) []byte { return m.Content[p.BodyStart:p.BodyEnd] }
