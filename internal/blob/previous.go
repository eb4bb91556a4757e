package blob

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"time"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

// previousHeader asks a page list for what has changed since an older blob, whose signed URL it holds: "Get Page Ranges"
// for managed disks.
const previousHeader = "x-ms-previous-snapshot-url"

// previousSince is the first version of the service that knows previousHeader.
const previousSince = "2019-07-07"

// knowsPrevious tells whether the request may have previousHeader.
func knowsPrevious(r *http.Request, query url.Values) bool {
	version := r.Header.Get("x-ms-version")
	if _, err := time.Parse(time.DateOnly, version); err != nil || version < previousSince {
		return false
	}
	return r.Method == http.MethodGet && query.Get("comp") == "pagelist"
}

// earlierQuery asks the same with the time at which a snapshot of the same disk was made: "Get Page Ranges" for blobs with
// snapshots of their own. The snapshots of a disk are incremental ones.
const earlierQuery = "prevsnapshot"

// mayHaveEarlier tells whether the request may have earlierQuery.
func mayHaveEarlier(r *http.Request, query url.Values) bool {
	return r.Method == http.MethodGet && query.Get("comp") == "pagelist" && r.Header.Get(previousHeader) == ""
}

// previous is the older blob of a difference.
type previous struct {
	request *request // under the older blob's grant, so that this one's end ends the difference too; nil: under this one's
	grant   Grant
	device  block.Comparer // the newer blob's
}

// previous opens the blob of a signed URL, and checks that c's can be compared with it. The caller leaves it.
func (h *Handler) previous(w http.ResponseWriter, r *http.Request, c *call, signed string) (*previous, error) {
	u, err := url.Parse(signed)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return nil, errHeaderValue(previousHeader, "") // a signature is not said back
	}
	if _, _, ok := locate(u.Host, u.Path); !ok {
		return nil, errNoPrevious
	}
	q, grant, err := h.admit(w, r, u.Host, u)
	if errors.Is(err, errAuthentication) {
		return nil, errPreviousAuthentication
	}
	if err != nil {
		return nil, err
	}
	return h.compared(c, q, grant)
}

// earlier opens the snapshot of c's disk that was made at a time. The caller leaves it.
func (h *Handler) earlier(c *call, made string) (*previous, error) {
	at, err := time.Parse(time.RFC3339Nano, made)
	if err != nil {
		return nil, errQueryValue(earlierQuery, made)
	}
	grant, err := h.grants.OpenEarlier(c.ctx, c.resource, at)
	switch {
	case errors.Is(err, ErrNoGrant):
		return nil, errAuthentication
	case errors.Is(err, ErrNoEarlier):
		return nil, errNoPrevious
	case err != nil:
		return nil, err
	}
	return h.compared(c, nil, grant)
}

// compared checks that c's blob can be compared with an older one, and leaves that when not.
func (h *Handler) compared(c *call, q *request, grant Grant) (*previous, error) {
	var err error
	device, ok := c.grant.Device.(block.Comparer)
	if ok {
		err = device.Compare(grant.Device, 0, 0, func(block.Extent) bool { return true })
	}
	switch {
	case !ok || c.grant.Footer != nil || grant.Footer != nil:
		err = errPreviousUnsupported
	case errors.Is(err, block.ErrUnrelated):
		err = errOverwritten
	case err != nil:
	case grant.Bytes > c.grant.Bytes, c.laterThan(grant):
		err = errPreviousNewer
	default:
		return &previous{request: q, grant: grant, device: device}, nil
	}
	h.drop(q, grant)
	return nil, err
}

// drop leaves an older blob.
func (h *Handler) drop(q *request, grant Grant) {
	h.release(grant.Device)
	if q != nil {
		q.end()
	}
}

// laterThan tells whether older was made after the call's blob, where that says something of their contents: a disk is
// older than its snapshots and holds what came after them.
func (c *call) laterThan(older Grant) bool {
	both := c.grant.Device.ReadOnly() && older.Device.ReadOnly()
	return both && older.Identity.Created.After(c.grant.Identity.Created)
}

// maxChanges bounds how many changed ranges are held at once. It is more than maxExtents because a device begins anew
// to look for changes with every part.
const maxChanges = 1 << 16

// sendChanges writes the list of what differs from an older blob.
func (h *Handler) sendChanges(w http.ResponseWriter, c *call, k content, older *previous, q pageQuery) error {
	out := newPageWriter(h, w, c, q)
	tail, err := older.tail(c, k)
	if err != nil {
		return err
	}
	var list []block.Extent
	for at := q.start; at < q.end && out.marker == ""; {
		list, at, err = older.changes(c, list[:0], span{at, q.end}, tail)
		if err != nil {
			return out.broken(err)
		}
		for _, e := range list {
			s := pagesOf(e, q.span)
			if !e.Data { // pages that are cleared only in part are among those with data
				s = span{max(q.start, roundUp(e.Off)), min(q.end, (e.Off+e.Len)/vhd.SectorSize*vhd.SectorSize)}
			}
			if s.start < s.end && !out.add(s, !e.Data) {
				break
			}
		}
		if err := out.part(); err != nil {
			return err
		}
	}
	return out.end()
}

// tail gives the changes that the device knows nothing of: where the older blob's footer was, and where this one's is.
func (p *previous) tail(c *call, k content) ([]block.Extent, error) {
	was := content{device: p.grant.Device, data: p.grant.Bytes}
	footer := vhd.FixedFooter(p.grant.Bytes, p.grant.Identity)
	was.footer = footer[:]
	if was.data == k.data {
		if bytes.Equal(was.footer, k.footer) {
			return nil, nil
		}
		return []block.Extent{{Off: k.data, Len: vhd.SectorSize, Data: true}}, nil
	}
	now := make([]byte, vhd.SectorSize)
	if err := k.readAt(now, was.data); err != nil {
		return nil, err
	}
	return []block.Extent{
		{Off: was.data, Len: vhd.SectorSize, Data: !allZero(now)},
		{Off: k.data, Len: vhd.SectorSize, Data: true},
	}, nil
}

// changes appends to list the first changes in s, at most about maxChanges, and tells up to where they are all.
func (p *previous) changes(c *call, list []block.Extent, s span, tail []block.Extent) ([]block.Extent, int64, error) {
	if err := c.ctx.Err(); err != nil {
		return list, s.start, err
	}
	end := s.end
	if n := min(s.end, c.grant.Bytes) - s.start; n > 0 {
		err := p.device.Compare(p.grant.Device, s.start, n, func(e block.Extent) bool {
			if len(list) == maxChanges || c.ctx.Err() != nil {
				end = e.Off
				return false
			}
			list = append(list, e)
			return true
		})
		if err == nil {
			err = c.ctx.Err()
		}
		if err != nil {
			return list, s.start, err
		}
	}
	for _, e := range tail {
		if e.Off >= s.start && e.Off < end {
			list = insert(list, e)
		}
	}
	return list, end, nil
}

// insert puts a page among changes in order, unless one of them covers it.
func insert(list []block.Extent, page block.Extent) []block.Extent {
	i := 0
	for i < len(list) && list[i].Off+list[i].Len <= page.Off {
		i++
	}
	if i < len(list) && list[i].Off <= page.Off {
		return list
	}
	return append(list[:i], append([]block.Extent{page}, list[i:]...)...)
}
