package catalog

import (
	"net/url"

	"github.com/pressly/goose/v3/database"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// dialect is what differs between the databases that can hold the catalog. Statements keep to what all understand:
// numbered parameters $1, $2 and ON CONFLICT.
type dialect struct {
	driver string
	goose  database.Dialect
	source func(path string, write bool) string
	begin  string // begins a transaction that writes
}

// sqliteDialect keeps the catalog in one file with a write-ahead log. synchronous=FULL makes a commit durable before it
// returns; foreign keys are off in SQLite unless asked for on each connection.
func sqliteDialect() dialect {
	return dialect{driver: "sqlite", goose: database.DialectSQLite3, begin: "BEGIN IMMEDIATE", source: func(path string, write bool) string {
		q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", "synchronous(FULL)"}}
		if write {
			q.Set("_txlock", "immediate")
		}
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	}}
}
