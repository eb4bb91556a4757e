package blob

import (
	"bytes"
	"context"
	"encoding/xml"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/pageblob"
	"github.com/google/uuid"

	"tintype/internal/block"
	"tintype/internal/lsd"
	"tintype/internal/vfs"
	"tintype/internal/vhd"
)

// shelf grants access to volumes of a real store.
type shelf struct {
	store *lsd.Store

	mu     sync.Mutex
	grants map[Resource]Grant
	volume map[Resource]block.ID
}

func (s *shelf) Open(_ context.Context, r Resource) (Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[r]
	if !ok {
		return Grant{}, ErrNoGrant
	}
	var err error
	g.Device, err = s.store.OpenVolume(s.volume[r])
	return g, err
}

func (s *shelf) OpenEarlier(_ context.Context, r Resource, made time.Time) (Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.grants[r]; !ok {
		return Grant{}, ErrNoGrant
	}
	for older, g := range s.grants {
		if g.Identity.Created.Equal(made) {
			var err error
			g.Device, err = s.store.OpenVolume(s.volume[older])
			return g, err
		}
	}
	return Grant{}, ErrNoEarlier
}

// put offers a volume and gives its URL.
func (s *shelf) put(t *testing.T, g *rig, id block.ID, created time.Time) (Resource, string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	dev, err := s.store.OpenVolume(id)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	r := Resource{Account: "md-0123456789ab", Container: "c" + id.String()[:8], ID: uuid.NewString()}
	s.volume[r] = id
	s.grants[r] = Grant{
		Bytes: dev.Size(), Expires: g.now.Add(time.Hour), Version: id.String(), Identity: vhd.Identity{Unique: id, Created: created},
	}
	return r, g.signer.SignURL(Endpoint{Host: strings.TrimPrefix(g.server.URL, "https://")}, r)
}

