package deploy

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"tintype"
)

// member is a resource of a deployment's group.
type member struct {
	ID        string
	ManagedBy string // id of the resource that it belongs to, or of the host that has it
}

// others tells which of a group's resources the mode Complete deletes: those that are not to be kept, by their ids in lower case, and that
// belong to no resource that stays, as a machine's disks do, which its template need not have.
func others(all []member, keep map[string]bool) func(member) bool {
	gone := map[string]bool{}
	for _, m := range all {
		id := strings.ToLower(m.ID)
		gone[id] = !keep[id]
	}
	return func(m member) bool {
		_, owned := tintype.ParseResourceID(m.ManagedBy)
		return gone[strings.ToLower(m.ID)] && (!owned || gone[strings.ToLower(m.ManagedBy)])
	}
}

// inGroup lists the resources of the deployment's group.
func (s *Service) inGroup(ctx context.Context, rec *record) (all []member, err error) {
	for at := rec.scope() + "/resources?api-version=" + ownVersion; at != ""; {
		rp := s.server.Perform(ctx, rec.Caller, http.MethodGet, at, nil)
		var list struct {
			Value    []member
			NextLink string
		}
		if rp.Status != http.StatusOK {
			return nil, &refusal{errorOf(rp)}
		}
		if err := json.Unmarshal(rp.Body, &list); err != nil {
			return nil, err
		}
		all = append(all, list.Value...)
		at = ""
		if list.NextLink != "" {
			at = local(list.NextLink)
		}
	}
	return all, nil
}
