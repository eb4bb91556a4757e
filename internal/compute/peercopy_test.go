package compute

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"tintype"
	"tintype/internal/block"
	"tintype/internal/catalog"
	"tintype/internal/vhd"
)

const peerSub = tintype.SubscriptionID("99999999-2222-3333-4444-555555555555")

// memPeer is another server: a whole service of its own, asked without a network.
type memPeer struct {
	*rig
	mu    sync.Mutex
	moved int64                    // bytes read
	down  error                    // of every question
	read  func(off int64) error    // before every read
	made  map[int64]tintype.Volume // by time
	asked func()                   // before every question

	granted  func(do func() (string, error)) (string, error) // gives access
	released int
}

func newPeer(t *testing.T) *memPeer {
	p := &memPeer{rig: newRig(t), made: map[int64]tintype.Volume{}}
	p.rig.group()
	return p
}

// there is the id under which the peer's own resources are known outside.
func there(id tintype.ResourceID) tintype.ResourceID {
	id.Subscription = peerSub
	return id
}

func here(id tintype.ResourceID) tintype.ResourceID {
	id.Subscription = testSub
	return id
}

// behave has every question from now on fail with down, and every read call read first.
func (p *memPeer) behave(down error, read func(off int64) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.read = down, read
}

func (p *memPeer) ask() error {
	if p.asked != nil {
		p.asked()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

func (p *memPeer) Has(sub tintype.SubscriptionID) bool { return sub == peerSub }

func (p *memPeer) Snapshot(ctx context.Context, id tintype.ResourceID) (tintype.Volume, error) {
	if err := p.ask(); err != nil {
		return tintype.Volume{}, err
	}
	v, err := p.Get(ctx, here(id))
	v.ID = there(v.ID)
	return v, err
}

func (p *memPeer) Grant(ctx context.Context, id tintype.ResourceID, d time.Duration) (string, error) {
	if err := p.ask(); err != nil {
		return "", err
	}
	if p.granted != nil {
		return p.granted(func() (string, error) { return p.grant(ctx, id, d) })
	}
	return p.grant(ctx, id, d)
}

func (p *memPeer) grant(ctx context.Context, id tintype.ResourceID, d time.Duration) (string, error) {
	a, err := p.rig.Grant(ctx, here(id), tintype.AccessRequest{Access: "Read", Seconds: int64(d / time.Second)})
	if err != nil {
		return "", err
	}
	return a.Operation.Grant.ID.String(), p.run(a.Operation.ID)
}

func (p *memPeer) Release(ctx context.Context, id tintype.ResourceID) error {
	if err := p.ask(); err != nil {
		return err
	}
	p.mu.Lock()
	p.released++
	p.mu.Unlock()
	a, err := p.Revoke(ctx, here(id))
	if err != nil {
		return err
	}
	return p.run(a.Operation.ID)
}

func (p *memPeer) Open(ctx context.Context, _ tintype.ResourceID, url string) (PeerImage, error) {
	if err := p.ask(); err != nil {
		return nil, err
	}
	g, err := p.Service.grant(ctx, uuid.MustParse(url))
	if err != nil {
		return nil, err
	}
	return &peerBytes{p, g}, nil
}

type peerBytes struct {
	peer  *memPeer
	grant tintype.Grant
}

func (b *peerBytes) Size() int64 { return b.grant.Bytes + vhd.FooterSize }

func (b *peerBytes) ReadAt(ctx context.Context, p []byte, off int64) error {
	b.peer.mu.Lock()
	defer b.peer.mu.Unlock()
	if b.peer.read != nil {
		if err := b.peer.read(off); err != nil {
			return err
		}
	}
	if _, err := b.peer.Service.grant(ctx, b.grant.ID); err != nil {
		return err
	}
	clear(p)
	for at, text := range b.peer.store.content(b.peer.t, b.grant.Volume) {
		if x := at*block.BlockSize - off; x >= 0 && x < int64(len(p)) {
			copy(p[x:], text)
		}
	}
	b.peer.moved += int64(len(p))
	return ctx.Err()
}

func (b *peerBytes) Changes(_ context.Context, since time.Time) ([]PeerChange, error) {
	now := b.peer.store.content(b.peer.t, b.grant.Volume)
	was := map[int64]string{}
	if !since.IsZero() {
		v, ok := b.peer.made[since.UnixNano()]
		if !ok {
			return nil, errors.New("no such snapshot")
		}
		was = b.peer.store.content(b.peer.t, v.Store)
	}
	both := maps.Clone(now)
	maps.Copy(both, was)
	var all []PeerChange
	for _, at := range slices.Sorted(maps.Keys(both)) {
		if now[at] != was[at] {
			all = append(all, PeerChange{at * block.BlockSize, block.BlockSize, now[at] != ""})
		}
	}
	return all, nil
}

// snap makes an incremental snapshot at the peer of what the disk holds then.
func (p *memPeer) snap(name string, disk tintype.Volume) tintype.Volume {
	p.t.Helper()
	p.clock.Add(10 * time.Minute)
	want := copyOf(disk.ID)
	want.Incremental = ptr(true)
	v := p.put(snapshotID(name), want)
	p.made[v.Created.UnixNano()] = v
	return v
}

func startCopyOf(source tintype.Volume) tintype.Desired {
	return tintype.Desired{Location: "westus2", Incremental: ptr(true), Creation: &tintype.CreationRequest{
		Option: "CopyStart", SourceResourceID: there(source.ID).String(),
	}}
}

// pair is a server with a peer.
func pair(t *testing.T) (*rig, *memPeer) {
	p := newPeer(t)
	r := newRig(t)
	r.peers = p
	r.opt.Peers = p
	r.group()
	return r, p
}

// settle carries on until nothing is copied any more.
func (r *rig) settle() {
	r.t.Helper()
	for range 2000 { // some hours: less than a copy has patience for
		if err := r.sweep(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		r.await() // or the clock would go on without those who work
		left := 0
		err := r.catalog.View(r.t.Context(), func(tx *catalog.Tx) error {
			all, err := tx.Copies()
			left = len(all)
			return err
		})
		if err != nil {
			r.t.Fatal(err)
		}
		if left == 0 {
			return
		}
		r.clock.Add(20 * time.Second) // no copy rests for long
	}
	r.t.Fatal("the copies do not end")
}

// copied requires that the copy holds what its source does.
func (r *rig) copied(p *memPeer, id tintype.ResourceID, source tintype.Volume) {
	r.t.Helper()
	v := r.get(id)
	if v.Copy != nil || v.Access() != "Available" || v.Size != source.Size || !r.store.volumes[v.Store].snapshot {
		r.t.Fatalf("%s: %+v %+v", id.Name, v, v.Copy)
	}
	want := p.store.content(r.t, source.Store)
	have := map[int64]string{}
	for at, text := range r.store.content(r.t, v.Store) {
		have[at] = strings.TrimRight(text, "\x00")
	}
	if diff := cmp.Diff(want, have); diff != "" {
		r.t.Fatalf("%s (-source +copy):\n%s", id.Name, diff)
	}
}

// TestPeerCopy copies two snapshots of a disk, and requires of the second that no more than the difference is read.
func TestPeerCopy(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	for at := range int64(50) {
		p.store.put(d.Store, at*7, "first")
	}
	one := p.snap("one", d)
	a, err := r.Put(t.Context(), snapshotID("one"), startCopyOf(one))
	if err != nil {
		t.Fatal(err)
	}
	if op := r.finish(a); op.State != tintype.Succeeded {
		t.Fatalf("%s %v", op.State, op.Failure)
	}
	v := r.get(snapshotID("one"))
	if v.Copy == nil || v.Copy.Percent != 0 || v.Access() != "Pending" || v.Provisioning != tintype.StateSucceeded {
		t.Fatalf("before the copy: %+v", v)
	}
	_, err = r.Put(t.Context(), diskID("early"), copyOf(v.ID))
	refused(t, err, "OperationNotAllowed")
	_, err = r.Grant(t.Context(), v.ID, read(60))
	refused(t, err, "OperationNotAllowed")
	_, err = r.Attach(t.Context(), v.ID, "h", true)
	refused(t, err, "OperationNotAllowed")
	r.settle()
	r.copied(p, v.ID, one)
	if p.moved != 50*block.BlockSize {
		t.Errorf("%d bytes were read for the first copy", p.moved)
	}
	if state := p.get(one.ID).State; state != tintype.Unattached {
		t.Errorf("the source is left %s", state)
	}
	p.moved = 0
	p.store.put(d.Store, 7, "")
	p.store.put(d.Store, 14, "second")
	p.store.put(d.Store, 1000, "second")
	two := p.snap("two", d)
	r.put(snapshotID("two"), startCopyOf(two))
	r.settle()
	r.copied(p, snapshotID("two"), two)
	if p.moved != 2*block.BlockSize {
		t.Errorf("%d bytes were read for the difference", p.moved)
	}
	if r.get(snapshotID("one")).Family != r.get(snapshotID("two")).Family {
		t.Error("the copies are of two families")
	}
	r.copied(p, snapshotID("one"), one)
	r.put(diskID("back"), copyOf(snapshotID("two")))
	for _, name := range []string{"one", "two"} {
		a, _, err := r.Delete(t.Context(), snapshotID(name))
		if err != nil {
			t.Fatal(err)
		}
		r.finish(a)
	}
	r.settle()
	if err := r.dropAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.store.volumes) != 1 {
		t.Errorf("the store is left with %d volumes, of which one is the disk", len(r.store.volumes))
	}
}

// TestPeerCopyFails requires the reason in copyCompletionError, and that nothing is left of access to the source.
func TestPeerCopyFails(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 3, "data")
	_, err := r.Put(t.Context(), snapshotID("none"), startCopyOf(tintype.Volume{ID: snapshotID("none")}))
	refused(t, err, "NotFound")
	full := p.put(snapshotID("full"), copyOf(d.ID))
	_, err = r.Put(t.Context(), snapshotID("x"), startCopyOf(full))
	refused(t, err, "OperationNotAllowed")
	source := p.snap("s", d)
	p.behave(errors.New("no route"), nil)
	_, err = r.Put(t.Context(), snapshotID("x"), startCopyOf(source))
	refused(t, err, copyUnreachable)
	p.behave(&tintype.Error{Kind: tintype.KindForbidden, Code: "no"}, nil)
	_, err = r.Put(t.Context(), snapshotID("x"), startCopyOf(source))
	refused(t, err, copyDenied)
	p.behave(nil, nil)

	revoked := false
	for _, x := range []struct {
		name, code string
		meanwhile  func(source tintype.Volume)
	}{
		{"gone", copyGone, func(v tintype.Volume) {
			a, _, err := p.Delete(t.Context(), v.ID)
			if err != nil {
				t.Fatal(err)
			}
			p.finish(a)
		}},
		{"denied", copyDenied, func(tintype.Volume) { p.behave(&tintype.Error{Kind: tintype.KindForbidden, Code: "no"}, nil) }},
		{"revoked", copyDenied, func(v tintype.Volume) {
			p.behave(nil, func(int64) error {
				if revoked {
					return nil
				}
				revoked = true
				a, err := p.Revoke(t.Context(), v.ID)
				return errors.Join(err, p.run(a.Operation.ID))
			})
		}},
		{"unreachable", copyUnreachable, func(tintype.Volume) { p.behave(errors.New("no route"), nil) }},
	} {
		source := p.snap(x.name, d)
		r.put(snapshotID(x.name), startCopyOf(source))
		x.meanwhile(source)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			_ = r.sweep(t.Context())
			if x.code == copyUnreachable {
				r.clock.Add(time.Hour)
			}
			if v := r.get(snapshotID(x.name)); v.Copy == nil || v.Copy.Code != "" {
				break
			}
		}
		v := r.get(snapshotID(x.name))
		if v.Copy == nil || v.Copy.Code != x.code {
			t.Errorf("%s: %+v", x.name, v.Copy)
		}
		p.behave(nil, nil)
		r.settle()
		_, err := r.Put(t.Context(), diskID("d"), copyOf(v.ID))
		refused(t, err, "OperationNotAllowed")
		a, _, err := r.Delete(t.Context(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		r.finish(a)
	}
	if g, _, err := p.Grants(t.Context(), testSub, ""); err != nil || len(g) != 0 {
		t.Errorf("access to sources is left: %v %v", g, err)
	}
}

// TestPeerCopyOutlastsAccess has the access run out during a read: it is asked for again.
func TestPeerCopyOutlastsAccess(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	for at := range int64(40) {
		p.store.put(d.Store, at*300, "data")
	}
	source := p.snap("s", d)
	var once sync.Once
	p.behave(nil, func(int64) error {
		once.Do(func() {
			r.clock.Add(copyAccess + time.Minute)
			p.clock.Add(copyAccess + time.Minute)
		})
		return nil
	})
	r.put(snapshotID("s"), startCopyOf(source))
	r.settle()
	r.copied(p, snapshotID("s"), source)
}

// TestPeerCopyQueue asks for many copies of one disk at once: each is built on the one before it.
func TestPeerCopyQueue(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	for at := range int64(50) {
		p.store.put(d.Store, at*7, "first")
	}
	var sources []tintype.Volume
	for i := range int64(copyBases + 4) {
		p.store.put(d.Store, 1000+i, "one more")
		sources = append(sources, p.snap("s"+string(rune('a'+i)), d))
	}
	for _, source := range sources {
		if _, err := r.Put(t.Context(), snapshotID(source.ID.Name), startCopyOf(source)); err != nil {
			t.Fatal(err)
		}
		r.clock.Add(time.Second)
	}
	r.settle()
	for _, source := range sources {
		r.copied(p, snapshotID(source.ID.Name), source)
	}
	if want := int64(50+len(sources)) * block.BlockSize; p.moved != want {
		t.Errorf("%d bytes were read, not %d", p.moved, want)
	}
}

// TestPeerCopyPatience: a copy that waited does not fail at the first error that passes, nor when the other server does not know us for
// a while.
func TestPeerCopyPatience(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 3, "data")
	for i, down := range []error{
		errors.New("no route"),
		&tintype.Error{Kind: tintype.KindUnauthenticated, Code: "no"},
	} {
		source := p.snap("s"+string(rune('0'+i)), d)
		id := snapshotID(source.ID.Name)
		r.put(id, startCopyOf(source))
		r.clock.Add(copyPatience + time.Hour)
		p.behave(down, nil)
		for range 40 {
			if err := r.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.await()
			r.clock.Add(time.Second)
		}
		p.behave(nil, nil)
		r.clock.Add(copyLongestRest)
		r.settle()
		r.copied(p, id, source)
	}
}

// TestPeerCopyRests requires fewer and fewer questions of a server that does not answer, whatever is done here, and no more than a few
// copies at a time.
func TestPeerCopyRests(t *testing.T) {
	r, p := pair(t)
	var mu sync.Mutex
	tries, now, most := 0, 0, 0
	slow := true
	for i := range 3 * copiesAtOnce {
		d := p.put(diskID("d"+string(rune('a'+i))), empty(1))
		p.store.put(d.Store, 3, "data")
		source := p.snap("s"+string(rune('a'+i)), d)
		r.put(snapshotID(source.ID.Name), startCopyOf(source))
	}
	p.asked = func() {
		mu.Lock()
		tries++
		now++
		most = max(most, now)
		wait := slow
		mu.Unlock()
		if wait {
			time.Sleep(2 * time.Millisecond)
		}
		mu.Lock()
		now--
		mu.Unlock()
	}
	p.behave(errors.New("no route"), nil)
	for range 120 {
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.await()
		r.clock.Add(5 * time.Second)
		slow = false
	}
	if each := tries / (3 * copiesAtOnce); each < 5 || each > 12 {
		t.Errorf("each was tried %d times in 10 minutes", each)
	}
	if most > copiesAtOnce {
		t.Errorf("%d went on at a time", most)
	}
	p.behave(nil, nil)
	r.clock.Add(copyLongestRest)
	r.settle()
	r.await()
	if len(r.resting) != 0 {
		t.Errorf("%d rest although nothing is copied", len(r.resting))
	}
}

// TestPeerCopyAccessUnknown: when it is not known whether access was given, only what is in the way is ended, and once it was given back
// nothing is ended any more.
func TestPeerCopyAccessUnknown(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 3, "data")
	for i, given := range []bool{false, true} {
		source := p.snap("s"+string(rune('0'+i)), d)
		id := snapshotID(source.ID.Name)
		lost := true
		p.granted = func(do func() (string, error)) (string, error) {
			if !lost {
				return do()
			}
			lost = false
			if given {
				if _, err := do(); err != nil {
					return "", err
				}
			}
			return "", errors.New("the answer was lost")
		}
		p.released = 0
		r.put(id, startCopyOf(source))
		r.settle()
		r.copied(p, id, source)
		want := 1
		if given {
			want = 2
		}
		if p.released != want {
			t.Errorf("given %t: access was ended %d times, not %d", given, p.released, want)
		}
	}
}

