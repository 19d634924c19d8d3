package popserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
)

// ConnInfo is what the engine knows about who connects.
type ConnInfo struct {
	Remote, Local net.Addr
	TLS           *tls.ConnectionState // nil: in clear text
}

// Login checks a password and opens the account behind it. fault.Auth,
// fault.Denied and fault.Refused are answered with the response code AUTH;
// authzid is "" unless the client asked to act as somebody else.
type Login func(ctx context.Context, c ConnInfo, authzid, user, password string) (Session, error)

// Session is one signed-in client's hold on its maildrop. Methods are called by
// one goroutine at a time. Errors are of base/fault; their public line is shown
// to the client.
type Session interface {
	// Account identifies the account, for limits per account and the log.
	Account() string
	// Maildrop gives the maildrop at one instant, at most limit messages: the
	// newest. It is called once, at login; the engine keeps and modifies the
	// result.
	Maildrop(ctx context.Context, limit int) (Maildrop, error)
	// Body opens the content of a message for reading in sequence, bounded by
	// ctx; fault.NotFound if it is gone. It needs no closing.
	Body(ctx context.Context, uid uint32) (io.Reader, error)
	// Delete removes messages for good and durably; uids rise, and one that is
	// gone already is no error. On an error some may remain.
	Delete(ctx context.Context, uids []uint32) error
	// Close releases what the session holds.
	Close()
}

// Maildrop is a maildrop at one instant.
type Maildrop struct {
	// Validity changes when UIDs lose their meaning. With the UID it makes the
	// unique id of UIDL: the same for all time, of digits and one dot, at most
	// 21 octets (RFC 1939 section 7 allows 70).
	Validity uint32
	Messages []Message // by rising UID; the first is message number 1
}

// Message is one message of a maildrop.
type Message struct {
	Size    int64 // octets
	UID     uint32
	deleted bool // marked by DELE
}
