package outside

// words gives the texts of the pages in a language.
func words(lang string) map[string]string {
	i := 0
	if lang == "hi" {
		i = 1
	}
	out := make(map[string]string, len(catalogue))
	for k, v := range catalogue {
		out[k] = v[i]
	}
	return out
}

var catalogue = map[string][2]string{
	"title":    {"The outside world", "बाहरी दुनिया"},
	"about":    {"Mail that left the platform for foreign domains arrives here. Read it as the citizen it was sent to, and answer.", "जो डाक बाहर के डोमेन के लिए निकलती है, वह यहाँ पहुँचती है। नागरिक के रूप में पढ़ें और उत्तर दें।"},
	"all":      {"All letters", "सभी पत्र"},
	"none":     {"No letter has arrived yet.", "अभी कोई पत्र नहीं आया।"},
	"write":    {"Write to the government", "सरकार को लिखें"},
	"answer":   {"Answer", "उत्तर दें"},
	"from":     {"From", "प्रेषक"},
	"to":       {"To", "प्रति"},
	"subject":  {"Subject", "विषय"},
	"text":     {"Letter", "पत्र"},
	"send":     {"Send", "भेजें"},
	"back":     {"Back", "वापस"},
	"raw":      {"Source", "मूल रूप"},
	"manner":   {"How it is sent", "कैसे भेजा जाए"},
	"honest":   {"As it should be: right server, signed (SPF and DKIM pass)", "सही ढंग से: सही सर्वर, हस्ताक्षरित (SPF और DKIM सही)"},
	"unsigned": {"Right server, not signed (SPF passes)", "सही सर्वर, बिना हस्ताक्षर (SPF सही)"},
	"spf":      {"Wrong server, not signed (SPF fails)", "गलत सर्वर, बिना हस्ताक्षर (SPF विफल)"},
	"forge":    {"Impersonate: show another sender in the letter", "प्रतिरूपण: पत्र में किसी और का नाम दिखाएँ"},
	"forgeAs":  {"Sender to show", "दिखाया जाने वाला प्रेषक"},
	"signed":   {"signed", "हस्ताक्षरित"},
	"tls":      {"over TLS", "TLS से"},
}
