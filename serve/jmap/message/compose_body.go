package message

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mohar-mail/mohar/base/fault"
	wire "github.com/mohar-mail/mohar/wire/jmap"
	"github.com/mohar-mail/mohar/wire/mime"
)

// bodyDraft is what the parts of a new email share.
type bodyDraft struct {
	values  map[string]string // partId -> text
	missing []wire.ID         // blobs that are not there
	size    int64             // octets of all blobs
	parts   int
}

// maxNewParts bounds the parts of a new email.
const maxNewParts = 500

// bodyTree makes the tree of parts.
func (dr *draft) bodyTree() (*mime.Node, error) {
	dr.readValues()
	structure, given := dr.a.Raw("bodyStructure")
	text, html, files := dr.partList("textBody"), dr.partList("htmlBody"), dr.partList("attachments")
	var root *mime.Node
	if given {
		if text != nil || html != nil || files != nil {
			dr.fail("bodyStructure")
		}
		root = dr.part(structure, "bodyStructure", "text/plain", 0)
	} else {
		root = dr.flatBody(text, html, files)
	}
	if len(dr.body.missing) > 0 {
		return nil, &wire.SetError{Type: "blobNotFound", Extra: map[string]any{"notFound": dr.body.missing}}
	}
	if dr.body.size > dr.src.MaxAttachments {
		return nil, &wire.SetError{Type: wire.SetTooLarge, Extra: map[string]any{"maxSize": dr.src.MaxAttachments}}
	}
	return root, nil
}

// readValues reads bodyValues.
func (dr *draft) readValues() {
	dr.body.values = map[string]string{}
	for id, raw := range dr.a.Map("bodyValues") {
		a, err := wire.NewArgs(raw)
		if err != nil {
			dr.fail("bodyValues")
			continue
		}
		dr.body.values[id] = a.String("value")
		if a.Bool("isEncodingProblem", false) || a.Bool("isTruncated", false) || a.Err() != nil {
			dr.fail("bodyValues")
		}
	}
}

func (dr *draft) partList(prop string) []json.RawMessage {
	list, ok := dr.a.List(prop)
	if !ok {
		return nil
	}
	return slices.Clip(append([]json.RawMessage{}, list...))
}

// flatBody makes a tree out of textBody, htmlBody and attachments. Inline files
// with a Content-ID go beside the HTML that shows them (RFC 2387).
func (dr *draft) flatBody(text, html, files []json.RawMessage) *mime.Node {
	var alternatives []*mime.Node
	one := func(list []json.RawMessage, prop, want string) *mime.Node {
		if list == nil {
			return nil
		}
		if len(list) != 1 {
			dr.fail(prop)
			return nil
		}
		n := dr.part(list[0], prop, want, 0)
		if n != nil && n.Type != want {
			dr.fail(prop)
		}
		return n
	}
	if n := one(text, "textBody", "text/plain"); n != nil {
		alternatives = append(alternatives, n)
	}
	shown := one(html, "htmlBody", "text/html")
	var related, mixed []*mime.Node
	for _, raw := range files {
		n := dr.part(raw, "attachments", "application/octet-stream", 0)
		if n == nil {
			continue
		}
		if n.Disposition == "" {
			n.Disposition = "attachment"
		}
		if shown != nil && n.Disposition == "inline" && n.ID != "" {
			related = append(related, n)
		} else {
			mixed = append(mixed, n)
		}
	}
	if shown != nil {
		if len(related) > 0 {
			shown = mime.Multipart("related", append([]*mime.Node{shown}, related...)...)
			shown.Params = []mime.Param{{Name: "type", Value: "text/html"}}
		}
		alternatives = append(alternatives, shown)
	}
	var root *mime.Node
	switch len(alternatives) {
	case 0:
		root = mime.Text("plain", "")
	case 1:
		root = alternatives[0]
	default:
		root = mime.Multipart("alternative", alternatives...)
	}
	if len(mixed) > 0 {
		root = mime.Multipart("mixed", append([]*mime.Node{root}, mixed...)...)
	}
	return root
}

// part makes one part; prop is the property of the Email that it stands in, def
// its type where it says none. nil where it is wrong.
func (dr *draft) part(raw json.RawMessage, prop, def string, depth int) *mime.Node {
	a, err := wire.NewArgs(raw)
	if dr.body.parts++; err != nil || dr.body.parts > maxNewParts || depth > mime.MaxDepth {
		dr.fail(prop)
		return nil
	}
	n := &mime.Node{Type: def}
	if t := a.OptString("type"); t != nil {
		n.Type = strings.ToLower(*t)
	}
	str := func(name string) string {
		if s := a.OptString(name); s != nil {
			return *s
		}
		return ""
	}
	n.Filename, n.Disposition, n.Location = str("name"), strings.ToLower(str("disposition")), str("location")
	if n.Disposition != "" && n.Disposition != "inline" && n.Disposition != "attachment" {
		dr.fail(prop)
	}
	if cid := str("cid"); cid != "" {
		n.ID = "<" + cid + ">"
		if badBracketed(cid) {
			dr.fail(prop)
		}
	}
	if langs, ok := a.Strings("language"); ok {
		n.Language = strings.Join(langs, ", ")
	}
	charset := str("charset")
	sub, multi := a.List("subParts")
	partID, blobID := a.OptString("partId"), a.OptID("blobId")
	sized := a.OptUint("size") != nil
	switch {
	case strings.HasPrefix(n.Type, "multipart/"):
		if partID != nil || blobID != "" || len(sub) == 0 {
			dr.fail(prop)
		}
		for _, s := range sub {
			if c := dr.part(s, prop, "text/plain", depth+1); c != nil {
				n.Children = append(n.Children, c)
			}
		}
	case multi || (partID == nil) == (blobID == ""):
		dr.fail(prop)
	case partID != nil:
		text, ok := dr.body.values[*partID]
		if !ok || charset != "" || sized || !strings.HasPrefix(n.Type, "text/") {
			dr.fail(prop)
		}
		n.Body = []byte(text)
	default:
		n.Body = dr.blob(blobID, prop)
		dr.charset(n, charset)
	}
	if a.Err() != nil {
		dr.fail(prop) // among others a header property, which a new part cannot have
	}
	return n
}

// charset labels the text of a file: with what the client says, and otherwise
// with a name that claims nothing (RFC 1428) unless it is UTF-8.
func (dr *draft) charset(n *mime.Node, charset string) {
	if !strings.HasPrefix(n.Type, "text/") {
		return
	}
	if charset == "" && !utf8.Valid(n.Body) {
		charset = "unknown-8bit"
	}
	if charset != "" {
		n.Params = append(n.Params, mime.Param{Name: "charset", Value: charset})
	}
}

// blob reads a file to attach.
func (dr *draft) blob(id wire.ID, prop string) []byte {
	if dr.body.size > dr.src.MaxAttachments {
		return nil
	}
	data, err := dr.src.Blob(id)
	if fault.Is(err, fault.NotFound) {
		if !slices.Contains(dr.body.missing, id) {
			dr.body.missing = append(dr.body.missing, id)
		}
		return nil
	}
	if err != nil {
		dr.fail(prop)
		return nil
	}
	dr.body.size += int64(len(data))
	return data
}
