package compute

import (
	"slices"
	"strings"

	"tintype"
	"tintype/internal/catalog"
)

// maxSince bounds the snapshots that one attachment may be compared with.
const maxSince = 100

// sinceKeys checks the snapshots that an attachment of id is to be compared with, and gives their keys in order. Hosts
// know them by their names, which must differ.
func sinceKeys(id tintype.ResourceID, since []tintype.ResourceID) ([]string, error) {
	if len(since) > maxSince {
		return nil, tintype.InvalidParameter("since", "At most %d snapshots can be given as 'since'.", maxSince)
	}
	var keys []string
	names := map[string]bool{}
	for _, o := range since {
		name := strings.ToLower(o.Name)
		switch {
		case o.Kind != tintype.KindSnapshot || o.Subscription != id.Subscription:
			return nil, tintype.InvalidParameter("since", "'%s' is not a snapshot of this subscription.", o)
		case o.Key() == id.Key():
			return nil, tintype.InvalidParameter("since", "Snapshot %s does not differ from itself.", id.Name)
		case names[name]:
			return nil, tintype.InvalidParameter("since", "Two of the snapshots are named %s.", o.Name)
		}
		names[name] = true
		keys = append(keys, o.Key())
	}
	slices.Sort(keys)
	return keys, nil
}

// sinceOf gives the snapshots that the attachment of the key may be compared with.
func sinceOf(tx *catalog.Tx, key string) ([]tintype.Volume, error) {
	a, err := tx.Attachment(key)
	if err != nil {
		return nil, err
	}
	var all []tintype.Volume
	for _, key := range a.Since {
		v, err := tx.Volume(key)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// openOlder opens snapshots for a comparison. What it opened is the caller's to close, also after an error.
func (s *Service) openOlder(volumes []tintype.Volume) ([]Older, error) {
	var all []Older
	for _, v := range volumes {
		dev, err := s.volumes.OpenVolume(v.Store)
		if err != nil {
			return all, err
		}
		all = append(all, Older{Name: v.ID.Name, Device: dev})
	}
	return all, nil
}
