package transfer

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"tintype/internal/vhd"
)

// maxChanges bounds one answer to a list of changes: some four million ranges.
const maxChanges = 256 << 20

// Change is a range of bytes in which a disk differs from an older one. Without Data it reads as zeroes now.
type Change struct {
	Start, Length int64
	Data          bool
}

// Changes lists where the data behind one signed URL may differ from that behind another, older one of the same server, in
// order. Written with what the newer has there, an image of the older becomes one of the newer.
func Changes(ctx context.Context, client *http.Client, newer, older string, o Options) ([]Change, error) {
	r, err := newRemote(client, newer, o)
	if err != nil {
		return nil, err
	}
	size, etag, err := r.head(ctx)
	if err != nil {
		return nil, err
	}
	return r.changes(ctx, size-vhd.FooterSize, etag, "", map[string]string{"x-ms-previous-snapshot-url": older})
}

// Changes lists where the disk whose VHD the blob is differs from the incremental snapshot of the same disk that was made at a time.
func (b *Blob) Changes(ctx context.Context, since time.Time) ([]Change, error) {
	query := "&prevsnapshot=" + url.QueryEscape(since.UTC().Format(time.RFC3339Nano))
	return b.remote.changes(ctx, b.size-vhd.FooterSize, b.etag, query, map[string]string{})
}

// changes asks for the list of changes in the first size bytes, with what says since when.
func (r *remote) changes(ctx context.Context, size int64, etag, since string, header map[string]string) ([]Change, error) {
	header["x-ms-range"] = fmt.Sprintf("bytes=0-%d", size-1)
	if etag != "" {
		header["If-Match"] = etag
	}
	var all []Change
	for marker, empty := "", 0; ; {
		query := "comp=pagelist" + since
		if marker != "" {
			query += "&marker=" + url.QueryEscape(marker)
		}
		var list changeList
		err := r.do(ctx, ask{method: http.MethodGet, query: query, header: header, want: http.StatusOK, take: func(resp *http.Response) error {
			list = changeList{}
			return xml.NewDecoder(io.LimitReader(resp.Body, maxChanges)).Decode(&list)
		}})
		if err != nil {
			return nil, err
		}
		found := len(all)
		if all, err = list.appendTo(all, size); err != nil {
			return nil, err
		}
		if len(all) == found {
			empty++
		}
		all = coarsen(all, mostChanges)
		switch {
		case list.NextMarker == "":
			return all, nil
		case list.NextMarker == marker || empty > maxEmpty:
			return nil, fmt.Errorf("%w: the list of changes does not end", errAnswer)
		}
		marker = list.NextMarker
	}
}

// mostChanges bounds a list of changes in memory: 24 MiB.
const mostChanges = 1 << 20

// coarsen joins neighbours in a list that is longer than most, the nearest first. What lies between two then counts as changed, with data: who
// copies it copies more than they had to, and the same.
func coarsen(all []Change, most int) []Change {
	for gap := int64(0); len(all) > most; gap = max(4096, 2*gap) {
		joined := all[:1]
		for _, c := range all[1:] {
			last := &joined[len(joined)-1]
			between := c.Start - last.Start - last.Length
			if between > gap {
				joined = append(joined, c)
				continue
			}
			last.Length = c.Start + c.Length - last.Start
			last.Data = last.Data || c.Data || between > 0
		}
		all = joined
	}
	return all
}

// changeList is a page list with a previous blob.
type changeList struct {
	PageRange, ClearRange []struct{ Start, End int64 }
	NextMarker            string
}

var errChanges = errors.New("its list of changes is out of order")

// appendTo appends the changes of a disk of size bytes in order. None may meet those before it.
func (l changeList) appendTo(all []Change, size int64) ([]Change, error) {
	from := len(all)
	for _, p := range l.PageRange {
		all = append(all, Change{p.Start, p.End - p.Start + 1, true})
	}
	for _, p := range l.ClearRange {
		all = append(all, Change{p.Start, p.End - p.Start + 1, false})
	}
	slices.SortFunc(all[from:], func(a, b Change) int { return cmp.Compare(a.Start, b.Start) })
	at := int64(0)
	if from > 0 {
		at = all[from-1].Start + all[from-1].Length
	}
	for _, c := range all[from:] {
		if c.Start < at || c.Length <= 0 || c.Start > size || c.Length > size-c.Start {
			return nil, errors.Join(errAnswer, errChanges)
		}
		at = c.Start + c.Length
	}
	return all, nil
}
