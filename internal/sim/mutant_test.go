package sim

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var mutantsFlag = flag.Bool("sim.mutants", false, "plant every bug of the list, not only the first")

// mutant is a bug planted in a copy of one file of the engine.
type mutant struct {
	name, file, old, new string
}

var mutants = []mutant{
	{"a leaf is not copied after a snapshot", "disk.go", "if l.dirty && (l.epoch != d.epoch || l.gen != d.gen) {", "if false {"},
	{"a flush does not sync", "log.go", "err = s.segments.file(seg).SyncData(); err != nil", "err = error(nil); err != nil || seg == nil"},
	{"a new segment's name is not synced", "log.go", "// a history repeats\n		names = s.syncNames(files...)", ""},
	{"a log that ended goes on in the segment made ahead", "checkpoint.go", "err := d.dropAhead(); err != nil", "err := error(nil); err != nil"},
	{"a checkpoint does not wait for the log", "checkpoint.go", "if err := d.sync(m.record.NextSeq - 1); err != nil {", "if err := error(nil); err != nil {"},
	{"torn data is taken for whole", "recover.go", "return crcs[i] }) >= 0 {", "return crcs[i] }) >= 999 {"},
	{"replay skips holes", "recover.go", "d.unmapLeaves(lba, lba+n)", "_ = n"},
	{"a segment is removed that replay needs", "checkpoint.go", "!replay.needs(seg)", "len(replay) >= 0"},
	{"what a newer version replaced is not freed", "checkpoint.go", "w.counts.free(w.table, g.own, &f.content, o.start)", "_ = o"},
	{"what a snapshot still holds is freed", "checkpoint.go", "t.bornSince(e, start) {", "e.slot > 0 {"},
	{"a deleted snapshot takes shared versions along", "reclaim.go", "err != nil || c.keep {", "err != nil || c.keep && id.epoch == 0 {"},
	{"a clone sees one epoch too many", "snapshot.go", "s.newLineage(c.node.lin, c.node.epoch, id, size)", "s.newLineage(c.node.lin, c.node.epoch+1, id, size)"},
	{"the end of the log is reused after a restart", "recover.go", "d.rotate = true", "d.rotate = false"},
	{"a snapshot is answered before its data is synced", "snapshot.go", "return disks[0].flush()", "return nil"},
	{"compaction forgets the maps in memory", "compact.go", "c.patchMemory(d)", "_ = d"},
	{"what was moved is taken for new", "compact.go", "pos: m.born})", "pos: never - 1})"},
	{"the births of what was moved are not kept", "births.go", "s.segments.addBirths(seg, end, births)", "s.segments.addBirths(seg, end, births[:0])"},
	{"an unfinished step moves the end of a segment", "compact.go", "	m.used = end // also", "	m.used = end - 1 // also"},
	{"what was moved is taken for inherited", "compact.go", "pos: m.born})", "pos: 0})"},
	{"compaction looks at its own lineage only", "compact.go", "c.lineages = append(c.lineages, c.lineages[i].children...)", "break"},
	{"a difference looks at one side only", "diff.go", "slices.Concat(up[:i], down[:j])", "slices.Concat(up[:min(i, 0)], down[:j])"},
	{"a difference takes the version before", "pair.go", "if !begun[j] && id.epoch <= p.points[j].epoch {", "if !begun[j] && id.epoch < p.points[j].epoch {"},
	{"a difference of maps in memory is forgotten", "pair.go", "older.lin == nil && newer.lin == nil && a.lin == b.lin", "a.lin == b.lin"},
	{"what a kid still holds counts as exclusive", "share.go", "for _, c := range h.views(g.out, top) {", "for _, c := range h.views(g.out[:0], top) {"},
	{"what goes with a branch is forgotten", "family.go", "if (stays[k] || branches[k] > 0) && k.up != nil {", "if stays[k] && k.up != nil {"},
	{"a page goes that a later difference is based on", "reclaim.go", "	if c.base {", "	if c.base && c.keep {"},
	{"a difference forgets what was trimmed", "versionformat.go", "says: ^c.mask, ", "says: 0, "},
	{"a difference does not reach its page", "versionformat.go", "v.epoch-base.epoch > uint64(v.reach)", "v.epoch-base.epoch >= uint64(v.reach)"},
	{"a difference is taken to what it supersedes", "ground.go", "g.was, g.own = v.content, &v.content\n", "g.was, g.own, g.base = v.content, &v.content, &v\n	return g, nil\n"},
	{"a tally takes what a snapshot still holds for gone", "tally.go", "span == starts[len(starts)-1]", "span >= starts[0]"},
	{"a node takes its tally along", "reclaim.go", "	if r.kid == nil {\n		return r.store.dropTallies", "	if len(r.kid) < 2 {\n		return r.store.dropTallies"},
	{"sizes count what a later snapshot holds", "share.go", "if upTo[j] > upTo[min(i, j)] {", "if upTo[j] >= upTo[min(i, j)] {"},
	{"what is written ahead begins before the end of the log", "even.go", "from := max(s.even, l.slot)", "from := max(s.even, l.slot) - 1"},
	{"a checkpoint leaves what is half reclaimed", "settle.go", "err = r.one(id)", "_ = id"},
	{"what a node that is half gone held is inherited", "settle.go", "return append(pieces, below...), r.start", "return append(pieces, below...), start"},
	{"reclaiming that a crash interrupted begins again and again", "meta.go", "s.reclaiming.marked = true", "s.reclaiming.marked = false"},
	{"reclaiming forgets how far it has come", "reclaim.go", "		r.at.from.page++\n", "		r.at.from.page += 2\n"},
	{"settling writes nothing", "disk.go", "if len(l.pending) > 0 {", "if seq > 0 {\n			return nil\n		}\n		if len(l.pending) > 0 {"},
	{"a key is used before it is synced", "keytable.go", "err = f.SyncData()", "err = nil"},
	{"a changed key is not written to the second file", "keytable.go", "[]string{keyFileName, keyFileCopy} {\n		if err := replaceFile", "[]string{keyFileName} {\n		if err := replaceFile"},
	{"a replaced file is not synced", "replace.go", "err = f.Sync()", "err = nil"},
	{"what was moved keeps the mask of its old place", "cipher.go", "e.crc ^ m.mask(old, uint32(e.slot)) ^ m.mask(c, uint32(slot))", "e.crc ^ 0*m.mask(old, uint32(e.slot)) ^ 0*m.mask(c, uint32(slot))"},
	{"the key of a deleted disk goes before its clones", "rewrap.go", "sealed[lineage] || s.lineages[lineage] != nil", "s.lineages[lineage] != nil && s.lineages[lineage].head"},
	{"a disk whose key comes back is not brought to its end", "customerkeys.go", "		err := d.recover()\n", "		err := error(nil)\n		d.setDamage(nil)\n"},
	{"a disk whose key goes is not flushed", "customerkeys.go", "	err := d.flushLocked()\n	for err == nil && (", "	var err error\n	for err == nil && false && ("},
	{"a clone keeps the places of what is put in order", "order.go", "		return !touched\n", "		return !touched || id.lineage != c.lineage\n"},
	{"what is put in order is found in one segment only", "compact.go", "		counts[m.e.seg]--\n", "		counts[c.blocks[0].e.seg] -= 1 + 0*int64(m.e.slot)\n"},
	{"what is put in order counts as older than it is", "compact.go", "			m.born = cuts[i-1]\n", "			m.born = cuts[0]\n"},
	{"a version of a page that is met early is passed over", "compact.go", "c.next[i] <= uint64(page)", "c.next[i] < uint64(page)+c.next[i]%2"},
	{"compaction needs a key that is away", "compact.go", "		delete(known, id)\n", "		_ = id\n"},
	{"a volume opens without its key", "customerkeys.go", "v.locked.Store(v.key != \"\" &&", "v.locked.Store(false &&"},
	{"a zone that comes back is taken for whole", "zones.go", "	z.life.Add(1)\n	z.reason = nil", "	z.life.Add(1)\n	z.whole = true\n	z.reason = nil"},
	{"nobody is told which zones are out", "zones.go", "	for s.unsaved {", "	for s.unsaved && s.starting {"},
	{"a zone that is back trusts what it was writing", "zones.go", "		since = min(since, n)", "		since = max(since, n)"},
	{"a bad copy is copied on", "tend.go", "		if err := s.mend(seg, c, func(int64) error { return nil }); err != nil {", "		if err := error(nil); err != nil {"},
	{"metadata in a zone is not synced", "metamirror.go", "		return op(f.zonal[i].file)\n", "		_ = op\n		return nil\n"},
	{"a copy of the metadata forgets what is open", "metamirror.go", "		f.zonal[i] = zoneCopy{file: g, life: life}\n", "		_ = g.Close()\n"},
	{"a segment is zonal before its zones have it", "tend.go", "if c.usable(i) && c.zonal[i].whole {", "if c.usable(i) || z.in() {"},
	{"a difference leaves holes to its base", "versionformat.go", "says: ^c.mask", "says: base.mask ^ c.mask"},
	{"a block that is not what was written is returned", "read.go", "			return errChecksum", "			return nil"},
	{"a hole in the manifest passes for its end", "metaseal.go", "if is, ok := sums[name]; (!ok || is != was)", "if is, ok := sums[name]; is.Size > 1<<40 && (!ok || is != was)"},
	{"a damaged block is named for the disk alone", "damage.go", "		if v.node != nil {\n			view.epoch = v.node.epoch\n		}\n		all", "		if v.node != nil {\n			continue\n		}\n		all"},
	{"the scrub forgets what it met", "damages.go", "b.pass = d.pass", "b.pass = 0"},
	{"a hole is one block too long", "hollow.go", "			f(run)\n", "			f(hole{run.from, min(run.to+1, uint32(len(h.kinds)))})\n"},
	{"a header goes whose blocks live", "hollow.go", "whole = dead.has(uint16(slot))", "whole = true"},
	{"a hole is punched before it is durable that nobody needs it", "punch.go", "s.keepHoles(seg, now, !slices.Equal(now.all, was.all))", "s.keepHoles(seg, now, false)"},
	{"who copies a segment does not know its holes", "tend.go", "slot = s.segments.over(seg, slot)", "_ = s"},
	{"a merge loses the rest of the block", "write.go", "copy(buf[o:], in)", "clear(buf)\n		copy(buf[o:], in)"},
}

