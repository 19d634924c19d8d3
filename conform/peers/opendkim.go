package peers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// StartOpenDKIM runs OpenDKIM as a verifying milter and gives its port. keys are
// the published DKIM records by name ("sel._domainkey.example.test"), which
// stand in for the DNS. Its verdict is an Authentication-Results field with the
// given server id; nothing is refused.
func StartOpenDKIM(t testing.TB, id string, keys map[string]string) int {
	t.Helper()
	bin := Tool(t, "opendkim", "opendkim")
	dir, port := Folder(t), FreePort(t)
	var zone strings.Builder
	for name, record := range keys {
		fmt.Fprintf(&zone, "%s %s\n", name, record)
	}
	write(t, filepath.Join(dir, "zone"), zone.String())
	write(t, filepath.Join(dir, "opendkim.conf"), fmt.Sprintf(`Mode v
Syslog no
Background no
AuthservID %s
AlwaysAddARHeader yes
TestDNSData file:%s
On-Default accept
On-BadSignature accept
InternalHosts 192.0.2.1
RequireSafeKeys no
`, id, filepath.Join(dir, "zone")))
	p := spawn(t, bin, "-f", "-x", filepath.Join(dir, "opendkim.conf"), "-p", fmt.Sprintf("inet:%d@127.0.0.1", port))
	p.await(t, "opendkim", func() string { return "" }, port)
	return port
}
