package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"text/tabwriter"

	"github.com/schollz/progressbar/v3"

	"github.com/mohar-mail/mohar/node"
	"github.com/mohar-mail/mohar/node/sample"
)

type demoCmd struct {
	Data     string `help:"Folder of the demo's data." default:"./mohar-demo" type:"path"`
	PortBase int    `help:"Added to each door's well-known port." default:"10000" name:"port-base"`
	Users    int    `help:"Users of example.test: u1 to uN." default:"20"`
	Fresh    bool   `help:"Forget the data of an earlier demo."`
	Relay    string `help:"HOST:PORT of a real server that takes foreign mail, instead of the outside world."`
	Verbose  bool   `help:"Log what happens." short:"v"`
}

// Validate checks what no demo can be opened with; it is wrong usage.
func (c *demoCmd) Validate() error {
	if c.PortBase < 0 || c.PortBase > 65535-topDoor || c.Users < 1 {
		return fmt.Errorf("--port-base must be 0 to %d, and --users at least 1", 65535-topDoor)
	}
	if c.Relay != "" {
		if _, _, err := net.SplitHostPort(c.Relay); err != nil {
			return errors.New("--relay must be HOST:PORT")
		}
	}
	return nil
}

// topDoor is the highest well-known port of a door: ManageSieve.
const topDoor = 4190

// Run seeds and serves the sample government until it is interrupted.
func (c *demoCmd) Run(r *runner) error {
	if c.Fresh {
		if err := node.RemoveDemo(c.Data); err != nil {
			return err
		}
	}
	log := slog.New(slog.DiscardHandler)
	if c.Verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	d, err := node.OpenDemo(r.ctx, node.DemoConfig{Dir: c.Data, PortBase: c.PortBase, Relay: c.Relay, Log: log})
	if err != nil {
		return err
	}
	report, err := sample.Seed(r.ctx, d.Stores(), sample.Config{Users: c.Users, Progress: progress("seeding")})
	if err == nil {
		err = d.Serve(r.ctx, func() {
			c.welcome(r.out, d, report)
			fmt.Fprintln(r.out, "ready")
		})
	}
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// progress shows a bar on a terminal; nil elsewhere.
func progress(what string) func(done, total int) {
	if !isTerminal(os.Stderr) {
		return nil
	}
	var bar *progressbar.ProgressBar
	return func(done, total int) {
		if bar == nil {
			bar = progressbar.Default(int64(total), what)
		}
		_ = bar.Set(done) // only a picture
	}
}

// welcome prints the doors, the people and the passwords.
func (c *demoCmd) welcome(out io.Writer, d *node.Demo, report *sample.Report) {
	fmt.Fprintf(out, "A sample government is served on 127.0.0.1, with its data in %s.\n\n", c.Data)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, door := range d.Addresses() {
		fmt.Fprintf(w, "  %s\t%s\n", door.Name, door.Address)
	}
	fmt.Fprintf(w, "\nPeople (password %s):\n\n", report.Password)
	for _, p := range report.People {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", p.Address, p.Category, p.Post.En, p.Note.En)
	}
	fmt.Fprintf(w, "\nFor load tests: u1@%s to u%d@%s\tpassword %s\n\n", report.LoadDomain, report.Users, report.LoadDomain, report.LoadPassword)
	_ = w.Flush() // out is a terminal or a pipe; the next write shows its error
}
