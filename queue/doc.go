// Package queue holds mail we have promised to deliver.
//
// Owns:      shards "q/<lane>"; in them the keys that begin with a capital letter.
// Trusts:    flow/* for envelope and decision; nobody for content.
// May touch: store/kv, store/body inside its own transactions. No files, no
// network, no clock but base/clock.
// Standards: RFC 5321 sections 4.5.4 and 6.1; RFC 3461.
// States:    S1 absent - S2 content stored - S3 promised - S4 leased by a worker -
// S5 done or bounced; H held by a person or the policy.
//
// The instant of the promise (S3) is the commit of Add: envelope, content (or
// its place in the blob store), recipients and the audit record in one
// transaction of one lane. Whatever dies before it has promised nothing, and a
// content that was stored for it is garbage; whatever dies after it finds the
// message due.
//
// S3 -> S4: Lease moves a recipient's due time behind the end of the lease and
// hands out that time as the fencing token. The commit is lazy: a lease lost in
// a crash is a recipient that is due at once.
//
// S4 -> S5: Finish removes recipients, or gives them a new due time. A worker
// whose lease has run out, and whose recipient was leased to another, finds its
// token gone and changes nothing. A local delivery is exactly once, because the
// mailbox keeps the item's id in the transaction that adds the message. A remote
// one is at least once: a kill between the peer's 250 and our Finish sends it
// again, RFC 5321 section 4.5.4.1.
//
// An item goes with its last recipient, and with it the queue's own hold on the
// content. Recipients that were delivered locally have taken theirs along.
//
// Keys of a lane (numbers big endian):
//
//	M id(16)                                  Item
//	R id(16) n(4)                             Recipient
//	N class(1) due(8) id(16) n(4) -> to       what is due when; to: account or domain
package queue
