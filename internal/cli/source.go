package cli

import (
	"context"
	"strings"
)

// source is what --source names.
type source struct {
	id       string // of a disk, snapshot or restore point
	uri      string // of a blob
	option   string // createOption
	location string // of the resource, when it was looked up
}

const (
	diskSourceUsage     = "usage error: --source {SNAPSHOT | DISK | RESTOREPOINT} | --source VHD_BLOB_URI [--source-storage-account-id ID]"
	snapshotSourceUsage = "usage error: --source {SNAPSHOT | DISK} | --source VHD_BLOB_URI [--source-storage-account-id ID]"
)

// resolveSource finds out what --source means, in az's order: an address, an id,
// the name of a snapshot of the group, the name of a disk of the group.
func (s *session) resolveSource(ctx context.Context, group, text, usage string) (source, error) {
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(text, "://"):
		return source{uri: text, option: "Import"}, nil
	case strings.Contains(lower, "/disks/"), strings.Contains(lower, "/snapshots/"):
		return source{id: text, option: "Copy"}, nil
	case strings.Contains(lower, "/restorepoints/"):
		return source{id: text, option: "Restore"}, nil
	}
	for _, k := range []*kind{snapshotKind, diskKind} {
		wire, err := s.get(ctx, s.id(k, group, text), computeAPI)
		if err == nil {
			found := source{option: "Copy"}
			found.id, _ = wire["id"].(string)
			found.location, _ = wire["location"].(string)
			return found, nil
		}
		if !notFound(err) {
			return source{}, err
		}
	}
	return source{}, azText(usage)
}

// locate finds the region of a source that was named by its id. What cannot be
// read is left to the server to judge.
func (s *session) locate(ctx context.Context, src *source) {
	if src.location != "" || src.id == "" || !strings.HasPrefix(src.id, "/") {
		return
	}
	if wire, err := s.get(ctx, src.id, computeAPI); err == nil {
		src.location, _ = wire["location"].(string)
	}
}

// creationData is the body's part that says where the content comes from.
func (src source) creationData(args *arguments) map[string]any {
	data := map[string]any{"createOption": src.option}
	if src.id != "" {
		data["sourceResourceId"] = src.id
	}
	if src.uri != "" {
		data["sourceUri"] = src.uri
	}
	if args.has("source-storage-account-id") {
		data["storageAccountId"] = args.get("source-storage-account-id")
	}
	return data
}
