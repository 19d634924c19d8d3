// Package jmap holds the data model of JMAP: what RFC 8620 says about requests,
// responses, ids, dates, patches, filters, references and errors, apart from
// any transport (see jmapserver) and any data type (see serve/jmap).
//
// Owns:      nothing.
// Trusts:    nobody: every decoder here reads a client's bytes and is bounded.
// May touch: nothing; no files, no network, no clock.
// Standards: RFC 8620; RFC 7493 (I-JSON); RFC 6901 (JSON Pointer); RFC 3339.
package jmap
