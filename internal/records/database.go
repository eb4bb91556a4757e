package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"tintype/internal/smallfile"
)

// database is one of SQLite's files, which the server goes on writing.
type database struct {
	name string
	db   *sql.DB
	conn *sql.Conn // the one that versions are compared on
}

func openDatabase(ctx context.Context, dir, name string) (*database, error) {
	q := url.Values{"_pragma": {"busy_timeout(10000)"}, "mode": {"ro"}}
	path := (&url.URL{Path: filepath.Join(dir, name)}).EscapedPath()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), db.Close())
	}
	return &database{name: name, db: db, conn: conn}, nil
}

func (d *database) close() error { return errors.Join(d.conn.Close(), d.db.Close()) }

// version is a number that is another one after each commit (https://sqlite.org/pragma.html#pragma_data_version).
func (d *database) version(ctx context.Context) (n int64, err error) {
	err = d.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&n)
	return n, err
}

// before is what the name of a copy that was there at the start ends with.
const before = ".before"

// copyTo replaces the file of this name in a folder by the database as it is at one moment; with keep, the one that was there gets
// another name. After a crash the folder has the old file or the new one. Writers go on meanwhile (https://sqlite.org/lang_vacuum.html#vacuuminto).
func (d *database) copyTo(ctx context.Context, dir string, keep bool) error {
	part := filepath.Join(dir, ".new-"+d.name)
	err := os.WriteFile(part, nil, 0o600) // SQLite fills an empty file, and would make one that others may read
	if err == nil {
		_, err = d.conn.ExecContext(ctx, "VACUUM INTO ?", part)
	}
	if err == nil {
		err = syncFile(part)
	}
	if err == nil && keep {
		err = keepCopy(filepath.Join(dir, d.name))
	}
	if err == nil {
		return smallfile.Move(filepath.Join(dir, d.name), part)
	}
	if gone := os.Remove(part); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// keepCopy gives a copy a second name: it stays what it is until another one takes its first name.
func keepCopy(name string) error {
	if err := os.Remove(name + before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(name, name+before); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
