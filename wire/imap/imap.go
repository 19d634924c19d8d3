// Package imap is the grammar of IMAP4rev1 and IMAP4rev2: commands from bytes
// to values, and response data from values to bytes. It holds no connection
// and no mailbox; the engine beside it (imapserver) does.
//
// Owns:      the value types of commands and response data.
// Trusts:    nobody: every octet comes from a client that may not have signed in.
// May touch: the bufio.Reader that CommandReader is given. No files, network or clock.
// Standards: RFC 9051, RFC 3501, RFC 2342, 2971, 3516, 3691, 4315, 4466, 4731, 4959, 5032, 5161, 5182, 5258, 5530, 5819, 6154, 6851, 6855, 7162, 7888, 7889, 8437, 8438, 8440, 8474, 9208.
package imap

// Bounds of the grammar. They hold whatever the configured command size is, so
// that a short command cannot make a long computation.
const (
	MaxSearchDepth = 16    // nesting of NOT, OR and parentheses in a SEARCH
	MaxSearchKeys  = 1000  // keys of one SEARCH, all levels together
	MaxSetRanges   = 65536 // ranges of one sequence set
	MaxFetchItems  = 200   // items of one FETCH
	MaxHeaderNames = 200   // field names in one HEADER.FIELDS
	MaxPartDepth   = 100   // numbers in one section part
	MaxFlags       = 128   // flags in one flag list
	MaxPatterns    = 64    // patterns of one LIST
	MaxIDFields    = 30    // RFC 2971 section 3.3: at most 30 field-value pairs
	MaxCapNames    = 32    // names in one ENABLE
	MaxNameLength  = 1024  // octets of one mailbox name, decoded
	MaxFlagLength  = 255   // octets of one keyword
)

// Delimiter is the hierarchy separator of every mailbox name.
const Delimiter = '/'

// SyntaxError says what a command got wrong. It is answered with BAD.
type SyntaxError struct {
	What string // what was expected, in words fit for the client
	Pos  int    // octet of the command at which parsing stopped
}

// Error gives the sentence for the client.
func (e *SyntaxError) Error() string { return e.What }

// CharsetError is a SEARCH in a charset that we do not read; answered with
// NO [BADCHARSET] (RFC 9051 section 6.4.4).
type CharsetError struct{ Charset string }

// Error gives the sentence for the client.
func (e *CharsetError) Error() string { return "Charset is not supported" }