// TestPeerCopyDeleted deletes a snapshot while it is copied, which ends the copy.
func TestPeerCopyDeleted(t *testing.T) {
	r, p := pair(t)
	d := p.put(diskID("d"), empty(1))
	p.store.put(d.Store, 3, "data")
	source := p.snap("s", d)
	held, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.behave(nil, func(int64) error {
		once.Do(func() { close(held) })
		<-goOn
		return nil
	})
	r.put(snapshotID("s"), startCopyOf(source))
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-held
	if state := p.get(source.ID).State; state != tintype.ActiveSAS {
		t.Errorf("while it is read the source is %s", state)
	}
	a, _, err := r.Delete(t.Context(), snapshotID("s"))
	if err != nil {
		t.Fatal(err)
	}
	r.finish(a)
	close(goOn)
	r.settle()
	if err := r.dropAll(t.Context()); err != nil || len(r.store.volumes) != 0 {
		t.Errorf("the store is left with %d volumes: %v", len(r.store.volumes), err)
	}
	if state := p.get(source.ID).State; state != tintype.Unattached {
		t.Errorf("the source is left %s", state)
	}
}

// TestPeerCopyHistories plays copies of a chain of snapshots with the server dying between any two durable steps, the other failing
// now and then, and snapshots deleted on both sides. Each copy that ends is its source, and what was put on record is not asked for again.
func TestPeerCopyHistories(t *testing.T) {
	crashes := 0
	for seed := *seedFlag; seed < *seedFlag+*seedsFlag/4; seed++ {
		crashes += playCopies(t, seed)
		if t.Failed() {
			t.Fatalf("repeat with: go test ./internal/compute -run TestPeerCopyHistories -seed %d -seeds 2", seed)
		}
	}
	t.Logf("%d crashes", crashes)
	if crashes < int(*seedsFlag)/4 {
		t.Error("too few crashes for the test to test what it should")
	}
}

