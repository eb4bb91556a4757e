package compute

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

// memImage is a fixed VHD in memory.
type memImage struct {
	data   []byte
	footer [vhd.FooterSize]byte
	fail   error         // of reads of data
	hold   chan struct{} // when set, reads of data wait for it
	etag   string

	mu   sync.Mutex
	read int64 // bytes of data
}

func (m *memImage) ETag() string { return m.etag }

// taken gives how many bytes of data were read since the last call.
func (m *memImage) taken() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.read = 0 }()
	return m.read
}

func newImage(fill map[int64]string, size int64) *memImage {
	m := &memImage{data: make([]byte, size), footer: vhd.FixedFooter(size, vhd.Identity{Unique: uuid.UUID{1}})}
	for at, text := range fill {
		copy(m.data[at*block.BlockSize:], text)
	}
	return m
}

func (m *memImage) Size() int64 { return int64(len(m.data)) + vhd.FooterSize }

func (m *memImage) ReadAt(ctx context.Context, p []byte, off int64) error {
	if off >= int64(len(m.data)) {
		copy(p, m.footer[off-int64(len(m.data)):])
		return nil
	}
	if m.hold != nil {
		select {
		case <-m.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	m.read += int64(copy(p, m.data[off:]))
	m.mu.Unlock()
	return m.fail
}

func (m *memImage) Data(_ context.Context, yield func(off, n int64) bool) error {
	yield(0, m.Size())
	return nil
}

func imported(uri string) tintype.Desired {
	return tintype.Desired{Location: "westus2", Creation: &tintype.CreationRequest{Option: "Import", SourceURI: uri, StorageAccountID: "/a"}}
}

func (r *rig) images(all map[string]*memImage) {
	r.open = func(_ context.Context, uri string) (Import, error) {
		plain, _, _ := strings.Cut(uri, "?")
		if m := all[plain]; m != nil {
			return m, nil
		}
		return nil, errors.New("no such image")
	}
	r.opt.OpenImport = r.open
}

// ended waits for an operation that nobody else finishes.
func (r *rig) ended(a tintype.Accepted) tintype.Operation {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := r.run(a.Operation.ID); err != nil {
			r.t.Fatal(err)
		}
		op, err := r.Operation(r.t.Context(), testSub, a.Operation.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		if op.State != tintype.InProgress {
			return op
		}
	}
	r.t.Fatal("the import does not end")
	return tintype.Operation{}
}

// TestImport makes a disk and a snapshot of an image, and a larger disk.
func TestImport(t *testing.T) {
	r := newRig(t)
	r.group()
	const size = 12 << 20
	r.images(map[string]*memImage{"https://h/image": newImage(map[int64]string{0: "one", 2000: "two"}, size)})
	larger := imported("https://h/image?sig=secret")
	larger.SizeGB = ptr(int64(1))
	for i, x := range []struct {
		id   tintype.ResourceID
		want tintype.Desired
		size int64
	}{
		{diskID("d"), imported("https://h/image?sig=secret"), size},
		{snapshotID("s"), imported("https://h/image?sig=secret"), size},
		{diskID("larger"), larger, tintype.GiB},
	} {
		a, err := r.Put(t.Context(), x.id, x.want)
		if err != nil {
			t.Fatal(err)
		}
		op := r.ended(a)
		if op.State != tintype.Succeeded || op.Done != size || op.Bytes != size {
			t.Fatalf("%d: %s %v, %d of %d bytes", i, op.State, op.Failure, op.Done, op.Bytes)
		}
		v := r.get(x.id)
		content := r.store.content(t, v.Store)
		if v.Size != x.size || !strings.HasPrefix(content[0], "one") || !strings.HasPrefix(content[2000], "two") || len(content) != 2 {
			t.Errorf("%d: %d bytes, %d blocks", i, v.Size, len(content))
		}
		if v.Creation.SourceURI != "https://h/image" {
			t.Errorf("%d: it shows %q", i, v.Creation.SourceURI)
		}
		if _, err := r.Put(t.Context(), x.id, x.want); err != nil {
			t.Errorf("%d: the same again: %v", i, err)
		}
	}
	if err := r.dropAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wholeStore()
}

// TestImportEndsOnce hands an import that has ended to whoever saw it before that: what was written since must stay.
func TestImportEndsOnce(t *testing.T) {
	r := newRig(t)
	r.group()
	r.images(map[string]*memImage{"https://h/image": newImage(map[int64]string{0: "image"}, 1<<20)})
	for _, id := range []tintype.ResourceID{diskID("d"), snapshotID("s")} {
		a, err := r.Put(t.Context(), id, imported("https://h/image"))
		if err != nil {
			t.Fatal(err)
		}
		var seen catalog.Operation
		if err := r.catalog.View(t.Context(), func(tx *catalog.Tx) (err error) {
			seen, err = tx.Operation(a.Operation.ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r.ended(a)
		if err := r.dropAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.store.put(r.get(id).Store, 0, "guest")
		r.runImport(seen)
		r.done.Wait()
		if got := r.store.content(t, r.get(id).Store)[0]; got != "guest" {
			t.Errorf("%s holds %q", id.Name, got)
		}
	}
	r.wholeStore()
}

// TestImportGoesOn restarts the server in the middle of an import, which then ends; its group cannot go before that.
func TestImportGoesOn(t *testing.T) {
	r := newRig(t)
	r.group()
	slow := newImage(map[int64]string{0: "one"}, 1<<20)
	slow.hold = make(chan struct{})
	r.images(map[string]*memImage{"https://h/image": slow})
	a, err := r.Put(t.Context(), diskID("d"), imported("https://h/image"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.run(a.Operation.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Delete(t.Context(), diskID("d"))
	refused(t, err, "OperationNotAllowed")
	gone, err := r.DeleteGroup(t.Context(), testSub, "g")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.run(gone.Operation.ID); !errors.Is(err, errImporting) {
		t.Errorf("the group's deletion: %v", err)
	}
	if err := r.Service.Close(); err != nil {
		t.Fatal(err)
	}
	r.restart()
	close(slow.hold)
	if op := r.ended(a); op.State != tintype.Succeeded {
		t.Errorf("%s %v", op.State, op.Failure)
	}
	if op := r.finish(gone); op.State != tintype.Succeeded {
		t.Errorf("%s %v", op.State, op.Failure)
	}
}

// TestImportFromPosition kills the server at every step of imports. They go on from what was recorded, whatever the store lost that it had not
// made durable, and end as the image is; where nobody tells when an image changes, it is read from its beginning.
func TestImportFromPosition(t *testing.T) {
	const pieces = 6
	fill := map[int64]string{}
	for i := range int64(pieces) {
		fill[i*importPiece/block.BlockSize] = fmt.Sprint("piece ", i)
	}
	for _, c := range []struct {
		etag string
		id   tintype.ResourceID
	}{{"", diskID("d")}, {"one", diskID("d")}, {"one", snapshotID("s")}} {
		wentOn := false
		for ends, step := false, 0; !ends; step++ {
			r := newRig(t)
			r.importBatch = 2 * importPiece
			r.group()
			image := newImage(fill, pieces*importPiece)
			image.etag = c.etag
			r.images(map[string]*memImage{"https://h/image": image})
			a, err := r.Put(t.Context(), c.id, imported("https://h/image"))
			if err != nil {
				t.Fatal(err)
			}
			var left atomic.Int64
			left.Store(int64(step))
			r.fault = func(string) error {
				if left.Add(-1) < 0 {
					return errCrash
				}
				return nil
			}
			r.store.fault = r.fault
			_ = r.run(a.Operation.ID) // it may be cut off
			r.done.Wait()
			ends = left.Load() >= 0
			at := r.positionOf(a)
			image.taken()
			r.restart()
			if op := r.ended(a); op.State != tintype.Succeeded {
				t.Fatalf("step %d: %s %v", step, op.State, op.Failure)
			}
			got := image.taken()
			if got != 0 && got != pieces*importPiece-at || c.etag == "" && at != 0 {
				t.Errorf("%q, step %d: %d bytes were read again from %d on", c.etag, step, got, at)
			}
			wentOn = wentOn || got != 0 && at > 0
			if got := r.store.content(t, r.get(c.id).Store); !maps.Equal(got, fill) {
				t.Errorf("%q, step %d: %v", c.etag, step, got)
			}
		}
		if wentOn != (c.etag != "") {
			t.Errorf("%q: an import went on from the middle: %v", c.etag, wentOn)
		}
	}
}

// positionOf gives how far the import is on record.
func (r *rig) positionOf(a tintype.Accepted) int64 {
	r.t.Helper()
	var op catalog.Operation
	err := r.catalog.View(r.t.Context(), func(tx *catalog.Tx) (err error) {
		op, err = tx.Operation(a.Operation.ID)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := planOf(op)
	if err != nil {
		r.t.Fatal(err)
	}
	return p.Position
}

// TestImportOfChanged fails the import of an image that is another one after a restart.
func TestImportOfChanged(t *testing.T) {
	r := newRig(t)
	r.importBatch = importPiece
	r.group()
	image := newImage(map[int64]string{0: "one"}, 3*importPiece)
	image.etag = "one"
	r.images(map[string]*memImage{"https://h/image": image})
	a, err := r.Put(t.Context(), diskID("d"), imported("https://h/image"))
	if err != nil {
		t.Fatal(err)
	}
	image.hold = make(chan struct{})
	if err := r.run(a.Operation.ID); err != nil {
		t.Fatal(err)
	}
	image.hold <- struct{}{}
	image.hold <- struct{}{}
	r.cancel()
	r.done.Wait()
	if at := r.positionOf(a); at != importPiece && at != 2*importPiece {
		t.Errorf("the import is at %d", at)
	}
	image.etag, image.hold = "two", nil
	r.restart()
	if op := r.ended(a); op.State != tintype.Failed || op.Failure.Code != "DiskBlobNotFound" {
		t.Errorf("%s %v", op.State, op.Failure)
	}
	if err := r.dropAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wholeStore()
}

// TestImportFailures leaves nothing of what can't be imported, and says why.
func TestImportFailures(t *testing.T) {
	r := newRig(t)
	r.group()
	_, err := r.Put(t.Context(), diskID("d"), imported("https://h/none"))
	refused(t, err, "InvalidParameter") // from nowhere
	odd, torn, bad := newImage(nil, 1<<20), newImage(nil, 1<<20), newImage(nil, 1<<20)
	odd.data, torn.footer = odd.data[:1000], [vhd.FooterSize]byte{}
	bad.fail = errors.New("the host is gone")
	r.images(map[string]*memImage{"https://h/odd": odd, "https://h/torn": torn, "https://h/bad": bad})
	for uri, code := range map[string]string{"https://h/none": "DiskBlobNotFound", "https://h/odd": "InvalidVhd", "https://h/torn": "InvalidVhd"} {
		_, err := r.Put(t.Context(), diskID("d"), imported(uri))
		refused(t, err, code)
	}
	a, err := r.Put(t.Context(), diskID("d"), imported("https://h/bad?sig=secret"))
	if err != nil {
		t.Fatal(err)
	}
	op := r.ended(a)
	if op.State != tintype.Failed || op.Failure.Code != "DiskBlobNotFound" || strings.Contains(op.Failure.Message, "secret") {
		t.Errorf("%s %v", op.State, op.Failure)
	}
	_, err = r.Get(t.Context(), diskID("d"))
	refused(t, err, "ResourceNotFound")
	if err := r.dropAll(t.Context()); err != nil || len(r.store.ids()) != 0 {
		t.Errorf("%v: %d volumes are left", err, len(r.store.ids()))
	}
}
