// Package pop is the grammar of POP3: commands read from lines, replies and
// multi-line answers written as octets.
//
// Owns:      nothing stored.
// Trusts:    nobody; every line is bounded before it is parsed.
// May touch: the readers and slices that it is given.
// Standards: RFC 1939; RFC 2449 (grammar, response codes); RFC 2595 section 4 (STLS); RFC 3206; RFC 5034 (AUTH); RFC 6856 (UTF8).
package pop
