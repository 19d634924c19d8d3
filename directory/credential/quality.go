package credential

import (
	"bufio"
	"bytes"
	_ "embed"
	"strings"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
)

// MinPassword is the length that a new password must have, in characters. It is
// the floor of NIST SP 800-63B; the platform's default policy asks for more.
const MinPassword = 8

// DefaultMin is the length asked for where nobody has chosen (government.md
// AUT-05 gives the range of the published rules).
const DefaultMin = 12

//go:embed common.txt
var common []byte

// Acceptable says whether password may be set: at least least characters (at
// least MinPassword in any case), not one of those that everybody tries, not
// the account's own name, not one character over and over. The error is
// fault.Invalid and says what to change. It does not ask for character classes:
// they make passwords harder to remember, not to guess.
func Acceptable(password string, least int, names ...string) error {
	refuse := func(what string) error { return fault.New(fault.Invalid, "credential.Acceptable", what) }
	switch n := utf8.RuneCountInString(password); {
	case len(password) > MaxPassword:
		return refuse("The password is too long.")
	case n < max(least, MinPassword):
		return refuse("The password is too short. Use a sentence.")
	}
	low := strings.ToLower(password)
	seen := map[rune]bool{}
	for _, r := range low {
		seen[r] = true
	}
	if len(seen) < 4 {
		return refuse("The password repeats the same few characters.")
	}
	for _, name := range names {
		name, _, _ = strings.Cut(strings.ToLower(name), "@")
		if len(name) >= 3 && strings.Contains(low, name) && len(low) < len(name)+MinPassword {
			return refuse("The password is built on the account's own name.")
		}
	}
	core := strings.Trim(low, "0123456789!@#$%^&*?._- ")
	in := bufio.NewScanner(bytes.NewReader(common))
	for in.Scan() {
		if w := in.Text(); w != "" && w[0] != '#' && (w == low || w == core) {
			return refuse("The password is one of those that everybody tries first.")
		}
	}
	return nil
}
