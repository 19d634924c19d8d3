// Package bad shows a whole server what it must survive: wrong recipients,
// wrong passwords, content that breaks parsers, a full disk, a second server on
// its data. Each has the right reply, loses nothing that was accepted, and costs
// bounded time and memory.
//
// Owns:      the demos that its tests start.
// Trusts:    nobody.
// May touch: loopback ports, temporary folders, a tmpfs of its own.
package bad
