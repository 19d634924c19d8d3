// Package ops is the operator's door: whether the node lives, whether it is
// ready, and its metrics.
//
// Owns:      nothing.
// Trusts:    the network it listens on; it shows no mail and no names.
// May touch: nothing but its functions.
package ops

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mohar-mail/mohar/base/fault"
)

// Config is what the door needs.
type Config struct {
	// Ready says why the node cannot serve, nil when it can.
	Ready func(context.Context) error
	// Metrics is the node's own registry.
	Metrics *prometheus.Registry
}

// New makes the handler: /healthz, /readyz and /metrics.
func New(cfg Config) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := cfg.Ready(r.Context()); err != nil {
			// The cause may name files and people; it stands in the log.
			http.Error(w, "not ready: "+fault.Public(err), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))
	return mux
}
