// Package mailbox is the message store of one account at a time: mailboxes,
// emails, flags, threads, quota, and the log of changes that serves CONDSTORE,
// QRESYNC and JMAP alike.
//
// Owns:      shards "a/<account>"; in them the keys that begin with a capital letter.
// Trusts:    flows and doors for who may act; nobody for content.
// May touch: store/kv, store/body, store/hub. No files, no network, no clock but base/clock.
// Standards: RFC 9051, RFC 7162, RFC 8474, RFC 8620 and RFC 8621 sections 2 to 4.
//
// An Email is one message of the account. It lies in one or more mailboxes, in
// each under a UID of its own: an Entry. Entries carry the flags, so that a scan
// of one mailbox answers everything that IMAP asks of a list without touching
// the emails. Keywords of one Email are the same in all its entries; \Deleted
// belongs to the entry.
//
// Every transaction takes one number from the account's modification sequence.
// It is the MODSEQ of the entries that it changed, the key of its row in the
// change log, and the JMAP state.
//
// Keys of a shard (numbers big endian, so that they sort):
//
//	M                          Meta: sequences, quota
//	F mailbox(4)               Mailbox
//	U mailbox(4) uid(4)        Entry
//	E email(8)                 Email
//	R mailbox(4) time(8) email(8) -> thread(8)   order of receipt
//	T thread(8) email(8)       members of a thread
//	H hash(12)                 -> thread(8), by message id and base subject
//	I hash(12) email(8)        by message id
//	L modseq(8)                changes of one transaction
//	D item(16)                 a queue item that was delivered here
//	S ref                      count of emails that share a body, when over 1
//	X seq(8)                   a body of another shard to be released
package mailbox
