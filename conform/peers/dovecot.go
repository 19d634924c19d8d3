package peers

import (
	"fmt"
	"path/filepath"
	"testing"
)

// Dovecot is a private Dovecot with Maildirs of its own. Every user exists and
// has the password Password.
type Dovecot struct {
	IMAP     int // port on 127.0.0.1, without TLS
	LMTP     int // port on 127.0.0.1
	Password string
	log      string
}

const dovecotConf = `
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
auth_verbose = yes
mail_debug = no
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:%[1]s/mail/%%u:UTF-8
first_valid_uid = 1
maildir_broken_filename_sizes = no
postmaster_address = postmaster@peer.example
passdb {
  driver = static
  args = password=%[2]s
}
userdb {
  driver = static
  args = uid=dovecot gid=dovecot home=%[1]s/mail/%%u allow_all_users=yes
}
namespace inbox {
  inbox = yes
  separator = /
}
service imap-login {
  inet_listener imap {
    address = 127.0.0.1
    port = %[3]d
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = %[4]d
  }
}
service stats {
  chroot =
}
`

// StartDovecot runs a Dovecot and waits until it accepts IMAP and LMTP. It
// needs root, as Dovecot does.
func StartDovecot(t testing.TB) *Dovecot {
	t.Helper()
	bin := Tool(t, "dovecot", "dovecot-imapd dovecot-lmtpd")
	dir := Folder(t)
	d := &Dovecot{IMAP: FreePort(t), LMTP: FreePort(t), Password: "peer", log: filepath.Join(dir, "log")}
	write(t, filepath.Join(dir, "dovecot.conf"), fmt.Sprintf(dovecotConf, dir, d.Password, d.IMAP, d.LMTP))
	write(t, filepath.Join(dir, "mail", ".keep"), "")
	chownTo(t, "dovecot", filepath.Join(dir, "mail"))
	p := spawn(t, bin, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	p.await(t, "dovecot", d.Logs, d.IMAP, d.LMTP)
	return d
}

// Logs gives the end of the log, for a failure's report.
func (d *Dovecot) Logs() string { return tail(d.log) }
