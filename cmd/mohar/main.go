// Command mohar is the mail platform: the server and its command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/mohar-mail/mohar/base/fault"
)

// The exit statuses that scripts rely on.
const (
	exitDone   = 0
	exitFailed = 1 // refused or failed; the reason stands on standard error
	exitUsage  = 2
)

// cli is the command line, one field a subcommand.
type cli struct {
	Demo    demoCmd    `cmd:"" help:"A sample government, seeded and served on loopback." group:"Servers"`
	Init    initCmd    `cmd:"" help:"Set up a real installation and print the DNS records to publish." group:"Servers"`
	Serve   serveCmd   `cmd:"" help:"Run an installation." group:"Servers"`
	Account accountCmd `cmd:"" help:"People: add, list, show, disable." group:"Administration"`
	Domain  domainCmd  `cmd:"" help:"Domains and their DNS records." group:"Administration"`
	Policy  policyCmd  `cmd:"" help:"The rulebook: show, explain." group:"Administration"`
	Queue   queueCmd   `cmd:"" help:"Mail in transit: list, show, hold, release, retry, drop." group:"Administration"`
	Audit   auditCmd   `cmd:"" help:"The log: tail, prove, export." group:"Administration"`
	Check   checkCmd   `cmd:"" help:"Verify every invariant of the data." group:"Administration"`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// runner is what every command gets.
type runner struct {
	ctx context.Context
	out io.Writer
	in  io.Reader
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C lets sessions finish; the second one ends at once.
	defer context.AfterFunc(ctx, stop)()
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("mohar"), kong.Description("A government's own mail."),
		kong.Writers(out, errs), kong.Exit(func(code int) { exited = code }),
		kong.Help(help), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.ShortUsageOnError())
	if err != nil {
		fmt.Fprintln(errs, err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintln(errs, "mohar:", err)
		fmt.Fprintln(errs, "See mohar --help.")
		return exitUsage
	}
	if err := k.Run(&runner{ctx: ctx, out: out, in: in}); err != nil {
		fmt.Fprintln(errs, "mohar:", sentence(err))
		return exitFailed
	}
	return exitDone
}

// sentence gives an error as the person at the terminal, who runs the system,
// may see it: the public line, and the cause behind it.
func sentence(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) || f.Public == "" {
		return err.Error()
	}
	if f.Cause == nil {
		return f.Public
	}
	return f.Public + " (" + f.Cause.Error() + ")"
}
