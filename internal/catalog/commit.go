package catalog

import (
	"context"
	"errors"
	"fmt"
)

// mostTogether bounds how many updates share one commit.
const mostTogether = 64

// turn is one update's part in a transaction that several share.
type turn struct {
	ctx  context.Context
	tx   chan *Tx   // the transaction, for this update alone until it has run; closed when there will be none
	ran  chan error // what the update's function returned
	done chan error // how it ended
}

// errLeft is the error of a function that did not return.
var errLeft = errors.New("an update did not return")

// errClosed is the error of updates after Close.
var errClosed = errors.New("the catalog is closed")

// Update runs fn in a transaction that commits when fn returns nil, and is durable when Update returns nil. Updates run one after another;
// those that wait at the same time share one commit, and so one sync. One that fails takes nothing of the others back. What
// fn returns is returned as it is; ctx counts until fn begins.
func (c *Catalog) Update(ctx context.Context, fn func(*Tx) error) error {
	t := &turn{ctx: ctx, tx: make(chan *Tx), ran: make(chan error), done: make(chan error, 1)}
	select {
	case c.turns <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closing:
		return errClosed
	}
	if tx, ok := <-t.tx; ok {
		t.run(tx, fn)
	}
	return <-t.done
}

// run hands the transaction back however fn ends.
func (t *turn) run(tx *Tx, fn func(*Tx) error) {
	err := errLeft
	defer func() { t.ran <- err }()
	err = fn(tx)
}

// commitTurns is the one writer: it runs the updates that wait and commits them together, until the catalog is closed.
func (c *Catalog) commitTurns() {
	defer close(c.ended)
	for {
		select {
		case first := <-c.turns:
			c.together(first)
		case <-c.closing:
			return
		}
	}
}

// together runs an update, and those that wait behind it, in one transaction.
func (c *Catalog) together(first *turn) {
	ctx := context.Background()
	if err := c.writer.exec(ctx, c.dialect.begin); err != nil {
		close(first.tx)
		first.done <- fmt.Errorf("begin: %w", err)
		return
	}
	in, lost := c.takeAll(first)
	err := lost
	if err == nil {
		if err = c.writer.exec(ctx, "COMMIT"); err != nil {
			err = fmt.Errorf("commit: %w", err)
		}
	}
	if err != nil {
		_ = c.writer.exec(ctx, "ROLLBACK") // SQLite may have done so by itself
	}
	for _, t := range in {
		t.done <- err
	}
}

// takeAll runs updates until none waits, and gives those that are in.
func (c *Catalog) takeAll(t *turn) (in []*turn, lost error) {
	for n := 1; ; n++ {
		ok, lost := c.take(t)
		if ok {
			in = append(in, t)
		}
		if lost != nil || n == mostTogether {
			return in, lost
		}
		select {
		case t = <-c.turns:
		default:
			return in, nil
		}
	}
}

// take runs one update behind a mark to which its failure goes back, and tells whether it is in. An error means that the whole
// transaction is lost.
func (c *Catalog) take(t *turn) (in bool, lost error) {
	if err := t.ctx.Err(); err != nil {
		close(t.tx)
		t.done <- err
		return false, nil
	}
	// A statement that is interrupted would take back the whole transaction, with what others did in it.
	ctx := context.WithoutCancel(t.ctx)
	if err := c.writer.exec(ctx, "SAVEPOINT turn"); err != nil {
		close(t.tx)
		t.done <- err
		return false, err
	}
	t.tx <- &Tx{ctx: ctx, session: c.writer}
	err := <-t.ran
	if err != nil {
		lost = c.writer.exec(ctx, "ROLLBACK TO turn")
	}
	if lost == nil {
		lost = c.writer.exec(ctx, "RELEASE turn")
	}
	if err != nil || lost != nil {
		t.done <- errors.Join(err, lost)
		return false, lost
	}
	return true, nil
}
