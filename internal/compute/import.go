package compute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

// Import is an image that is copied into a new volume.
type Import interface {
	Size() int64
	// ETag is another one when the image holds something else; "" when whoever has it does not tell. ReadAt fails when it has changed.
	ETag() string
	ReadAt(ctx context.Context, p []byte, off int64) error
	// Data calls yield for the ranges that may hold something other than zeroes, in order, until it returns false.
	Data(ctx context.Context, yield func(off, n int64) bool) error
}

const (
	// inspectFor is how long a caller may have to wait for the server that has the image.
	inspectFor = 30 * time.Second
	// importPiece is how much is copied at once.
	importPiece = 4 << 20
	// importBatch is how much is copied between two records of the position: a restart costs no more.
	importBatch = 128 << 20
)

// errUnrecorded says that the position of an import could not be put on record. The import goes on from the last one later.
var errUnrecorded = errors.New("the position of the import could not be recorded")

// errImporting says that what is in the way is an import, which may last.
var errImporting = errors.New("an import is in progress")

// inspect finds out how many bytes the image that a create asks to import has, before anything is accepted. What exists already
// is not looked at again.
func (s *Service) inspect(ctx context.Context, id tintype.ResourceID, want *tintype.Desired) error {
	if want.Creation == nil || !importing(want.Creation.Option) || want.Creation.SourceURI == "" {
		return nil
	}
	var refusal *tintype.Error
	if _, err := s.Get(ctx, id); !errors.As(err, &refusal) || refusal.Code != "ResourceNotFound" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inspectFor)
	defer cancel()
	size, err := s.imageSize(ctx, want.Creation.SourceURI)
	if err != nil {
		return importError(err, want.Creation.SourceURI)
	}
	creation := *want.Creation
	creation.ImportBytes, want.Creation = size, &creation
	if creation.SecurityDataURI == "" {
		return nil
	}
	creation.SecurityBytes, err = s.inspectGuest(ctx, creation.SecurityDataURI)
	return err
}

func importing(option string) bool {
	return strings.EqualFold(option, string(tintype.CreateImport)) || strings.EqualFold(option, string(tintype.CreateImportSecure))
}

// imageSize opens the image and says how many bytes of data it has: it must be a fixed VHD.
func (s *Service) imageSize(ctx context.Context, uri string) (int64, error) {
	image, err := s.openImport(ctx, uri)
	if err != nil {
		return 0, err
	}
	data := image.Size() - vhd.FooterSize
	if data <= 0 || data > block.MaxSize || data%block.SectorSize != 0 {
		return 0, &vhd.UploadError{Code: "InvalidVhd", Message: fmt.Sprintf("The blob has %d bytes, which is not the size of a fixed VHD.", image.Size())}
	}
	footer := make([]byte, vhd.FooterSize)
	if err := image.ReadAt(ctx, footer, data); err != nil {
		return 0, err
	}
	return data, vhd.CheckUpload(footer, data, plainURI(uri))
}

func (s *Service) openImport(ctx context.Context, uri string) (Import, error) {
	if s.opt.OpenImport == nil {
		return nil, tintype.InvalidParameter("creationData.sourceUri", "This server imports from nowhere.")
	}
	return s.opt.OpenImport(ctx, uri)
}

// plainURI is the URI without what may be a signature.
func plainURI(uri string) string {
	plain, _, _ := strings.Cut(uri, "?")
	return plain
}

// importError words why an image can't be had. The cause stays for the log.
func importError(err error, uri string) error {
	var refusal *tintype.Error
	var bad *vhd.UploadError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &bad):
		return &tintype.Error{Kind: tintype.KindInvalid, Code: bad.Code, Message: bad.Message, Target: "creationData.sourceUri"}
	}
	return &tintype.Error{
		Kind: tintype.KindConflict, Code: "DiskBlobNotFound", Target: "creationData.sourceUri", Cause: err,
		Message: fmt.Sprintf("Unable to read the disk blob with URI %.500s. Check that it exists and that this server may read it.", plainURI(uri)),
	}
}

// runImport begins to finish an accepted import, unless that is under way. Whoever calls may have seen the operation before its import
// ended: what counts is what is on record once no other can be at it, or a volume in use would be filled again.
func (s *Service) runImport(op catalog.Operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, under := s.imported[op.ID]; under || s.ctx.Err() != nil {
		return
	}
	s.imported[op.ID] = 0
	s.done.Go(func() {
		now, open, err := s.inProgress(op.ID)
		if open {
			err = s.finishPut(now)
		}
		s.mu.Lock()
		delete(s.imported, op.ID)
		s.mu.Unlock()
		waiting, failed := s.imageOperations(op.Resource)
		for _, o := range waiting {
			failed = errors.Join(failed, s.run(o.ID))
		}
		err = errors.Join(err, failed)
		if err != nil && s.ctx.Err() == nil {
			s.opt.Log.Error("import will be tried again", "operation", op.ID, "error", err)
		}
	})
}

// inProgress gives the operation as it is on record; open tells whether it is still to be finished.
func (s *Service) inProgress(id uuid.UUID) (op catalog.Operation, open bool, err error) {
	err = s.catalog.View(s.ctx, func(tx *catalog.Tx) (err error) {
		op, err = tx.Operation(id)
		return err
	})
	if errors.Is(err, catalog.ErrNotFound) {
		return op, false, nil
	}
	return op, err == nil && op.State == tintype.InProgress, err
}

