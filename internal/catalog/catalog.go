// Package catalog keeps what exists: resource groups, disks, snapshots, operations, grants and attachments, in SQL.
//
// It decides nothing; compute does. A committed transaction is durable. The catalog is SQLite in WAL mode; what differs
// between databases is in type dialect.
package catalog

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNotFound is returned when no row has the key.
var ErrNotFound = errors.New("not in the catalog")

// readers bounds how many reads run beside each other; SQLite has one writer.
const readers = 4

// Catalog is an open catalog. Its methods may be called by many goroutines at once.
type Catalog struct {
	dialect dialect
	write   *sql.DB
	read    *sql.DB
}

// Open opens the catalog in the file, makes it when absent, and brings its schema up to date. A schema newer than this
// program is refused.
func Open(ctx context.Context, path string) (*Catalog, error) {
	c := &Catalog{dialect: sqliteDialect()}
	var err error
	if c.write, err = sql.Open(c.dialect.driver, c.dialect.source(path, true)); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	c.write.SetMaxOpenConns(1)
	if err := c.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate catalog %s: %w", path, err), c.write.Close())
	}
	if c.read, err = sql.Open(c.dialect.driver, c.dialect.source(path, false)); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", err), c.write.Close())
	}
	c.read.SetMaxOpenConns(readers)
	return c, nil
}

func (c *Catalog) migrate(ctx context.Context) error {
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(c.dialect.goose, c.write, scripts)
	if err != nil {
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > newest {
		return fmt.Errorf("the catalog has schema version %d, this program knows up to %d", have, newest)
	}
	_, err = p.Up(ctx)
	return err
}

// Close closes the catalog; transactions in progress fail.
func (c *Catalog) Close() error { return errors.Join(c.read.Close(), c.write.Close()) }

// Update runs fn in one transaction that commits when fn returns nil, and is durable when Update does. Updates run one
// after another. What fn returns is returned as it is.
func (c *Catalog) Update(ctx context.Context, fn func(*Tx) error) error {
	return run(ctx, c.write, nil, fn)
}

// View runs fn on one consistent state of the catalog, which it may not change.
func (c *Catalog) View(ctx context.Context, fn func(*Tx) error) error {
	return run(ctx, c.read, &sql.TxOptions{ReadOnly: true}, fn)
}

func run(ctx context.Context, db *sql.DB, opt *sql.TxOptions, fn func(*Tx) error) error {
	tx, err := db.BeginTx(ctx, opt)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(&Tx{ctx: ctx, tx: tx}); err != nil {
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			return errors.Join(err, undo)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Tx is one transaction. It must not outlive the function that it was handed to.
type Tx struct {
	ctx context.Context
	tx  *sql.Tx

	changed []change // volumes put or deleted and not recorded yet
}

// exec runs a statement and tells how many rows it touched.
func (t *Tx) exec(query string, args ...any) (int64, error) {
	r, err := t.tx.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// one reads a single row into dest; ErrNotFound when there is none.
func (t *Tx) one(query string, args []any, dest ...any) error {
	err := t.tx.QueryRowContext(t.ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// all reads every row of a query through scan.
func all[T any](t *Tx, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := t.tx.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, v)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}
