// Package dsn writes and reads delivery status notifications: the report that
// tells a sender, in Hindi and English, what became of each recipient, and tells
// programs the same in fields.
//
// Owns:      nothing.
// Trusts:    nobody: addresses, diagnostics and returned content come from
// outside, and are cleaned or cut before they enter a report.
// May touch: nothing but its arguments.
// Standards: RFC 3461 sections 4 and 6; RFC 3464; RFC 6522; RFC 6533; RFC 3834
// section 5 (Auto-Submitted).
package dsn
