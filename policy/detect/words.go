package detect

import (
	"strings"

	mohar "github.com/mohar-mail/mohar"
)

// phrase is a marking as written, in lower case.
type phrase struct {
	words []string
	label mohar.Label
	// anywhere: in capitals, or in Hindi, it is a marking wherever it stands,
	// for it means nothing else.
	anywhere bool
}

// match gives the longest phrase at the beginning of ws and its words; 0 where
// there is none.
func match(ws []word) (phrase, int) {
	var best phrase
	for _, p := range phrases() {
		if len(p.words) <= len(best.words) || len(p.words) > len(ws) {
			continue
		}
		same := true
		for i, w := range p.words {
			// Words of one phrase stand together: spaces, hyphens, underscores.
			same = same && ws[i].text == w && (i == 0 || strings.Trim(ws[i].gap, " -_\t\u00a0") == "")
		}
		if same {
			best = p
		}
	}
	return best, len(best.words)
}

// neutral says whether a word may stand beside a marking on its line.
func neutral(w string) bool {
	switch w {
	case "classification", "security", "class", "marking", "label", "grade", "strictly", "most", "only", "file", "copy", "no", "urgent", "immediate",
		"वर्गीकरण", "सुरक्षा", "श्रेणी", "चिह्न", "तत्काल", "पत्रावली", "केवल":
		return true
	}
	return strings.Trim(w, "0123456789०१२३४५६७८९") == ""
}

// phrases are the markings. Of two spellings of a nasal both stand here.
func phrases() []phrase {
	return markings[:]
}

var markings = [...]phrase{
	{[]string{"top", "secret"}, mohar.TopSecret, true},
	{[]string{"topsecret"}, mohar.TopSecret, true},
	{[]string{"परम", "गुप्त"}, mohar.TopSecret, true},
	{[]string{"परमगुप्त"}, mohar.TopSecret, true},
	{[]string{"अति", "गुप्त"}, mohar.TopSecret, false},
	{[]string{"अत्यंत", "गुप्त"}, mohar.TopSecret, false},
	{[]string{"अत्यन्त", "गुप्त"}, mohar.TopSecret, false},
	{[]string{"अति", "गोपनीय"}, mohar.TopSecret, false},
	{[]string{"टॉप", "सीक्रेट"}, mohar.TopSecret, true},
	{[]string{"param", "gupt"}, mohar.TopSecret, false},
	{[]string{"ati", "gupt"}, mohar.TopSecret, false},
	{[]string{"ati", "gopniya"}, mohar.TopSecret, false},
	{[]string{"ts"}, mohar.TopSecret, false},

	{[]string{"secret"}, mohar.Secret, false},
	{[]string{"गुप्त"}, mohar.Secret, false},
	{[]string{"सीक्रेट"}, mohar.Secret, false},
	{[]string{"gupt"}, mohar.Secret, false},

	{[]string{"confidential"}, mohar.Confidential, false},
	{[]string{"गोपनीय"}, mohar.Confidential, false},
	{[]string{"अत्यंत", "गोपनीय"}, mohar.Confidential, false},
	{[]string{"अत्यन्त", "गोपनीय"}, mohar.Confidential, false},
	{[]string{"पूर्णतः", "गोपनीय"}, mohar.Confidential, false},
	{[]string{"कॉन्फिडेंशियल"}, mohar.Confidential, false},
	{[]string{"gopniya"}, mohar.Confidential, false},
	{[]string{"gopaneey"}, mohar.Confidential, false},

	{[]string{"restricted"}, mohar.Restricted, false},
	{[]string{"प्रतिबंधित"}, mohar.Restricted, false},
	{[]string{"प्रतिबन्धित"}, mohar.Restricted, false},
	{[]string{"परिसीमित"}, mohar.Restricted, false},
	{[]string{"निर्बंधित"}, mohar.Restricted, false},
	{[]string{"सीमित"}, mohar.Restricted, false},
	{[]string{"pratibandhit"}, mohar.Restricted, false},
	{[]string{"seemit"}, mohar.Restricted, false},

	{[]string{"official", "use", "only"}, mohar.Official, true},
	{[]string{"for", "official", "use", "only"}, mohar.Official, true},
	{[]string{"fouo"}, mohar.Official, true},
	{[]string{"केवल", "सरकारी", "उपयोग", "के", "लिए"}, mohar.Official, true},
	{[]string{"केवल", "सरकारी", "उपयोग", "हेतु"}, mohar.Official, true},
	{[]string{"केवल", "कार्यालयीन", "उपयोग", "हेतु"}, mohar.Official, true},
	{[]string{"keval", "sarkari", "upyog"}, mohar.Official, false},
}
