package imap

import (
	"sync"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/store/hub"
)

// watch shares one subscription among the sessions of an account: mail programs
// open several.
type watch struct {
	hints Hints

	mu       sync.Mutex
	accounts map[mohar.AccountID]*watched
	wg       sync.WaitGroup
}

type watched struct {
	sub    *hub.Subscription
	next   int
	notify map[int]func()
}

func newWatch(h Hints) *watch { return &watch{hints: h, accounts: map[mohar.AccountID]*watched{}} }

// add calls notify on every change of the account until stop.
func (w *watch) add(a mohar.AccountID, notify func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.accounts[a]
	if x == nil {
		x = &watched{sub: w.hints.Subscribe(hub.Account(a)), notify: map[int]func(){}}
		w.accounts[a] = x
		w.wg.Add(1)
		go w.run(x)
	}
	x.next++
	id := x.next
	x.notify[id] = notify
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(x.notify, id)
		if len(x.notify) == 0 && w.accounts[a] == x {
			delete(w.accounts, a)
			x.sub.Close()
		}
	}
}

// run hands on events until the subscription ends.
func (w *watch) run(x *watched) {
	defer w.wg.Done()
	for range x.sub.C() {
		w.mu.Lock()
		list := make([]func(), 0, len(x.notify))
		for _, f := range x.notify {
			list = append(list, f)
		}
		w.mu.Unlock()
		for _, f := range list {
			f()
		}
	}
}

func (w *watch) close() {
	w.mu.Lock()
	for a, x := range w.accounts {
		delete(w.accounts, a)
		x.sub.Close()
	}
	w.mu.Unlock()
	w.wg.Wait()
}
