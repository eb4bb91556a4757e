package compute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/catalog"
)

// Get gives the disk or snapshot; ResourceNotFound or ResourceGroupNotFound when there is none.
func (s *Service) Get(ctx context.Context, id tintype.ResourceID) (tintype.Volume, error) {
	var v tintype.Volume
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		if _, err = tx.Group(id.GroupKey()); err != nil {
			return absent(err, tintype.GroupNotFound(id.Group))
		}
		if v, err = tx.Volume(id.Key()); err != nil {
			return absent(err, id.NotFound())
		}
		return s.present(tx, &v)
	})
	return v, edge(err)
}

// showExpired is how long a volume still shows a grant that has run out, as Azure does for minutes. The grant opens nothing
// from its expiry on, and a write that it would be in the way of releases it at once.
const showExpired = 5 * time.Minute

// present shows a volume as it is now: a grant that ran out long ago and is still on record no longer counts.
func (s *Service) present(tx *catalog.Tx, v *tintype.Volume) error {
	v.At = s.now()
	if err := s.presentCopy(tx, v); err != nil {
		return err
	}
	if v.State != tintype.ActiveSAS && v.State != tintype.ActiveUpload {
		return nil
	}
	g, err := tx.GrantOf(v.ID.Key())
	if errors.Is(err, catalog.ErrNotFound) {
		return nil // being revoked: the state changes when the operation ends
	}
	if err == nil && !g.Active(s.opt.Now().Add(-showExpired)) {
		v.State = released(v.State)
	}
	return err
}

func absent(err error, refusal *tintype.Error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return refusal
	}
	return err
}

// Page is one page of a list, in the order of ids. Next is empty on the last one, else goes into the next call's after.
type Page struct {
	Volumes []tintype.Volume
	Next    string
}

// pageSize is how many resources a page of a list has at most.
const pageSize = 500

// List gives a page of the kind's resources in the group, or in the whole subscription when group is "". A kind of 0 is
// all kinds.
func (s *Service) List(ctx context.Context, sub tintype.SubscriptionID, group string, kind tintype.Kind, after string) (Page, error) {
	var p Page
	err := s.catalog.View(ctx, func(tx *catalog.Tx) error {
		scope := catalog.Scope{Subscription: sub, Kind: kind}
		if group != "" {
			scope.Group = tintype.GroupKey(sub, group)
			if _, err := tx.Group(scope.Group); err != nil {
				return absent(err, tintype.GroupNotFound(group))
			}
		}
		var err error
		if p.Volumes, err = tx.Volumes(scope, after, pageSize); err != nil {
			return err
		}
		for i := range p.Volumes {
			if err := s.present(tx, &p.Volumes[i]); err != nil {
				return err
			}
		}
		if len(p.Volumes) == pageSize {
			p.Next = p.Volumes[pageSize-1].ID.Key()
		}
		return nil
	})
	return p, edge(err)
}

// Operation gives an operation of the subscription; NotFound when there is none. Ended ones are kept for two days.
func (s *Service) Operation(ctx context.Context, sub tintype.SubscriptionID, id uuid.UUID) (tintype.Operation, error) {
	var op catalog.Operation
	err := s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		op, err = tx.Operation(id)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) || err == nil && op.Subscription != sub {
		return tintype.Operation{}, &tintype.Error{
			Kind: tintype.KindNotFound, Code: "NotFound",
			Message: fmt.Sprintf("Operation '%s' was not found.", id),
		}
	}
	if err == nil && op.State == tintype.InProgress {
		s.kick(id) // in case the worker was told too much at once to keep it
	}
	if err == nil {
		s.showSteps(&op)
	}
	return op.Operation, edge(err)
}

// showSteps tells what the operation does, and which of it is done.
func (s *Service) showSteps(op *catalog.Operation) {
	names := map[tintype.OperationKind][]string{
		tintype.OpPut: {"accept", "finish"}, tintype.OpDelete: {"accept", "delete"}, tintype.OpGrant: {"accept", "sign"},
		tintype.OpRevoke: {"accept", "cut off requests"},
	}[op.Kind]
	p, err := planOf(*op)
	if err != nil || names == nil {
		return
	}
	switch {
	case p.Copied:
		names = []string{"cut", "accept", "finish"}
		op.Moment = op.Started
	case p.Step == stepImport:
		names[1] = "import"
		if op.Bytes, op.Done = p.Bytes, s.importDone(op.ID); op.State == tintype.Succeeded {
			op.Done = p.Bytes
		}
	case p.Step == stepCreate:
		names[1] = "create"
	case p.Step == stepResize, p.Step == stepGrowSnapshot:
		names[1] = "grow"
	}
	for i, name := range names {
		state := tintype.Succeeded
		if i == len(names)-1 {
			state = op.State
		}
		op.Steps = append(op.Steps, tintype.Step{Name: name, State: state})
	}
}
