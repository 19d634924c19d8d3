// Command mohar-audit checks an exported audit log, or the proof of a single
// entry, on a machine without network and without the server.
//
// Owns:      nothing.
// Trusts:    the public key that the auditor gives; nothing in the export.
// May touch: the files named on its command line, to read.
// Standards: RFC 9162 section 2.1; C2SP signed-note, tlog-checkpoint.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/mohar-mail/mohar/wire/tlog"
)

// Exit statuses.
const (
	done  = 0 // everything is in order
	wrong = 1 // something is not, or could not be read; standard error says what
	usage = 2 // the command line is wrong
)

const help = `mohar-audit checks the audit log of a Mohar server, offline.

  mohar-audit verify [--key FILE] [--since FILE] DIR
      checks a directory written by "mohar audit export DIR": the signature,
      every entry, the order, and that nothing is missing or was added.
      --key    the log's public key, from a source other than the export
      --since  an earlier checkpoint of the log: proves that no history
               before it was changed since

  mohar-audit proof --key FILE PROOF
      checks the proof of one entry, as written by "mohar audit prove"

Exit status: 0 in order, 1 something is wrong or unreadable, 2 wrong usage.

Example: mohar-audit verify --key log.pub /media/audit-2026-11
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr, terminal(os.Stderr))
	stop()
	os.Exit(status)
}

func terminal(f *os.File) bool {
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}

// run is the whole program; progress says whether to show how far it is.
func run(ctx context.Context, args []string, out, errs io.Writer, progress bool) int {
	if len(args) == 0 {
		fmt.Fprint(errs, help)
		return usage
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		fmt.Fprint(out, help)
		return done
	case "verify":
		return verify(ctx, args[1:], out, errs, progress)
	case "proof":
		return proof(args[1:], out, errs)
	}
	fmt.Fprintf(errs, "There is no command %q.\n\n%s", args[0], help)
	return usage
}

func parse(f *flag.FlagSet, args []string, out, errs io.Writer) (string, int) {
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, help)
		return "", done
	case err != nil:
		fmt.Fprintf(errs, "%v\n\n%s", err, help)
		return "", usage
	case f.NArg() != 1:
		fmt.Fprint(errs, help)
		return "", usage
	}
	return f.Arg(0), -1
}

func verify(ctx context.Context, args []string, out, errs io.Writer, progress bool) int {
	f := flag.NewFlagSet("verify", flag.ContinueOnError)
	keyFile := f.String("key", "", "")
	since := f.String("since", "", "")
	dir, status := parse(f, args, out, errs)
	if status >= 0 {
		return status
	}
	v := tlog.Verification{}
	name := *keyFile
	if name == "" {
		name = filepath.Join(dir, tlog.KeyFile)
	}
	key, err := read(name)
	if err != nil {
		return unreadable(errs, err)
	}
	v.Public = strings.TrimSpace(string(key))
	if *since != "" {
		if v.Older, err = read(*since); err != nil {
			return unreadable(errs, err)
		}
	}
	if progress {
		v.Progress = func(n, total int64) { fmt.Fprintf(errs, "\r%d of %d entries", n, total) }
	}
	r, err := tlog.Verify(ctx, os.DirFS(dir), v)
	if progress {
		fmt.Fprintln(errs)
	}
	if err != nil {
		return unreadable(errs, err)
	}
	return tell(r, v.Public, *keyFile == "", *since != "", out, errs)
}

func tell(r *tlog.Report, key string, own, since bool, out, errs io.Writer) int {
	if !r.OK() {
		fmt.Fprintln(errs, "The log is NOT in order:")
		for _, f := range r.Findings {
			if f.Entry >= 0 {
				fmt.Fprintf(errs, "  entry %d: %s\n", f.Entry, f.What)
			} else {
				fmt.Fprintf(errs, "  %s\n", f.What)
			}
		}
		if len(r.Findings) == tlog.MaxFindings {
			fmt.Fprintln(errs, "  and perhaps more; only the first are listed")
		}
		return wrong
	}
	fmt.Fprintf(out, "In order: %d entries of log %s, from %d sources, under checkpoint root %s.\n", r.Entries, r.Checkpoint.Origin, r.Sources, r.Checkpoint.Root)
	if since {
		fmt.Fprintln(out, "Nothing before the earlier checkpoint was changed.")
	}
	fmt.Fprintf(out, "Key fingerprint (SHA-256): %x\n", sha256.Sum256([]byte(key)))
	if own {
		fmt.Fprintln(out, "The key was taken from the export itself. Compare its fingerprint with one that you got elsewhere, or use --key.")
	}
	return done
}

func proof(args []string, out, errs io.Writer) int {
	f := flag.NewFlagSet("proof", flag.ContinueOnError)
	keyFile := f.String("key", "", "")
	name, status := parse(f, args, out, errs)
	if status >= 0 {
		return status
	}
	if *keyFile == "" {
		fmt.Fprintf(errs, "A proof is worth nothing without --key.\n\n%s", help)
		return usage
	}
	key, err := read(*keyFile)
	if err != nil {
		return unreadable(errs, err)
	}
	in, err := os.Open(name)
	if err != nil {
		return unreadable(errs, err)
	}
	defer in.Close()
	p, err := tlog.ReadProof(in)
	if err != nil {
		return unreadable(errs, err)
	}
	c, err := p.Check(strings.TrimSpace(string(key)))
	if err != nil {
		fmt.Fprintf(errs, "The proof is NOT valid: %v\n", err)
		return wrong
	}
	fmt.Fprintf(out, "Valid: entry %d is in log %s of %d entries.\n%s\n", p.Index, c.Origin, c.Size, p.Leaf)
	return done
}

// read reads a key or a checkpoint.
func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, tlog.MaxNote+1))
	if err == nil && len(b) > tlog.MaxNote {
		err = fmt.Errorf("%s is too large for a key or checkpoint", name)
	}
	return b, err
}

func unreadable(errs io.Writer, err error) int {
	fmt.Fprintf(errs, "The check could not be finished: %v\n", err)
	return wrong
}
