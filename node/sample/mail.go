package sample

import (
	"context"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/mailbox"
	"github.com/mohar-mail/mohar/store/body"
)

// perTx is how many letters one transaction adds to a mailbox.
const perTx = 16

// mail adds the missing letters, mailbox by mailbox and oldest first.
func (s *seeder) mail(ctx context.Context) error {
	by := map[*person][]copyOf{}
	for _, c := range s.letters.copies {
		by[c.owner] = append(by[c.owner], c)
	}
	for _, p := range s.cast.list {
		missing, err := s.missing(ctx, p, by[p])
		if err != nil {
			return err
		}
		s.step(len(by[p]) - len(missing))
		for len(missing) > 0 {
			n := min(perTx, len(missing))
			if err := s.put(ctx, p, missing[:n]); err != nil {
				return err
			}
			missing = missing[n:]
		}
	}
	return nil
}

// missing leaves out the copies that the mailbox has had, even if its owner has
// deleted them since.
func (s *seeder) missing(ctx context.Context, p *person, list []copyOf) ([]copyOf, error) {
	var out []copyOf
	a, err := s.find(ctx, p)
	if err != nil {
		return nil, err
	}
	err = s.Mailboxes.View(ctx, a.ID, func(r *mailbox.Reader) error {
		out = out[:0]
		for _, c := range list {
			had, err := r.Delivered(c.item())
			if err != nil {
				return err
			}
			if had == 0 {
				out = append(out, c)
			}
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return list, nil // no letter has ever come here
	}
	return out, err
}

// put adds some copies in one transaction.
func (s *seeder) put(ctx context.Context, p *person, list []copyOf) error {
	s.fresh = true
	a, err := s.find(ctx, p)
	if err != nil {
		return err
	}
	adds := make([]mailbox.Addition, len(list))
	for i := range list {
		if adds[i], err = s.addition(ctx, &list[i]); err != nil {
			return err
		}
	}
	err = s.Mailboxes.Update(ctx, a.ID, func(w *mailbox.Writer) error {
		for i, add := range adds {
			m, err := w.ByRole(list[i].role)
			if err != nil {
				return err
			}
			add.Mailboxes = []mailbox.ID{m.ID}
			if _, err := w.Add(add); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err // the commit may have happened: what was staged is not ours to free
	}
	s.step(len(list))
	return nil
}

// addition writes and stages one copy; its mailbox is filled in later.
func (s *seeder) addition(ctx context.Context, c *copyOf) (mailbox.Addition, error) {
	data, err := c.letter.compose()
	if c.trace {
		data, err = c.letter.delivered(c.owner)
	}
	if err != nil {
		return mailbox.Addition{}, err
	}
	content, err := mailbox.Parse(data)
	if err != nil {
		return mailbox.Addition{}, err
	}
	staged, err := stage(ctx, s.Mailboxes.Bodies(), data)
	return mailbox.Addition{Flags: c.flags, Keywords: c.keywords, Received: c.received, Size: int64(len(data)),
		Content: content, Staged: staged, Item: c.item()}, err
}

func stage(ctx context.Context, b *body.Bodies, data []byte) (*body.Staged, error) {
	w := b.Writer(ctx)
	if _, err := w.Write(data); err != nil {
		w.Abort()
		return nil, err
	}
	return w.Finish()
}
