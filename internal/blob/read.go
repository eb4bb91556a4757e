package blob

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"sync"

	"github.com/minio/crc64nvme"

	"tintype/internal/block"
)

// maxHashed is the longest range that comes with a hash, in bytes: Azure's limit.
const maxHashed = 4 << 20

// chunk is how much is read and sent at once: what a long answer costs in memory.
const chunk = 1 << 20

// errCutOff says that an answer broke off after its beginning was sent.
var errCutOff = errors.New("answer cut off")

// buffers are chunk long. zeroes is never written to.
var (
	buffers = sync.Pool{New: func() any { return new([chunk]byte) }}
	zeroes  = new([chunk]byte)
)

// setProperties says what the blob is, on HEAD and GET.
func setProperties(h http.Header, c *call, s state) {
	setState(h, s)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("x-ms-blob-type", "PageBlob")
	h.Set("x-ms-blob-sequence-number", "0")
	h.Set("x-ms-lease-status", "unlocked")
	h.Set("x-ms-lease-state", "available")
	h.Set("x-ms-server-encrypted", "true")
	h.Set("x-ms-creation-time", c.grant.Identity.Created.UTC().Format(http.TimeFormat))
}

func setState(h http.Header, s state) {
	h.Set("ETag", s.etag)
	h.Set("Last-Modified", s.modified.UTC().Format(http.TimeFormat))
}

// properties answers HEAD, and comp=metadata, which is always empty.
func (h *Handler) properties(w http.ResponseWriter, r *http.Request, c *call) error {
	s := c.state()
	if err := s.checkRead(r.Header); err != nil {
		setState(w.Header(), s)
		return err
	}
	setProperties(w.Header(), c, s)
	if c.query.Get("comp") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(c.size(), 10))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// get answers with the blob or a range of it.
func (h *Handler) get(w http.ResponseWriter, r *http.Request, c *call) error {
	s := c.state()
	if err := s.checkRead(r.Header); err != nil {
		setState(w.Header(), s)
		return err
	}
	want, ranged, err := readRange(r.Header, c.size())
	if err != nil {
		return err
	}
	hash, err := wantedHash(r.Header, want, ranged)
	if err != nil {
		return err
	}
	k, err := c.content()
	if err != nil {
		return err
	}
	header := w.Header()
	setProperties(header, c, s)
	header.Set("Content-Length", strconv.FormatInt(want.end-want.start, 10))
	status := http.StatusOK
	if ranged {
		status = http.StatusPartialContent
		header.Set("Content-Range", "bytes "+strconv.FormatInt(want.start, 10)+"-"+
			strconv.FormatInt(want.end-1, 10)+"/"+strconv.FormatInt(c.size(), 10))
	}
	if hash != "" {
		return h.sendHashed(w, c, k, want, hash)
	}
	return h.stream(w, c, k, want, status)
}

// wantedHash gives the name of the header that answers the request for a hash of the range, or "".
func wantedHash(h http.Header, want span, ranged bool) (string, error) {
	const askMD5, askCRC = "x-ms-range-get-content-md5", "x-ms-range-get-content-crc64"
	answer := ""
	for _, q := range []struct{ ask, answer string }{{askMD5, "Content-MD5"}, {askCRC, "x-ms-content-crc64"}} {
		switch v := h.Get(q.ask); v {
		case "", "false", "False":
		case "true", "True":
			if answer != "" {
				return "", errMismatch("BothCrc64AndMd5RangeHeaderPresent",
					"Both "+askCRC+" header and "+askMD5+" header are present.")
			}
			if !ranged || want.end-want.start > maxHashed {
				return "", errHeaderValue(q.ask, v)
			}
			answer = q.answer
		default:
			return "", errHeaderValue(q.ask, v)
		}
	}
	return answer, nil
}

// sendHashed sends a range of at most maxHashed with its hash, which goes first.
func (h *Handler) sendHashed(w http.ResponseWriter, c *call, k content, want span, hash string) error {
	done, err := h.takeBody(c.ctx)
	if err != nil {
		return err
	}
	defer done()
	c.watch()
	body := make([]byte, want.end-want.start)
	if err := k.readAt(body, want.start); err != nil {
		return err
	}
	if hash == "Content-MD5" {
		w.Header().Set(hash, hashMD5(body))
	} else {
		w.Header().Set(hash, hashCRC(body))
	}
	w.WriteHeader(http.StatusPartialContent)
	if _, err := w.Write(body); err != nil {
		return errCutOff
	}
	c.count(int64(len(body)), 0)
	return nil
}

// count says that bytes moved, of which so many are the blob's.
func (c *call) count(read, written int64) {
	c.moved()
	if c.grant.Moved != nil {
		c.grant.Moved(read, written)
	}
}

func hashMD5(p []byte) string {
	sum := md5.Sum(p)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hashCRC is Azure Storage's CRC-64, whose polynomial is NVMe's.
func hashCRC(p []byte) string {
	return base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, crc64nvme.Checksum(p)))
}

// stream sends the range piece by piece. The status goes out with the first piece, so that what cannot be read at all is
// still an error answer.
func (h *Handler) stream(w http.ResponseWriter, c *call, k content, want span, status int) error {
	buf := buffers.Get().(*[chunk]byte)
	defer buffers.Put(buf)
	c.watch()
	var list []block.Extent
	started := false
	for at := want.start; at < want.end; {
		var err error
		list, at, err = k.extents(c.ctx, list[:0], span{at, want.end})
		for i := 0; i < len(list) && err == nil; i++ {
			err = h.sendExtent(w, c, k, list[i], buf, func() {
				if !started {
					started = true
					w.WriteHeader(status)
				}
			})
		}
		if err != nil && started {
			if c.ctx.Err() == nil && !errors.Is(err, errCutOff) {
				h.log.Error("blob read cut off", "grant", c.id, "error", err)
			}
			return errCutOff
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sendExtent sends the bytes of e, or the zeroes that a hole stands for. It calls start before the first of them.
func (h *Handler) sendExtent(w http.ResponseWriter, c *call, k content, e block.Extent, buf *[chunk]byte, start func()) error {
	for e.Len > 0 {
		if !h.now().Before(c.grant.Expires) {
			return errCutOff
		}
		n := min(e.Len, chunk)
		piece := zeroes[:n]
		if e.Data {
			piece = buf[:n]
			if err := k.readAt(piece, e.Off); err != nil {
				return err
			}
		}
		start()
		if _, err := w.Write(piece); err != nil {
			return errCutOff
		}
		c.count(n, 0)
		e.Off, e.Len = e.Off+n, e.Len-n
	}
	return nil
}