// copyImage makes the plan's volume and fills it, from where it was left before a restart.
func (s *Service) copyImage(op uuid.UUID, p plan) error {
	into := p.Store
	if p.Temp != uuid.Nil {
		into = p.Temp
	}
	err := s.volumes.Create(into, p.Size)
	if err == nil {
		p.Position = 0 // whatever was in it is gone with it
	}
	if err := made(err); err != nil {
		return err
	}
	if err := s.fill(op, into, p); err != nil || p.Temp == uuid.Nil {
		return err
	}
	return s.cutTemp(p, nil)
}

// startImage opens the plan's image, which must be what it was when the import began, and puts on record what that is.
func (s *Service) startImage(op uuid.UUID, p *plan) (Import, error) {
	image, err := s.openImport(s.ctx, p.URI)
	switch {
	case err != nil:
	case image.Size() != p.Bytes+vhd.FooterSize:
		err = errors.New("the image has changed its size since the import was accepted")
	case p.ETag != "" && image.ETag() != p.ETag:
		err = errors.New("the image has changed since the import began")
	}
	if err != nil {
		if s.ctx.Err() != nil {
			err = block.ErrClosed // the server is stopping
		}
		return nil, &importFailure{err, p.URI}
	}
	if p.ETag != image.ETag() {
		p.ETag = image.ETag()
		return image, s.recordImport(op, *p)
	}
	return image, nil
}

// recordImport puts on record how far the import is. All before that must be durable.
func (s *Service) recordImport(op uuid.UUID, p plan) error {
	err := s.update(s.ctx, func(tx *catalog.Tx) error {
		o, err := tx.Operation(op)
		if err != nil {
			return err
		}
		have, err := planOf(o)
		if err != nil {
			return err
		}
		have.Position, have.ETag = p.Position, p.ETag
		if o.Plan, err = have.encode(); err != nil {
			return err
		}
		return tx.PutOperation(o)
	})
	if err != nil {
		return errors.Join(errUnrecorded, err)
	}
	return nil
}

func (s *Service) fill(op, id uuid.UUID, p plan) (err error) {
	image, err := s.startImage(op, &p)
	if err != nil {
		return err
	}
	dev, err := s.volumes.OpenVolume(id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	f := filling{s: s, op: op, plan: p, dev: dev, image: image, buf: make([]byte, importPiece)}
	s.countImport(op, p.Position)
	err = image.Data(s.ctx, f.copy)
	switch err = errors.Join(err, f.unread); {
	case s.ctx.Err() != nil:
		return block.ErrClosed // the server is stopping
	case f.unkept != nil:
		return f.unkept
	case err != nil:
		return &importFailure{err, p.URI}
	}
	return dev.Flush()
}

// filling is an import that is under way.
type filling struct {
	s     *Service
	op    uuid.UUID
	plan  plan
	dev   block.Device
	image Import
	buf   []byte
	since int64 // bytes that were copied since the position was recorded

	unread, unkept error // what has ended it: the image could not be read, or what was read not be kept
}

// copy copies what of a range of the image was not copied before, and tells whether to go on.
func (f *filling) copy(off, n int64) bool {
	end := min(off+n, f.plan.Bytes)
	for off = max(off, f.plan.Position); off < end; {
		piece := f.buf[:min(end-off, importPiece)]
		if f.unread = f.image.ReadAt(f.s.ctx, piece, off); f.unread != nil {
			return false
		}
		off += int64(len(piece))
		if f.unkept = f.keep(piece, off); f.unkept != nil {
			return false
		}
	}
	return true
}

// keep writes the piece that ends at off. Where the image tells when it changes, every importBatch is made durable, and then recorded.
func (f *filling) keep(piece []byte, off int64) error {
	if err := writeData(f.dev, piece, off-int64(len(piece))); err != nil {
		return err
	}
	f.s.countImport(f.op, off)
	f.since += int64(len(piece))
	if f.plan.ETag == "" || f.since < f.s.importBatch {
		return nil
	}
	if err := f.dev.Flush(); err != nil {
		return err
	}
	f.plan.Position, f.since = off, 0
	return f.s.recordImport(f.op, f.plan)
}

// importFailure is a failure to read the image, not to keep it.
type importFailure struct {
	cause error
	uri   string
}

func (f *importFailure) Error() string { return f.cause.Error() }
func (f *importFailure) Unwrap() error { return f.cause }

// writeData writes p at off, but for whole blocks of zeroes. The volume is new: what is not written is zero.
func writeData(dev block.Device, p []byte, off int64) error {
	for len(p) > 0 {
		n := min(block.BlockSize-int(off%block.BlockSize), len(p))
		zero := allZero(p[:n])
		for n < len(p) {
			next := p[n:min(n+block.BlockSize, len(p))]
			if allZero(next) != zero {
				break
			}
			n += len(next)
		}
		if !zero {
			if _, err := block.WriteBulk(dev, p[:n], off); err != nil {
				return err
			}
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// countImport notes how far the import is.
func (s *Service) countImport(operation uuid.UUID, done int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.imported[operation] = done
}

// importDone tells how far the import is.
func (s *Service) importDone(operation uuid.UUID) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.imported[operation]
}
