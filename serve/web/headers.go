package web

import "net/http"

// The policies of what pages may load. The application runs only its own files.
// A letter's HTML is put into a frame document of its own, which may run nothing
// at all; the application writes the cleaned text into it. web/README.md says
// what the pages need; these are the same words.
const (
	appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; " +
		"connect-src 'self'; font-src 'self'; frame-src 'self'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default dompurify"
	framePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src blob: data:; form-action 'none'; base-uri 'none'; " +
		"frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
	// remotePolicy also shows images of other hosts, when the reader asked for them.
	remotePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src blob: data: https:; form-action 'none'; base-uri 'none'; " +
		"frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
	// barePolicy is of everything that is no page: an image or an answer that is
	// opened by itself runs nothing and is shown in no frame.
	barePolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
)

// policyOf gives the Content-Security-Policy of a file.
func policyOf(name, kind string) string {
	switch {
	case name == "mailframe.html":
		return framePolicy
	case name == "mailframe-remote.html":
		return remotePolicy
	case kind == kindHTML:
		return appPolicy
	}
	return barePolicy
}

// secured adds what every answer of the door carries. Handlers that know better
// set their own policy and caching; one that forgets is neither cached, where
// the next person at the machine would find it, nor run.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", barePolicy)
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}
