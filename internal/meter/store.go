package meter

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"tintype"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers bounds how many reports are read beside each other; SQLite has one writer.
const readers = 4

// store is usage.db: resources, samples, rounds and the meter's own progress.
type store struct {
	write *sql.DB
	read  *sql.DB
}

// openStore opens the file, makes it when absent, and refuses one that a newer program wrote.
func openStore(ctx context.Context, path string) (*store, error) {
	open := func(more url.Values) (*sql.DB, error) {
		more["_pragma"] = []string{"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", "synchronous(FULL)", "cache_size(-16384)"}
		return sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: more.Encode()}).String())
	}
	w, err := open(url.Values{"_txlock": {"immediate"}})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	w.SetMaxOpenConns(1)
	if err := migrate(ctx, w); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %s: %w", path, err), w.Close())
	}
	r, err := open(url.Values{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), w.Close())
	}
	r.SetMaxOpenConns(readers)
	return &store{write: w, read: r}, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(database.DialectSQLite3, db, scripts)
	if err != nil {
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > newest {
		return fmt.Errorf("usage.db has schema version %d, this program knows up to %d", have, newest)
	}
	_, err = p.Up(ctx)
	return err
}

func (s *store) close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// progress is how far the meter has come.
type progress struct {
	clock int64 // milliseconds since 1970
	seq   int64 // of the catalog's changes
}

func (s *store) progress(ctx context.Context) (p progress, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT clock, seq FROM progress").Scan(&p.clock, &p.seq)
	return p, err
}

// batch is one transaction of the meter. What it holds becomes durable together.
type batch struct {
	tx       *sql.Tx
	insert   *sql.Stmt
	profiles map[string]int64 // those that this batch has found or made
}

func (s *store) begin(ctx context.Context) (*batch, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	b := &batch{tx: tx, profiles: map[string]int64{}}
	// Two samples of one moment: the later one is what holds from then on.
	b.insert, err = tx.PrepareContext(ctx, "INSERT INTO samples (resource, at, profile, provisioned, used, incremental, exclusive) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (resource, at) DO UPDATE SET profile = excluded.profile, "+
		"provisioned = excluded.provisioned, used = excluded.used, incremental = excluded.incremental, exclusive = excluded.exclusive")
	if err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return b, nil
}

func (b *batch) commit(p progress) error {
	if _, err := b.tx.Exec("UPDATE progress SET clock = ?, seq = ?", p.clock, p.seq); err != nil {
		return errors.Join(err, b.rollback())
	}
	return b.tx.Commit()
}

func (b *batch) rollback() error { return b.tx.Rollback() }

// addResource makes a row for a new resource and sets r.row.
func (b *batch) addResource(r *Resource) error {
	res, err := b.tx.Exec("INSERT INTO resources (unique_id, name, kind, incremental, location, source, family, store, born) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", r.UniqueID[:], r.ID.String(), r.Kind, r.Incremental, r.Location, r.Source,
		r.Family[:], r.Store[:], r.Born.UnixMilli())
	if err == nil {
		r.row, err = res.LastInsertId()
	}
	return err
}

func (b *batch) moveResource(r *Resource) error {
	_, err := b.tx.Exec("UPDATE resources SET store = ? WHERE id = ?", r.Store[:], r.row)
	return err
}

func (b *batch) renameResource(r *Resource) error {
	_, err := b.tx.Exec("UPDATE resources SET name = ?, former = ? WHERE id = ?", r.ID.String(), strings.Join(r.Former, "\n"), r.row)
	return err
}

func (b *batch) endResource(r *Resource, at int64) error {
	_, err := b.tx.Exec("UPDATE resources SET gone = ? WHERE id = ?", at, r.row)
	return err
}

func (b *batch) addRound(at int64, alive, changed int) error {
	_, err := b.tx.Exec("INSERT INTO rounds (at, alive, changed) VALUES (?, ?, ?) "+
		"ON CONFLICT (at) DO UPDATE SET alive = excluded.alive, changed = rounds.changed + excluded.changed", at, alive, changed)
	return err
}

// addSample appends a sample of the resource, and sets its profile's number.
func (b *batch) addSample(r *Resource, s *Sample) error {
	doc, err := s.encodeProfile()
	if err != nil {
		return err
	}
	if s.profile, err = b.profile(doc); err != nil {
		return err
	}
	s.At = time.UnixMilli(s.millis).UTC()
	_, err = b.insert.Exec(r.row, s.millis, s.profile, s.Provisioned, s.Used, s.Incremental, s.Exclusive)
	return err
}

func (b *batch) profile(doc string) (id int64, err error) {
	if id, ok := b.profiles[doc]; ok {
		return id, nil
	}
	err = b.tx.QueryRow("SELECT id FROM profiles WHERE document = ?", doc).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		var res sql.Result
		if res, err = b.tx.Exec("INSERT INTO profiles (document) VALUES (?)", doc); err == nil {
			id, err = res.LastInsertId()
		}
	}
	if err == nil {
		b.profiles[doc] = id
	}
	return id, err
}

