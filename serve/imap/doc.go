// Package imap is the IMAP door: the engine's Session over the message store.
//
// Owns:      nothing stored; the connections of its engine.
// Trusts:    Signin for who somebody is; nobody for content and names.
// May touch: mailbox, store/body, store/hub through Config; no files, no clock but base/clock.
// Standards: those of wire/imap/imapserver; RFC 8474 for ids; RFC 6154 for special uses.
package imap
