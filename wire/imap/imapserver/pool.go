package imapserver

import (
	"bufio"
	"io"
	"sync"
)

// pools hold the buffers that connections share: one has them only while it
// reads a command or answers one.
type pools struct{ readers, bufs sync.Pool }

func (p *pools) reader(r io.Reader) *bufio.Reader {
	if br, ok := p.readers.Get().(*bufio.Reader); ok {
		br.Reset(r)
		return br
	}
	return bufio.NewReaderSize(r, readBuffer)
}

func (p *pools) putReader(br *bufio.Reader) {
	if br != nil {
		br.Reset(nil)
		p.readers.Put(br)
	}
}

func (p *pools) buf() []byte {
	if b, ok := p.bufs.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 4096)
}

func (p *pools) putBuf(b []byte) {
	if cap(b) > 0 && cap(b) <= maxKeptBuffer {
		p.bufs.Put(&b)
	}
}
