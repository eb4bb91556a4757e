package arm

import (
	"context"
	"errors"

	"tintype"
)

// openGroup is the group of a call that may make something: one that is being deleted takes nothing in.
func openGroup(ctx context.Context, groups Groups, c *Call) (tintype.Group, error) {
	g, err := groups.GetGroup(ctx, c.subscription(), c.ID.Group)
	if err == nil && g.State == tintype.StateDeleting {
		err = tintype.GroupBeingDeleted(g.Name)
	}
	return g, err
}

// keepIfOpen looks at the group again after something was made whose store the group's deletion sweeps only once. When the group
// was closed in between, undo takes back what the sweep may have missed.
func keepIfOpen(ctx context.Context, groups Groups, c *Call, undo func() error) error {
	_, err := openGroup(context.WithoutCancel(ctx), groups, c)
	if err != nil {
		err = errors.Join(err, undo())
	}
	return err
}
