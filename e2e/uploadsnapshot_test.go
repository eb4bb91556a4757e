package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/pageblob"

	"tintype/internal/rig"
)

// TestSnapshotUpload has az make a snapshot for an upload, and Azure's blob client fill it with a VHD of qemu-img's. What comes back
// must be that image, from a disk that is made of it, after the server was killed in the middle.
func TestSnapshotUpload(t *testing.T) {
	need(t, "az", "qemu-img")
	data := t.TempDir()
	server := launch(t, data, "--listen", freeAddress(t))
	term := openAz(t, server)
	image, vhd := makeImage(t, 1<<30), filepath.Join(t.TempDir(), "up.vhd")
	term.must("qemu-img convert -O vpc -o subformat=fixed,force_size " + image + " " + vhd)
	term.must("az group create -g up -l westus2 -o none")
	term.must("az snapshot create -g up -n s --for-upload --size-gb 1 -o none")
	state := "az snapshot show -g up -n s -o tsv --query [diskState,creationData.createOption,creationData.uploadSizeBytes,diskSizeGb]"
	if got := strings.Fields(term.must(state)); strings.Join(got, " ") != "ReadyToUpload Upload 1073742336 None" {
		t.Errorf("before the upload: %q", got)
	}
	term.mustFail("az disk create -g up -n early --source s -o none", "ReadyToUpload")

	sas := term.must("az snapshot grant-access -g up -n s --access-level Write --duration-in-seconds 3600 --query accessSas -o tsv")
	parts := pieces(t, vhd)
	upload(t, server, sas, vhd, parts[:len(parts)/2])
	server.Kill()
	server = start(t, data, "--listen", strings.TrimPrefix(server.URL, "https://"))
	upload(t, server, sas, vhd, parts[len(parts)/2:])
	term.must("az snapshot revoke-access -g up -n s -o none")

	if got := strings.Fields(term.must(state)); strings.Join(got, " ") != "Unattached Upload 1073742336 1" {
		t.Errorf("after the upload: %q", got)
	}
	term.must("az disk create -g up -n d --source s -o none")
	identical(t, term, term.must("tintype snapshot attach -g up -n s"), image)
	identical(t, term, term.must("tintype disk attach -g up -n d"), image)
	term.mustFail("az snapshot grant-access -g up -n s --access-level Write --duration-in-seconds 60 -o none", "attached")
}

// pieces lists where a file has data, in pieces that one request takes.
func pieces(t *testing.T, name string) (all []int64) {
	t.Helper()
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	zeroes := make([]byte, uploadPiece)
	for off := 0; off < len(whole); off += uploadPiece {
		if piece := whole[off:min(off+uploadPiece, len(whole))]; !bytes.Equal(piece, zeroes[:len(piece)]) {
			all = append(all, int64(off))
		}
	}
	return all
}

const uploadPiece = 1 << 20

func upload(t *testing.T, server *rig.Server, sas, file string, parts []int64) {
	t.Helper()
	client, err := pageblob.NewClientWithNoCredential(sas, &pageblob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: httpClient(t, server)}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, off := range parts {
		piece := make([]byte, uploadPiece)
		n, _ := f.ReadAt(piece, off) // the last one is shorter
		body := streaming.NopCloser(bytes.NewReader(piece[:n]))
		if _, err := client.UploadPages(t.Context(), body, blob.HTTPRange{Offset: off, Count: int64(n)}, nil); err != nil {
			t.Fatal(err)
		}
	}
}
