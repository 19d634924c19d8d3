// Package imapserver is the IMAP engine: connections, states, and commands, one
// file per command. It speaks to the mail through a Session that its user gives.
//
// Owns:      the protocol state of its connections: selected view, announcements, IDLE.
// Trusts:    Login and Session; nobody on the network.
// May touch: the connections of the listeners that it is given; base/clock. No files.
// Standards: RFC 9051, RFC 3501; RFC 2177, 2342, 2971, 3516, 3691, 4315, 4731, 4959, 5032, 5161, 5182, 5258, 5530, 5819, 6154, 6851, 6855, 7162, 7888, 7889, 8437, 8438, 8440, 8474, 9208.
// States:    not authenticated - authenticated - selected - logout (RFC 9051 section 3).
package imapserver
