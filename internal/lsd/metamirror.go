package lsd

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"tintype/internal/vfs"
)

// mirror is the file system of the metadata and the keys: what is changed in the store's folder is changed in the zones too,
// at once, so that each zone has what is needed to begin again without that folder. Reads are from the store's own. A zone in
// which a change fails is out, and neither Pebble nor the keys hear of it.
type mirror struct {
	vfs.FS
	dir   string
	zones *zones

	mu   sync.RWMutex      // held for writing while a zone is attached
	life [zoneCount]uint64 // of the zones that are attached

	opened sync.Mutex
	files  map[*mirrorFile]struct{} // that may be written
}

// mirrorFile is a file that may be written, here and in the zones.
type mirrorFile struct {
	vfs.File
	m     *mirror
	name  string
	zonal [zoneCount]zoneCopy
}

// rebuilding lies in a zone whose copy of the metadata is not whole.
const rebuilding = "meta.rebuilding"

func newMirror(fsys vfs.FS, dir string, z *zones) *mirror {
	return &mirror{FS: fsys, dir: path.Clean(dir), zones: z, files: map[*mirrorFile]struct{}{}}
}

// at is where a zone has a file of the store's folder.
func (m *mirror) at(i int, name string) string {
	return path.Join(m.zones.all[i].dir, strings.TrimPrefix(path.Clean(name), m.dir))
}

func (m *mirror) attached(i int) bool { return m.zones.all[i].usable(m.life[i]) }

// has tells whether a zone's copy is whole and follows.
func (m *mirror) has(i int) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.attached(i)
}

// both does a change here, then in the zones. The caller holds no lock.
func (m *mirror) both(here func() error, there func(i int) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := here(); err != nil {
		return err
	}
	for i, z := range m.zones.all {
		if !m.attached(i) {
			continue
		}
		if err := there(i); err != nil {
			m.zones.fail(z, m.life[i], err)
		}
	}
	return nil
}

func (m *mirror) Create(name string) (vfs.File, error) { return m.open(name, m.FS.Create) }

func (m *mirror) OpenReadWrite(name string) (vfs.File, error) {
	return m.open(name, m.FS.OpenReadWrite)
}

func (m *mirror) open(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	f := &mirrorFile{m: m, name: name}
	err := m.both(func() (err error) {
		f.File, err = open(name)
		return err
	}, func(i int) error {
		g, err := open(m.at(i, name))
		f.zonal[i] = zoneCopy{file: g, life: m.life[i]}
		return err
	})
	if err != nil {
		return nil, err
	}
	m.opened.Lock()
	defer m.opened.Unlock()
	m.files[f] = struct{}{}
	return f, nil
}

func (m *mirror) Remove(name string) error {
	return m.both(func() error { return m.FS.Remove(name) }, func(i int) error { return removeFile(m.FS, m.at(i, name)) })
}

func (m *mirror) RemoveAll(name string) error {
	return m.both(func() error { return m.FS.RemoveAll(name) }, func(i int) error { return m.FS.RemoveAll(m.at(i, name)) })
}

func (m *mirror) Rename(from, to string) error {
	return m.both(func() error {
		m.opened.Lock()
		defer m.opened.Unlock()
		for f := range m.files {
			if f.name == from {
				f.name = to
			}
		}
		return m.FS.Rename(from, to)
	}, func(i int) error { return m.FS.Rename(m.at(i, from), m.at(i, to)) })
}

func (m *mirror) Link(from, to string) error {
	return m.both(func() error { return m.FS.Link(from, to) }, func(i int) error { return m.FS.Link(m.at(i, from), m.at(i, to)) })
}

func (m *mirror) MkdirAll(name string) error {
	return m.both(func() error { return m.FS.MkdirAll(name) }, func(i int) error { return m.FS.MkdirAll(m.at(i, name)) })
}

func (m *mirror) SyncDir(name string) error {
	err := m.both(func() error { return m.FS.SyncDir(name) }, func(i int) error { return m.FS.SyncDir(m.at(i, name)) })
	return errors.Join(err, m.zones.save())
}

// change does something to the file here and to its copies.
func (f *mirrorFile) change(op func(vfs.File) error) error {
	return f.m.both(func() error { return op(f.File) }, func(i int) error {
		if f.zonal[i].file == nil || f.zonal[i].life != f.m.life[i] {
			return fs.ErrClosed // it came while the zone was out: attach would have opened it
		}
		return op(f.zonal[i].file)
	})
}

