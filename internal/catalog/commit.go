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

	failed error // what it is answered with if the commit succeeds
}

// errLeft is the error of a function that did not return.
var errLeft = errors.New("an update did not return")

// errClosed is the error of updates after Close.
var errClosed = errors.New("the catalog is closed")

// Update runs fn in a transaction that commits when fn returns nil, and is durable when Update returns nil. Updates run one after another;
// those that wait at the same time share one commit, and so one sync. One that fails takes nothing of the others back, and is answered after that
// commit too, for its refusal may rest on what the others did. What fn returns is returned as it is; ctx counts until fn begins.
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
	took, err := c.takeAll(first)
	if err == nil {
		if err = c.writer.exec(ctx, "COMMIT"); err != nil {
			err = fmt.Errorf("commit: %w", err)
		}
	}
	if err != nil {
		_ = c.writer.exec(ctx, "ROLLBACK") // SQLite may have done so by itself
	}
	for _, t := range took {
		if err != nil {
			t.failed = err
		}
		t.done <- t.failed
	}
}

// takeAll runs updates until none waits, and gives them. An error means that the whole transaction is lost.
func (c *Catalog) takeAll(t *turn) (took []*turn, lost error) {
	for {
		lost := c.take(t)
		took = append(took, t)
		if lost != nil || len(took) == mostTogether {
			return took, lost
		}
		select {
		case t = <-c.turns:
		default:
			return took, nil
		}
	}
}

// take runs one update behind a mark to which its failure goes back. An error means that the whole transaction is lost.
func (c *Catalog) take(t *turn) (lost error) {
	if t.failed = t.ctx.Err(); t.failed != nil {
		close(t.tx)
		return nil
	}
	// A statement that is interrupted would take back the whole transaction, with what others did in it.
	ctx := context.WithoutCancel(t.ctx)
	if err := c.writer.exec(ctx, "SAVEPOINT turn"); err != nil {
		close(t.tx)
		return err
	}
	t.tx <- &Tx{ctx: ctx, session: c.writer}
	if t.failed = <-t.ran; t.failed != nil {
		lost = c.writer.exec(ctx, "ROLLBACK TO turn")
	}
	if lost == nil {
		lost = c.writer.exec(ctx, "RELEASE turn")
	}
	return lost
}
