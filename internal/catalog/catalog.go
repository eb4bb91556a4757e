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
	"sync"

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
	writer  *session // commitTurns's
	readers *sessions

	turns   chan *turn
	closing chan struct{}
	ended   chan struct{} // no update runs any more
	once    sync.Once
}

// Open opens the catalog in the file, makes it when absent, and brings its schema up to date. A schema newer than this
// program is refused.
func Open(ctx context.Context, path string) (*Catalog, error) {
	c := &Catalog{dialect: sqliteDialect(), turns: make(chan *turn), closing: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if c.write, err = sql.Open(c.dialect.driver, c.dialect.source(path, true)); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	c.write.SetMaxOpenConns(1)
	if err := c.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate catalog %s: %w", path, err), c.write.Close())
	}
	read, err := sql.Open(c.dialect.driver, c.dialect.source(path, false))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", err), c.write.Close())
	}
	c.readers = newSessions(read, readers)
	if c.writer, err = newSession(ctx, c.write); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", err), read.Close(), c.write.Close())
	}
	go c.commitTurns()
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

// Close lets the transactions in progress end and closes the catalog; later ones fail.
func (c *Catalog) Close() error {
	var err error
	c.once.Do(func() {
		close(c.closing)
		<-c.ended
		err = errors.Join(c.readers.close(), c.writer.close(), c.write.Close())
	})
	return err
}

// View runs fn on one consistent state of the catalog, which it may not change.
func (c *Catalog) View(ctx context.Context, fn func(*Tx) error) (err error) {
	s, err := c.readers.get(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	doubt := true // until it has ended well
	defer func() { err = errors.Join(err, c.readers.put(s, doubt)) }()
	if err := s.exec(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err = fn(&Tx{ctx: ctx, session: s})
	if undo := s.exec(context.WithoutCancel(ctx), "ROLLBACK"); undo != nil {
		return errors.Join(err, undo)
	}
	doubt = false
	return err
}

// Tx is one transaction. It must not outlive the function that it was handed to.
type Tx struct {
	ctx     context.Context
	session *session

	changed []change // volumes put or deleted and not recorded yet
}

// Context has the values, and nothing else, of the context in which the transaction was begun.
func (t *Tx) Context() context.Context { return context.WithoutCancel(t.ctx) }

// exec runs a statement and tells how many rows it touched.
func (t *Tx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.session.statement(t.ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// one reads a single row into dest; ErrNotFound when there is none.
func (t *Tx) one(query string, args []any, dest ...any) error {
	stmt, err := t.session.statement(t.ctx, query)
	if err != nil {
		return err
	}
	err = stmt.QueryRowContext(t.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// all reads every row of a query through scan.
func all[T any](t *Tx, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	stmt, err := t.session.statement(t.ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(t.ctx, args...)
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
