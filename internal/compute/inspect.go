package compute

import (
	"context"

	"tintype"
)

// StoreStats tells what the store as a whole holds and does now, in the engine's own words: which fields there are is the
// engine's to say.
func (s *Service) StoreStats(context.Context) (any, error) {
	if s.opt.StoreStats == nil {
		return nil, tintype.NotAllowed("The store of this server tells nothing of itself.")
	}
	return s.opt.StoreStats(), nil
}

// RotateKey has the store protect the keys of all disks by a new key, and tells the ids of both. When it returns, the one
// before is needed no more. It is a conflict where the key is not the store's own to change.
func (s *Service) RotateKey(ctx context.Context) (was, is string, err error) {
	if s.opt.RotateKey == nil {
		return "", "", tintype.NotAllowed("The key of this server comes from outside of it. " +
			"Start the server with the new key, and the present one as --old-key-file.")
	}
	return s.opt.RotateKey(ctx)
}
