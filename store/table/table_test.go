package table_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mohar-mail/mohar/base/fault"
	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/memkv"
	"github.com/mohar-mail/mohar/store/table"
)

type person struct {
	ID    uint32   `cbor:"1,keyasint"`
	Email string   `cbor:"2,keyasint"`
	Tags  []string `cbor:"3,keyasint,omitempty"`
}

const shard = kv.Shard("t")

var people = table.New(table.Config[person]{
	Name: "people", Prefix: "p/", Codec: table.CBOR[person](),
	Key: func(p *person) []byte { return binary.BigEndian.AppendUint32(nil, p.ID) },
	Indexes: []table.Index[person]{
		{Prefix: "e/", Unique: true, Keys: func(p *person) [][]byte { return [][]byte{[]byte(p.Email)} }},
		{Prefix: "t/", Keys: func(p *person) [][]byte {
			var out [][]byte
			for _, t := range p.Tags {
				out = append(out, []byte(t))
			}
			return out
		}},
	},
})

func open(t *testing.T) *kv.Store {
	t.Helper()
	s := kv.NewStore(memkv.New())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func update(t *testing.T, s *kv.Store, fn func(*kv.Tx) error) error {
	t.Helper()
	return s.Update(t.Context(), shard, fn)
}

// ids looks rows up by an index and gives their ids.
func ids(t *testing.T, s *kv.Store, index, key string) []uint32 {
	t.Helper()
	var out []uint32
	err := s.View(t.Context(), shard, func(r kv.Reader) error {
		rows, err := people.Lookup(r, index, []byte(key), 0)
		for _, p := range rows {
			out = append(out, p.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestIndexesFollowTheirRows(t *testing.T) {
	s := open(t)
	put := func(p person) {
		t.Helper()
		if err := update(t, s, func(tx *kv.Tx) error { return people.Put(tx, &p) }); err != nil {
			t.Fatal(err)
		}
	}
	put(person{1, "asha@x", []string{"hi", "clerk"}})
	put(person{2, "ravi@x", []string{"clerk"}})
	if got := ids(t, s, "t/", "clerk"); !slices.Equal(got, []uint32{1, 2}) {
		t.Errorf("clerks %v", got)
	}
	put(person{1, "asha.v@x", []string{"hi"}})
	if got := ids(t, s, "t/", "clerk"); !slices.Equal(got, []uint32{2}) {
		t.Errorf("clerks after the change %v", got)
	}
	if got := ids(t, s, "e/", "asha@x"); got != nil {
		t.Errorf("the old address still leads to %v", got)
	}
	put(person{3, "asha@x", nil}) // the address is free again
	if err := update(t, s, func(tx *kv.Tx) error { return people.Delete(tx, binary.BigEndian.AppendUint32(nil, 1)) }); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s, "t/", "hi"); got != nil {
		t.Errorf("a deleted row is still found: %v", got)
	}
	err := s.View(t.Context(), shard, func(r kv.Reader) error {
		left := 0
		err := r.Scan(kv.Range{}, func(_, _ []byte) bool { left++; return true })
		if left != 2+2+1 { // two rows, two addresses, one tag
			t.Errorf("%d keys are left", left)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An index key that begins another must not be taken for it.
func TestIndexKeysAreWhole(t *testing.T) {
	s := open(t)
	err := update(t, s, func(tx *kv.Tx) error {
		return errors.Join(people.Put(tx, &person{1, "a", []string{"x"}}), people.Put(tx, &person{2, "ab", []string{"x\x00\x00\x00\x01"}}))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s, "e/", "a"); !slices.Equal(got, []uint32{1}) {
		t.Errorf("a: %v", got)
	}
	if got := ids(t, s, "t/", "x"); !slices.Equal(got, []uint32{1}) {
		t.Errorf("x: %v", got)
	}
}

func TestUniqueAndInsert(t *testing.T) {
	s := open(t)
	if err := update(t, s, func(tx *kv.Tx) error { return people.Insert(tx, &person{1, "a@x", nil}) }); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]person{"key taken": {1, "b@x", nil}, "address taken": {2, "a@x", nil}} {
		if err := update(t, s, func(tx *kv.Tx) error { return people.Insert(tx, &p) }); !fault.Is(err, fault.Exists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Twice in one transaction counts too.
	err := update(t, s, func(tx *kv.Tx) error {
		if err := people.Insert(tx, &person{5, "c@x", nil}); err != nil {
			return err
		}
		return people.Insert(tx, &person{6, "c@x", nil})
	})
	if !fault.Is(err, fault.Exists) {
		t.Errorf("in one transaction: %v", err)
	}
	if err := update(t, s, func(tx *kv.Tx) error { return people.Put(tx, &person{1, "a@x", []string{"again"}}) }); err != nil {
		t.Errorf("a row may keep its own unique key: %v", err)
	}
}

func TestScanAndGet(t *testing.T) {
	s := open(t)
	err := update(t, s, func(tx *kv.Tx) error {
		for i := range uint32(5) {
			if err := people.Put(tx, &person{ID: i, Email: string(rune('a' + i))}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(t.Context(), shard, func(r kv.Reader) error {
		var got []uint32
		key := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
		err := people.Scan(r, kv.Range{From: key(1), To: key(4), Reverse: true, Limit: 2}, func(p *person) bool { got = append(got, p.ID); return true })
		if !slices.Equal(got, []uint32{3, 2}) {
			t.Errorf("scan %v", got)
		}
		many, e := people.GetMany(r, [][]byte{key(4), key(9), key(0)})
		if e != nil || many[0].ID != 4 || many[1] != nil || many[2].ID != 0 {
			t.Errorf("many %v %v", many, e)
		}
		if _, e := people.Get(r, key(9)); !fault.Is(e, fault.NotFound) {
			t.Errorf("get: %v", e)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamagedRow(t *testing.T) {
	s := open(t)
	if err := update(t, s, func(tx *kv.Tx) error { tx.Put([]byte("p/\x00\x00\x00\x01"), []byte{0xff, 0x00}); return nil }); err != nil {
		t.Fatal(err)
	}
	err := s.View(t.Context(), shard, func(r kv.Reader) error {
		return people.Scan(r, kv.Range{}, func(*person) bool { return true })
	})
	if !fault.Is(err, fault.Corrupt) {
		t.Errorf("got %v", err)
	}
}

func TestUpgrade(t *testing.T) {
	s := open(t)
	var ran []string
	step := func(name string, err error) func(*kv.Tx) error {
		return func(tx *kv.Tx) error {
			ran = append(ran, name)
			tx.Put([]byte("done/"+name), nil)
			return err
		}
	}
	first := &table.Schema{Name: "t", Migrations: []table.Migration{{Version: 1, Name: "one", Apply: step("one", nil)}}}
	killed := errors.New("killed")
	second := &table.Schema{Name: "t", Migrations: append(slices.Clone(first.Migrations),
		table.Migration{Version: 2, Name: "two", Apply: step("two", killed)})}
	mended := &table.Schema{Name: "t", Migrations: append(slices.Clone(first.Migrations),
		table.Migration{Version: 2, Name: "two", Apply: step("two", nil)})}
	ctx := context.Background()
	if err := first.Upgrade(ctx, s, shard); err != nil {
		t.Fatal(err)
	}
	if err := second.Upgrade(ctx, s, shard); !errors.Is(err, killed) {
		t.Fatalf("got %v", err)
	}
	if err := mended.Upgrade(ctx, s, shard); err != nil {
		t.Fatal(err)
	}
	if err := mended.Upgrade(ctx, s, shard); err != nil { // nothing is left to do
		t.Fatal(err)
	}
	if got := strings.Join(ran, " "); got != "one two two" {
		t.Errorf("ran %s", got)
	}
	if err := first.Upgrade(ctx, s, shard); !fault.Is(err, fault.Unsupported) {
		t.Errorf("an older program took newer data: %v", err)
	}
}
