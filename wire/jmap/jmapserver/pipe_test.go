package jmapserver

import (
	"io"
	"net/http"
	"time"
)

// pipe is a ResponseWriter whose body can be read while it is written. It is an
// io.Pipe, so that a synctest bubble sees who waits.
type pipe struct {
	r *io.PipeReader
	w *io.PipeWriter
	h http.Header
}

func newPipe() *pipe {
	r, w := io.Pipe()
	return &pipe{r, w, http.Header{}}
}

func (p *pipe) Header() http.Header              { return p.h }
func (p *pipe) WriteHeader(int)                  {}
func (p *pipe) Write(b []byte) (int, error)      { return p.w.Write(b) }
func (p *pipe) Read(b []byte) (int, error)       { return p.r.Read(b) }
func (p *pipe) Flush()                           {}
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
func (p *pipe) close()                           { _ = p.w.Close() }
