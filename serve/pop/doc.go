// Package pop is the POP3 door: the engine's Session over the inbox of the
// message store.
//
// Owns:      nothing stored; the connections of its engine.
// Trusts:    Signin for who somebody is; nobody for content.
// May touch: mailbox and store/body through Config; no files, no network, no clock.
// Standards: those of wire/pop/popserver.
//
// The maildrop is the inbox without what IMAP has marked \Deleted. Messages that
// are read keep their flags: a program that fetches copies does not make mail
// look read in other programs. DELE and QUIT take a message out of the inbox, as
// an IMAP EXPUNGE there does; it stays in other mailboxes that it lies in.
package pop
