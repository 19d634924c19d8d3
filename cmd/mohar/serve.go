package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/node"
	"github.com/mohar-mail/mohar/wire/addr"
)

// serverData names the data of a server that is to run.
type serverData struct {
	Data   string `help:"Folder of the installation's data." required:"" env:"MOHAR_DATA" type:"path"`
	Config string `help:"Configuration file; mohar.toml in the data folder when absent." env:"MOHAR_CONFIG" type:"path"`
}

func (s *serverData) load() (node.Config, error) { return node.SettingsOf(s.Data, s.Config) }

type serveCmd struct {
	serverData
}

// Run serves an installation until it is interrupted.
func (c *serveCmd) Run(r *runner) error {
	if node.IsDemo(c.Data) {
		return fault.New(fault.Denied, "mohar", c.Data+" holds a demo, whose passwords everybody knows. Run it with: mohar demo")
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if err := sameUser(c.Data); err != nil {
		return err
	}
	n, err := node.Open(c.Data, cfg, node.Options{Log: logger(&cfg)})
	if err != nil {
		return err
	}
	err = n.Serve(r.ctx, node.Doors{}, func() { fmt.Fprintln(r.out, "ready") })
	if e := n.Close(); err == nil {
		err = e
	}
	return err
}

func logger(cfg *node.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(cfg.Log.Level))); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Log.JSON {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}

type initCmd struct {
	Data   string `help:"Folder of the installation's data, made where it is missing." required:"" type:"path"`
	Domain string `help:"The first domain." required:""`
	Admin  string `help:"Address of the first administrator; the password is read from standard input." required:""`
}

// Run makes an installation and prints what to publish.
func (c *initCmd) Run(r *runner) error {
	file := filepath.Join(c.Data, node.ConfigName)
	if _, err := os.Stat(file); err == nil || node.IsDemo(c.Data) {
		return fault.New(fault.Exists, "mohar", "There is an installation in "+c.Data+" already.")
	}
	domain, err := addr.ParseDomain(c.Domain)
	if err != nil {
		return err
	}
	if m, err := addr.ParseMailbox(c.Admin); err != nil {
		return err
	} else if m.Domain.ASCII != domain.ASCII {
		return fault.New(fault.Invalid, "mohar", "The administrator's address must be of the domain "+c.Domain+".")
	}
	password, err := readPassword(r)
	if err != nil {
		return err
	}
	if password == "" {
		return fault.New(fault.Invalid, "mohar", "Give the administrator's password on standard input.")
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	cfg := node.Defaults()
	cfg.Hostname = "mail." + domain.ASCII // a banner is ASCII
	n, err := node.Open(c.Data, cfg, node.Options{})
	if err != nil {
		return err
	}
	records, err := n.SetUp(r.ctx, domain.ASCII, c.Admin, password)
	if e := n.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	text := strings.Replace(node.DescribeConfig(), fmt.Sprintf("hostname = '%s'", node.Defaults().Hostname), fmt.Sprintf("hostname = '%s'", cfg.Hostname), 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "The installation is in %s, its configuration in %s.\nPublish these DNS records, with the address of this machine for %s:\n\n%s\n\nThen run: mohar serve --data %s\n",
		c.Data, file, cfg.Hostname, strings.Join(records, "\n"), c.Data)
	return nil
}
