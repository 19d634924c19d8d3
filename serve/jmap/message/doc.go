// Package message turns messages into the Email objects of JMAP and back: the
// parsed forms of header fields, body parts and their values, and the octets of
// a message that is created from its properties.
//
// Owns:      nothing; received octets are read, never rebuilt.
// Trusts:    nobody, neither the sender of a message nor the client.
// May touch: nothing but what its callers hand over.
// Standards: RFC 8621 section 4.
package message
