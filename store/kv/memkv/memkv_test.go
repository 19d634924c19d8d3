package memkv_test

import (
	"testing"

	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/kv/kvtest"
	"github.com/mohar-mail/mohar/store/kv/memkv"
)

func TestSuite(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.DB { return memkv.New() })
}
