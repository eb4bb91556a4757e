package cli

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"tintype/internal/transfer"
)

const exportHelp = "The name of the file decides the format: .vhd (fixed), .raw or .img, .qcow2 (with qemu-img). " +
	"The file is sparse and appears when it is whole; an export that was interrupted goes on when the same command is run again."

func exportOptions(k *kind) []*option {
	return append(targetOptions(k),
		&option{long: "file", short: "f", required: true, help: "Path of the image file to write"},
		&option{long: "overwrite", arity: none, help: "Replace a file of that name"})
}

func export(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		out := args.get("file")
		format, err := transfer.ExportFormat(out)
		if err != nil {
			return nil, usagef("argument --file/-f: %s", err)
		}
		if _, err := os.Lstat(out); err == nil && !args.has("overwrite") {
			return nil, fmt.Errorf("%s: %w; give --overwrite to replace it", out, fs.ErrExist)
		}
		refs, err := s.targets(k)
		if err != nil {
			return nil, err
		}
		if len(refs) != 1 {
			return nil, usagef("argument --ids: an export writes one %s", k.word)
		}
		return nil, s.exportTo(ctx, k, refs[0], func(blobs *http.Client, address string, bar *progress) error {
			return transfer.Download(ctx, blobs, address, out, format, transfer.DownloadOptions{
				Options: transfer.Options{Progress: bar.moved}, Overwrite: args.has("overwrite"),
			})
		})
	}
}

// exportTo has download fetch the resource, with access that ends with it.
func (s *session) exportTo(ctx context.Context, k *kind, ref reference, download func(*http.Client, string, *progress) error) error {
	if err := s.endLeftAccess(ctx, k, ref); err != nil {
		return err
	}
	address, err := s.sas(ctx, ref, "Read", sasSeconds)
	if err != nil {
		return s.afterwards(ctx, err, ref, s.revoke)
	}
	blobs, way := s.client.blobs(ctx, address)
	bar := newProgress(s.notes, "Downloading "+ref.name+" "+way)
	err = download(blobs, address, bar)
	bar.end(err)
	if err != nil {
		return s.afterwards(ctx, err, ref, s.revoke)
	}
	return s.release(ctx, ref)
}

// endLeftAccess ends the access that an export into this file left when it was
// killed. Access that others were granted is not touched.
func (s *session) endLeftAccess(ctx context.Context, k *kind, ref reference) error {
	journal := s.args.get("file") + ".part.journal"
	if _, err := os.Lstat(journal); err != nil {
		return nil // no earlier run
	}
	if err := checkIdle(journal); err != nil {
		return err
	}
	shown, err := s.fetch(ctx, k, ref.id)
	if err != nil || shown["diskState"] != "ActiveSAS" {
		return err
	}
	return s.revoke(ctx, ref)
}
