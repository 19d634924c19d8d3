package sample

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/wire/mime"
)

// attachment is a file of a letter. Its kind says how its bytes are made.
type attachment struct {
	Name string
	Kind string // pdf, png, csv, txt
	Text string // of csv and txt; the line on the page of a pdf, in ASCII
	// Inline gives the picture this Content-ID, for use inside the HTML.
	Inline string
}

func (a *attachment) node() (*mime.Node, error) {
	switch a.Kind {
	case "pdf":
		return mime.Attachment(a.Name, "application/pdf", pdfPage(a.Text)), nil
	case "png":
		b, err := pngPicture()
		n := mime.Attachment(a.Name, "image/png", b)
		if a.Inline != "" {
			n.Disposition, n.ID = "inline", "<"+a.Inline+">"
		}
		return n, err
	case "csv":
		return mime.Attachment(a.Name, "text/csv", []byte(a.Text)), nil
	case "txt":
		return mime.Attachment(a.Name, "text/plain", []byte(a.Text)), nil
	}
	return nil, fault.New(fault.Internal, "sample.letters", "There is no attachment of kind "+a.Kind+".")
}

// Size of the sample picture in pixels.
const (
	pictureWidth  = 320
	pictureHeight = 200
)

// pngPicture draws a road between fields under a morning sky.
func pngPicture() ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, pictureWidth, pictureHeight))
	horizon := pictureHeight * 2 / 5
	for y := range pictureHeight {
		for x := range pictureWidth {
			c := color.RGBA{uint8(150 + y), uint8(190 + y/2), 235, 255}
			if y >= horizon {
				half := 6 + (y-horizon)*2/3 // the road widens towards the viewer
				off := x - pictureWidth/2
				switch {
				case off > -2 && off < 2 && (y/12)%2 == 0:
					c = color.RGBA{240, 240, 225, 255}
				case off > -half && off < half:
					c = color.RGBA{92, 90, 88, 255}
				default:
					c = color.RGBA{uint8(150 + y/8), 140, 70, 255}
				}
			}
			img.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	err := png.Encode(&out, img)
	return out.Bytes(), err
}

// pdfPage writes a PDF (ISO 32000-1) of one A4 page with lines of ASCII text.
func pdfPage(text string) []byte {
	var page strings.Builder
	page.WriteString("BT /F1 13 Tf 60 770 Td 18 TL\n")
	escape := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`)
	for line := range strings.Lines(text) {
		fmt.Fprintf(&page, "(%s) Tj T*\n", escape.Replace(strings.TrimSpace(line)))
	}
	page.WriteString("ET\n")
	var out bytes.Buffer
	out.WriteString("%PDF-1.4\n")
	var offsets []int
	for i, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", page.Len(), page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	} {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	table := out.Len()
	// An entry of the table is exactly 20 octets (section 7.5.4).
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, table)
	return out.Bytes()
}
