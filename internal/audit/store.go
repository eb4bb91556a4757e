package audit

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// keep is how long an event stays; Azure keeps them as long.
	keep = 90 * 24 * time.Hour
	// maxEvents bounds the file, at some 1 KiB an event: beyond it the oldest go.
	maxEvents = 1_000_000
)

// open opens the file, makes it when absent, and refuses one that a newer program wrote.
func open(ctx context.Context, path string) (*sql.DB, error) {
	q := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "auto_vacuum(INCREMENTAL)"}, "_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	p, err := goose.NewProvider(database.DialectSQLite3, db, scripts)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	have, newest, err := p.GetVersions(ctx)
	if err == nil && have > newest {
		err = fmt.Errorf("%s has schema version %d, this program knows up to %d", path, have, newest)
	}
	if err == nil {
		_, err = p.Up(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// insert adds events in one transaction, and drops what is too old or too much.
func (s *Service) insert(ctx context.Context, batch []item) (err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	for _, it := range batch {
		e := it.event
		if it.ended != "" {
			if e, err = begun(ctx, tx, it); errors.Is(err, sql.ErrNoRows) {
				err = nil
				s.wait(it)
				continue
			}
		}
		if err == nil {
			err = insertOne(ctx, tx, e.bounded())
		}
		if end, ok := s.early[strings.ToLower(e.Async)]; ok && err == nil {
			delete(s.early, strings.ToLower(e.Async))
			if e, err = begun(ctx, tx, end); err == nil {
				err = insertOne(ctx, tx, e.bounded())
			}
		}
		if err != nil {
			return err
		}
	}
	if _, err = tx.ExecContext(ctx, "DELETE FROM events WHERE at < ? OR id <= (SELECT max(id) FROM events) - ?",
		s.now().Add(-keep).UnixMilli(), maxEvents); err != nil {
		return err
	}
	return tx.Commit()
}

func insertOne(ctx context.Context, tx *sql.Tx, e Event) error {
	doc, err := json.Marshal(e)
	if err != nil {
		return err
	}
	low := strings.ToLower
	_, err = tx.ExecContext(ctx, "INSERT INTO events (at, correlation, async, resource, grp, provider, caller, status, document) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", e.Time.UnixMilli(), low(e.Correlation), low(e.Async), low(e.Resource), low(e.Group), low(e.Provider),
		low(e.Caller), low(string(e.Status)), string(doc))
	return err
}

// begun makes the last event of an operation out of the one that accepted it.
func begun(ctx context.Context, tx *sql.Tx, it item) (Event, error) {
	var doc string
	err := tx.QueryRowContext(ctx, "SELECT document FROM events WHERE async = ? ORDER BY id DESC LIMIT 1", strings.ToLower(it.ended)).Scan(&doc)
	if err != nil {
		return Event{}, err
	}
	var e Event
	if err := json.Unmarshal([]byte(doc), &e); err != nil {
		return Event{}, fmt.Errorf("the activity log holds a bad event: %w", err)
	}
	e.ID, e.Time, e.Status, e.HTTP, e.Code, e.Message = it.event.ID, it.event.Time, it.event.Status, 0, it.event.Code, it.event.Message
	e.Async = ""
	return e, nil
}

// Query asks for events; empty fields ask for nothing.
type Query struct {
	From, To                                               time.Time
	Correlation, Group, Resource, Provider, Caller, Status string
	// Before is where the page begins: the mark of the page before it.
	Before int64
	Limit  int
}

// Page is a part of an answer, newest first. Next is the mark of the next page, 0 when there is none.
type Page struct {
	Events []Event
	Next   int64
}

// Events reads a page. It holds all that was recorded before the call.
func (s *Service) Events(ctx context.Context, q Query) (p Page, err error) {
	if err := s.settle(ctx); err != nil {
		return p, err
	}
	where, args := "at >= ? AND at <= ?", []any{q.From.UnixMilli(), q.To.UnixMilli()}
	for _, c := range []struct{ column, value string }{
		{"correlation", q.Correlation}, {"grp", q.Group}, {"resource", q.Resource}, {"provider", q.Provider}, {"caller", q.Caller}, {"status", q.Status},
	} {
		if c.value != "" {
			where += " AND " + c.column + " = ?"
			args = append(args, strings.ToLower(c.value))
		}
	}
	if q.Before > 0 {
		where += " AND id < ?"
		args = append(args, q.Before)
	}
	rows, err := s.db.QueryContext(ctx, "SELECT id, document FROM events WHERE "+where+" ORDER BY id DESC LIMIT ?", append(args, q.Limit)...)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var doc string
		if err := rows.Scan(&p.Next, &doc); err != nil {
			return p, err
		}
		var e Event
		if err := json.Unmarshal([]byte(doc), &e); err != nil {
			return p, fmt.Errorf("the activity log holds a bad event: %w", err)
		}
		p.Events = append(p.Events, e)
	}
	if len(p.Events) < q.Limit {
		p.Next = 0
	}
	return p, rows.Err()
}
