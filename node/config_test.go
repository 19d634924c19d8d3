package node

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/base/fault"
)

var update = flag.Bool("update", false, "write the generated files")

// TestConfigDoc: docs/operate/config.md is what the struct says.
func TestConfigDoc(t *testing.T) {
	t.Parallel()
	text := "# Configuration\n\n`mohar init` writes this file, `mohar.toml`, into the data folder; a key that is left out has the value shown here. A key that does not exist, or a value that cannot be, keeps the server from starting and is named with its line. Changes take effect at the next start. The default of `hostname` is the machine's own name.\n\n```toml\n" +
		regexp.MustCompile(`(?m)^hostname = .*$`).ReplaceAllString(DescribeConfig(), "hostname = 'mail.rajya.example'") + "```\n"
	const file = "../docs/operate/config.md"
	if *update {
		must(t, os.WriteFile(file, []byte(text), 0o644))
	}
	have, err := os.ReadFile(file)
	must(t, err)
	if string(have) != text {
		t.Errorf("%s is not what the struct says; run: go test ./node -run TestConfigDoc -update", file)
	}
	if strings.Contains(text, "# \n") {
		t.Error("a key without a sentence")
	}
	if n := strings.Count(text, "\n# "); n > 40 {
		t.Errorf("%d keys are more than 40", n)
	}
	again := filepath.Join(t.TempDir(), ConfigName)
	must(t, os.WriteFile(again, []byte(DescribeConfig()), 0o600))
	if _, err := LoadConfig(again, false); err != nil {
		t.Errorf("the file that is written cannot be read: %v", err)
	}
}

func TestLoadConfig(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"hostname = 'a'\n\n[mail]\nquota = 3\n":          "line 4: there is no key mail.quota",
		"[mail]\nx = 1\n[log]\ny = 2\n":                  "line 2: there is no key mail.x; line 4: there is no key log.y",
		"[mail]\nquota_mb = 'much'\n":                    "line 2",
		"hostname = \n":                                  "line 1",
		"hostname = ''":                                  "hostname: must not be empty",
		"[storage]\nlanes = 257":                         "storage.lanes",
		"[storage]\ncache_mb = 0":                        "storage",
		"[mail]\nmax_recipients = 99":                    "RFC 5321",
		"[mail]\nmax_message_mb = 0":                     "max_message_mb",
		"[mail]\nquota_mb = -1":                          "quota_mb",
		"[mail]\nrelay = 'smart.example'":                "HOST:PORT",
		"[mail]\nresolvers = ['9.9.9.9']":                "HOST:PORT",
		"[tls]\ncert = 'a.pem'":                          "go together",
		"[log]\nlevel = 'loud'":                          "log.level",
		"[listen]\nmx = '25'":                            "listen.mx",
		"[listen]\nimap = ':143'\nimaps = ':143'":        "listen.imaps",
		"[listen]\nops = '/etc/passwd'":                  "listen.ops",
		"[mail]\nresolvers = ['127.0.0.1:53']\nrelay=''": "",
	} {
		file := filepath.Join(t.TempDir(), "c.toml")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := LoadConfig(file, false)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(fault.Public(err), want) || !strings.Contains(fault.Public(err), "c.toml")) {
			t.Errorf("%q: %v, wanted %q", text, err, want)
		}
	}
	if _, err := LoadConfig(filepath.Join(t.TempDir(), "none"), false); !fault.Is(err, fault.Invalid) {
		t.Errorf("a missing file: %v", err)
	}
	if c, err := LoadConfig(filepath.Join(t.TempDir(), "none"), true); err != nil || c.Mail.MaxMessageMB != 50 {
		t.Errorf("a missing optional file: %v", err)
	}
}
