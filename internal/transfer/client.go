package transfer

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tintype/internal/vhd"
)

const (
	// chunkSize is the grid on which data is requested, sent and journaled, in bytes. One Put Page takes no more.
	chunkSize = 4 << 20

	// gap is the shortest hole worth leaving out of a request.
	gap = 256 << 10

	// defaultParallel is how many requests are in flight.
	defaultParallel = 4
	nearParallel    = 12 // with a server on this machine: more of them share a sync
	maxParallel     = 64

	// Retries: seven tries, pauses of 0.25 s to 8 s, together up to about 16 s, which a server's restart fits into.
	tries      = 7
	firstPause = 250 * time.Millisecond
	longPause  = 8 * time.Second

	// tryTime bounds one try. A chunk in that time is 35 KiB/s.
	tryTime = 2 * time.Minute

	// maxList bounds one answer to a page list: listLimit ranges of at most 90 bytes, with room to spare.
	maxList   = 2 << 20
	listLimit = 10_000

	// maxEmpty bounds the answers without a range in one list, so that it comes to an end.
	maxEmpty = 1000

	maxErrorBody = 64 << 10
	apiVersion   = "2021-12-02"
)

// ServerError is a refusal by the blob server.
type ServerError struct {
	Status  int
	Code    string // such as AuthenticationFailed
	Message string
}