func playCopies(t *testing.T, seed uint64) (crashes int) {
	r, p := pair(t)
	rng := rand.New(rand.NewPCG(seed, 0xc0b1e5))
	breaks := rand.New(rand.NewPCG(seed, 0xbad))
	p.behave(nil, func(int64) error {
		if breaks.IntN(40) == 0 {
			return errors.New("the connection broke")
		}
		return nil
	})
	size := int64(1)
	d := p.put(diskID("d"), empty(size))
	sources := map[string]tintype.Volume{}
	for i := range 5 {
		for range rng.IntN(60) {
			at, text := rng.Int64N(size*tintype.GiB/block.BlockSize), ""
			if rng.IntN(4) > 0 {
				text = string(rune('a'+i)) + "x"
			}
			p.store.put(d.Store, at%200, text)
			p.store.put(d.Store, at, text)
		}
		if rng.IntN(3) == 0 {
			size++
			a, err := p.Patch(t.Context(), d.ID, tintype.Desired{SizeGB: &size})
			if err != nil {
				t.Fatal(err)
			}
			p.finish(a)
		}
		name := "s" + string(rune('0'+i))
		sources[name] = p.snap(name, d)
		left := rng.IntN(60)
		fault := func(string) error {
			if left--; left >= 0 {
				return nil
			}
			return errCrash
		}
		var mu sync.Mutex
		both := func(point string) error {
			mu.Lock()
			defer mu.Unlock()
			return fault(point)
		}
		r.fault, r.store.fault = both, both
		_, err := r.Put(t.Context(), snapshotID(name), startCopyOf(sources[name]))
		for range 8 {
			_ = r.sweep(t.Context()) // dies or not
			r.clock.Add(copyRest)
			time.Sleep(time.Millisecond)
		}
		r.await()
		mu.Lock()
		died := left < 0
		mu.Unlock()
		if died {
			crashes++
			(&history{rig: r}).checkRecorded()
		} else if err != nil {
			t.Fatal(err)
		}
		r.restart()
		r.clock.Add(10 * time.Minute)
		if _, err := r.Get(t.Context(), snapshotID(name)); err != nil {
			r.put(snapshotID(name), startCopyOf(sources[name])) // it had not been accepted
		}
		if i > 0 && rng.IntN(4) == 0 { // an older one goes, here or there
			older := "s" + string(rune('0'+rng.IntN(i)))
			if _, ok := sources[older]; ok && rng.IntN(2) == 0 {
				if a, ok, err := r.Delete(t.Context(), snapshotID(older)); ok && err == nil {
					r.finish(a)
					delete(sources, older)
				}
			}
		}
		r.settle()
		for name, source := range sources {
			r.copied(p, snapshotID(name), source)
		}
		r.wholeStore()
	}
	if g, _, err := p.Grants(t.Context(), testSub, ""); err != nil || len(g) != 0 {
		t.Errorf("access to sources is left: %v %v", g, err)
	}
	return crashes
}

// await waits until no copy is under way.
func (r *rig) await() {
	for {
		r.mu.Lock()
		n := len(r.copying)
		r.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
