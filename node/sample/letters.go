package sample

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	mohar "github.com/mohar-mail/mohar"
	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/wire/addr"
)

//go:embed letters/*.toml
var letterFiles embed.FS

// deskKey is the person whose mailbox State describes: the clerk.
const deskKey = "asha"

// staleDays is the age in working days from which everybody but the clerk has
// read a letter.
const staleDays = 3

// zone is Indian Standard Time, which has no summer time.
func zone() *time.Location { return time.FixedZone("IST", 5*3600+1800) }

// letter is one message as a file of letters/ has it.
type letter struct {
	Key      string
	From     string // see cast.party
	To, Cc   []string
	At       string // "3 10:42": three working days ago at that hour; "2h10m": so long ago
	Subject  string // of the letter replied to where empty
	Reply    string // key of the letter that this one answers
	Forward  bool   // "Fwd:" instead of "Re:"
	Quote    bool   // the text replied to is quoted below
	Label    string // of Mohar-Label; none where empty
	Urgent   bool
	State    string // of the clerk's copy: unread, flagged, archive, trash
	Junk     bool   // failed the checks and went to Junk
	Draft    bool   // lies in the writer's drafts
	Unsent   bool   // was refused: only a report about it exists
	ListID   string // of a newsletter
	Text     string
	HTML     string
	Attach   []attachment
	Report   *report // the letter is a delivery report, with no field of its own but Key and At
	fromAddr addr.Address
	sender   *person // nil for outsiders
	to, cc   []addr.Address
	readers  []*person
	parent   *letter
	at       time.Time
	age      int // working days
	lang     string
	content  []byte // without trace fields; set by compose
}

// report is what a delivery report says about another letter.
type report struct {
	About      string // key
	Final      string // recipient
	Status     string
	Diagnostic string
	Remote     string // host that refused; ours where empty
	En, Hi     string
	about      *letter
}

// copyOf is one letter in one mailbox.
type copyOf struct {
	letter   *letter
	owner    *person
	role     mailbox.Role
	flags    mailbox.Flags
	keywords []string
	trace    bool // it was delivered, so it has trace fields
	received time.Time
}

// item is the delivery id by which a mailbox knows that it has the copy.
func (c *copyOf) item() (id [16]byte) {
	role := "sent"
	if c.trace {
		role = "delivered"
	}
	sum := sha256.Sum256([]byte("sample letter " + c.letter.Key + " " + role))
	copy(id[:], sum[:])
	return id
}

// letters is all mail of the sample.
type letters struct {
	list   []*letter
	byKey  map[string]*letter
	copies []copyOf // oldest first
}

func badLetter(key, what string) error {
	return fault.New(fault.Internal, "sample.letters", "Letter "+key+": "+what)
}

// loadLetters reads the embedded files and dates every letter before now.
func loadLetters(c *cast, now time.Time) (*letters, error) {
	all := &letters{byKey: map[string]*letter{}}
	files, err := letterFiles.ReadDir("letters")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "sample.letters", "")
	}
	for _, f := range files {
		data, err := letterFiles.ReadFile("letters/" + f.Name())
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "sample.letters", "")
		}
		var file struct{ Letter []*letter }
		if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&file); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "sample.letters", f.Name())
		}
		all.list = append(all.list, file.Letter...)
	}
	for _, l := range all.list {
		if l.Key == "" || all.byKey[l.Key] != nil {
			return nil, badLetter(l.Key, "the key is missing or given twice.")
		}
		all.byKey[l.Key] = l
		if l.at, l.age, err = dated(l.At, now); err != nil {
			return nil, badLetter(l.Key, err.Error())
		}
	}
	slices.SortStableFunc(all.list, func(a, b *letter) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.Key, b.Key)) })
	for _, l := range all.list {
		if err := all.resolve(c, l); err != nil {
			return nil, err
		}
	}
	all.distribute()
	return all, nil
}

// dated reads At. Days are counted back over Saturdays and Sundays, so that
// offices write on weekdays whenever the sample is seeded.
func dated(at string, now time.Time) (time.Time, int, error) {
	now = now.In(zone())
	days, hour, ok := strings.Cut(at, " ")
	if !ok {
		d, err := time.ParseDuration(at)
		return now.Add(-d).Truncate(time.Second), 0, err
	}
	n, err := strconv.Atoi(days)
	if err != nil {
		return time.Time{}, 0, err
	}
	clock, err := time.Parse("15:04", hour)
	if err != nil {
		return time.Time{}, 0, err
	}
	day := now
	for left := n; left > 0; {
		day = day.AddDate(0, 0, -1)
		if w := day.Weekday(); w != time.Saturday && w != time.Sunday {
			left--
		}
	}
	// The seconds make no two letters of a minute look alike.
	return time.Date(day.Year(), day.Month(), day.Day(), clock.Hour(), clock.Minute(), (n*7+clock.Minute())%60, 0, zone()), n, nil
}

