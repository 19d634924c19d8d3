// Package mime reads messages into a tree of offsets, decodes what people wrote
// into UTF-8, keeps the outcome as a small index beside the message, and writes
// new messages.
//
// Received octets are never rebuilt: the index points into them, and only whole
// fields are put before them. Reading is one pass in time linear in the octets,
// whatever they hold, and always gives a tree; what was wrong is a defect.
//
// Owns:      the binary form of Index.
// Trusts:    nobody; the content is hostile and every count is bounded.
// May touch: nothing but its arguments (Builder reads randomness).
// Standards: RFC 5322, 6532; RFC 2045, 2046, 2047, 2183, 2231, 2392; RFC 9051
// section 7.5.2 and RFC 8621 section 4 for what the tree must answer; RFC 5256
// section 2.1; RFC 8970.
package mime
