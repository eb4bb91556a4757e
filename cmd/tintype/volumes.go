package main

import (
	"time"

	"tintype/internal/block"
	"tintype/internal/lsd"
)

// watched is the engine as the domain sees it, with a watch on what may take long.
type watched struct {
	*lsd.Store
	metrics *metrics
}

// Create makes a disk.
func (w watched) Create(id block.ID, size int64) (err error) {
	defer func(began time.Time) { w.metrics.timed("create", began, err) }(time.Now())
	return w.Store.Create(id, size)
}

// Snapshot cuts.
func (w watched) Snapshot(cuts ...block.Cut) (err error) {
	defer func(began time.Time) { w.metrics.timed("snapshot", began, err) }(time.Now())
	return w.Store.Snapshot(cuts...)
}

// Clone makes a disk of another volume.
func (w watched) Clone(id, source block.ID, size int64) (err error) {
	defer func(began time.Time) { w.metrics.timed("clone", began, err) }(time.Now())
	return w.Store.Clone(id, source, size)
}

// Delete deletes a volume.
func (w watched) Delete(id block.ID) (err error) {
	defer func(began time.Time) { w.metrics.timed("delete", began, err) }(time.Now())
	return w.Store.Delete(id)
}
