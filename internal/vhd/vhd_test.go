package vhd

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const mib = 1 << 20

var testID = Identity{Unique: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), Created: time.Date(2026, 11, 22, 13, 14, 15, 0, time.UTC)}

// qemuImg runs the judge from outside.
func qemuImg(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img (package qemu-utils) is not installed")
	}
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func virtualSize(t *testing.T, format, file string) int64 {
	t.Helper()
	var info struct {
		Size int64 `json:"virtual-size"`
	}
	out := qemuImg(t, "info", "-f", format, "--output=json", file)
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return info.Size
}

// TestFooterSizeExact: qemu-img must see exactly our size and not the geometry's, also where the geometry is rounded.
// 2040 GiB is the most that its driver opens.
func TestFooterSizeExact(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int64{
		512, 4096, mib - 512, mib, 20*mib + 512, 504*mib + 1024, 4 << 30, 30<<30 + 3*512, 32 << 30, 127 << 30, 128<<30 - 512,
		1 << 40, 2040 << 30,
	} {
		name := filepath.Join(dir, strconv.FormatInt(size, 10)+".vhd")
		footer := FixedFooter(size, testID)
		writeAt(t, name, size, footer[:])
		if got := virtualSize(t, "vpc", name); got != size {
			t.Errorf("size %d: qemu-img says %d", size, got)
		}
		if out := qemuImg(t, "info", "-f", "vpc", name); strings.Contains(out, "checksum") {
			t.Errorf("size %d: %s", size, out)
		}
	}
}

func writeAt(t *testing.T, name string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

func TestFooterRoundTrip(t *testing.T) {
	for _, size := range []int64{512, 3 * mib, 2 << 40, MaxSize} {
		b := FixedFooter(size, testID)
		f, err := ParseFooter(b[:])
		want := Footer{Type: TypeFixed, Size: size, DataOffset: noOffset, Identity: testID}
		if err != nil || !cmp.Equal(f, want) {
			t.Errorf("%v %s", err, cmp.Diff(want, f))
		}
		if again := FixedFooter(size, testID); again != b {
			t.Error("the same identity gave another footer")
		}
	}
	ancient := FixedFooter(512, Identity{Created: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)})
	if f, err := ParseFooter(ancient[:]); err != nil || !f.Identity.Created.Equal(epoch) {
		t.Errorf("a time before 2000 gives %v %v", f.Identity.Created, err)
	}
}

// TestFooterOfQEMU parses what qemu-img makes.
func TestFooterOfQEMU(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.vhd")
	qemuImg(t, "create", "-q", "-f", "vpc", "-o", "subformat=fixed,force_size=on", name, "20M")
	f := open(t, name)
	img, err := OpenFixed(f)
	if err != nil || img.Size() != 20*mib {
		t.Fatal(img, err)
	}
}

// TestGeometry holds the geometry against what qemu-img gives 20 MiB and against the format's maximum, and checks that
// in between it never says more than the size, nor a cylinder less.
func TestGeometry(t *testing.T) {
	const most = 65535 * 16 * 255
	type chs struct {
		C uint16
		H uint8
		S uint8
	}
	for sectors, want := range map[int64]chs{20 * mib / 512: {602, 4, 17}, most: {65535, 16, 255}, 1 << 40: {65535, 16, 255}} {
		var got chs
		if got.C, got.H, got.S = geometry(sectors); got != want {
			t.Errorf("%d sectors: %v, want %v", sectors, got, want)
		}
	}
	for sectors := int64(68); sectors < most; sectors += sectors/97 + 1 {
		c, h, s := geometry(sectors)
		cylinder := int64(h) * int64(s)
		if p := int64(c) * cylinder; p > sectors || sectors-p >= cylinder+int64(s) {
			t.Errorf("%d sectors: %d/%d/%d", sectors, c, h, s)
		}
	}
}

// TestFooterDamage flips each bit of a footer. All but the saved state's byte and the reserved space are covered by the
// checksum, and so are those.
func TestFooterDamage(t *testing.T) {
	good := FixedFooter(mib, testID)
	for bit := range FooterSize * 8 {
		b := good
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseFooter(b[:]); err == nil {
			t.Fatalf("bit %d flipped and nobody noticed", bit)
		}
	}
}