func (f *mirrorFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.change(func(g vfs.File) error {
		_, err := g.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *mirrorFile) Truncate(size int64) error {
	return f.change(func(g vfs.File) error { return g.Truncate(size) })
}

func (f *mirrorFile) Allocate(off, n int64) error {
	return f.change(func(g vfs.File) error { return g.Allocate(off, n) })
}

func (f *mirrorFile) Punch(off, n int64) error {
	return f.change(func(g vfs.File) error { return g.Punch(off, n) })
}

// Sync makes the copies durable too, and which zones have none.
func (f *mirrorFile) Sync() error { return errors.Join(f.change(vfs.File.Sync), f.m.zones.save()) }

func (f *mirrorFile) SyncData() error {
	return errors.Join(f.change(vfs.File.SyncData), f.m.zones.save())
}

func (f *mirrorFile) Close() error {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	f.m.opened.Lock()
	delete(f.m.files, f)
	f.m.opened.Unlock()
	for i := range f.zonal {
		if g := f.zonal[i].file; g != nil {
			_ = g.Close() // what was to be durable has been synced
			f.zonal[i] = zoneCopy{}
		}
	}
	return f.File.Close()
}

// isMarker tells the file without which Pebble begins anew.
func isMarker(name string) bool { return strings.HasPrefix(name, "marker.manifest.") }

// listMeta lists a folder of metadata; nothing where there is none.
func listMeta(fsys vfs.FS, dir string) ([]string, error) {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "LOCK" }), err
}

// resume attaches, at the start, the zones whose copies have missed nothing: Pebble changes them from its first step on as it
// changes its own. What the last end tore, it writes anew before it needs it.
func (m *mirror) resume() {
	for i, z := range m.zones.all {
		life := z.life.Load()
		if life%2 == 1 && !m.zones.isBehind(z) && m.complete(i) {
			m.life[i] = life
		}
	}
}

