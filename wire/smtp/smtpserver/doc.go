// Package smtpserver is the server's half of SMTP and LMTP: one engine for MX,
// submission and local delivery. It keeps the state of the protocol, its limits
// and its timeouts, and hands commands and content to a Session.
//
// Owns:      the connection, from accept to close; no message and no account.
// Trusts:    its Backend; nobody on the wire.
// May touch: the network connections of the listeners it is given, and the clock in its Config.
// Standards: RFC 5321; RFC 1870 SIZE; RFC 2033 LMTP; RFC 2034; RFC 2920 PIPELINING; RFC 3030 CHUNKING;
//
//	RFC 3207 STARTTLS; RFC 3461 DSN; RFC 4954 AUTH; RFC 6152 8BITMIME; RFC 6531 SMTPUTF8.
//
// Line ends are strict. A message ends at <CRLF>.<CRLF> and nowhere else, and a
// message with a bare CR, a bare LF or a NUL is refused: what passes here reads
// the same to every MTA behind, so no second message can be smuggled inside it.
package smtpserver
