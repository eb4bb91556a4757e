package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"tintype/internal/transfer"
	"tintype/internal/vhd"
)

const createFileHelp = "With --file, the disk is filled from an image: raw, fixed or dynamic VHD, and with qemu-img also VHDX, qcow2 and VMDK. " +
	"Holes cost neither transfer nor space. The image is padded with zeroes to whole MiB, 20 MiB at least; --size-gb may ask for more. " +
	"An import that was interrupted goes on when the same command is run again."

const (
	mib = 1 << 20
	gib = 1 << 30

	// minContent and maxContent bound what is uploaded, without the footer: Azure's
	// bounds of uploadSizeBytes, less 512.
	minContent = 20 * mib
	maxContent = 35_183_298_347_520 - vhd.FooterSize

	// sasSeconds is how long an import or export may take at most: a day.
	sasSeconds = 24 * 3600

	// cleanUp bounds what is done after an interrupt, to end access.
	cleanUp = 30 * time.Second
)

// importDisk is disk create --file.
func importDisk(ctx context.Context, s *session, args *arguments) (result any, err error) {
	for _, other := range []string{"source", "upload-type", "for-upload", "upload-size-bytes", "no-wait"} {
		if args.has(other) {
			return nil, usagef("argument --file: not allowed with argument --%s", other)
		}
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	image, err := transfer.Open(ctx, args.get("file"), transfer.SourceOptions{TempDir: s.env.Getenv("TMPDIR")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	content, err := contentSize(image.Size(), args)
	if err != nil {
		return nil, err
	}
	group, name := args.get("resource-group"), args.get("name")
	ref := reference{group: group, name: name, id: s.id(diskKind, group, name)}
	journal := args.get("file") + "." + shortHash(ref.id) + ".tintype-upload"
	target, err := s.prepareUpload(ctx, ref, content, journal)
	if err != nil {
		return nil, err
	}
	err = s.fill(ctx, ref, image, content, transfer.UploadOptions{
		Footer:  vhd.Identity{Unique: uuid.New(), Created: s.env.Now()},
		Journal: journal, Source: image.Identity, Target: target,
	})
	if err != nil {
		return nil, err
	}
	return s.fetch(ctx, diskKind, ref.id)
}

// shortHash tells the journals of one image's imports into several disks apart.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(text)))
	return fmt.Sprintf("%x", sum[:4])
}

// contentSize is the size of the disk that an image of size bytes makes: --size-gb,
// or else what the image needs.
func contentSize(size int64, args *arguments) (int64, error) {
	if size > maxContent {
		return 0, fmt.Errorf("the image holds %s; a disk can have %s at most", humanBytes(size), humanBytes(maxContent))
	}
	if !args.has("size-gb") {
		return max((size+mib-1)/mib*mib, minContent), nil
	}
	want := args.int("size-gb")
	if want < (size+gib-1)/gib || want < 1 {
		return 0, fmt.Errorf("--size-gb %d is too small: the image holds %s", want, humanBytes(size))
	}
	if want > maxContent/gib {
		return 0, fmt.Errorf("--size-gb %d is too large: a disk can have %s at most", want, humanBytes(maxContent))
	}
	return want * gib, nil
}

// prepareUpload makes the disk, ready for an upload of content bytes, or finds the
// one that an interrupted run of this command left; what another command left
// unfinished is replaced. Any other disk of that name is left alone. It returns what
// tells this disk from one made anew under its name.
func (s *session) prepareUpload(ctx context.Context, ref reference, content int64, journal string) (string, error) {
	body, err := s.newDisk(ctx, ref.group, map[string]any{"createOption": "Upload", "uploadSizeBytes": content + vhd.FooterSize})
	if err != nil {
		return "", err
	}
	wire, err := s.get(ctx, ref.id, computeAPI)
	switch {
	case notFound(err):
	case err != nil:
		return "", err
	default:
		if wire, err = s.takeOver(ctx, ref, wire, body, journal); err != nil {
			return "", err
		}
		if wire != nil {
			return uniqueID(wire)
		}
	}
	if _, err = s.write(ctx, http.MethodPut, versioned(ref.id, computeAPI), body); err != nil {
		return "", err
	}
	if wire, err = s.get(ctx, ref.id, computeAPI); err != nil {
		return "", err
	}
	return uniqueID(wire)
}

func uniqueID(wire map[string]any) (string, error) {
	v, _ := lookup(wire, "properties.uniqueId")
	id, ok := v.(string)
	if !ok || id == "" {
		return "", errors.New("the server does not say the disk's uniqueId")
	}
	return id, nil
}

// takeOver deals with a disk that is there already. It returns nil when that was not
// what this command makes, and has been deleted.
func (s *session) takeOver(ctx context.Context, ref reference, wire, body map[string]any, journal string) (map[string]any, error) {
	state, _ := lookup(wire, "properties.diskState")
	if state != "ReadyToUpload" && state != "ActiveUpload" {
		return nil, fmt.Errorf("the disk %s already exists; --file fills a new disk", ref.name)
	}
	if err := checkIdle(journal); err != nil {
		return nil, err
	}
	if state == "ActiveUpload" {
		err := s.endInterrupted(ctx, ref)
		if err == nil {
			wire, err = s.get(ctx, ref.id, computeAPI)
		}
		if err != nil {
			return nil, err
		}
		state, _ = lookup(wire, "properties.diskState")
	}
	// An upload that was whole when its command was killed has just become a disk: of
	// which image, nobody knows any more.
	if state == "ReadyToUpload" && covers(wire, body) {
		fmt.Fprintf(s.notes.Stderr, "%s waits for its content since an earlier import: going on with it.\n", ref.name)
		return wire, nil
	}
	fmt.Fprintf(s.notes.Stderr, "%s is left from an earlier import that did not end: replacing it.\n", ref.name)
	_, err := s.write(ctx, http.MethodDelete, versioned(ref.id, computeAPI), nil)
	return nil, err
}

// covers says whether have holds everything that want asks for.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		for k, v := range want {
			if !ok || !covers(h[k], v) {
				return false
			}
		}
		return true
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(want) {
			return false
		}
		for i := range want {
			if !covers(h[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return have != nil && strings.EqualFold(fmt.Sprint(have), fmt.Sprint(want))
	}
}

// checkIdle refuses to disturb a transfer that another process is doing: it holds a
// lock on its journal.
func checkIdle(journal string) error {
	f, err := os.Open(journal)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("%w: %s", transfer.ErrBusy, journal)
	}
	return nil
}

// endInterrupted ends the access that an interrupted import left. The server then
// says that the upload is no VHD, because the footer comes last; that is expected.
func (s *session) endInterrupted(ctx context.Context, ref reference) error {
	err := s.revoke(ctx, ref)
	var problem *Problem
	if errors.As(err, &problem) && problem.Code == "InvalidVhd" {
		return nil
	}
	return err
}

// fill uploads the image. Access ends with it: after success with the server's
// check of the whole, after a failure so that the next run can start at once.
func (s *session) fill(ctx context.Context, ref reference, image vhd.Image, content int64, o transfer.UploadOptions) error {
	address, err := s.sas(ctx, ref, "Write", sasSeconds)
	if err != nil {
		return s.afterwards(ctx, err, ref, s.endInterrupted)
	}
	blobs, way := s.client.blobs(ctx, address)
	bar := newProgress(s.notes, "Uploading "+ref.name+" "+way)
	o.Progress = bar.moved
	err = transfer.Upload(ctx, blobs, address, image, content, o)
	bar.end(err)
	if err != nil {
		return s.afterwards(ctx, err, ref, s.endInterrupted)
	}
	return s.release(ctx, ref)
}

// release ends access after a success, also when an interrupt comes just then.
func (s *session) release(ctx context.Context, ref reference) error {
	err := s.revoke(ctx, ref)
	if err != nil && ctx.Err() != nil {
		return s.afterwards(ctx, ctx.Err(), ref, s.revoke)
	}
	return err
}

// afterwards ends access after a failure, also when the failure is an interrupt,
// and keeps what fails on the way. A refusal has granted nothing.
func (s *session) afterwards(ctx context.Context, cause error, ref reference, end func(context.Context, reference) error) error {
	var refused *Problem
	if errors.As(cause, &refused) {
		return cause
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if err := end(late, ref); err != nil {
		return errors.Join(cause, &accessLeft{ref.name, err})
	}
	return cause
}

// accessLeft says that access to a resource could not be ended: its URL goes on
// working until it expires.
type accessLeft struct {
	name  string
	cause error
}

func (e *accessLeft) Error() string {
	return fmt.Sprintf("Access to %s was not ended, end it with revoke-access: %s", e.name, e.cause)
}

func (e *accessLeft) Unwrap() error { return e.cause }
