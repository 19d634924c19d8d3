package memblob_test

import (
	"testing"

	"github.com/mohar-mail/mohar/store/blob"
	"github.com/mohar-mail/mohar/store/blob/blobtest"
	"github.com/mohar-mail/mohar/store/blob/memblob"
)

func TestSuite(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return memblob.New() })
}
