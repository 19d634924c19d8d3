package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/node"
	"github.com/mohar-mail/mohar/serve/admin"
)

// dataFlag names the data of the installation that a command works on.
type dataFlag struct {
	Data string `help:"Folder of the installation's data." default:"./mohar-demo" env:"MOHAR_DATA" type:"path"`
	JSON bool   `help:"Print data as JSON." name:"json"`
}

// client speaks to the operator's door: over its socket while the server runs,
// inside this process on a stopped one.
type client struct {
	http  http.Client
	close func() error
}

func (f *dataFlag) open(ctx context.Context) (*client, error) {
	socket := node.SocketOf(f.Data)
	if conn, err := net.Dial("unix", socket); err == nil {
		_ = conn.Close() // it was only to see whether somebody listens
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}}
		return &client{http: http.Client{Transport: transport}, close: func() error { transport.CloseIdleConnections(); return nil }}, nil
	}
	if _, err := os.Stat(f.Data); err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "mohar", "There is no installation in "+f.Data+". Name its folder with --data.")
	}
	cfg, err := node.LoadConfig(filepath.Join(f.Data, node.ConfigName), true)
	if err != nil {
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

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, r)
	return rec.Result(), nil
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
