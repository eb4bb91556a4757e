package e2e

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/pageblob"

	"tintype/internal/nbd/nbdclient"
	"tintype/internal/rig"
)

const (
	diffSize    = 4 << 30
	diffGrown   = 5 << 30
	diffChanges = 3000
)

// TestDifference makes an image of a disk's first snapshot into one of its second by what changed alone: scattered writes,
// trims and zeroes on 4 GiB, and a resize in between. az makes the snapshots. One nbdcopy applies the difference to an image
// that qemu-nbd serves; Azure's blob client does it with page ranges. Nothing of ours is in between. qemu-img compares.
func TestDifference(t *testing.T) {
	need(t, "az", "nbdcopy", "qemu-nbd", "qemu-img")
	server := start(t, t.TempDir())
	term := openAz(t, server)
	term.must("tintype group create -g g -l westus2 -o none")
	term.must("tintype disk create -g g -n d --size-gb 4 -o none")
	scatter(t, term, diffSize, 1)
	term.must("az snapshot create -g g -n monday --source d --incremental true -o none")
	term.must("tintype disk update -g g -n d --size-gb 5 -o none")
	term.must("tintype disk detach -g g -n d")
	scatter(t, term, diffGrown, 2)
	term.must("az snapshot create -g g -n tuesday --source d --incremental true -o none")

	dir := t.TempDir()
	image, second := filepath.Join(dir, "image"), filepath.Join(dir, "second")
	term.must("nbdcopy " + term.must("tintype snapshot attach -g g -n monday") + " " + image)
	term.must("tintype snapshot detach -g g -n monday")
	term.must("cp --sparse=always " + image + " " + second)
	for _, file := range []string{image, second} {
		if err := os.Truncate(file, diffGrown); err != nil {
			t.Fatal(err)
		}
	}
	whole := term.must("tintype snapshot attach -g g -n tuesday --since monday")
	changes := term.must("tintype snapshot attach -g g -n tuesday --since monday --changes")
	if out, err := term.try("qemu-img compare -f raw -F raw " + whole + " " + image); err == nil {
		t.Fatalf("the images are alike before anything was copied: %s", out)
	}
	term.must("nbdcopy --destination-is-zero -S 0 --request-size=4096 -- " + changes + " [ qemu-nbd -f raw " + image + " ]")
	identical(t, term, whole, image)
	term.must("tintype snapshot detach -g g -n tuesday")

	ranges, clears, bytes := applyPages(t, server, term, second)
	t.Logf("%d page ranges of %d bytes and %d cleared ranges", ranges, bytes, clears)
	if ranges < diffChanges/3 || clears < diffChanges/10 || bytes > diffGrown/8 {
		t.Error("that is not what changed")
	}
	identical(t, term, term.must("tintype snapshot attach -g g -n tuesday"), second)
}

func identical(t *testing.T, term *terminal, uri, image string) {
	t.Helper()
	if out := term.must("qemu-img compare -f raw -F raw " + uri + " " + image); !strings.Contains(out, "identical") {
		t.Fatalf("qemu-img compare: %s", out)
	}
}

// scatter attaches the disk and writes, trims and clears here and there, as a guest would.
func scatter(t *testing.T, term *terminal, size int64, seed uint64) {
	t.Helper()
	guest, err := nbdclient.Dial(t.Context(), term.must("tintype disk attach -g g -n d --host h"))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	if guest.Size() != size {
		t.Fatalf("the disk has %d bytes, want %d", guest.Size(), size)
	}
	rng := rand.New(rand.NewPCG(seed, seed))
	data := make([]byte, 64<<10)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for range diffChanges {
		n := 512 * (1 + rng.Int64N(40))
		off := 512 * rng.Int64N((size-n)/512)
		if rng.IntN(4) == 0 { // where much is written, so that what is cleared had data
			off %= 64 * mib
		}
		switch rng.IntN(10) {
		case 0, 1:
			err = guest.Trim(off, n)
		case 2:
			err = guest.WriteZeroes(off, n)
		default:
			from := rng.Int64N(int64(len(data)) - n)
			_, err = guest.WriteAt(data[from:from+n], off)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// What the first round wrote here, the second takes away in one piece.
	if seed == 1 {
		for off := int64(0); off < 32*mib; off += int64(len(data)) {
			if _, err := guest.WriteAt(data[:32<<10], diffSize/2+off); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if err := guest.Trim(diffSize/2, 32*mib); err != nil {
		t.Fatal(err)
	}
}

// applyPages brings an image of monday to tuesday with Azure's blob client and two signed URLs.
func applyPages(t *testing.T, server *rig.Server, term *terminal, file string) (ranges, clears int, bytes int64) {
	t.Helper()
	grant := "tintype snapshot grant-access -g g --duration-in-seconds 600 --query accessSas -o tsv -n "
	older, newer := term.must(grant+"monday"), term.must(grant+"tuesday")
	options := &pageblob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: httpClient(t, server)}}
	client, err := pageblob.NewClientWithNoCredential(newer, options)
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	inside := func(r *pageblob.PageRange) (off, n int64) { // without the footer
		return *r.Start, min(*r.End+1, diffGrown) - *r.Start
	}
	zeroes, most := make([]byte, 33*mib), int32(1000)
	pages := client.NewGetPageRangesDiffPager(&pageblob.GetPageRangesDiffOptions{PrevSnapshotURL: &older, MaxResults: &most})
	for pages.More() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.PageRange {
			off, n := inside(r)
			if n <= 0 {
				continue
			}
			if err := fetch(t.Context(), client, image, off, n); err != nil {
				t.Fatal(err)
			}
			ranges, bytes = ranges+1, bytes+n
		}
		for _, r := range page.ClearRange {
			off, n := (*r.Start), *r.End+1-*r.Start
			if _, err := image.WriteAt(zeroes[:n], off); err != nil {
				t.Fatal(err)
			}
			clears++
		}
	}
	made := term.must("tintype snapshot show -g g -n monday --query timeCreated -o tsv")
	pages = client.NewGetPageRangesDiffPager(&pageblob.GetPageRangesDiffOptions{PrevSnapshot: &made})
	page, err := pages.NextPage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The footer is one range more.
	if len(page.PageRange) != ranges+1 || len(page.ClearRange) != clears {
		t.Errorf("since the time of monday, %d page ranges and %d cleared ones", len(page.PageRange), len(page.ClearRange))
	}
	for _, name := range []string{"monday", "tuesday"} {
		term.must("tintype snapshot revoke-access -g g -n " + name)
	}
	return ranges, clears, bytes
}

// fetch copies a range of a blob to the same place in a file.
func fetch(ctx context.Context, client *pageblob.Client, file *os.File, off, n int64) error {
	answer, err := client.DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: off, Count: n}})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.NewOffsetWriter(file, off), answer.Body)
	return err
}