// Error says what the server said.
func (e *ServerError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("the blob server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	first, _, _ := strings.Cut(e.Message, "\n")
	return fmt.Sprintf("the blob server answered %d %s: %s", e.Status, e.Code, first)
}

// errAnswer says that a server's answer makes no sense.
var errAnswer = errors.New("unexpected answer of the blob server")

// remote is the blob behind a signed URL.
type remote struct {
	client http.Client
	url    url.URL
	pause  time.Duration // the first one
	near   bool          // the client is one of Near's
}

func newRemote(client *http.Client, sasURL string, o Options) (*remote, error) {
	u, err := url.Parse(sasURL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the blob's URL is not an https URL") // without its text: it holds the signature
	}
	r := &remote{client: *client, url: *u, pause: firstPause, near: isNear(client)}
	if o.pause > 0 {
		r.pause = o.pause
	}
	// A redirect would hand the signature to another server.
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return r, nil
}

func (r *remote) parallel(o Options) int {
	switch {
	case o.Parallel > 0:
		return min(o.Parallel, maxParallel)
	case r.near:
		return nearParallel
	}
	return defaultParallel
}

// resource names the blob without the signature.
func (r *remote) resource() string { return r.url.Host + r.url.Path }

// ask is one request; take reads its answer, of the status want.
type ask struct {
	method string
	query  string // beyond the signature's
	header map[string]string
	body   func() *payload // anew for each try
	want   int
	take   func(*http.Response) error
}

// do sends the request, again and again while that may help.
func (r *remote) do(ctx context.Context, a ask) error {
	pause := r.pause
	for try := 1; ; try++ {
		err := r.try(ctx, a)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !mayPass(err) {
			return err
		}
		if try == tries {
			return fmt.Errorf("gave up after %d tries: %w", tries, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		}
		pause = min(2*pause, longPause)
	}
}

// mayPass tells whether the failure is of a kind that another try may not meet: anything but a refusal, or a server that
// isn't who it should be.
func mayPass(err error) bool {
	var refusal *ServerError
	var stranger *tls.CertificateVerificationError
	if !errors.As(err, &refusal) {
		return !errors.Is(err, errAnswer) && !errors.As(err, &stranger)
	}
	switch refusal.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (r *remote) try(ctx context.Context, a ask) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	u := r.url
	if a.query != "" {
		u.RawQuery += "&" + a.query
	}
	req, err := http.NewRequestWithContext(ctx, a.method, u.String(), nil)
	if err != nil {
		return fmt.Errorf("%w: request cannot be made", errAnswer)
	}
	if a.body != nil {
		p := a.body()
		req.Body, req.ContentLength = p, p.Size()
		req.GetBody = func() (io.ReadCloser, error) { return a.body(), nil }
	}
	req.Header.Set("x-ms-version", apiVersion)
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return redact(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != a.want {
		return refusal(resp)
	}
	if a.take == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
		return err
	}
	return a.take(resp)
}

// redact takes the URL, which holds the signature, out of the error.
func redact(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func refusal(resp *http.Response) error {
	e := &ServerError{Status: resp.StatusCode, Code: resp.Header.Get("x-ms-error-code")}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var x struct{ Code, Message string }
	if err == nil && xml.Unmarshal(body, &x) == nil && x.Code != "" {
		e.Code, e.Message = x.Code, x.Message
	}
	return e
}

// head gives the blob's size and ETag.
func (r *remote) head(ctx context.Context) (size int64, etag string, err error) {
	err = r.do(ctx, ask{method: http.MethodHead, want: http.StatusOK, take: func(resp *http.Response) error {
		size, etag = resp.ContentLength, resp.Header.Get("ETag")
		if size <= vhd.FooterSize || size > vhd.MaxSize+vhd.FooterSize || size%vhd.SectorSize != 0 {
			return fmt.Errorf("%w: the blob has %d bytes, which is no fixed VHD's size", errAnswer, size)
		}
		return nil
	}})
	return size, etag, err
}

// read fills p from off. It fails when the blob is no longer what etag names.
func (r *remote) read(ctx context.Context, p []byte, off int64, etag string) error {
	last := off + int64(len(p)) - 1
	want := fmt.Sprintf("bytes=%d-%d", off, last)
	header := map[string]string{"x-ms-range": want, "Range": want} // the second is for servers of plain files
	if etag != "" {
		header["If-Match"] = etag
	}
	return r.do(ctx, ask{method: http.MethodGet, header: header, want: http.StatusPartialContent, take: func(resp *http.Response) error {
		want := fmt.Sprintf("bytes %d-%d/", off, last)
		if got := resp.Header.Get("Content-Range"); !strings.HasPrefix(got, want) {
			return fmt.Errorf("%w: asked for %q, got %q", errAnswer, want, got)
		}
		_, err := io.ReadFull(resp.Body, p)
		return err
	}})
}

// write puts whole pages at off. When it returns nil they are durable.
func (r *remote) write(ctx context.Context, p []byte, off int64) error {
	return r.put(ctx, inMemory(p), span{off, off + int64(len(p))})
}

// put is write with any body.
func (r *remote) put(ctx context.Context, body func() *payload, s span) error {
	return r.do(ctx, ask{method: http.MethodPut, query: "comp=page", body: body, want: http.StatusCreated, header: map[string]string{
		"x-ms-page-write": "update", "x-ms-range": fmt.Sprintf("bytes=%d-%d", s.start, s.end-1),
	}})
}

// clear makes the whole blob of size bytes zero, unless it is no longer what etag names.
func (r *remote) clear(ctx context.Context, size int64, etag string) error {
	return r.do(ctx, ask{method: http.MethodPut, query: "comp=page", want: http.StatusCreated, header: map[string]string{
		"x-ms-page-write": "clear", "x-ms-range": fmt.Sprintf("bytes=0-%d", size-1), "If-Match": etag,
	}})
}

// pages calls yield for the ranges of a blob of size bytes that hold data, in order, until it returns false.
func (r *remote) pages(ctx context.Context, size int64, etag string, limit int, yield func(span) bool) error {
	header := map[string]string{}
	if etag != "" {
		header["If-Match"] = etag
	}
	empty := 0
	for marker, at := "", int64(0); ; {
		query := "comp=pagelist&maxresults=" + strconv.Itoa(limit)
		if marker != "" {
			query += "&marker=" + url.QueryEscape(marker)
		}
		var list pageList
		err := r.do(ctx, ask{method: http.MethodGet, query: query, header: header, want: http.StatusOK, take: func(resp *http.Response) error {
			list = pageList{}
			return xml.NewDecoder(io.LimitReader(resp.Body, maxList)).Decode(&list)
		}})
		if err != nil {
			return err
		}
		for _, p := range list.PageRange {
			if p.Start < at || p.End < p.Start || p.End >= size {
				return fmt.Errorf("%w: page range %d-%d behind %d in a blob of %d bytes", errAnswer, p.Start, p.End, at, size)
			}
			at = p.End + 1
			if !yield(span{p.Start, at}) {
				return nil
			}
		}
		if list.NextMarker == "" {
			return nil
		}
		if len(list.PageRange) == 0 {
			empty++
		}
		if list.NextMarker == marker || empty > maxEmpty {
			return fmt.Errorf("%w: the page list does not end", errAnswer)
		}
		marker = list.NextMarker
	}
}

type pageList struct {
	PageRange  []struct{ Start, End int64 }
	NextMarker string
}

// span is a range of bytes, [start, end).
type span struct{ start, end int64 }

func (s span) len() int64 { return s.end - s.start }
