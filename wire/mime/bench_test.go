package mime

import (
	"fmt"
	"strings"
	"testing"
)

// letter is a text mail of about 10 KB with the header that mail has after
// three hops.
func letter() []byte {
	var b strings.Builder
	for i := range 3 {
		fmt.Fprintf(&b, "Received: from h%d.rajya.example (h%d.rajya.example [192.0.2.%d])\r\n\tby mx.rajya.example with ESMTPS id 17%d;\r\n\tMon, 23 Nov 2026 10:00:00 +0530\r\n", i, i, i, i)
	}
	b.WriteString("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=rajya.example; s=m1;\r\n\th=from:to:subject; bh=" + strings.Repeat("A", 44) + ";\r\n\tb=" + strings.Repeat("B", 300) + "\r\n")
	b.WriteString("Date: Mon, 23 Nov 2026 10:00:00 +0530\r\nFrom: =?UTF-8?B?4KSF4KSc4KSvIOCkleClgeCkruCkvuCksA==?= <ajay@rajya.example>\r\n" +
		"To: Vijay Kumar <vijay@rajya.example>, team@rajya.example\r\nCc: other@example.test\r\n" +
		"Subject: Re: Estimates of the department for the coming year\r\nMessage-ID: <20261123100000.1234@rajya.example>\r\n" +
		"In-Reply-To: <20261122100000.1@rajya.example>\r\nReferences: <20261120100000.1@rajya.example> <20261122100000.1@rajya.example>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	for b.Len() < 10_000 {
		b.WriteString("The quick brown fox jumps over the lazy dog and goes home again.\r\n")
	}
	return []byte(b.String())
}

func bigMessage(size int) []byte {
	var b strings.Builder
	b.WriteString("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=\"=_x\"\r\n\r\n--=_x\r\n\r\nhello\r\n--=_x\r\n" +
		"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	line := strings.Repeat("QUJD", 19) + "\r\n"
	for b.Len() < size {
		b.WriteString(line)
	}
	b.WriteString("--=_x--\r\n")
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for name, c := range map[string][]byte{"10KB": letter(), "10MB": bigMessage(10 << 20)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(c)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(c)
			}
		})
	}
}

func BenchmarkIndex(b *testing.B) {
	m := Parse(letter())
	stored, _ := m.AppendBinary(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst, _ = m.AppendBinary(dst[:0])
		}
		b.ReportMetric(float64(len(stored)), "octets")
	})
	for _, c := range []struct {
		name   string
		decode func([]byte) error
	}{
		{"decode", func(s []byte) error { _, err := DecodeIndex(s); return err }},
		{"summary", func(s []byte) error { _, err := DecodeSummary(s); return err }},
		{"envelope", func(s []byte) error { _, err := DecodeEnvelope(s); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.decode(stored); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestIndexSize holds the promise that lists stay cheap.
func TestIndexSize(t *testing.T) {
	t.Parallel()
	if b, _ := Parse(letter()).AppendBinary(nil); len(b) >= 600+PreviewRunes {
		t.Errorf("the index of a simple mail is %d octets", len(b))
	}
}

func BenchmarkTransfer(b *testing.B) {
	body := []byte(strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 10_000))
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r := DecodeTransfer("base64", body)
		for {
			if _, err := r.Read(buf); err != nil {
				break
			}
		}
	}
}
