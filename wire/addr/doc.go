// Package addr reads and writes mail addresses: the mailbox and path of the
// SMTP envelope, domain names in both of their forms, and the address lists of
// header fields.
//
// Owns:      the look-up key of an address (Mailbox.Key, Mailbox.LooseKey).
// Trusts:    nobody; every input is bounded and may be hostile.
// May touch: nothing but its arguments.
// Standards: RFC 5321 section 4.1.2; RFC 6531 section 3.3; RFC 5322 section
// 3.4 and 4.4; RFC 6532; RFC 5890 to 5893 by way of UTS 46; RFC 5233 (detail).
package addr
