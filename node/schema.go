package node

import (
	"context"

	"github.com/mohar-mail/mohar/store/kv"
	"github.com/mohar-mail/mohar/store/table"
)

// schemaShard remembers the version of the installation's data as a whole, so
// that a start does not have to ask a million shards.
const schemaShard = kv.Shard("schema")

// schema is the history of the data's form. A change of a row's form gets a
// migration here that visits the shards it concerns; rows whose codec reads
// older forms need none.
var schema = table.Schema{
	Name: "the installation",
	Migrations: []table.Migration{
		{Version: 1, Name: "first form", Apply: func(*kv.Tx) error { return nil }},
	},
}

// upgrade brings the data to this program's version, or refuses data that a
// newer program wrote.
func (e *engines) upgrade(ctx context.Context) error {
	return schema.Upgrade(ctx, e.kv, schemaShard)
}
