package body

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/kv"
)

// checked gives the problems of a shard, each with the body it names.
func checked(t *testing.T, b *Bodies, s kv.Shard) (out []string) {
	t.Helper()
	err := b.Check(t.Context(), s, func(ref Ref, problem string) { out = append(out, ref.String()+" "+problem) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("namaste "), 200)
	big := bytes.Repeat(text, 10)
	reread := func(f func(r *row)) func([]byte) []byte {
		return func(v []byte) []byte {
			r, err := parseRow(bytes.Clone(v))
			if err != nil {
				t.Error(err)
			}
			f(&r)
			return r.append(nil)
		}
	}
	for _, tt := range []struct {
		name    string
		content []byte
		count   bool // the damage is to the count row
		damage  func(v []byte) []byte
		blobs   func(t *testing.T, b *Bodies, loc blob.Location)
		want    string
	}{
		{name: "sound", content: text},
		{name: "sound, large", content: big},
		{name: "sound, incompressible", content: noise(5000)[:900]},
		{name: "content row gone", content: text, damage: func([]byte) []byte { return nil }, want: "content row is missing"},
		{name: "content row unreadable", content: text, damage: func([]byte) []byte { return []byte("x") }, want: "row cannot be read"},
		{name: "count gone", content: text, count: true, damage: func([]byte) []byte { return nil }, want: "count of references is missing"},
		{name: "count unreadable", content: text, count: true, damage: func([]byte) []byte { return []byte{0} }, want: "count of references cannot be read"},
		{name: "checksum", content: noise(5000)[:900], damage: reread(func(r *row) { r.data[7] ^= 1 }), want: "does not match its checksum"},
		{name: "frame", content: text, damage: reread(func(r *row) { r.data[0] ^= 1 }), want: "cannot be decompressed"},
		{name: "other sum of a large one", content: big, damage: reread(func(r *row) { r.sum[0] ^= 1 }), want: "does not match its checksum"},
		{name: "other size of a large one", content: big, damage: reread(func(r *row) { r.size++ }), want: "octets, its row says"},
		{name: "other place than the count says", content: big, damage: reread(func(r *row) { r.data = []byte("m77") }), want: `its content is at "m77"`},
		{name: "blob gone", content: big, blobs: func(t *testing.T, b *Bodies, loc blob.Location) {
			if err := b.Free(t.Context(), loc); err != nil {
				t.Error(err)
			}
		}, want: "not in the content store"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, s, _ := setup(Config{HotLimit: 2000})
			st := stage(t, b, tt.content)
			ref, other := add(t, b, s, "a", st, 2), add(t, b, s, "a", stage(t, b, text), 1)
			key := ref.contentKey()
			if tt.count {
				key = ref.countKey()
			}
			err := s.Update(t.Context(), "a", func(tx *kv.Tx) error {
				v, err := tx.Get(key)
				if err != nil || tt.damage == nil {
					return err
				}
				if v = tt.damage(bytes.Clone(v)); v == nil {
					tx.Delete(key)
				} else {
					tx.Put(key, v)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.blobs != nil {
				tt.blobs(t, b, st.loc)
			}
			got := checked(t, b, "a")
			switch {
			case tt.want == "" && len(got) > 0, tt.want != "" && len(got) != 1:
				t.Errorf("got %q", got)
			case tt.want != "" && (!strings.HasPrefix(got[0], ref.String()) || !strings.Contains(got[0], tt.want)):
				t.Errorf("got %q, want one of %s with %q", got, ref, tt.want)
			}
			if slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, other.String()) }) {
				t.Errorf("the other body is blamed: %q", got)
			}
		})
	}
}

// Every row is visited once, whatever the pages.
func TestPagesVisitEveryRowOnce(t *testing.T) {
	t.Parallel()
	b, s, _ := setup(Config{})
	want := map[Ref]uint64{}
	for i := range 3*checkContents + 1 {
		want[add(t, b, s, "a", stage(t, b, []byte{byte(i), byte(i >> 8)}), 1+i%5)] = uint64(1 + i%5)
	}
	add(t, b, s, "b", stage(t, b, []byte("of another shard")), 1)
	for _, page := range []int{1, 7, checkContents, 3*checkContents + 1, checkCounts} {
		seen := map[Ref]uint64{}
		err := b.pages(t.Context(), "a", "br/", page, func(_ kv.Reader, ref Ref, v []byte) error {
			c, err := parseCount(v)
			if _, twice := seen[ref]; twice {
				t.Errorf("page %d: %s twice", page, ref)
			}
			seen[ref] = c.refs
			return err
		})
		if err != nil || len(seen) != len(want) {
			t.Errorf("page %d: %d rows of %d, %v", page, len(seen), len(want), err)
		}
	}
	err := b.Counts(t.Context(), "a", func(ref Ref, n uint64) {
		if want[ref] != n {
			t.Errorf("%s: %d references, want %d", ref, n, want[ref])
		}
		delete(want, ref)
	})
	if err != nil || len(want) > 0 {
		t.Errorf("%d bodies were not counted, %v", len(want), err)
	}
	if got := checked(t, b, "a"); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	b, s, _ := setup(Config{})
	ref := add(t, b, s, "a", stage(t, b, []byte("x")), 3)
	err := s.View(t.Context(), "a", func(r kv.Reader) error {
		if n, content, err := Rows(r, ref); n != 3 || !content || err != nil {
			t.Errorf("%d %v %v", n, content, err)
		}
		if n, content, err := Rows(r, Ref{Home: "a"}); n != 0 || content || err != nil {
			t.Errorf("absent: %d %v %v", n, content, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzParseCount(f *testing.F) {
	f.Add(count{refs: 1}.append())
	f.Add(count{refs: 1 << 40, loc: "m1"}.append())
	f.Add([]byte{0})
	f.Add(bytes.Repeat([]byte{0xff}, 11))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := parseCount(in)
		if err != nil {
			return
		}
		if again, err := parseCount(c.append()); err != nil || again != c || c.refs == 0 {
			t.Errorf("count %v becomes %v, %v", c, again, err)
		}
	})
}
