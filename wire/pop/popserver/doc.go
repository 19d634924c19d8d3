// Package popserver is the POP3 engine: connections, states and commands. It
// speaks to the mail through a Session that its user gives.
//
// Owns:      the protocol state of its connections: the maildrop as it was at login, and what is marked as deleted.
// Trusts:    Login and Session; nobody on the network.
// May touch: the connections of the listeners that it is given; base/clock. No files.
// Standards: RFC 1939; RFC 2449; RFC 2595 section 4; RFC 3206; RFC 5034 with PLAIN (RFC 4616); RFC 6856 (UTF8).
// States:    AUTHORIZATION - TRANSACTION - UPDATE (RFC 1939 section 3).
//
// No exclusive lock is taken on a maildrop (RFC 1939 section 4 asks for one):
// one mailbox is read by IMAP, JMAP and webmail at the same time, and a lock
// left behind by a client that went silent would keep its owner out. What the
// lock is for holds without it: each session numbers the messages once, at
// login, and keeps those numbers whatever happens; a message that somebody else
// deletes meanwhile gives -ERR when it is asked for, and deleting it again at
// QUIT is no error.
package popserver
