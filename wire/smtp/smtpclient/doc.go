// Package smtpclient is the client's half of SMTP and LMTP: it carries one
// message at a time over one connection to one host, and says for each
// recipient what became of it. Which host, which TLS policy and when to try
// again are the caller's.
//
// Owns:      the connection that it was given or dialled.
// Trusts:    the caller for the envelope's policy; not for its octets, and nobody on the wire.
// May touch: the network.
// Standards: RFC 5321; RFC 1870 SIZE; RFC 2033 LMTP; RFC 2920 PIPELINING; RFC 3030 CHUNKING; RFC 3207 STARTTLS;
//
//	RFC 3461 DSN; RFC 4954 AUTH; RFC 6152 8BITMIME; RFC 6531 SMTPUTF8; RFC 8689 REQUIRETLS.
//
// Content goes out as it is or not at all. A bare CR, a bare LF or a NUL, which
// another MTA might take for the end of the data, is refused and never mended:
// mending would break signatures, and sending would smuggle.
package smtpclient
