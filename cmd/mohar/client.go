package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"text/tabwriter"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/node"
	"github.com/mohar-mail/mohar/serve/admin"
)

// dataFlag names the data of the installation that a command works on.
type dataFlag struct {
	Data string `help:"Folder of the installation's data." default:"./mohar-demo" env:"MOHAR_DATA" type:"path"`
	JSON bool   `help:"Print data as JSON." name:"json"`
	File string `help:"Configuration file of a stopped installation; mohar.toml in the data folder when absent." name:"config" env:"MOHAR_CONFIG" type:"path"`
}

// client speaks to the operator's door: over its socket while the server runs,
// inside this process on a stopped one.
type client struct {
	http  http.Client
	close func() error
}

func (f *dataFlag) open(ctx context.Context) (*client, error) {
	socket := node.SocketOf(f.Data)
	conn, err := net.Dial("unix", socket)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fault.Wrap(err, fault.Denied, "mohar", "You may not administer the installation in "+f.Data+". Run this as the user of the server.")
	}
	if err == nil {
		_ = conn.Close() // it was only to see whether somebody listens
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}}
		return &client{http: http.Client{Transport: transport}, close: func() error { transport.CloseIdleConnections(); return nil }}, nil
	}
	cfg, err := node.SettingsOf(f.Data, f.File)
	if err != nil {
		return nil, err
	}
	if err := sameUser(f.Data); err != nil {
		return nil, err
	}
	n, err := node.Open(f.Data, cfg, node.Options{})
	if err != nil {
		return nil, err
	}
	return &client{http: http.Client{Transport: direct{n.Admin()}}, close: n.Close}, nil
}

// direct answers requests with a handler of this process.
type direct struct{ handler http.Handler }

// RoundTrip answers as soon as the handler has begun to, so that long work shows
// its progress. Close of the body waits for the handler.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody // a handler, unlike a client, always has one
	}
	pr, pw := io.Pipe()
	w := &writer{head: http.Header{}, body: pw, begun: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		d.handler.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		_ = pw.Close() // never fails
	}()
	<-w.begun
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.head, Request: r,
		Body: &answer{PipeReader: pr, ended: w.ended}, ContentLength: -1, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}, nil
}

// writer is the http.ResponseWriter of direct.
type writer struct {
	head         http.Header
	body         *io.PipeWriter
	status       int
	begun, ended chan struct{}
}

func (w *writer) Header() http.Header { return w.head }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		close(w.begun)
	}
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush does nothing: the pipe holds nothing back.
func (w *writer) Flush() {}

// answer is the body that direct gives.
type answer struct {
	*io.PipeReader
	ended chan struct{}
}

// Close ends the answer and waits for its handler.
func (a *answer) Close() error {
	err := a.PipeReader.Close()
	<-a.ended
	return err
}

// sameUser refuses to let root work on data of another user: the files that it
// would make could not be read by the server at its next start.
func sameUser(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if ok && os.Geteuid() == 0 && sys.Uid != 0 {
		return fault.New(fault.Denied, "mohar", fmt.Sprintf("The data in %s belongs to the user with the number %d. Run this as that user.", dir, sys.Uid))
	}
	return nil
}

// stream sends a request and gives the body of a good answer.
func (c *client) stream(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://mohar"+path, payload)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	var p admin.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || p.Public == "" {
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}
	if p.Private != "" {
		return nil, &fault.Error{Public: p.Public, Cause: errors.New(p.Private)}
	}
	return nil, &fault.Error{Public: p.Public}
}

// call sends a request and decodes the answer.
func (c *client) call(ctx context.Context, method, path string, body, into any) error {
	r, err := c.stream(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	return json.NewDecoder(r).Decode(into)
}

// ask opens, calls once and closes.
func (f *dataFlag) ask(r *runner, method, path string, body, into any) error {
	c, err := f.open(r.ctx)
	if err != nil {
		return err
	}
	return errors.Join(c.call(r.ctx, method, path, body, into), c.close())
}

// print shows data: as JSON where that is asked for, else by text.
func (f *dataFlag) print(r *runner, v any, text func(w io.Writer)) error {
	if f.JSON {
		enc := json.NewEncoder(r.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	text(w)
	return w.Flush()
}
