package addr

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// LooseKey is Key folded further, so that spellings which a Hindi writer takes
// for the same name collide: nukta, ZWJ and ZWNJ dropped, chandrabindu and a
// nasal consonant before its own class written as anusvara, Devanagari digits
// as ASCII digits. Provisioning refuses a second mailbox with the same loose
// key; look-up may fall back on it. It is not for display or sending.
func (m Mailbox) LooseKey() string { return looseLocal(m.Local) + "@" + m.Domain.ASCII }

const (
	chandrabindu = '\u0901'
	anusvara     = '\u0902'
	nukta        = '\u093c'
	virama       = '\u094d'
	zwnj         = '\u200c'
	zwj          = '\u200d'
)

func looseLocal(l string) string {
	l = foldLocal(l)
	if isASCII(l) {
		return l
	}
	// NFD first: it parts U+0958 to U+095F and U+0929, U+0931, U+0934 into
	// letter and nukta, so that one rule drops them all.
	in := make([]rune, 0, len(l))
	for _, r := range norm.NFD.String(l) {
		switch {
		case r == nukta, r == zwnj, r == zwj:
		case r == chandrabindu:
			in = append(in, anusvara)
		case r >= '\u0966' && r <= '\u096f':
			in = append(in, '0'+r-'\u0966')
		default:
			in = append(in, r)
		}
	}
	var b strings.Builder
	for i := 0; i < len(in); i++ {
		if i+2 < len(in) && in[i+1] == virama && homorganic(in[i], in[i+2]) {
			b.WriteRune(anusvara)
			i++ // the virama
			continue
		}
		b.WriteRune(in[i])
	}
	return norm.NFC.String(b.String())
}

// homorganic says that nasal is the fifth letter of the class (varga) that next
// belongs to: the five rows of five letters from U+0915, of which the row of ta
// and that of pa are parted by U+0929.
func homorganic(nasal, next rune) bool {
	rows := [...]struct{ first, nasal rune }{
		{'\u0915', '\u0919'}, {'\u091a', '\u091e'}, {'\u091f', '\u0923'}, {'\u0924', '\u0928'}, {'\u092a', '\u092e'},
	}
	for _, row := range rows {
		if nasal == row.nasal {
			return next >= row.first && next < row.nasal
		}
	}
	return false
}
