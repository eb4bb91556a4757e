package cli

import (
	"context"
	"strings"
)

func createSnapshotOptions() []*option {
	options := newOptions(snapshotKind, snapshotSKUs, "Standard_LRS")
	options = append(options,
		&option{long: "incremental", arity: boolean, choices: booleans, help: "Whether a snapshot is incremental"},
		&option{long: "copy-start", arity: boolean, choices: booleans, help: "Create snapshot by using a deep copy process"},
		&option{long: "ia-duration", integer: true, help: "Minutes for which the snapshot of a Premium SSD v2 or Ultra disk has instant access, 60 to 300"},
		&option{long: "for-upload", arity: boolean, choices: booleans, help: "Create the snapshot for uploading blobs later on through storage commands"},
		&option{long: "upload-size-bytes", integer: true, help: "The size (in bytes) of the contents of the upload including the VHD footer; with --for-upload. Default: that of --size-gb and 512 (Tintype's own option)"},
	)
	options = append(options, encryptionOptions()...)
	return append(options, optionsOf(sharedSettings())...)
}

func createSnapshot(ctx context.Context, s *session, args *arguments) (any, error) {
	upload := args.yes("for-upload")
	if !args.has("source") && !upload && !args.has("size-gb") {
		return nil, azText("Please supply size for the snapshots")
	}
	if args.has("upload-size-bytes") && !upload {
		return nil, azText("usage error: --upload-size-bytes should be used together with --for-upload")
	}
	if args.has("disk-encryption-set") && !args.has("encryption-type") {
		return nil, azText("usage error: Please specify --encryption-type.")
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	group := args.get("resource-group")
	src := source{option: "Empty"}
	if upload {
		src.option = "Upload"
	}
	if args.has("source") {
		var err error
		if src, err = s.resolveSource(ctx, group, args.get("source"), snapshotSourceUsage); err != nil {
			return nil, err
		}
		if src.uri == "" && args.has("source-storage-account-id") {
			return nil, azText(snapshotSourceUsage)
		}
	}
	location, err := s.location(ctx, group)
	if err != nil {
		return nil, err
	}
	if s.deepCopy(ctx, &src, location) {
		src.option = "CopyStart"
	}
	data := src.creationData(args)
	if args.has("upload-size-bytes") {
		data["uploadSizeBytes"] = args.int("upload-size-bytes")
	}
	body := map[string]any{
		"location": location,
		"tags":     parseTags(args.values["tags"]),
		"sku":      map[string]any{"name": args.or("sku", "Standard_LRS")},
		"properties": map[string]any{
			"creationData":     data,
			"hyperVGeneration": args.or("hyper-v-generation", "V1"),
		},
	}
	if args.has("incremental") {
		store(body, "properties.incremental", args.yes("incremental"))
	}
	if args.has("ia-duration") {
		store(body, "properties.creationData.instantAccessDurationMinutes", args.int("ia-duration"))
	}
	if args.has("size-gb") {
		store(body, "properties.diskSizeGB", args.int("size-gb"))
	}
	s.createCommon(group, body)
	return s.create(ctx, snapshotKind, s.id(snapshotKind, group, args.get("name")), body)
}

// deepCopy says whether a copy goes to another region: asked for, or incremental
// with a source elsewhere.
func (s *session) deepCopy(ctx context.Context, src *source, location string) bool {
	if src.option != "Copy" {
		return false
	}
	if s.args.has("copy-start") {
		return s.args.yes("copy-start")
	}
	if !s.args.yes("incremental") {
		return false
	}
	s.locate(ctx, src)
	return src.location != "" && !strings.EqualFold(src.location, location)
}

func updateSnapshotOptions() []*option {
	options := append(targetOptions(snapshotKind),
		&option{long: "sku", choices: snapshotSKUs, help: "Underlying storage SKU"},
		&option{long: "no-wait", arity: none, help: "Do not wait for the long-running operation to finish"})
	options = append(options, encryptionOptions()...)
	options = append(options, optionsOf(sharedSettings())...)
	return append(options, updateOptions()...)
}

func updateSnapshot(ctx context.Context, s *session, _ *arguments) (any, error) {
	return s.update(ctx, snapshotKind, sharedSettings())
}