func newShelf(t *testing.T) (*rig, *shelf) {
	t.Helper()
	g := newRig(t, mib, false)
	store, err := lsd.Open(vfs.OS(), t.TempDir(), lsd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{store: store, grants: map[Resource]Grant{}, volume: map[Resource]block.ID{}}
	g.handler.grants = s
	t.Cleanup(func() {
		g.server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, s
}

// history makes a disk, its snapshots with changes between them, and grows it meanwhile.
func (s *shelf) history(t *testing.T, rng *rand.Rand, snapshots int) (disk block.ID, all []block.ID) {
	t.Helper()
	disk = uuid.New()
	size := int64(8*mib + 512)
	if err := s.store.Create(disk, size); err != nil {
		t.Fatal(err)
	}
	dev, err := s.store.OpenVolume(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for i := range snapshots {
		for range 30 {
			p := make([]byte, 1+rng.IntN(20000))
			fill(rng, p)
			if _, err := dev.WriteAt(p, rng.Int64N(size-int64(len(p)))); err != nil {
				t.Fatal(err)
			}
		}
		if err := dev.WriteZeroes(rng.Int64N(size-mib), 1+rng.Int64N(mib)); err != nil {
			t.Fatal(err)
		}
		all = append(all, uuid.New())
		if err := s.store.Snapshot(block.Cut{Source: disk, Snapshot: all[i]}); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(2) == 0 {
			size += 512 * rng.Int64N(2048)
			if err := s.store.Resize(disk, size); err != nil {
				t.Fatal(err)
			}
		}
	}
	return disk, all
}

// download gives the whole blob of a URL.
func download(t *testing.T, c *pageblob.Client) []byte {
	t.Helper()
	props, err := c.GetProperties(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, *props.ContentLength)
	if _, err := c.DownloadBuffer(t.Context(), b, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDifference rebuilds each snapshot from an older one and what Azure's client is told of the changes.
func TestDifference(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	g, s := newShelf(t)
	disk, all := s.history(t, rng, 6)
	all = append(all, disk)
	urls := make([]string, len(all))
	for i, id := range all {
		_, urls[i] = s.put(t, g, id, g.now.Add(time.Duration(i)*time.Second))
	}
	for range 25 {
		from := rng.IntN(len(all) - 1)
		to := from + 1 + rng.IntN(len(all)-1-from)
		newer := sdkClientFor(t, g, urls[to])
		want := download(t, newer)
		got := download(t, sdkClientFor(t, g, urls[from]))
		was := bytes.Clone(got)
		got = append(got, make([]byte, len(want)-len(got))...)
		o := &pageblob.GetPageRangesDiffOptions{PrevSnapshotURL: &urls[from]}
		if rng.IntN(3) == 0 {
			made := g.now.Add(time.Duration(from) * time.Second).Format(time.RFC3339Nano)
			o = &pageblob.GetPageRangesDiffOptions{PrevSnapshot: &made}
		}
		if rng.IntN(2) == 0 {
			o.MaxResults = new(int32)
			*o.MaxResults = 1 + rng.Int32N(20)
		}
		part := azblob.HTTPRange{Count: int64(len(want))}
		if rng.IntN(3) == 0 {
			part = azblob.HTTPRange{Offset: 512 * rng.Int64N(2000), Count: 512 * (1 + rng.Int64N(10000))}
			o.Range = part
		}
		part.Count = min(part.Count, int64(len(want))-part.Offset)
		requests, last := 0, int64(-1)
		for pager := newer.NewGetPageRangesDiffPager(o); pager.More(); requests++ {
			page, err := pager.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := len(page.PageRange) + len(page.ClearRange); o.MaxResults != nil && n > int(*o.MaxResults) {
				t.Fatalf("%d ranges, asked for %d", n, *o.MaxResults)
			}
			check := func(from, to int64) {
				if from%512 != 0 || to%512 != 0 || from < part.Offset || to > part.Offset+part.Count || to <= from {
					t.Fatalf("range %d to %d of %+v", from, to, part)
				}
				last = max(last, to)
			}
			for _, r := range page.PageRange {
				check(*r.Start, *r.End+1)
				copy(got[*r.Start:], want[*r.Start:*r.End+1])
			}
			for _, r := range page.ClearRange {
				check(*r.Start, *r.End+1)
				clear(got[*r.Start : *r.End+1])
			}
		}
		lo, hi := part.Offset, part.Offset+part.Count
		if !bytes.Equal(got[lo:hi], want[lo:hi]) {
			t.Fatalf("%d to %d: the difference does not lead from the older to the newer", from, to)
		}
		if kept := min(lo, int64(len(was))); !bytes.Equal(got[:kept], was[:kept]) {
			t.Fatal("something outside the range was named")
		}
		if o.MaxResults != nil && *o.MaxResults == 1 && requests < 2 {
			t.Error("one request was enough")
		}
	}
}

// TestDifferenceExact looks at a difference that is known by heart: data, cleared pages, the footer, and nothing else.
func TestDifferenceExact(t *testing.T) {
	g, s := newShelf(t)
	disk, a, b := uuid.New(), uuid.New(), uuid.New()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.store.Create(disk, mib))
	dev, err := s.store.OpenVolume(disk)
	must(err)
	defer dev.Close()
	page := bytes.Repeat([]byte{1}, 4096)
	for _, at := range []int64{0, 8192, 65536, mib - 4096} {
		_, err := dev.WriteAt(page, at)
		must(err)
	}
	must(s.store.Snapshot(block.Cut{Source: disk, Snapshot: a}))
	must(dev.WriteZeroes(8192, 4096))
	must(dev.WriteZeroes(20480, 4096)) // held nothing before
	_, err = dev.WriteAt(page[:100], 65536+50)
	must(err)
	must(s.store.Snapshot(block.Cut{Source: disk, Snapshot: b}))
	must(s.store.Resize(disk, 2*mib))
	_, older := s.put(t, g, a, g.now)
	_, newer := s.put(t, g, b, g.now)
	_, grown := s.put(t, g, disk, g.now)
	const head, tail = `<?xml version="1.0" encoding="utf-8"?><PageList>`, `</PageList>`
	for _, x := range []struct{ url, previous, query, want string }{
		{newer, older, "", `<ClearRange><Start>8192</Start><End>12287</End></ClearRange>` +
			`<PageRange><Start>65536</Start><End>69631</End></PageRange>` +
			`<PageRange><Start>1048576</Start><End>1049087</End></PageRange>`},
		{newer, older, "&maxresults=1", `<ClearRange><Start>8192</Start><End>12287</End></ClearRange><NextMarker>65536</NextMarker>`},
		{newer, older, "&maxresults=1&marker=65536", `<PageRange><Start>65536</Start><End>69631</End></PageRange><NextMarker>1048576</NextMarker>`},
		{newer, older, "&marker=1048576", `<PageRange><Start>1048576</Start><End>1049087</End></PageRange>`},
		{grown, newer, "", `<ClearRange><Start>1048576</Start><End>1049087</End></ClearRange>` +
			`<PageRange><Start>2097152</Start><End>2097663</End></PageRange>`},
		{newer, newer, "", ""},
	} {
		got := g.do("GET", x.url+"&comp=pagelist"+x.query, nil, "x-ms-version", previousSince, previousHeader, x.previous).want(t, 200, "")
		if string(got.body) != head+x.want+tail {
			t.Errorf("%s: got %s\nwant %s", x.query, got.body, x.want)
		}
	}
}

// TestDifferenceRefused: the older blob's URL opens no more than it would by itself.
func TestDifferenceRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	g, s := newShelf(t)
	disk, all := s.history(t, rng, 2)
	_, other := s.history(t, rng, 1)
	_, older := s.put(t, g, all[0], g.now)
	_, newer := s.put(t, g, all[1], g.now.Add(time.Second))
	_, foreign := s.put(t, g, other[0], g.now)
	_, live := s.put(t, g, disk, g.now)
	revoked, gone := s.put(t, g, all[0], g.now)
	delete(s.grants, revoked)
	expired, late := s.put(t, g, all[0], g.now)
	x := s.grants[expired]
	x.Expires = g.now
	s.grants[expired] = x
	upload, up := s.put(t, g, all[0], g.now)
	x = s.grants[upload]
	x.Footer = g
	s.grants[upload] = x
	for _, x := range []struct {
		name, url, version, previous string
		status                       int
		code                         string
	}{
		{"good", newer, previousSince, older, 200, ""},
		{"good, from the disk", live, "2026-12-06", older, 200, ""},
		{"old service", newer, "2019-02-02", older, 400, "UnsupportedHeader"},
		{"no version", newer, "", older, 400, "UnsupportedHeader"},
		{"not a list", strings.Replace(newer, "&comp=pagelist", "", 1), previousSince, older, 400, "UnsupportedHeader"},
		{"no URL", newer, previousSince, "::", 400, "InvalidHeaderValue"},
		{"a path", newer, previousSince, strings.TrimPrefix(older, g.server.URL), 400, "InvalidHeaderValue"},
		{"http", newer, previousSince, "http" + strings.TrimPrefix(older, "https"), 400, "InvalidHeaderValue"},
		{"another blob", newer, previousSince, "https://example.com/disks/abcd?sig=1", 409, "PreviousSnapshotNotFound"},
		{"signature", newer, previousSince, older + "x", 403, "AuthenticationFailed"},
		{"no signature", newer, previousSince, strings.Split(older, "?")[0], 403, "AuthenticationFailed"},
		{"another's signature", newer, previousSince, strings.Split(older, "?")[0] + "?" + strings.Split(foreign, "?")[1], 403, "AuthenticationFailed"},
		{"revoked", newer, previousSince, gone, 403, "AuthenticationFailed"},
		{"expired", newer, previousSince, late, 403, "AuthenticationFailed"},
		{"unrelated and newer", foreign, previousSince, newer, 409, "BlobOverwritten"},
		{"unrelated", newer, previousSince, foreign, 409, "BlobOverwritten"},
		{"newer", older, previousSince, newer, 400, "PreviousSnapshotCannotBeNewer"},
		{"being uploaded", newer, previousSince, up, 409, "PreviousSnapshotOperationNotSupported"},
		{"to what is being uploaded", up, previousSince, older, 409, "PreviousSnapshotOperationNotSupported"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.name != "not a list" {
				x.url += "&comp=pagelist"
			}
			a := g.do("GET", x.url, nil, "x-ms-version", x.version, previousHeader, x.previous).want(t, x.status, x.code)
			if x.status != 200 && bytes.Contains(a.body, []byte("sig=")) {
				t.Errorf("a signature is said back: %s", a.body)
			}
		})
	}
	c := sdkClientFor(t, g, newer)
	pager := c.NewGetPageRangesDiffPager(&pageblob.GetPageRangesDiffOptions{PrevSnapshotURL: &gone})
	if _, err := pager.NextPage(t.Context()); !bloberror.HasCode(err, bloberror.AuthenticationFailed) {
		t.Errorf("a revoked URL: %v", err)
	}
}

// held is a device whose comparison waits.
type held struct {
	block.Device
	began, goOn chan struct{}
}

func (d held) Compare(older block.Device, off, n int64, yield func(block.Extent) bool) error {
	if n == 0 {
		return nil
	}
	close(d.began)
	<-d.goOn
	if _, err := older.ReadAt(make([]byte, 1), 0); err != nil {
		return err
	}
	yield(block.Extent{Off: off, Len: n, Data: true})
	return nil
}

// TestDifferenceRevoked: taking back the access to the older blob waits for a difference under way and ends it.
func TestDifferenceRevoked(t *testing.T) {
	g := newRig(t, mib, false)
	older := Resource{Account: "md-aaaaaaaaaaaa", Container: "c", ID: uuid.NewString()}
	d := held{began: make(chan struct{}), goOn: make(chan struct{})}
	g.wrap = func(dev block.Device) block.Device { return held{dev, d.began, d.goOn} }
	g.handler.grants = either{g, older}
	url := g.signer.SignURL(Endpoint{Host: strings.TrimPrefix(g.server.URL, "https://")}, older)
	failed := make(chan bool)
	go func() {
		r, _ := newRequest("GET", g.url()+"&comp=pagelist", nil, "x-ms-version", previousSince, previousHeader, url)
		resp, err := g.server.Client().Do(r)
		if err == nil {
			err = xml.NewDecoder(resp.Body).Decode(new(pageListBody))
			resp.Body.Close()
			failed <- err != nil || resp.StatusCode != 200
			return
		}
		failed <- true
	}()
	<-d.began
	ended := make(chan struct{})
	go func() {
		g.handler.Revoke(older.ID)
		close(ended)
	}()
	select {
	case <-ended:
		t.Fatal("revoked while the device was in use")
	case <-time.After(50 * time.Millisecond):
	}
	close(d.goOn)
	<-ended
	if !<-failed {
		t.Error("the list went on after its access was taken back")
	}
}

// either opens the rig's blob under a second name too.
type either struct {
	*rig
	second Resource
}

func (e either) Open(ctx context.Context, r Resource) (Grant, error) {
	if r == e.second {
		r = e.resource
	}
	return e.rig.Open(ctx, r)
}

// TestDifferenceLong: a list of more changes than are held at once has no seams.
func TestDifferenceLong(t *testing.T) {
	const changes = maxChanges + 500
	g, s := newShelf(t)
	disk, a, b := uuid.New(), uuid.New(), uuid.New()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.store.Create(disk, 2*changes*block.BlockSize))
	dev, err := s.store.OpenVolume(disk)
	must(err)
	defer dev.Close()
	must(s.store.Snapshot(block.Cut{Source: disk, Snapshot: a}))
	for i := range int64(changes) {
		_, err := dev.WriteAt([]byte{1}, 2*i*block.BlockSize)
		must(err)
	}
	must(s.store.Snapshot(block.Cut{Source: disk, Snapshot: b}))
	_, older := s.put(t, g, a, g.now)
	_, newer := s.put(t, g, b, g.now)
	var list pageListBody
	body := g.do("GET", newer+"&comp=pagelist", nil, "x-ms-version", previousSince, previousHeader, older).want(t, 200, "").body
	if err := xml.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.PageRange) != changes+1 {
		t.Fatalf("%d ranges, want %d and the footer", len(list.PageRange), changes)
	}
	for i, r := range list.PageRange[:changes] {
		if want := 2 * int64(i) * block.BlockSize; r.Start != want || r.End != want+block.BlockSize-1 {
			t.Fatalf("range %d is %+v, want from %d", i, r, want)
		}
	}
}