// complete tells whether a zone's copy has every table that is here, and the same manifest.
func (m *mirror) complete(i int) bool {
	if _, err := m.FS.Stat(path.Join(m.zones.all[i].dir, rebuilding)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	dir := path.Join(m.dir, "meta")
	names, err := listMeta(m.FS, dir)
	if err != nil || m.FS.MkdirAll(m.at(i, dir)) != nil {
		return false
	}
	for _, name := range append(names, "../"+keyFileName, "../"+keyFileCopy) {
		if strings.HasSuffix(name, ".log") {
			continue
		}
		here, err := m.FS.Stat(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		there, failed := m.FS.Stat(m.at(i, path.Join(dir, name)))
		if err != nil || failed != nil || strings.HasSuffix(name, ".sst") && here.Size != there.Size {
			return false
		}
	}
	return true
}

// attach makes a zone's copy like what is here, and has it changed along from then on. Only the last part of it holds up
// the metadata.
func (m *mirror) attach(i int) error {
	z := m.zones.all[i]
	life := z.life.Load()
	if life%2 == 0 || m.has(i) {
		return nil
	}
	err := m.tryAttach(i, life)
	if err != nil {
		m.zones.fail(z, life, err)
	}
	return nil
}

func (m *mirror) tryAttach(i int, life uint64) error {
	dir, zone := path.Join(m.dir, "meta"), m.zones.all[i].dir
	mark, err := m.FS.Create(path.Join(zone, rebuilding))
	if err != nil {
		return err
	}
	if err := errors.Join(mark.Sync(), mark.Close(), m.FS.MkdirAll(m.at(i, dir)), m.FS.SyncDir(zone)); err != nil {
		return err
	}
	names, err := listMeta(m.FS, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			if err := copyFile(m.FS, path.Join(dir, name), m.at(i, path.Join(dir, name))); err != nil {
				return err
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.finishAttach(i, life, names); err != nil {
		return err
	}
	m.life[i] = life
	return nil
}

// finishAttach copies what is not a table, or was not there before, and opens what is being written. The caller holds m.mu.
func (m *mirror) finishAttach(i int, life uint64, copied []string) error {
	dir, zone := path.Join(m.dir, "meta"), m.zones.all[i].dir
	m.opened.Lock()
	defer m.opened.Unlock()
	writing := map[string]bool{}
	for f := range m.files {
		writing[path.Base(f.name)] = true
	}
	names, err := listMeta(m.FS, dir)
	if err != nil {
		return err
	}
	for _, name := range append(names, "../"+keyFileName, "../"+keyFileCopy) {
		if strings.HasSuffix(name, ".sst") && slices.Contains(copied, name) && !writing[name] {
			continue
		}
		if err := copyFile(m.FS, path.Join(dir, name), m.at(i, path.Join(dir, name))); err != nil {
			return err
		}
	}
	old, err := listMeta(m.FS, m.at(i, dir))
	if err != nil {
		return err
	}
	for _, name := range old {
		if !slices.Contains(names, name) {
			if err := m.FS.Remove(m.at(i, path.Join(dir, name))); err != nil {
				return err
			}
		}
	}
	for f := range m.files {
		g, err := m.FS.OpenReadWrite(m.at(i, f.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed here while it is open
		}
		if err != nil {
			return err
		}
		if was := f.zonal[i].file; was != nil {
			_ = was.Close() // of an earlier life
		}
		f.zonal[i] = zoneCopy{file: g, life: life}
	}
	return errors.Join(m.FS.SyncDir(m.at(i, dir)), m.FS.Remove(path.Join(zone, rebuilding)), m.FS.SyncDir(zone))
}

// detach closes the files in a zone that is out, so that its disk can be taken away.
func (m *mirror) detach(i int) {
	m.mu.Lock()
	var left []*mirrorFile
	if !m.attached(i) {
		m.opened.Lock()
		for f := range m.files {
			if f.zonal[i].file != nil {
				left = append(left, f)
			}
		}
		m.opened.Unlock()
	}
	slices.SortFunc(left, func(a, b *mirrorFile) int { return strings.Compare(a.name, b.name) }) // a history repeats
	files := make([]vfs.File, len(left))
	for k, f := range left {
		files[k], f.zonal[i] = f.zonal[i].file, zoneCopy{}
	}
	m.mu.Unlock()
	for _, g := range files {
		_ = g.Close() // the zone is out: what it had is copied anew
	}
}

// copyFile makes a file like another, durably, writing only what differs. What is not there is not copied.
func copyFile(fsys vfs.FS, from, to string) error {
	in, err := fsys.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	out, err := fsys.OpenReadWrite(to)
	if errors.Is(err, fs.ErrNotExist) {
		out, err = fsys.Create(to)
	}
	if err != nil {
		return errors.Join(err, in.Close())
	}
	err = copyBytes(in, out)
	return errors.Join(err, in.Close(), out.Close())
}

func copyBytes(in, out vfs.File) error {
	buf, old := make([]byte, pieceSize), make([]byte, pieceSize)
	for off := int64(0); ; off += pieceSize {
		n, err := in.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if has, _ := out.ReadAt(old[:n], off); has < n || string(old[:n]) != string(buf[:n]) {
			if _, err := out.WriteAt(buf[:n], off); err != nil {
				return err
			}
		}
		if err != nil {
			return errors.Join(out.Truncate(off+int64(n)), out.Sync())
		}
	}
}

var errNoCopy = errors.New("no zone has a whole copy of the metadata")

// restore puts the newest whole copy of the metadata in the place of what is here, which is set aside; keys that are missing
// come with it.
func (m *mirror) restore() error {
	best := -1
	var newest uint64
	for i, z := range m.zones.all {
		r, err := readZones(m.FS, z.dir)
		if err != nil || !z.in() || r.Counter < newest || !m.restorable(i) {
			continue
		}
		best, newest = i, r.Counter
	}
	if best < 0 {
		return errNoCopy
	}
	dir := path.Join(m.dir, "meta")
	if err := m.copyBack(best, dir+".new"); err != nil {
		return err
	}
	err := errors.Join(m.FS.RemoveAll(dir+".bad"), m.FS.Rename(dir, dir+".bad"), m.FS.Rename(dir+".new", dir), m.FS.SyncDir(m.dir))
	if err == nil {
		m.zones.log.Warn("the metadata was restored from a zone", "zone", m.zones.all[best].name, "old", dir+".bad")
	}
	return err
}

func (m *mirror) restorable(i int) bool {
	names, err := m.FS.List(m.at(i, path.Join(m.dir, "meta")))
	_, mark := m.FS.Stat(path.Join(m.zones.all[i].dir, rebuilding))
	return err == nil && errors.Is(mark, fs.ErrNotExist) && slices.ContainsFunc(names, isMarker)
}

func (m *mirror) copyBack(i int, to string) error {
	from := m.at(i, path.Join(m.dir, "meta"))
	if err := errors.Join(m.FS.RemoveAll(to), m.FS.MkdirAll(to)); err != nil {
		return err
	}
	names, err := listMeta(m.FS, from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(m.FS, path.Join(from, name), path.Join(to, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{keyFileName, keyFileCopy} {
		if _, err := m.FS.Stat(path.Join(m.dir, name)); errors.Is(err, fs.ErrNotExist) {
			if err := copyFile(m.FS, m.at(i, path.Join(m.dir, name)), path.Join(m.dir, name)); err != nil {
				return err
			}
		}
	}
	return m.FS.SyncDir(to)
}
