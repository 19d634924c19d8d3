package node

import "crypto/tls"

func (n *Node) imapDoors(*tls.Config) []door { return nil }
