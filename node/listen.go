package node

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/mohar-mail/mohar/base/fault"
)

// maxSocketPath is the longest path that a unix socket can have: sun_path holds
// 108 octets with the final zero (unix(7)).
const maxSocketPath = 107

// listen opens a TCP address, or a unix socket for a path.
func listen(addr string) (net.Listener, error) {
	if filepath.IsAbs(addr) {
		return listenUnix(addr)
	}
	return net.Listen("tcp", addr)
}

// listenUnix opens a socket that only its owner can connect to. It is bound in a
// folder of its own that nobody else can enter and moved to its place when its
// mode is right, so that no umask leaves it open for a moment. A socket that a
// dead server left is replaced; any other file is not.
func listenUnix(file string) (net.Listener, error) {
	if st, err := os.Lstat(file); err == nil && st.Mode().Type() != fs.ModeSocket {
		return nil, fault.New(fault.Exists, "node.listen", file+" is in the way: it is no socket.")
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	if len(made) > maxSocketPath || len(file) > maxSocketPath {
		return nil, fault.New(fault.Invalid, "node.listen", "The path of the data folder is too long for the socket "+file+". Move the data to a shorter path.")
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(made, 0o600); err == nil {
		err = os.Rename(made, file)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{Listener: l, file: file}, nil
}

// socket removes its file when it closes.
type socket struct {
	net.Listener
	file string
}

// Close closes the socket and removes its file.
func (s *socket) Close() error {
	err := s.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err // the file may be a younger server's
	}
	return errors.Join(err, os.Remove(s.file))
}
