package blob

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

// maxResults is the most ranges that one answer has when the request sets a limit. Without a limit the answer has all:
// a client that reads only one answer would take the rest for holes.
const maxResults = 10_000

// pageQuery is which ranges a page list shall name.
type pageQuery struct {
	span
	limit int // 0: none
}

// parsePageQuery reads range, marker and limit for a blob of size bytes. A marker is the offset at which the previous
// answer ended.
func parsePageQuery(h http.Header, query url.Values, size int64) (pageQuery, error) {
	s, _, err := readRange(h, size)
	if err != nil {
		return pageQuery{}, err
	}
	q := pageQuery{span: span{s.start - s.start%vhd.SectorSize, min(size, roundUp(s.end))}}
	if v := query.Get("maxresults"); v != "" {
		n, ok := parseOffset(v)
		if !ok {
			return pageQuery{}, errQueryValue("maxresults", v)
		}
		if n == 0 {
			return pageQuery{}, errQueryRange("maxresults", v)
		}
		q.limit = int(min(n, maxResults))
	}
	if v := query.Get("marker"); v != "" {
		at, ok := parseOffset(v)
		if !ok || at%vhd.SectorSize != 0 || at < q.start || at >= q.end {
			return pageQuery{}, errQueryValue("marker", v)
		}
		q.start = at
	}
	return q, nil
}

func roundUp(n int64) int64 { return (n + vhd.SectorSize - 1) / vhd.SectorSize * vhd.SectorSize }

// pageList names the ranges that hold data, where all else reads as zeroes; or, with previousHeader, what has changed.
func (h *Handler) pageList(w http.ResponseWriter, r *http.Request, c *call) error {
	s := c.state()
	if err := s.checkRead(r.Header); err != nil {
		setState(w.Header(), s)
		return err
	}
	older, err := h.older(w, r, c)
	if err != nil {
		return err
	}
	if older != nil {
		defer h.drop(older.request, older.grant)
	}
	if older != nil && older.request != nil {
		// What may be said of both ends with the access to either.
		c = &call{request: older.request, grant: c.grant, query: c.query}
		if older.grant.Expires.Before(c.grant.Expires) {
			c.grant.Expires = older.grant.Expires
		}
	}
	q, err := parsePageQuery(r.Header, c.query, c.size())
	if err != nil {
		return err
	}
	k, err := c.content()
	if err != nil {
		return err
	}
	header := w.Header()
	setState(header, s)
	header.Set("Content-Type", "application/xml")
	header.Set("x-ms-blob-content-length", strconv.FormatInt(c.size(), 10))
	c.watch()
	if older != nil {
		return h.sendChanges(w, c, k, older, q)
	}
	return h.sendPages(w, c, k, q)
}

// older opens the blob that the request compares with, nil when it does not.
func (h *Handler) older(w http.ResponseWriter, r *http.Request, c *call) (*previous, error) {
	if v := r.Header.Get(previousHeader); v != "" {
		return h.previous(w, r, c, v)
	}
	if v := c.query.Get(earlierQuery); v != "" {
		return h.earlier(c, v)
	}
	return nil, nil
}

// sendPages writes the list, a part at a time. Ranges that meet are one, also over the seam of two parts.
func (h *Handler) sendPages(w http.ResponseWriter, c *call, k content, q pageQuery) error {
	out := newPageWriter(h, w, c, q)
	var list []block.Extent
	for at := q.start; at < q.end && out.marker == ""; {
		var err error
		list, at, err = k.extents(c.ctx, list[:0], span{at, q.end})
		if err != nil {
			return out.broken(err)
		}
		for _, e := range list {
			if e.Data && !out.add(pagesOf(e, q.span), false) {
				break
			}
		}
		if err := out.part(); err != nil {
			return err
		}
	}
	return out.end()
}

// pageWriter makes a page list and sends it.
type pageWriter struct {
	handler *Handler
	w       http.ResponseWriter
	call    *call

	out    bytes.Buffer
	open   span // the range that may still grow
	clear  bool // it names pages that were cleared
	count  int
	limit  int // 0: none
	marker string
	sent   bool
}

func newPageWriter(h *Handler, w http.ResponseWriter, c *call, q pageQuery) *pageWriter {
	p := &pageWriter{handler: h, w: w, call: c, limit: q.limit}
	p.out.WriteString(`<?xml version="1.0" encoding="utf-8"?><PageList>`)
	return p
}

// add names one more range, behind or next to the last, or reports false when the list has as many as it may.
func (p *pageWriter) add(s span, cleared bool) bool {
	if p.open.end > p.open.start && s.start <= p.open.end && cleared == p.clear {
		p.open.end = max(p.open.end, s.end)
		return true
	}
	p.flush()
	if p.limit > 0 && p.count == p.limit {
		p.marker = strconv.FormatInt(s.start, 10)
		return false
	}
	p.open, p.clear = s, cleared
	return true
}

// flush names the open range, if there is one.
func (p *pageWriter) flush() {
	s, name := p.open, "PageRange"
	if p.open = (span{}); s.end <= s.start {
		return
	}
	if p.clear {
		name = "ClearRange"
	}
	fmt.Fprintf(&p.out, "<%s><Start>%d</Start><End>%d</End></%s>", name, s.start, s.end-1, name)
	p.count++
}

// part sends what has gathered, if it is worth it.
func (p *pageWriter) part() error {
	if p.out.Len() <= chunk/4 {
		return nil
	}
	p.sent = true
	return p.send()
}

// end sends the rest.
func (p *pageWriter) end() error {
	p.flush()
	if p.marker != "" {
		p.out.WriteString("<NextMarker>" + p.marker + "</NextMarker>")
	}
	p.out.WriteString("</PageList>")
	return p.send()
}

// broken is what to do about an error: once a part is sent, the rest can only be cut off.
func (p *pageWriter) broken(err error) error {
	if p.sent {
		return errCutOff
	}
	return err
}

func (p *pageWriter) send() error {
	if !p.handler.now().Before(p.call.grant.Expires) || p.call.ctx.Err() != nil {
		return errCutOff
	}
	if _, err := p.w.Write(p.out.Bytes()); err != nil {
		return errCutOff
	}
	p.out.Reset()
	p.call.moved()
	return nil
}

// pagesOf gives the pages that e touches, inside s.
func pagesOf(e block.Extent, s span) span {
	return span{max(s.start, e.Off-e.Off%vhd.SectorSize), min(s.end, roundUp(e.Off+e.Len))}
}