func refit(b []byte, at int) {
	binary.BigEndian.PutUint32(b[at:], checksum(b, at))
}

func TestCheckUpload(t *testing.T) {
	const size = 20 * mib
	good := FixedFooter(size, testID)
	const where = "https://h/md-x/c/abcd"
	if err := CheckUpload(good[:], size, where); err != nil {
		t.Error(err)
	}
	change := func(f func(b []byte)) []byte {
		b := good
		f(b[:])
		refit(b[:], offChecksum)
		return b[:]
	}
	be := binary.BigEndian
	for name, c := range map[string]struct {
		footer []byte
		words  string
	}{
		"nothing":  {make([]byte, FooterSize), "The specified cookie value in VHD footer indicates that disk 'abcd' with blob " + where + " is not a supported VHD. Disk is expected to have cookie value 'conectix'."},
		"cookie":   {change(func(b []byte) { b[0] = 'C' }), "'conectix'"},
		"checksum": {append(bytes.Clone(good[:FooterSize-1]), 1), "checksum"},
		"size":     {change(func(b []byte) { be.PutUint64(b[offCurrent:], size+512) }), "20972032 bytes"},
		"dynamic":  {change(func(b []byte) { be.PutUint32(b[offType:], 3) }), "type Dynamic"},
		"parent":   {change(func(b []byte) { be.PutUint32(b[offType:], 4) }), "type Differencing"},
		"type":     {change(func(b []byte) { be.PutUint32(b[offType:], 99) }), "disk type 99"},
		"version":  {change(func(b []byte) { b[offVersion+1] = 2 }), "version 2.0"},
		"short":    {good[:511], "511 bytes"},
	} {
		err := CheckUpload(c.footer, size, where)
		var refused *UploadError
		if !errors.As(err, &refused) || refused.Code != "InvalidVhd" || !strings.Contains(refused.Message, c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// sparseFile makes a file of size bytes with random data here and there, and gives its bytes.
func sparseFile(t *testing.T, rng *rand.Rand, name string, size int64) []byte {
	t.Helper()
	model := make([]byte, size)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		at := rng.Int64N(size)
		p := model[at:min(size, at+1+rng.Int64N(90_000))]
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		if _, err := f.WriteAt(p, at); err != nil {
			t.Fatal(err)
		}
	}
	return model
}

// checkImage compares an image with its bytes: whole, in random parts, and by extents, whose holes must be zero. It
// gives how many bytes are said to hold data.
func checkImage(t *testing.T, rng *rand.Rand, img Image, model []byte) int64 {
	t.Helper()
	size := int64(len(model))
	if img.Size() != size {
		t.Fatalf("size %d, want %d", img.Size(), size)
	}
	got := make([]byte, size)
	if n, err := img.ReadAt(got, 0); int64(n) != size || err != nil && err != io.EOF || !bytes.Equal(got, model) {
		t.Fatalf("read whole: %d, %v, equal %v", n, err, bytes.Equal(got, model))
	}
	for range 100 {
		off := rng.Int64N(size)
		n := 1 + rng.Int64N(min(size-off, 300_000))
		if _, err := img.ReadAt(got[:n], off); err != nil && err != io.EOF || !bytes.Equal(got[:n], model[off:off+n]) {
			t.Fatalf("read %d+%d: %v", off, n, err)
		}
		checkExtents(t, img, model, off, n)
	}
	if n, err := img.ReadAt(got[:10], size-3); n != 3 || err != io.EOF {
		t.Errorf("read across the end: %d, %v", n, err)
	}
	if err := img.Extents(size-1, 2, func(Extent) bool { return true }); err == nil {
		t.Error("extents outside were given")
	}
	calls := 0
	if err := img.Extents(0, size, func(Extent) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("yield was called %d times after it had said stop: %v", calls, err)
	}
	return checkExtents(t, img, model, 0, size)
}

func checkExtents(t *testing.T, img Image, model []byte, off, n int64) (data int64) {
	t.Helper()
	at := off
	err := img.Extents(off, n, func(e Extent) bool {
		if e.Off != at || e.Len <= 0 || e.Off+e.Len > off+n {
			t.Fatalf("extent %+v, expected one at %d up to %d", e, at, off+n)
		}
		if p := model[e.Off : e.Off+e.Len]; !e.Data && !bytes.Equal(p, make([]byte, len(p))) {
			t.Fatalf("hole %+v holds data", e)
		}
		if e.Data {
			data += e.Len
		}
		at += e.Len
		return true
	})
	if err != nil || at != off+n {
		t.Fatalf("extents of %d+%d ended at %d: %v", off, n, at, err)
	}
	return data
}

func TestRawAndFixed(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	for i, size := range []int64{40 * mib, 7*mib + 512, 3*mib + 77} {
		name := filepath.Join(dir, strconv.Itoa(i))
		model := sparseFile(t, rng, name, size)
		img, err := OpenRaw(open(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if data := checkImage(t, rng, img, model); data > 3*mib && size > 30*mib {
			t.Errorf("%d bytes of %d are said to be data: holes are not seen", data, size)
		}
		if size%512 != 0 {
			continue
		}
		footer := FixedFooter(size, testID)
		writeAt(t, name, size, footer[:])
		if img, err = OpenFixed(open(t, name)); err != nil {
			t.Fatal(err)
		}
		checkImage(t, rng, img, model)
		rawName := name + ".raw"
		if err := os.WriteFile(rawName, model, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := virtualSize(t, "vpc", name); got != size {
			t.Errorf("qemu-img sees %d bytes, want %d", got, size)
		}
		qemuImg(t, "compare", "-f", "vpc", "-F", "raw", name, rawName)
	}
}

// TestDynamicOfQEMU reads what qemu-img writes.
func TestDynamicOfQEMU(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(2, 2))
	for i, size := range []int64{60 * mib, 5*mib + 512} {
		rawName, name := filepath.Join(dir, strconv.Itoa(i)), filepath.Join(dir, strconv.Itoa(i)+".vhd")
		model := sparseFile(t, rng, rawName, size)
		qemuImg(t, "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", rawName, name)
		f := open(t, name)
		stat, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		img, err := OpenDynamic(f, stat.Size())
		if err != nil {
			t.Fatal(err)
		}
		if data := checkImage(t, rng, img, model); data > size*3/4 && i == 0 {
			t.Errorf("%d of %d bytes are said to be data", data, size)
		}
		if got, err := Detect(f, stat.Size()); got != Sparse || err != nil {
			t.Errorf("detected as %q %v", got, err)
		}
	}
}

// makeDynamic builds a dynamic VHD in blocks of any size, with only those sectors marked that are not zero. Unmarked
// sectors of a block are filled with rubbish, which must not be seen.
func makeDynamic(model []byte, blockSize int) []byte {
	be := binary.BigEndian
	blocks := (len(model) + blockSize - 1) / blockSize
	tableLen := (blocks*4 + 511) / 512 * 512
	footer := FixedFooter(int64(len(model)), testID)
	be.PutUint64(footer[offDataOffset:], 512)
	be.PutUint32(footer[offType:], uint32(TypeDynamic))
	refit(footer[:], offChecksum)
	header := make([]byte, headerSize)
	copy(header, headerCookie)
	be.PutUint64(header[8:], noOffset)
	be.PutUint64(header[offTable:], 512+headerSize)
	be.PutUint32(header[offHeaderVer:], formatVersion)
	be.PutUint32(header[offMaxEntries:], uint32(blocks))
	be.PutUint32(header[offBlockSize:], uint32(blockSize))
	refit(header, offHeaderCheck)
	table := bytes.Repeat([]byte{0xff}, tableLen)
	file := append(append(append([]byte(nil), footer[:]...), header...), table...)
	bitmapLen := ((blockSize/512+7)/8 + 511) / 512 * 512
	for i := range blocks {
		block := model[i*blockSize : min(len(model), (i+1)*blockSize)]
		if bytes.Equal(block, make([]byte, len(block))) {
			continue
		}
		be.PutUint32(file[512+headerSize+i*4:], uint32(len(file)/512))
		bitmap, data := make([]byte, bitmapLen), bytes.Repeat([]byte{0xdd}, blockSize)
		for s := 0; s*512 < len(block); s++ {
			if sector := block[s*512 : (s+1)*512]; !bytes.Equal(sector, make([]byte, 512)) {
				bitmap[s/8] |= 0x80 >> (s % 8)
				copy(data[s*512:], sector)
			}
		}
		file = append(append(file, bitmap...), data...)
	}
	return append(file, footer[:]...)
}

func TestDynamicBitmaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, blockSize := range []int{512, 4096, 64 << 10, 2 * mib} {
		model := make([]byte, 5*mib+512)
		for range 30 {
			at := rng.IntN(len(model) / 512)
			copy(model[at*512:min(len(model), (at+1+rng.IntN(20))*512)], bytes.Repeat([]byte{byte(1 + rng.IntN(255))}, 20*512))
		}
		file := makeDynamic(model, blockSize)
		img, err := OpenDynamic(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, rng, img, model)
		// The copy of the footer at the beginning serves when the file lost its end.
		if img, err = OpenDynamic(bytes.NewReader(file), int64(len(file)-512)); err != nil {
			t.Fatal(err)
		}
		checkImage(t, rng, img, model)
	}
}

// TestDynamicRefused breaks a sound file in one place each.
func TestDynamicRefused(t *testing.T) {
	be := binary.BigEndian
	model := make([]byte, mib)
	model[0] = 1
	good := makeDynamic(model, 64<<10)
	header := func(f func(h []byte)) func([]byte) []byte {
		return func(b []byte) []byte {
			f(b[512:])
			refit(b[512:512+headerSize], offHeaderCheck)
			return b
		}
	}
	footers := func(f func(h []byte)) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, at := range []int{0, len(b) - 512} {
				f(b[at:])
				refit(b[at:at+512], offChecksum)
			}
			return b
		}
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"differencing":       {footers(func(f []byte) { be.PutUint32(f[offType:], 4) }), ErrParent},
		"header outside":     {footers(func(f []byte) { be.PutUint64(f[offDataOffset:], 1<<40) }), ErrFormat},
		"header at all ones": {footers(func(f []byte) { be.PutUint64(f[offDataOffset:], noOffset) }), ErrFormat},
		"larger disk":        {footers(func(f []byte) { be.PutUint64(f[offCurrent:], 2*mib) }), ErrFormat},
		"header cookie":      {header(func(h []byte) { h[0] = 'C' }), ErrFormat},
		"header checksum":    {func(b []byte) []byte { b[512+100] = 1; return b }, ErrChecksum},
		"table outside":      {header(func(h []byte) { be.PutUint64(h[offTable:], 1<<62) }), ErrFormat},
		"table all ones":     {header(func(h []byte) { be.PutUint64(h[offTable:], noOffset) }), ErrFormat},
		"block size 0":       {header(func(h []byte) { be.PutUint32(h[offBlockSize:], 0) }), ErrFormat},
		"block size 3 x 512": {header(func(h []byte) { be.PutUint32(h[offBlockSize:], 1536) }), ErrFormat},
		"block size 2 GiB":   {header(func(h []byte) { be.PutUint32(h[offBlockSize:], 1<<31) }), ErrFormat},
		"too few entries":    {header(func(h []byte) { be.PutUint32(h[offMaxEntries:], 15) }), ErrFormat},
		"header version 2":   {header(func(h []byte) { h[offHeaderVer+1] = 2 }), ErrFormat},
		"block outside":      {func(b []byte) []byte { be.PutUint32(b[512+headerSize:], 0x7fffffff); return b }, ErrFormat},
		"truncated":          {func(b []byte) []byte { return b[:len(b)-4096] }, ErrFormat},
		"only a footer":      {func(b []byte) []byte { return b[:512] }, ErrFormat},
		"nothing":            {func(b []byte) []byte { return nil }, ErrFormat},
		"fixed": {func([]byte) []byte {
			f := FixedFooter(mib, testID)
			return f[:]
		}, ErrFormat},
	} {
		b := c.change(bytes.Clone(good))
		if _, err := OpenDynamic(bytes.NewReader(b), int64(len(b))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// Half a million blocks asked for by a file of a few sectors must not become memory.
	huge := footers(func(f []byte) { be.PutUint64(f[offCurrent:], 2<<40) })(bytes.Clone(good))
	huge = header(func(h []byte) { be.PutUint32(h[offMaxEntries:], 1<<31); be.PutUint32(h[offBlockSize:], 512) })(huge)
	if _, err := OpenDynamic(bytes.NewReader(huge), int64(len(huge))); !errors.Is(err, ErrFormat) {
		t.Errorf("huge table: %v", err)
	}
}

func TestDetect(t *testing.T) {
	disk := make([]byte, mib)
	disk[510], disk[511] = 0x55, 0xaa
	footer := FixedFooter(mib, testID)
	fixed := append(bytes.Clone(disk), footer[:]...)
	broken := bytes.Clone(fixed)
	broken[len(broken)-1] = 1
	for _, c := range []struct {
		name string
		b    []byte
		want Format
	}{
		{"raw", disk, Raw},
		{"fixed", fixed, Fixed},
		{"broken footer", broken, Fixed},
		{"a guest's qcow2 in a fixed VHD", append(append([]byte("QFI\xfb\x00\x00\x00\x03"), fixed[8:len(fixed)-512]...), footer[:]...), Fixed},
		{"a guest's VHD in a fixed VHD", append(append(bytes.Clone(footer[:]), fixed[512:len(fixed)-512]...), footer[:]...), Fixed},
		{"raw with an old footer", append(bytes.Clone(fixed[512:]), disk[:0]...), Raw},
		{"dynamic", makeDynamic(disk, 4096), Sparse},
		{"short", []byte("x"), Raw},
		{"empty", nil, Raw},
		{"qcow2", []byte("QFI\xfb\x00\x00\x00\x03"), QCOW2},
		{"vmdk text", []byte("# Disk DescriptorFile\nversion=1"), VMDK},
		{"vhdx", []byte("vhdxfile"), VHDX},
		{"gzip", []byte("\x1f\x8b\x08\x00"), Gzip},
	} {
		if got, err := Detect(bytes.NewReader(c.b), int64(len(c.b))); got != c.want || err != nil {
			t.Errorf("%s: %q %v, want %q", c.name, got, err, c.want)
		}
	}
	f := func(name string, size int64) *os.File {
		file := filepath.Join(t.TempDir(), name)
		writeAt(t, file, 0, fixed[:size])
		return open(t, file)
	}
	if _, err := OpenFixed(f("cut", int64(len(fixed)-1))); !errors.Is(err, ErrCookie) {
		t.Errorf("truncated fixed VHD: %v", err)
	}
	if _, err := OpenFixed(f("tiny", 100)); !errors.Is(err, ErrFormat) {
		t.Errorf("tiny fixed VHD: %v", err)
	}
}

func FuzzFooter(f *testing.F) {
	good := FixedFooter(mib, testID)
	f.Add(good[:], true)
	f.Add(make([]byte, FooterSize), false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) == FooterSize {
			copy(b, Cookie)
			refit(b, offChecksum)
		}
		footer, err := ParseFooter(b)
		if err != nil {
			return
		}
		if footer.Size <= 0 || footer.Size > MaxSize || footer.Size%512 != 0 {
			t.Fatalf("%+v", footer)
		}
		again := FixedFooter(footer.Size, footer.Identity)
		got, err := ParseFooter(again[:])
		if err != nil || got.Size != footer.Size || got.Identity != footer.Identity {
			t.Fatalf("%+v became %+v, %v", footer, got, err)
		}
	})
}

// FuzzDynamic: whatever the file, opening and reading ends without panic, and extents agree with bytes.
func FuzzDynamic(f *testing.F) {
	model := make([]byte, 40<<10)
	model[5000] = 1
	f.Add(makeDynamic(model, 4096), true)
	f.Add(makeDynamic(model, 512), false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= 512+headerSize {
			refit(b[:512], offChecksum)
			refit(b[512:512+headerSize], offHeaderCheck)
		}
		d, err := OpenDynamic(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		n := min(d.Size(), 1<<20)
		p := make([]byte, n)
		if _, err := d.ReadAt(p, d.Size()-n); err != nil {
			t.Fatal(err) // every block was checked to be in the file
		}
		at := d.Size() - n
		err = d.Extents(at, n, func(e Extent) bool {
			if e.Off != at || e.Len <= 0 {
				t.Fatalf("extent %+v at %d", e, at)
			}
			part := p[e.Off-(d.Size()-n):][:e.Len]
			if !e.Data && !bytes.Equal(part, make([]byte, len(part))) {
				t.Fatalf("hole %+v holds data", e)
			}
			at += e.Len
			return true
		})
		if err != nil || at != d.Size() {
			t.Fatalf("extents ended at %d of %d: %v", at, d.Size(), err)
		}
	})
}
