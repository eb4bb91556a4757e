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

// pageList names the ranges that hold data; all else reads as zeroes.
func (h *Handler) pageList(w http.ResponseWriter, r *http.Request, c *call) error {
	s := c.state()
	if err := s.check(r.Header, true); err != nil {
		setState(w.Header(), s)
		return err
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
	return h.sendPages(w, c, k, q)
}

// sendPages writes the list, a part at a time. Ranges that meet are one, also over the seam of two parts.
func (h *Handler) sendPages(w http.ResponseWriter, c *call, k content, q pageQuery) error {
	var (
		out    bytes.Buffer
		list   []block.Extent
		open   span // the range that may still grow
		count  int
		marker string
		sent   bool
	)
	out.WriteString(`<?xml version="1.0" encoding="utf-8"?><PageList>`)
	for at := q.start; at < q.end && marker == ""; {
		var err error
		list, at, err = k.extents(c.ctx, list[:0], span{at, q.end})
		if err != nil {
			if sent {
				return errCutOff
			}
			return err
		}
		for _, e := range list {
			if !e.Data {
				continue
			}
			p := pagesOf(e, q.span)
			if p.start <= open.end && open.end > open.start {
				open.end = max(open.end, p.end)
				continue
			}
			count += writePages(&out, open)
			if q.limit > 0 && count == q.limit {
				marker, open = strconv.FormatInt(p.start, 10), span{}
				break
			}
			open = p
		}
		if out.Len() > chunk/4 {
			if err := h.sendPart(w, c, &out); err != nil {
				return err
			}
			sent = true
		}
	}
	writePages(&out, open)
	if marker != "" {
		out.WriteString("<NextMarker>" + marker + "</NextMarker>")
	}
	out.WriteString("</PageList>")
	return h.sendPart(w, c, &out)
}

func (h *Handler) sendPart(w http.ResponseWriter, c *call, out *bytes.Buffer) error {
	if !h.now().Before(c.grant.Expires) || c.ctx.Err() != nil {
		return errCutOff
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return errCutOff
	}
	out.Reset()
	c.moved()
	return nil
}

// pagesOf gives the pages that e touches, inside s.
func pagesOf(e block.Extent, s span) span {
	return span{max(s.start, e.Off-e.Off%vhd.SectorSize), min(s.end, roundUp(e.Off+e.Len))}
}

// writePages names one range, if it is one, and gives how many it named.
func writePages(out *bytes.Buffer, s span) int {
	if s.end <= s.start {
		return 0
	}
	fmt.Fprintf(out, "<PageRange><Start>%d</Start><End>%d</End></PageRange>", s.start, s.end-1)
	return 1
}