// resolve finds the people and letters that a letter names.
func (s *letters) resolve(c *cast, l *letter) (err error) {
	if l.Report != nil {
		l.Report.about = s.byKey[l.Report.About]
		if l.Report.about == nil || l.Report.about.sender == nil || !l.Report.about.at.Before(l.at) {
			return badLetter(l.Key, "it reports about no older letter of ours.")
		}
		l.readers = []*person{l.Report.about.sender}
		return nil
	}
	if l.Reply != "" {
		l.parent = s.byKey[l.Reply]
		if l.parent == nil || !l.parent.at.Before(l.at) {
			return badLetter(l.Key, "it answers no older letter.")
		}
	}
	if l.Subject == "" {
		if l.parent == nil {
			return badLetter(l.Key, "it has no subject.")
		}
		l.Subject = prefixed(l.parent.Subject, l.Forward)
	}
	if _, err := mohar.ParseLabel(l.Label); err != nil {
		return badLetter(l.Key, "it has an unknown label.")
	}
	l.lang = "en"
	if strings.ContainsFunc(l.Text+l.HTML, func(r rune) bool { return unicode.Is(unicode.Devanagari, r) }) {
		l.lang = "hi"
	}
	if l.fromAddr, l.sender, err = c.party(l.From, l.lang); err != nil {
		return err
	}
	for _, line := range []struct {
		in  []string
		out *[]addr.Address
	}{{l.To, &l.to}, {l.Cc, &l.cc}} {
		for _, name := range line.in {
			a, p, err := c.party(name, l.lang)
			if err != nil {
				return err
			}
			*line.out = append(*line.out, a)
			if p != nil && !slices.Contains(l.readers, p) {
				l.readers = append(l.readers, p)
			}
		}
	}
	return nil
}

// prefixed gives the subject of an answer, without piling up prefixes.
func prefixed(subject string, forward bool) string {
	if forward {
		return "Fwd: " + strings.TrimPrefix(subject, "Re: ")
	}
	if strings.HasPrefix(subject, "Re: ") {
		return subject
	}
	return "Re: " + subject
}

// distribute says which mailbox holds which letter, and how it is marked.
func (s *letters) distribute() {
	answered := map[*letter]map[*person]bool{}
	for _, l := range s.list {
		if l.parent != nil && l.sender != nil && !l.Draft && !l.Forward {
			if answered[l.parent] == nil {
				answered[l.parent] = map[*person]bool{}
			}
			answered[l.parent][l.sender] = true
		}
	}
	for _, l := range s.list {
		if l.Unsent {
			continue
		}
		if l.sender != nil {
			c := copyOf{letter: l, owner: l.sender, role: mailbox.RoleSent, flags: mailbox.Seen, received: l.at}
			if l.Draft {
				c.role, c.flags = mailbox.RoleDrafts, mailbox.Seen|mailbox.Draft
			}
			s.copies = append(s.copies, c)
		}
		if l.Draft {
			continue
		}
		for _, p := range l.readers {
			if p.Disabled {
				continue // LIF-05: a closed account gets no mail
			}
			c := copyOf{letter: l, owner: p, role: mailbox.RoleInbox, trace: l.Report == nil, received: l.at.Add(arrival)}
			c.mark(answered[l][p])
			s.copies = append(s.copies, c)
		}
	}
	slices.SortStableFunc(s.copies, func(a, b copyOf) int { return a.received.Compare(b.received) })
}

// mark sets flags and mailbox of a delivered copy.
func (c *copyOf) mark(answered bool) {
	if c.owner.Key == deskKey || c.letter.age >= staleDays {
		c.flags = mailbox.Seen
	}
	if c.letter.Junk {
		c.role, c.flags, c.keywords = mailbox.RoleJunk, 0, []string{"$junk"}
		return
	}
	if answered {
		c.flags |= mailbox.Seen | mailbox.Answered
	}
	if c.owner.Key != deskKey {
		return
	}
	for word := range strings.FieldsSeq(c.letter.State) {
		switch word {
		case "unread":
			c.flags &^= mailbox.Seen
		case "flagged":
			c.flags |= mailbox.Flagged
		case "archive":
			c.role = mailbox.RoleArchive
		case "trash":
			c.role = mailbox.RoleTrash
		}
	}
}
