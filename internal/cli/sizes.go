package cli

import (
	"context"
	"net/http"
)

func sizes(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, _ *arguments) (any, error) {
		return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
			return s.get(ctx, ref.id+"/sizes", computeAPI)
		})
	}
}

// sizesColumns are a size's in the order in which they explain each other.
func sizesColumns(o map[string]any) row {
	return row{
		{"UsedBytes", o["usedBytes"]},
		{"IncrementalBytes", o["incrementalBytes"]},
		{"ExclusiveBytes", o["exclusiveBytes"]},
		{"ProvisionedBytes", o["provisionedBytes"]},
	}
}

// wouldFree asks what the deletion of all targets together would give back.
func (s *session) wouldFree(ctx context.Context, k *kind) (any, error) {
	refs, err := s.targets(k)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(refs))
	for i, ref := range refs {
		ids[i] = ref.id
	}
	target := versioned("/subscriptions/"+s.subscription()+"/providers/Microsoft.Compute/freedBytes", computeAPI)
	a, err := s.client.do(ctx, http.MethodPost, target, map[string]any{"ids": ids})
	if err != nil {
		return nil, err
	}
	return object(a.body)
}
