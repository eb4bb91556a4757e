package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tintype/internal/rig"
)

const (
	vmImageSize = 256 * mib
	vmPartition = 1 * mib // where the file system begins; the boot loader lies before it
)

// vmModules are the drivers that the machine needs. What Debian's kernel has built in is no file and left out.
var vmModules = []string{
	"virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
	"crc16", "crc32c_generic", "mbcache", "jbd2", "ext4",
}

// bootableImage makes a disk that a PC boots: GRUB, Debian's kernel and our own small user space in an ext4 partition. The
// parts are Debian's packages, downloaded and unpacked, not installed.
func bootableImage(t *testing.T) string {
	t.Helper()
	need(t, "apt-get", "apt-cache", "dpkg-deb", "mke2fs")
	dir := t.TempDir()
	parts := filepath.Join(dir, "parts")
	unpackPackages(t, parts)
	guest := filepath.Join(dir, "vmguest")
	vmRun(t, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"}, "go", "build", "-o", guest, "tintype/e2e/vmguest")

	root := filepath.Join(dir, "root")
	for _, sub := range []string{"boot", "sbin", "dev", "files"} {
		mustDo(t, os.MkdirAll(filepath.Join(root, sub), 0o755))
	}
	copyFile(t, one(t, filepath.Join(parts, "boot/vmlinuz-*")), filepath.Join(root, "boot/vmlinuz"))
	copyFile(t, guest, filepath.Join(root, "sbin/init"))
	mustDo(t, os.WriteFile(filepath.Join(root, "boot/initrd"), initialRAMDisk(t, parts, guest), 0o644))

	image := filepath.Join(dir, "vm.img")
	mustDo(t, os.WriteFile(image, nil, 0o600))
	mustDo(t, os.Truncate(image, vmImageSize))
	// The features are listed because GRUB does not know the newest ones.
	vmRun(t, nil, "mke2fs", "-q", "-t", "ext4", "-O", "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,"+
		"64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum", "-d", root,
		"-E", fmt.Sprintf("offset=%d", vmPartition), image, fmt.Sprintf("%dk", (vmImageSize-vmPartition)>>10))
	installGRUB(t, parts, image)
	return image
}

// unpackPackages fetches what the image is made of. Where the machine's own lists of packages are missing or old, it
// fetches new ones for itself. The test is skipped where packages cannot be had, on CI too: that is not our failure.
func unpackPackages(t *testing.T, dir string) {
	t.Helper()
	lists, cache := filepath.Join(dir, "lists"), filepath.Join(dir, "cache")
	mustDo(t, os.MkdirAll(filepath.Join(lists, "partial"), 0o755))
	mustDo(t, os.MkdirAll(filepath.Join(cache, "archives/partial"), 0o755))
	err := download(t, dir)
	if err != nil {
		own := []string{"-o", "Dir::State::Lists=" + lists, "-o", "Dir::Cache=" + cache}
		_, err = rig.Run(t.Context(), "apt-get", append(own, "-q", "update")...)
		if err == nil {
			err = download(t, dir, own...)
		}
	}
	if err != nil {
		t.Skipf("the guest's kernel and boot loader cannot be fetched: %v", err)
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	mustDo(t, err)
	for _, deb := range debs {
		vmRun(t, nil, "dpkg-deb", "-x", deb, dir)
	}
}

// download fetches the packages into a folder. GRUB's builder needs a library that not every machine has.
func download(t *testing.T, dir string, options ...string) error {
	t.Helper()
	const kernel = "linux-image-cloud-amd64" // it has no files, and depends on the newest that has
	depends, err := rig.Run(t.Context(), "apt-cache", append(options, "depends", "--important", kernel)...)
	if err != nil {
		return err
	}
	_, name, found := strings.Cut(depends, "Depends: ")
	if !found {
		return fmt.Errorf("apt knows no package %s: %q", kernel, depends)
	}
	name, _, _ = strings.Cut(name, "\n")
	cmd := exec.CommandContext(t.Context(), "apt-get",
		append(options, "-q", "download", name, "grub-pc-bin", "grub-common", "libdevmapper1.02.1")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download: %w\n%s", err, out)
	}
	return nil
}

// initialRAMDisk is an archive of the program and the kernel's modules.
func initialRAMDisk(t *testing.T, parts, guest string) []byte {
	t.Helper()
	var a cpio
	for _, dir := range []string{"dev", "root", "modules"} {
		a.add(dir, 0o040755, nil)
	}
	a.add("init", 0o100755, readFile(t, guest))
	found := map[string]string{}
	mustDo(t, filepath.WalkDir(parts, func(path string, _ os.DirEntry, err error) error {
		name, suffix, _ := strings.Cut(filepath.Base(path), ".")
		if strings.HasPrefix(suffix, "ko") {
			found[name] = path
		}
		return err
	}))
	for _, name := range vmModules {
		if path := found[name]; path != "" {
			a.add("modules/"+filepath.Base(path), 0o100644, readFile(t, path))
		}
	}
	a.add("TRAILER!!!", 0, nil)
	return a.Bytes()
}

// cpio is an archive in the format "newc", which the kernel unpacks as its initial RAM disk.
type cpio struct {
	bytes.Buffer
	inode int
}

func (c *cpio) add(name string, mode int, data []byte) {
	c.inode++
	c.WriteString("070701")
	// Number, mode, owner, group, links, time, size, device, its minor, special device, its minor, length of name, checksum.
	for _, field := range []int{c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0} {
		fmt.Fprintf(c, "%08X", field)
	}
	c.WriteString(name + "\x00")
	c.pad()
	c.Write(data)
	c.pad()
}

func (c *cpio) pad() { c.Write(make([]byte, -c.Len()&3)) }

// installGRUB puts the boot loader before the partition, and the partition into the table.
func installGRUB(t *testing.T, parts, image string) {
	t.Helper()
	dir := t.TempDir()
	config, core := filepath.Join(dir, "grub.cfg"), filepath.Join(dir, "core.img")
	// console=: what the kernel says is seen; loglevel=4: what is not all right is said.
	mustDo(t, os.WriteFile(config, []byte("linux (hd0,msdos1)/boot/vmlinuz console=ttyS0 loglevel=4 panic=-1\n"+
		"initrd (hd0,msdos1)/boot/initrd\nboot\n"), 0o600))
	modules := filepath.Join(parts, "usr/lib/grub/i386-pc")
	libraries := "LD_LIBRARY_PATH=" + filepath.Dir(one(t, filepath.Join(parts, "*/x86_64-linux-gnu/libdevmapper.so.*"),
		filepath.Join(parts, "usr/lib/x86_64-linux-gnu/libdevmapper.so.*")))
	vmRun(t, []string{libraries}, filepath.Join(parts, "usr/bin/grub-mkimage"), "-d", modules, "-O", "i386-pc",
		"-p", "/boot/grub", "-c", config, "-o", core, "biosdisk", "part_msdos", "ext2", "linux", "boot")

	sector := make([]byte, 512)
	copy(sector[:440], readFile(t, filepath.Join(modules, "boot.img"))) // it loads the sector behind it and what that names
	entry := sector[446:]
	entry[0], entry[4] = 0x80, 0x83 // bootable, Linux
	binary.LittleEndian.PutUint32(entry[8:], vmPartition/512)
	binary.LittleEndian.PutUint32(entry[12:], (vmImageSize-vmPartition)/512)
	sector[510], sector[511] = 0x55, 0xaa
	loader := append(sector, readFile(t, core)...)
	if len(loader) > vmPartition {
		t.Fatalf("GRUB has %d bytes", len(loader))
	}
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	mustDo(t, err)
	_, err = f.WriteAt(loader, 0)
	mustDo(t, err)
	mustDo(t, f.Close())
}

// vmRun runs a program with a few more variables.
func vmRun(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

// one is the first file that matches one of the patterns.
func one(t *testing.T, patterns ...string) string {
	t.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		mustDo(t, err)
		if len(names) > 0 {
			return names[0]
		}
	}
	t.Fatalf("there is no %s", patterns)
	return ""
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	mustDo(t, err)
	return text
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	mustDo(t, os.WriteFile(to, readFile(t, from), 0o755))
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkFileSystem runs e2fsck on what a disk holds, reading it over NBD. It must be clean, not merely repairable.
func checkFileSystem(t *testing.T, uri string) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.img")
	for _, line := range [][]string{
		{"nbdcopy", uri, copied},
		{"e2fsck", "-f", "-n", fmt.Sprintf("%s?offset=%d", copied, vmPartition)},
	} {
		if out, err := rig.Run(t.Context(), line[0], line[1:]...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	mustDo(t, os.Remove(copied))
}
