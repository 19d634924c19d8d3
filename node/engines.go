package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/flow/signin"
	"github.com/mohar-mail/mohar/store/blob/segment"
	"github.com/mohar-mail/mohar/store/body"
	"github.com/mohar-mail/mohar/store/hub"
	"github.com/mohar-mail/mohar/store/hub/localhub"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/pebblekv"
	"github.com/mohar-mail/mohar/wire/tlog"
)

// The folders and files of an installation's data.
const (
	dirKeys    = "keys"    // private keys, readable by the server alone
	dirIndex   = "index"   // pebble
	dirContent = "content" // segments of large bodies
	fileAudit  = "log.key" // signs the audit log's checkpoints
	filePublic = "log.pub" // verifies them
	socketName = "mohar.sock"
)

// engines are the backends, chosen here and nowhere else.
type engines struct {
	kv     *kv.Store
	blobs  *segment.Store
	bodies *body.Bodies
	hub    hub.Hub
}

func openEngines(dir string, cfg *Config, log *slog.Logger) (*engines, error) {
	// Mail and keys are nobody else's, whatever the umask and the folder around
	// them, which a service manager may have made readable for all.
	for _, name := range []string{dirKeys, dirIndex, dirContent} {
		sub := filepath.Join(dir, name)
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "node.Open", "The data folder cannot be made.")
		}
		if err := os.Chmod(sub, 0o700); err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "node.Open", "The data belongs to somebody else. Run this as the user of the server.")
		}
	}
	db, err := pebblekv.Open(filepath.Join(dir, dirIndex), pebblekv.Config{
		Cache: int64(cfg.Storage.CacheMB) << 20, MemTable: uint64(cfg.Storage.MemtableMB) << 20, Log: log})
	if errors.Is(err, kv.ErrLocked) {
		return nil, fault.Wrap(err, fault.Unavailable, "node.Open", "Another server is using the data in "+dir+". Stop it first.")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "node.Open", "The data in "+dir+" cannot be opened.")
	}
	e := &engines{kv: kv.NewStore(db), hub: localhub.New()}
	if e.blobs, err = segment.Open(filepath.Join(dir, dirContent), segment.Config{}); err != nil {
		err = fault.Wrap(err, fault.Unavailable, "node.Open", "The contents in "+dir+" cannot be opened.")
		return nil, errors.Join(err, e.kv.Close())
	}
	e.bodies = body.New(e.kv, e.blobs, body.Config{})
	return e, nil
}

func (e *engines) close() error {
	e.hub.Close()
	return errors.Join(e.kv.Close(), e.blobs.Close())
}

// Changed tells the hub of a change of an account's mail.
func (e *engines) Changed(a mohar.AccountID, modseq uint64) {
	e.hub.Publish(hub.Event{Topic: hub.Account(a), State: modseq})
}

// auditKey loads the key that signs the log, or makes it. The public half lies
// beside it, for auditors.
func auditKey(dir, origin string) (private, public string, err error) {
	file := filepath.Join(dir, dirKeys, fileAudit)
	data, err := os.ReadFile(file)
	if err == nil {
		private = strings.TrimSpace(string(data))
		public, err = tlog.Public(private)
		return private, public, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	if private, public, err = tlog.GenerateKey(rand.Reader, origin); err != nil {
		return "", "", err
	}
	if err := writeFile(file, []byte(private+"\n"), 0o600); err != nil {
		return "", "", fmt.Errorf("audit key: %w", err)
	}
	return private, public, writeFile(filepath.Join(dir, filePublic), []byte(public+"\n"), 0o644)
}

// auditSources are the shards in which records are staged.
func (n *Node) auditSources() []kv.Shard {
	out := []kv.Shard{directoryShard}
	for lane := range n.queue.Lanes() {
		out = append(out, queueLane(lane))
	}
	return append(out, signin.Shards()...)
}
