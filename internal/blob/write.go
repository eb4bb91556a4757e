package blob

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

const (
	// maxUpdate is the most that one Put Page writes, in bytes: Azure's limit.
	maxUpdate = 4 << 20

	// maxBodies bounds the bodies held in memory, maxUpdate each. Further requests wait.
	maxBodies = 32

	// bodyPiece is how much of a body is read before it is counted.
	bodyPiece = 1 << 20
)

// putPage writes or clears whole pages. What it answers with 201 is durable: whoever resumes an upload after a crash
// may leave out what was acknowledged.
func (h *Handler) putPage(w http.ResponseWriter, r *http.Request, c *call) error {
	if c.grant.Footer == nil {
		return errPermission
	}
	update, err := pageWrite(r.Header)
	if err != nil {
		return err
	}
	pages, err := pageRange(r.Header, c.size())
	if err != nil {
		return err
	}
	if err := checkSequence(r.Header); err != nil {
		return err
	}
	if err := checkLength(r, pages, update); err != nil {
		return err
	}
	if !update {
		return h.apply(w, r, c, pages, nil)
	}
	done, err := h.takeBody(c.ctx)
	if err != nil {
		return err
	}
	defer done()
	c.watch()
	buf := bodies.Get().(*[maxUpdate]byte)
	defer bodies.Put(buf) // the device keeps nothing of what it was given to write
	body := buf[:pages.end-pages.start]
	if err := readBody(c, r.Body, body); err != nil {
		return err
	}
	if err := checkHashes(w.Header(), r.Header, body); err != nil {
		return err
	}
	return h.apply(w, r, c, pages, body)
}

// takeBody waits until there is room for one more body in memory; done gives the room back.
func (h *Handler) takeBody(ctx context.Context) (done func(), err error) {
	select {
	case h.bodies <- struct{}{}:
		return func() { <-h.bodies }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func pageWrite(h http.Header) (update bool, err error) {
	const name = "x-ms-page-write"
	switch v := h.Get(name); strings.ToLower(v) {
	case "":
		return false, errMissingHeader(name)
	case "update":
		return true, nil
	case "clear":
		return false, nil
	default:
		return false, errHeaderValue(name, v)
	}
}

// checkLength compares the body's length with the range before anything of it is read.
func checkLength(r *http.Request, pages span, update bool) error {
	switch {
	case r.ContentLength < 0:
		return errLength
	case !update && r.ContentLength != 0:
		return errHeaderValue("Content-Length", r.Header.Get("Content-Length"))
	case !update:
		return nil
	case r.ContentLength > maxUpdate || pages.end-pages.start > maxUpdate:
		return errTooLarge
	case r.ContentLength != pages.end-pages.start:
		return errHeaderValue("Content-Length", r.Header.Get("Content-Length"))
	}
	return nil
}

// bodies are for Put Page.
var bodies = sync.Pool{New: func() any { return new([maxUpdate]byte) }}

// lively takes each read that brings bytes for a sign of life.
type lively struct {
	io.Reader
	moved func()
}

func (l lively) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if n > 0 {
		l.moved()
	}
	return n, err
}

// readBody fills body.
func readBody(c *call, r io.Reader, body []byte) error {
	from := lively{r, c.moved}
	for at := 0; at < len(body); {
		got, err := io.ReadFull(from, body[at:min(at+bodyPiece, len(body))])
		at += got
		if err != nil {
			return errIncomplete
		}
		c.count(0, int64(got))
	}
	return c.ctx.Err()
}

// checkHashes compares the body with the hash sent along, and answers with the hash of what was received.
func checkHashes(answer, h http.Header, body []byte) error {
	md5Sent, crcSent := h.Get("Content-MD5"), h.Get("x-ms-content-crc64")
	switch {
	case md5Sent != "" && crcSent != "":
		return errMismatch("BothCrc64AndMd5HeaderPresent", "Both x-ms-content-crc64 header and Content-MD5 header are present.")
	case md5Sent != "":
		if hashMD5(body) != md5Sent {
			return errMismatch("Md5Mismatch",
				"The MD5 value specified in the request did not match with the MD5 value calculated by the server.")
		}
		answer.Set("Content-MD5", md5Sent)
	default:
		crc := hashCRC(body)
		if crcSent != "" && crc != crcSent {
			return errMismatch("Crc64Mismatch",
				"The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.")
		}
		answer.Set("x-ms-content-crc64", crc)
	}
	return nil
}

// apply carries a write out, checking its conditions in the same step. A nil body clears.
func (h *Handler) apply(w http.ResponseWriter, r *http.Request, c *call, pages span, body []byte) error {
	if body == nil || conditional(r.Header) {
		c.activity.order.Lock()
		defer c.activity.order.Unlock()
	} else {
		c.activity.order.RLock()
		defer c.activity.order.RUnlock()
	}
	if err := c.state().checkWrite(r.Header); err != nil {
		return err
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	// From here to the end nothing gives up half-way: a client that hangs up must not leave half a page behind.
	err := c.write(context.WithoutCancel(c.ctx), pages, body)
	c.wrote(h.now())
	if err != nil {
		return err
	}
	header := w.Header()
	setState(header, c.state())
	header.Set("x-ms-blob-sequence-number", "0")
	header.Set("x-ms-request-server-encrypted", "true")
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// write puts the part inside the data on the device, makes it durable, and then keeps the footer.
func (c *call) write(ctx context.Context, pages span, body []byte) error {
	data := c.grant.Bytes
	if pages.start < data {
		end := min(pages.end, data)
		var err error
		if body == nil {
			err = c.grant.Device.WriteZeroes(pages.start, end-pages.start)
		} else {
			err = writeSparse(c.grant.Device, body[:end-pages.start], pages.start)
		}
		if err == nil {
			err = c.grant.Device.Flush()
		}
		if err != nil {
			return err
		}
	}
	if pages.end <= data {
		return nil
	}
	footer := make([]byte, vhd.FooterSize)
	if body != nil {
		copy(footer, body[len(body)-vhd.FooterSize:])
	}
	return c.grant.Footer.Store(ctx, footer)
}

// writeSparse writes p at off, whole blocks of zeroes as holes.
func writeSparse(d block.Device, p []byte, off int64) error {
	for len(p) > 0 {
		n, zero := run(p, off)
		var err error
		if zero {
			err = d.WriteZeroes(off, int64(n))
		} else {
			_, err = block.WriteBulk(d, p[:n], off)
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// run gives the length of the longest beginning of p, which lies at off, whose blocks are all zero, or all not.
func run(p []byte, off int64) (n int, zero bool) {
	for n < len(p) {
		step := min(block.BlockSize-int((off+int64(n))%block.BlockSize), len(p)-n)
		z := allZero(p[n : n+step])
		if n > 0 && z != zero {
			break
		}
		n, zero = n+step, z
	}
	return n, zero
}

// allZero compares p, at most a chunk long, with zeroes.
func allZero(p []byte) bool { return bytes.Equal(p, zeroes[:len(p)]) }
