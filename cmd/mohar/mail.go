package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/serve/admin"
	"github.com/mohar-mail/mohar/wire/tlog"
)

type queueCmd struct {
	List    queueList    `cmd:"" help:"List messages in the queue."`
	Show    queueShow    `cmd:"" help:"Show one message."`
	Hold    queueHold    `cmd:"" help:"Keep a message until it is released."`
	Release queueRelease `cmd:"" help:"Let a held message go."`
	Retry   queueRetry   `cmd:"" help:"Try a message again now."`
	Drop    queueDrop    `cmd:"" help:"Remove a message without delivering it. Cannot be undone."`
}

type queueList struct{ dataFlag }

func (c *queueList) Run(r *runner) error {
	var out []admin.Message
	if err := c.ask(r, "GET", "/queue", nil, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) {
		if len(out) == 0 {
			fmt.Fprintln(w, "The queue is empty.")
			return
		}
		fmt.Fprintln(w, "ID\tSINCE\tOCTETS\tFROM\tRECIPIENT\tSTATE\tNEXT\tLAST REPLY")
		for _, m := range out {
			for _, to := range m.Recipients {
				fmt.Fprintf(w, "%s\t%s\t%d\t<%s>\t<%s>\t%s\t%s\t%s\n", m.ID, when(m.Created), m.Size, m.From, to.Address, to.State, when(to.Due), to.Last)
			}
		}
	})
}

type queueShow struct {
	dataFlag
	ID string `arg:"" help:"Id of the message, as the list shows it."`
}

func (c *queueShow) Run(r *runner) error {
	var m admin.Message
	if err := c.ask(r, "GET", "/queue/"+url.PathEscape(c.ID), nil, &m); err != nil {
		return err
	}
	return c.print(r, m, func(w io.Writer) {
		fmt.Fprintf(w, "id\t%s\nfrom\t<%s>\nsince\t%s\noctets\t%d\ndoor\t%s\nlabel\t%s\n", m.ID, m.From, when(m.Created), m.Size, m.Door, m.Label)
		for _, to := range m.Recipients {
			fmt.Fprintf(w, "to\t<%s> %s, %d attempts, next %s %s %s\n", to.Address, to.State, to.Attempts, when(to.Due), to.Last, to.Reason)
		}
	})
}

// queueAct is what the acts on a message share.
type queueAct struct {
	dataFlag
	ID     string `arg:"" help:"Id of the message, as the list shows it."`
	Reason string `help:"Why, for the audit log."`
}

func (c *queueAct) do(r *runner, act string) error {
	var out map[string]bool
	if err := c.ask(r, "POST", "/queue/"+url.PathEscape(c.ID)+"/"+act, map[string]string{"reason": c.Reason}, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) { fmt.Fprintf(w, "%s: %s done\n", c.ID, act) })
}

type queueHold struct{ queueAct }

func (c *queueHold) Run(r *runner) error { return c.do(r, "hold") }

type queueRelease struct{ queueAct }

func (c *queueRelease) Run(r *runner) error { return c.do(r, "release") }

type queueRetry struct{ queueAct }

func (c *queueRetry) Run(r *runner) error { return c.do(r, "retry") }

type queueDrop struct {
	queueAct
	DryRun bool `help:"Show what would be removed." name:"dry-run"`
}

func (c *queueDrop) Run(r *runner) error {
	if c.DryRun {
		show := queueShow{c.dataFlag, c.ID}
		if err := show.Run(r); err != nil || c.JSON {
			return err
		}
		_, err := fmt.Fprintln(r.out, "This message would be removed. Nothing was changed.")
		return err
	}
	return c.do(r, "drop")
}

type auditCmd struct {
	Tail   auditTail   `cmd:"" help:"Print the newest entries."`
	Prove  auditProve  `cmd:"" help:"Print the proof that an entry is in the log."`
	Export auditExport `cmd:"" help:"Write the log into a folder, for mohar-audit verify."`
}

type auditTail struct {
	dataFlag
	N int `help:"How many." short:"n" default:"20"`
}

func (c *auditTail) Run(r *runner) error {
	var out struct {
		Size    int64             `json:"size"`
		Entries []json.RawMessage `json:"entries"`
	}
	if err := c.ask(r, "GET", fmt.Sprintf("/audit?n=%d", c.N), nil, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) {
		for i, e := range out.Entries {
			fmt.Fprintf(w, "%d\t%s\n", out.Size-int64(len(out.Entries))+int64(i), e)
		}
	})
}

type auditProve struct {
	dataFlag
	Index int64 `arg:"" help:"Number of the entry, from 0."`
}

func (c *auditProve) Run(r *runner) error {
	var p tlog.Proof
	if err := c.ask(r, "GET", fmt.Sprintf("/audit/%d/proof", c.Index), nil, &p); err != nil {
		return err
	}
	c.JSON = true
	return c.print(r, p, nil)
}

type auditExport struct {
	dataFlag
	Dir string `arg:"" help:"Folder to write into; it must not hold an export."`
}

func (c *auditExport) Run(r *runner) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	var out struct {
		Entries int64  `json:"entries"`
		Dir     string `json:"dir"`
	}
	if err := c.ask(r, "POST", "/audit/export", map[string]string{"dir": dir}, &out); err != nil {
		return err
	}
	return c.print(r, out, func(w io.Writer) { fmt.Fprintf(w, "%d entries in %s\n", out.Entries, out.Dir) })
}

type checkCmd struct{ dataFlag }

// Run verifies the data; problems make it fail.
func (c *checkCmd) Run(r *runner) error {
	cl, err := c.open(r.ctx)
	if err != nil {
		return err
	}
	end, err := c.follow(r, cl)
	if err = errors.Join(err, cl.close()); err != nil {
		return err
	}
	if end.Error != nil {
		return &fault.Error{Public: end.Error.Public, Cause: errors.New(end.Error.Private)}
	}
	if err := c.print(r, end, func(w io.Writer) {
		fmt.Fprintf(w, "%d accounts checked, %d problems\n%s", end.Done, len(end.Problems), strings.Join(end.Problems, "\n"))
		if len(end.Problems) > 0 {
			fmt.Fprintln(w)
		}
	}); err != nil {
		return err
	}
	if len(end.Problems) > 0 {
		return fault.New(fault.Corrupt, "mohar", "The data has problems.")
	}
	return nil
}

// follow shows the progress of a check and gives its end.
func (c *checkCmd) follow(r *runner, cl *client) (*admin.Progress, error) {
	body, err := cl.stream(r.ctx, "POST", "/check", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var bar *progressbar.ProgressBar
	if isTerminal(os.Stderr) && !c.JSON {
		bar = progressbar.Default(-1, "accounts")
	}
	s := bufio.NewScanner(body)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		p := &admin.Progress{}
		if err := json.Unmarshal(s.Bytes(), p); err != nil {
			return nil, err
		}
		if p.Finished {
			if bar != nil {
				_ = bar.Finish() // only a picture
			}
			return p, nil
		}
		if bar != nil {
			_ = bar.Set(p.Done) // only a picture
		}
	}
	return nil, errors.Join(s.Err(), errors.New("the check ended early"))
}

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
