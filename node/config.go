package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/mohar-mail/mohar/base/fault"
)

// ConfigName is the name of the configuration file in the data folder.
const ConfigName = "mohar.toml"

// Config is the configuration file: what a machine must know before it can open
// its data. Everything else is data, changed on the running system and audited.
// The doc tags are the documentation: docs/operate/config.md is made of them.
type Config struct {
	Hostname string  `toml:"hostname" doc:"Name by which the server greets, as in its MX record and certificate."`
	Listen   Listen  `toml:"listen"`
	TLS      TLS     `toml:"tls"`
	Storage  Storage `toml:"storage"`
	Mail     Mail    `toml:"mail"`
	Log      Log     `toml:"log"`
}

// Listen holds the addresses of the doors; an empty one keeps the door shut.
type Listen struct {
	MX          string `toml:"mx" doc:"SMTP from other hosts."`
	LMTP        string `toml:"lmtp" doc:"LMTP from a local mail server; loopback or a trusted network only."`
	Submission  string `toml:"submission" doc:"Submission with STARTTLS."`
	Submissions string `toml:"submissions" doc:"Submission over TLS."`
	IMAP        string `toml:"imap" doc:"IMAP with STARTTLS."`
	IMAPS       string `toml:"imaps" doc:"IMAP over TLS."`
	POP         string `toml:"pop" doc:"POP3 with STLS, at :110 where it is wanted; shut unless set."`
	POPS        string `toml:"pops" doc:"POP3 over TLS, at :995 where it is wanted; shut unless set."`
	HTTPS       string `toml:"https" doc:"Webmail, administration and JMAP."`
	Ops         string `toml:"ops" doc:"Health and metrics over plain HTTP; loopback or a trusted network only."`
}

// TLS names the certificate.
type TLS struct {
	Cert string `toml:"cert" doc:"PEM file of the certificate chain; empty makes one that nobody trusts, for trials."`
	Key  string `toml:"key" doc:"PEM file of the private key."`
}

// Storage tunes the embedded engine.
type Storage struct {
	CacheMB    int `toml:"cache_mb" doc:"Memory for cached blocks, in MiB."`
	MemtableMB int `toml:"memtable_mb" doc:"Memory that gathers writes before they are sorted to disk, in MiB."`
	Lanes      int `toml:"lanes" doc:"Shards of the mail queue, 1 to 256. Changed only while the queue is empty."`
}

// Mail holds limits of mail.
type Mail struct {
	MaxMessageMB  int      `toml:"max_message_mb" doc:"Largest message, in MiB."`
	QuotaMB       int      `toml:"quota_mb" doc:"Quota of an account that is given none, in MiB; 0 for no limit."`
	MaxRecipients int      `toml:"max_recipients" doc:"Recipients of one message."`
	Relay         string   `toml:"relay" doc:"HOST:PORT that takes all mail to other domains, instead of their MX."`
	Resolvers     []string `toml:"resolvers" doc:"DNS servers as HOST:PORT; empty takes those of the system."`
}

// Log says what is logged.
type Log struct {
	Level string `toml:"level" doc:"debug, info, warn or error."`
	JSON  bool   `toml:"json" doc:"One JSON object a line instead of text."`
}

// Defaults is the configuration of a real installation that says nothing.
func Defaults() Config {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return Config{
		Hostname: host,
		Listen: Listen{MX: ":25", Submission: ":587", Submissions: ":465", IMAP: ":143", IMAPS: ":993",
			HTTPS: ":443", LMTP: "127.0.0.1:24", Ops: "127.0.0.1:8080"},
		Storage: Storage{CacheMB: 128, MemtableMB: 64, Lanes: 4},
		Mail:    Mail{MaxMessageMB: 50, QuotaMB: 10 << 10, MaxRecipients: 1000},
		Log:     Log{Level: "info"},
	}
}

