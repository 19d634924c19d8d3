package node

import (
	"context"
	"sync"

	mohar "github.com/mohar-mail/mohar"
)

// sessions knows the engines that hold connections of mail programs.
type sessions struct {
	mu         sync.Mutex
	disconnect []func(account string) int
}

func (s *sessions) add(disconnect func(account string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnect = append(s.disconnect, disconnect)
}

// endSessions ends what an account has open on this node: its web sessions, and its
// connections by IMAP and POP3 (LIF-02). The submission door looks the account up
// for each message.
func (n *Node) endSessions(ctx context.Context, account mohar.AccountID) error {
	n.open.mu.Lock()
	defer n.open.mu.Unlock()
	for _, disconnect := range n.open.disconnect {
		disconnect(string(account))
	}
	return n.signin.EndAll(ctx, account)
}
