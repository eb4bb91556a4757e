package blob

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/pageblob"

	"tintype/internal/vhd"
)

func sdkClient(t *testing.T, g *rig) *pageblob.Client {
	t.Helper()
	return sdkClientFor(t, g, g.url())
}

func sdkClientFor(t *testing.T, g *rig, url string) *pageblob.Client {
	t.Helper()
	c, err := pageblob.NewClientWithNoCredential(url, &pageblob.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: g.server.Client(), Retry: policy.RetryOptions{MaxRetries: -1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSDK drives the endpoint with Azure's own client: an upload, its page ranges, clearing, and a download.
func TestSDK(t *testing.T) {
	const size = 12 * mib
	ctx := t.Context()
	g := newRig(t, size, true)
	c := sdkClient(t, g)
	model := make([]byte, size+vhd.FooterSize)
	rng := rand.New(rand.NewPCG(7, 8))
	fill(rng, model[mib:6*mib])
	footer := vhd.FixedFooter(size, g.grant.Identity)
	copy(model[size:], footer[:])

	props, err := c.GetProperties(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if *props.ContentLength != size+512 || *props.BlobType != azblob.BlobTypePageBlob {
		t.Fatalf("length %d, type %s", *props.ContentLength, *props.BlobType)
	}
	upload := func(from, to int64, o *pageblob.UploadPagesOptions) {
		t.Helper()
		body := streaming.NopCloser(bytes.NewReader(model[from:to]))
		if _, err := c.UploadPages(ctx, body, azblob.HTTPRange{Offset: from, Count: to - from}, o); err != nil {
			t.Fatal(err)
		}
	}
	upload(mib, 5*mib, nil)
	upload(5*mib, 6*mib, &pageblob.UploadPagesOptions{TransactionalValidation: azblob.TransferValidationTypeComputeCRC64()})
	upload(size, size+512, nil)
	if _, err := c.ClearPages(ctx, azblob.HTTPRange{Offset: 2 * mib, Count: mib}, nil); err != nil {
		t.Fatal(err)
	}
	clear(model[2*mib : 3*mib])

	var ranges [][2]int64
	one := int32(1)
	for pager := c.NewGetPageRangesPager(&pageblob.GetPageRangesOptions{MaxResults: &one}); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.PageRange {
			ranges = append(ranges, [2]int64{*r.Start, *r.End + 1})
		}
	}
	want := [][2]int64{{mib, 2 * mib}, {3 * mib, 6 * mib}, {size, size + 512}}
	if len(ranges) != 3 || ranges[0] != want[0] || ranges[1] != want[1] || ranges[2] != want[2] {
		t.Errorf("page ranges %v, want %v", ranges, want)
	}
	got := make([]byte, len(model))
	if n, err := c.DownloadBuffer(ctx, got, &azblob.DownloadBufferOptions{BlockSize: mib}); err != nil || n != int64(len(model)) {
		t.Fatal(n, err)
	}
	if !bytes.Equal(got, model) {
		t.Error("what was downloaded differs")
	}
	md5 := true
	r, err := c.DownloadStream(ctx, &azblob.DownloadStreamOptions{Range: azblob.HTTPRange{Offset: mib, Count: 4096}, RangeGetContentMD5: &md5})
	if err != nil {
		t.Fatal(err)
	}
	part, err := io.ReadAll(r.NewRetryReader(ctx, nil))
	if err != nil || !bytes.Equal(part, model[mib:mib+4096]) || hashMD5(part) == "" || len(r.ContentMD5) != 16 {
		t.Errorf("ranged download: %d bytes, %v", len(part), err)
	}
}

// TestSDKErrors checks that Azure's client reads our refusals as the codes it knows.
func TestSDKErrors(t *testing.T) {
	g := newRig(t, mib, false)
	c := sdkClient(t, g)
	_, err := c.UploadPages(t.Context(), streaming.NopCloser(bytes.NewReader(make([]byte, 512))), azblob.HTTPRange{Count: 512}, nil)
	if !bloberror.HasCode(err, bloberror.AuthorizationPermissionMismatch) {
		t.Errorf("a write with a read grant: %v", err)
	}
	_, err = c.DownloadStream(context.Background(), &azblob.DownloadStreamOptions{Range: azblob.HTTPRange{Offset: 2 * mib}})
	if !bloberror.HasCode(err, bloberror.InvalidRange) {
		t.Errorf("a range behind the end: %v", err)
	}
	g.revoked = true
	if _, err = c.GetProperties(t.Context(), nil); !bloberror.HasCode(err, bloberror.AuthenticationFailed) {
		t.Errorf("a revoked grant: %v", err)
	}
}