// TestMutantsFit holds the list to the engine: each bug must have its place, and one only.
func TestMutantsFit(t *testing.T) {
	for _, m := range mutants {
		source, err := os.ReadFile(filepath.Join("..", "lsd", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), m.old); n != 1 {
			t.Errorf("%s: %s has %q %d times, want once", m.name, m.file, m.old, n)
		}
	}
}

// TestMutants shows that the histories find bugs: each mutant must fail within 500 seeds.
func TestMutants(t *testing.T) {
	list := mutants[:1]
	if *mutantsFlag {
		list = mutants
	}
	for _, m := range list {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) { m.run(t) })
	}
}

var failedSeed = regexp.MustCompile(`seed (\d+): .*`)

func (m mutant) run(t *testing.T) {
	path, err := filepath.Abs(filepath.Join("..", "lsd", m.file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		t.Fatalf("%s has %q %d times, want once: the list of mutants is out of date", m.file, m.old, n)
	}
	dir := t.TempDir()
	mutated, overlay := filepath.Join(dir, m.file), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutated}})
	if err == nil {
		err = os.WriteFile(overlay, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", overlay, "-run", "TestSeeds|TestRot", ".", "-sim.count", "500")
	out, err := cmd.CombinedOutput()
	found := failedSeed.FindString(string(out))
	switch {
	case err == nil:
		t.Errorf("not found in 500 seeds")
	case strings.Contains(string(out), "build failed"):
		t.Errorf("does not build: %s", out)
	case found != "":
		t.Logf("found: %.160s", found)
	default:
		t.Logf("found: %.200s", out)
	}
}