const resourceColumns = "r.id, r.unique_id, r.name, r.kind, r.incremental, r.location, r.source, r.family, r.store, r.born, r.gone, r.former"

// rowOf reads a resource's columns, and whatever else the row has into more.
func rowOf(rows *sql.Rows, more ...any) (*Resource, error) {
	r := &Resource{}
	var unique, family, volume []byte
	var name, former string
	var born int64
	var gone sql.NullInt64
	dest := append([]any{&r.row, &unique, &name, &r.Kind, &r.Incremental, &r.Location, &r.Source, &family, &volume, &born, &gone, &former}, more...)
	if err := rows.Scan(dest...); err != nil {
		return nil, err
	}
	id, ok := tintype.ParseResourceID(name)
	if !ok {
		return nil, fmt.Errorf("usage.db holds a bad resource id %q", name)
	}
	r.ID, r.Born = id, time.UnixMilli(born).UTC()
	if former != "" {
		r.Former = strings.Split(former, "\n")
	}
	if gone.Valid {
		r.Gone = time.UnixMilli(gone.Int64).UTC()
	}
	for _, g := range []struct {
		from []byte
		to   *uuid.UUID
	}{{unique, &r.UniqueID}, {family, &r.Family}, {volume, &r.Store}} {
		var err error
		if *g.to, err = uuid.FromBytes(g.from); err != nil {
			return nil, fmt.Errorf("usage.db holds a bad id of %s: %w", name, err)
		}
	}
	return r, nil
}

// profiles reads all profiles, as samples without sizes.
func profiles(ctx context.Context, tx *sql.Tx) (map[int64]Sample, error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, document FROM profiles")
	if err != nil {
		return nil, err
	}
	all := map[int64]Sample{}
	for rows.Next() {
		var id int64
		var doc string
		if err := rows.Scan(&id, &doc); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		p, err := decodeProfile(doc)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		p.profile = id
		all[id] = p
	}
	return all, errors.Join(rows.Err(), rows.Close())
}

// span asks for the samples that say what was between two moments, in milliseconds: those in between, and of each
// resource the last one before.
type span struct {
	from, to int64
	name     string // the beginning of the resources' ids, or ""
	after    int64  // rows of resources to leave out
	one      bool   // name is a whole id
}

const spanQuery = "SELECT " + resourceColumns + ", s.at, s.profile, s.provisioned, s.used, s.incremental, s.exclusive " +
	"FROM resources r CROSS JOIN samples s ON s.resource = r.id AND s.at < ?2 AND " +
	"s.at >= COALESCE((SELECT MAX(p.at) FROM samples p WHERE p.resource = r.id AND p.at <= ?1), 0) " +
	"WHERE r.born < ?2 AND (r.gone IS NULL OR r.gone > ?1) AND r.id > ?3 "

// each yields every resource of the span with its samples in order. A yield that returns false ends it.
func (s *store) each(ctx context.Context, sp span, yield func(*Resource, []Sample) (bool, error)) (err error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	known, err := profiles(ctx, tx)
	if err != nil {
		return err
	}
	query, args := spanQuery, []any{sp.from, sp.to, sp.after}
	switch {
	case sp.one:
		query, args = query+"AND r.name = ?4 ", append(args, sp.name)
	case sp.name != "":
		query, args = query+"AND SUBSTR(r.name, 1, ?5) = ?4 COLLATE NOCASE ", append(args, sp.name, len(sp.name))
	}
	rows, err := tx.QueryContext(ctx, query+"ORDER BY r.id, s.at", args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return eachResource(rows, known, yield)
}

func eachResource(rows *sql.Rows, profiles map[int64]Sample, yield func(*Resource, []Sample) (bool, error)) error {
	var last *Resource
	var samples []Sample
	for rows.Next() {
		var at, profile, provisioned, used, incremental, exclusive int64
		r, err := rowOf(rows, &at, &profile, &provisioned, &used, &incremental, &exclusive)
		if err != nil {
			return err
		}
		if last != nil && last.row != r.row {
			if more, err := yield(last, samples); err != nil || !more {
				return err
			}
			samples = samples[:0]
		}
		last = r
		one, ok := profiles[profile]
		if !ok {
			return fmt.Errorf("usage.db has no profile %d, which a sample of %s names", profile, r.ID)
		}
		one.millis, one.At = at, time.UnixMilli(at).UTC()
		one.Provisioned, one.Used, one.Incremental, one.Exclusive = provisioned, used, incremental, exclusive
		samples = append(samples, one)
	}
	if err := rows.Err(); err != nil || last == nil {
		return err
	}
	_, err := yield(last, samples)
	return err
}