// LoadConfig reads a file over the defaults. A key that does not exist is an
// error with its line, so that a misspelt limit is never a silent default. A
// missing file is the defaults when optional is set.
func LoadConfig(file string, optional bool) (Config, error) {
	c := Defaults()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return c, nil
	}
	if err != nil {
		return c, fault.Wrap(err, fault.Invalid, "node.LoadConfig", "The configuration cannot be read: "+err.Error())
	}
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fault.New(fault.Invalid, "node.LoadConfig", file+": "+misread(err))
	}
	if err := c.check(); err != nil {
		return c, fault.New(fault.Invalid, "node.LoadConfig", file+": "+fault.Public(err))
	}
	return c, nil
}

// misread says where a file is wrong: the line, and the key where one is known.
func misread(err error) string {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var all []string
		for i := range strict.Errors {
			row, _ := strict.Errors[i].Position()
			all = append(all, fmt.Sprintf("line %d: there is no key %s", row, strings.Join(strict.Errors[i].Key(), ".")))
		}
		return strings.Join(all, "; ")
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		row, _ := wrong.Position()
		return fmt.Sprintf("line %d: %s", row, wrong.Error())
	}
	return err.Error()
}

func (c *Config) check() error {
	bad := func(key, why string) error {
		return fault.New(fault.Invalid, "node.Config", fmt.Sprintf("%s: %s", key, why))
	}
	switch {
	case c.Hostname == "":
		return bad("hostname", "must not be empty")
	case c.Storage.Lanes < 1 || c.Storage.Lanes > 256:
		return bad("storage.lanes", "must be 1 to 256")
	case c.Storage.CacheMB < 1 || c.Storage.MemtableMB < 1:
		return bad("storage", "sizes must be at least 1")
	case c.Mail.MaxMessageMB < 1 || c.Mail.MaxMessageMB > 1024:
		return bad("mail.max_message_mb", "must be 1 to 1024")
	case c.Mail.MaxRecipients < 100 || c.Mail.MaxRecipients > 10_000:
		return bad("mail.max_recipients", "must be 100 to 10000 (RFC 5321 section 4.5.3.1.8)")
	case c.Mail.QuotaMB < 0:
		return bad("mail.quota_mb", "must not be negative")
	case !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level):
		return bad("log.level", "must be debug, info, warn or error")
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return bad("tls", "cert and key go together")
	}
	return c.checkAddresses(bad)
}

// checkAddresses looks at everything that must be HOST:PORT.
func (c *Config) checkAddresses(bad func(key, why string) error) error {
	seen := map[string]string{}
	v := reflect.ValueOf(c.Listen)
	for i := range v.NumField() {
		key, addr := "listen."+v.Type().Field(i).Tag.Get("toml"), v.Field(i).String()
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return bad(key, fmt.Sprintf("%q must be HOST:PORT or :PORT", addr))
		}
		if other, taken := seen[addr]; taken {
			return bad(key, "is the address of "+other+" as well")
		}
		seen[addr] = key
	}
	for _, addr := range append([]string{c.Mail.Relay}, c.Mail.Resolvers...) {
		if _, _, err := net.SplitHostPort(addr); addr != "" && err != nil {
			return bad("mail", fmt.Sprintf("%q must be HOST:PORT", addr))
		}
	}
	return nil
}

// DescribeConfig writes the configuration as a commented TOML file with its
// defaults.
func DescribeConfig() string {
	var b strings.Builder
	describe(&b, reflect.ValueOf(Defaults()))
	return b.String()
}

func describe(b *strings.Builder, v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Struct {
			continue
		}
		value, err := toml.Marshal(map[string]any{f.Tag.Get("toml"): v.Field(i).Interface()})
		if err != nil {
			continue
		}
		fmt.Fprintf(b, "# %s\n%s", f.Tag.Get("doc"), value)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Struct {
			fmt.Fprintf(b, "\n[%s]\n", f.Tag.Get("toml"))
			describe(b, v.Field(i))
		}
	}
}
