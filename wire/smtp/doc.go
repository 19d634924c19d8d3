// Package smtp is the grammar of SMTP and LMTP: commands, paths, parameters,
// replies, enhanced status codes and xtext, as values and as octets.
//
// Owns:      the octets of a command line and of a reply; no connection and no state.
// Trusts:    nobody; every parser is bounded and takes any octets without panic.
// May touch: nothing.
// Standards: RFC 5321 section 4; RFC 1870; RFC 2033; RFC 2034 and RFC 3463; RFC 3030;
//
//	RFC 3207; RFC 3461 sections 4 and 5; RFC 4954; RFC 6152; RFC 6531 section 3.3; RFC 8689.
package smtp

// Bounds of the grammar, in octets where nothing else is said.
const (
	// MaxCommandLine bounds a command line with its CRLF. RFC 5321 section
	// 4.5.3.1.4 gives 512, to which each extension adds (SIZE 26, DSN 500 per
	// ORCPT and 100 per ENVID, SMTPUTF8 10): one generous bound covers all.
	MaxCommandLine = 4096
	// MaxAuthLine bounds a line of an AUTH exchange: RFC 4954 section 4.
	MaxAuthLine = 12288
	// MaxReplyLine bounds a reply line with its CRLF. RFC 5321 section
	// 4.5.3.1.5 says 512; servers that explain themselves write longer ones.
	MaxReplyLine = 4096
	// MaxReplyLines bounds the lines of one reply.
	MaxReplyLines = 128
	// MaxLocalPart and MaxDomain bound the halves of an address. RFC 5321
	// section 4.5.3.1.1 says 64 for the first, but senders that encode the
	// recipient in their reverse-path exceed that daily, so more is taken.
	MaxLocalPart = 255
	MaxDomain    = 255
	// MaxParams bounds the parameters of one MAIL or RCPT.
	MaxParams = 16
	// MaxEnvID and MaxORcpt: RFC 3461 sections 4.4 and 4.2.
	MaxEnvID = 100
	MaxORcpt = 500
	// TextLine is the longest text line, without CRLF, that RFC 5321 section
	// 4.5.3.1.6 obliges everyone to take.
	TextLine = 998
)
