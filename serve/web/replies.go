package web

import (
	"encoding/json"
	"net/http"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
)

// reply is how a kind of failure is told to a browser.
type reply struct {
	status int
	text   mohar.Text
}

// replies is the table from kinds to HTTP statuses and sentences.
var replies = map[fault.Kind]reply{
	fault.Auth: {http.StatusUnauthorized, mohar.Text{En: "The address or the password is not right. Please try again.",
		Hi: "पता या पासवर्ड सही नहीं है। कृपया फिर से कोशिश करें।"}},
	fault.Denied: {http.StatusForbidden, mohar.Text{En: "This account may not sign in here. Please ask your nodal officer.",
		Hi: "यह खाता यहाँ साइन इन नहीं कर सकता। कृपया अपने नोडल अधिकारी से पूछें।"}},
	fault.Refused: {http.StatusForbidden, mohar.Text{En: "The rules of your office do not allow this.",
		Hi: "आपके कार्यालय के नियम इसकी अनुमति नहीं देते।"}},
	fault.TooMany: {http.StatusTooManyRequests, mohar.Text{En: "Too many attempts. Please wait a few minutes.",
		Hi: "बहुत अधिक प्रयास हुए। कृपया कुछ मिनट प्रतीक्षा करें।"}},
	fault.Invalid:  {http.StatusBadRequest, mohar.Text{En: "The request cannot be read.", Hi: "अनुरोध पढ़ा नहीं जा सका।"}},
	fault.NotFound: {http.StatusNotFound, mohar.Text{En: "There is no such page.", Hi: "ऐसा कोई पृष्ठ नहीं है।"}},
	fault.Unavailable: {http.StatusServiceUnavailable, mohar.Text{En: "The service is out of reach for now. Please try again soon.",
		Hi: "सेवा अभी उपलब्ध नहीं है। कृपया थोड़ी देर में फिर कोशिश करें।"}},
	fault.Internal: {http.StatusInternalServerError, mohar.Text{En: "Something went wrong here. Please try again.",
		Hi: "यहाँ कोई गड़बड़ी हुई। कृपया फिर से कोशिश करें।"}},
}

// fail answers with the reply for an error's kind. The cause stays inside.
func fail(w http.ResponseWriter, err error) {
	kind := fault.KindOf(err)
	if kind == fault.NoSpace || kind == fault.Timeout {
		kind = fault.Unavailable // to a browser the same: it helps to come back
	}
	rep, ok := replies[kind]
	if !ok {
		rep = replies[fault.Internal]
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(rep.status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": rep.text}) // the client went away
}
