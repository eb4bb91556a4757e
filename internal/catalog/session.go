package catalog

import (
	"context"
	"database/sql"
	"errors"
)

// mostPrepared bounds how many statements a session keeps; there are only as many as this package has written down.
const mostPrepared = 512

// session is one connection to the database, with the statements that it has parsed. One goroutine uses it at a time.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	return &session{conn: conn, prepared: map[string]*sql.Stmt{}}, err
}

func (s *session) close() error {
	return errors.Join(s.forget(), s.conn.Close())
}

func (s *session) forget() error {
	var err error
	for _, stmt := range s.prepared {
		err = errors.Join(err, stmt.Close())
	}
	clear(s.prepared)
	return err
}

func (s *session) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt, nil
	}
	if len(s.prepared) >= mostPrepared {
		if err := s.forget(); err != nil {
			return nil, err
		}
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err == nil {
		s.prepared[query] = stmt
	}
	return stmt, err
}

// exec runs a statement that has no parameters.
func (s *session) exec(ctx context.Context, query string) error {
	stmt, err := s.statement(ctx, query)
	if err == nil {
		_, err = stmt.ExecContext(ctx)
	}
	return err
}

// sessions are those that read, made when they are needed.
type sessions struct {
	db   *sql.DB
	idle chan *session // nil for one that was not made yet
}

func newSessions(db *sql.DB, most int) *sessions {
	p := &sessions{db: db, idle: make(chan *session, most)}
	for range most {
		p.idle <- nil
	}
	return p
}

// get waits for a session that nobody uses.
func (p *sessions) get(ctx context.Context) (*session, error) {
	select {
	case s := <-p.idle:
		if s != nil {
			return s, nil
		}
		s, err := newSession(ctx, p.db)
		if err != nil {
			p.idle <- nil
			return nil, err
		}
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put gives a session back. One that is left in doubt is not used again.
func (p *sessions) put(s *session, doubt bool) error {
	if doubt {
		err := s.close()
		p.idle <- nil
		return err
	}
	p.idle <- s
	return nil
}

// close waits until nobody uses any.
func (p *sessions) close() error {
	var err error
	for range cap(p.idle) {
		if s := <-p.idle; s != nil {
			err = errors.Join(err, s.close())
		}
	}
	return errors.Join(err, p.db.Close())
}
