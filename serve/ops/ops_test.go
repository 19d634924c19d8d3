package ops

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mohar-mail/mohar/base/fault"
)

func TestDoor(t *testing.T) {
	t.Parallel()
	var broken error
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "mohar_test_total"})
	reg.MustRegister(c)
	c.Inc()
	h := New(Config{Ready: func(context.Context) error { return broken }, Metrics: reg})
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	for _, x := range []struct {
		path   string
		broken error
		status int
		says   string
	}{
		{"/healthz", errors.New("x"), 200, "ok"},
		{"/readyz", nil, 200, "ready"},
		{"/readyz", fault.Wrap(errors.New("/secret/path"), fault.Unavailable, "x", "The directory is away."), 503, "The directory is away."},
		{"/readyz", errors.New("/secret/path"), 503, "not ready"},
		{"/metrics", nil, 200, "mohar_test_total 1"},
		{"/else", nil, 404, ""},
	} {
		broken = x.broken
		if status, body := ask(x.path); status != x.status || !strings.Contains(body, x.says) || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %q", x.path, status, body)
		}
	}
}
