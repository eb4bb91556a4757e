package transfer

import (
	"context"
	"net/http"
	"strings"
)

// Blob is a file that a server gives out by ranges, such as a page blob behind a signed URL.
type Blob struct {
	remote *remote
	size   int64
	etag   string
	pages  bool // the server can list which ranges hold data
}

// OpenBlob asks the server for the file's size. The URL must be an https one.
func OpenBlob(ctx context.Context, client *http.Client, url string) (*Blob, error) {
	r, err := newRemote(client, url, Options{})
	if err != nil {
		return nil, err
	}
	b := &Blob{remote: r}
	err = r.do(ctx, ask{method: http.MethodHead, want: http.StatusOK, take: func(resp *http.Response) error {
		b.size, b.etag = resp.ContentLength, resp.Header.Get("ETag")
		b.pages = strings.EqualFold(resp.Header.Get("x-ms-blob-type"), "PageBlob")
		return nil
	}})
	return b, err
}

// Size is that of the file in bytes, -1 when the server does not tell.
func (b *Blob) Size() int64 { return b.size }

// ETag is what the server called the file's content when it was opened, "" if it does not tell.
func (b *Blob) ETag() string { return b.etag }

// ReadAt fills p from off. It fails when the file has changed since it was opened.
func (b *Blob) ReadAt(ctx context.Context, p []byte, off int64) error {
	return b.remote.read(ctx, p, off, b.etag)
}

// Data calls yield for the ranges that may hold something other than zeroes, in order, until it returns false.
func (b *Blob) Data(ctx context.Context, yield func(off, n int64) bool) error {
	if !b.pages {
		yield(0, b.size)
		return nil
	}
	return b.remote.pages(ctx, b.size, b.etag, listLimit, func(s span) bool { return yield(s.start, s.len()) })
}
