package mime

// Lengths of the shortest and longest known word.
const (
	minWord      = 3
	maxKnownWord = 32
)

// knownWords are the strings that a stored index names by number. The list may
// grow at its end; its order is part of the stored form. It is never written to.
var knownWords = [...]string{
	"text", "plain", "html", "multipart", "mixed", "alternative", "related", "application", "octet-stream", "pdf",
	"image", "jpeg", "png", "gif", "message", "rfc822", "global", "delivery-status", "disposition-notification", "report",
	"signed", "encrypted", "digest", "calendar", "charset", "utf-8", "UTF-8", "us-ascii", "US-ASCII", "iso-8859-1",
	"ISO-8859-1", "windows-1252", "boundary", "name", "filename", "format", "flowed", "delsp", "7bit", "8bit",
	"base64", "quoted-printable", "binary", "attachment", "inline", "type", "start", "protocol", "micalg", "size",
	"creation-date", "modification-date", "report-type", "method", "REQUEST", "REPLY", "zip", "csv", "rtf", "svg+xml",
	"msword", "vnd.ms-excel", "pkcs7-signature", "pgp-signature", "pkcs7-mime", "smime-type", "pgp-encrypted", "ms-tnef",
	"multipart/alternative", "multipart/mixed", "text/html", "text/plain", "form-data", "audio", "video", "mp4", "mpeg",
	"gov.in", "nic.in", "gmail.com", "yes", "yes-or-no", "x-unix-mode", "read-date", "css", "vcard", "json", "xml",
}

// knownWord gives the number of a known word, or -1. Words are told apart by
// length and first octet before any is compared.
func knownWord(s string) int {
	for i := range knownWords {
		if w := knownWords[i]; len(w) == len(s) && w[0] == s[0] && w == s {
			return i
		}
	}
	return -1
}
