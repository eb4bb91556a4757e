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
