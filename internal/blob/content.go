package blob

import (
	"context"
	"fmt"

	"tintype/internal/block"
	"tintype/internal/vhd"
)

// content is a blob's bytes: the device's data, then the footer.
type content struct {
	device block.Device
	data   int64
	footer []byte
}

// content gives the bytes that the call may read.
func (c *call) content() (content, error) {
	k := content{device: c.grant.Device, data: c.grant.Bytes}
	if c.grant.Whole {
		return k, nil
	}
	if c.grant.Footer == nil {
		footer := vhd.FixedFooter(c.grant.Bytes, c.grant.Identity)
		k.footer = footer[:]
		return k, nil
	}
	footer, err := c.grant.Footer.Load(c.ctx)
	if err == nil && len(footer) != vhd.FooterSize {
		err = fmt.Errorf("blob: stored footer has %d bytes", len(footer))
	}
	k.footer = footer
	return k, err
}

// size is the blob's length.
func (c *call) size() int64 {
	if c.grant.Whole {
		return c.grant.Bytes
	}
	return c.grant.Bytes + vhd.FooterSize
}

// readAt fills p from off. The range must lie inside the blob.
func (k content) readAt(p []byte, off int64) error {
	if n := min(int64(len(p)), k.data-off); n > 0 {
		if _, err := k.device.ReadAt(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	if len(p) > 0 {
		copy(p, k.footer[off-k.data:])
	}
	return nil
}

// maxExtents bounds how many extents are held at once. The device is not asked while a client is being written to: a
// slow one would hold up whatever the device holds meanwhile.
const maxExtents = 4096

// extents appends to list the first extents of s, at most maxExtents, and tells where they end. Neighbours that are
// alike are one.
func (k content) extents(ctx context.Context, list []block.Extent, s span) ([]block.Extent, int64, error) {
	if err := ctx.Err(); err != nil {
		return list, s.start, err
	}
	end := s.start
	add := func(e block.Extent) bool {
		if e.Len == 0 {
			return true
		}
		if n := len(list); n > 0 && list[n-1].Data == e.Data {
			list[n-1].Len += e.Len
		} else if n == maxExtents {
			return false
		} else {
			list = append(list, e)
		}
		end = e.Off + e.Len
		return true
	}
	more := true
	if n := min(s.end, k.data) - s.start; n > 0 {
		err := k.device.Extents(s.start, n, func(e block.Extent) bool {
			more = add(e)
			return more
		})
		if err != nil {
			return list, end, err
		}
	}
	if from := max(s.start, k.data); more && from < s.end {
		add(block.Extent{Off: from, Len: s.end - from, Data: !allZero(k.footer)})
	}
	if end == s.start {
		return list, end, fmt.Errorf("blob: device gives no extents at %d", s.start)
	}
	return list, end, nil
}
