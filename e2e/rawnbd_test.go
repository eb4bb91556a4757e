package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func pageRange(off int64) string { return fmt.Sprintf("bytes=%d-%d", off, off+511) }

// rawNBD connects to an export by hand, so that it can send what no client would.
func rawNBD(t *testing.T, uri string) net.Conn {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", u.Query().Get("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	greeting := make([]byte, 18)
	if _, err := io.ReadFull(conn, greeting); err != nil || string(greeting[:16]) != "NBDMAGICIHAVEOPT" {
		t.Fatalf("greeting: %q, %v", greeting, err)
	}
	export := strings.TrimPrefix(u.Path, "/")
	hello := binary.BigEndian.AppendUint32(nil, 3) // fixed newstyle, no zeroes
	hello = append(hello, "IHAVEOPT"...)
	hello = binary.BigEndian.AppendUint32(hello, 1) // NBD_OPT_EXPORT_NAME
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(export)))
	if _, err := conn.Write(append(hello, export...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 10) // size, flags
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	if size := binary.BigEndian.Uint64(answer); size != 1<<30 {
		t.Fatalf("the export has %d bytes", size)
	}
	return conn
}

// nbdRequest is the header of a request.
func nbdRequest(kind uint16, off uint64, length uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0x25609513)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, 7)
	b = binary.BigEndian.AppendUint64(b, off)
	return binary.BigEndian.AppendUint32(b, length)
}

// TestBadNBD sends requests that are too large, out of range or cut short, and requires that the server refuses them
// without harm to the other clients.
func TestBadNBD(t *testing.T) {
	const read, write, hugeLength = 0, 1, 0xfffffff0
	a := newAPI(t, start(t, t.TempDir()))
	a.makeGroup("g")
	disk := a.id("g", "disks", "d")
	a.must("PUT", versioned(disk), emptyDisk(1))
	uri := a.attach(disk, false)
	honest := dial(t, uri)
	defer honest.Close()
	if _, err := honest.WriteAt([]byte("precious"), 0); err != nil {
		t.Fatal(err)
	}
	for name, bytes := range map[string][]byte{
		"oversized read":     nbdRequest(read, 0, hugeLength),
		"oversized write":    nbdRequest(write, 0, hugeLength),
		"read past the end":  nbdRequest(read, 1<<30-512, 4096),
		"offset that wraps":  nbdRequest(read, ^uint64(0)-100, 512),
		"write past the end": append(nbdRequest(write, 1<<30-512, 4096), make([]byte, 4096)...),
		"unknown command":    nbdRequest(999, 0, 512),
		"wrong magic":        append([]byte("NOT!"), nbdRequest(read, 0, 512)[4:]...),
	} {
		conn := rawNBD(t, uri)
		if _, err := conn.Write(bytes); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, 16)
		if _, err := io.ReadFull(conn, reply); err != nil {
			continue // the connection was cut, which is an answer
		}
		if code := binary.BigEndian.Uint32(reply[4:]); code == 0 {
			t.Errorf("%s: answered with success", name)
		}
	}
	half := rawNBD(t, uri)
	if _, err := half.Write(append(nbdRequest(write, 0, 1<<20), "garbage"...)); err != nil {
		t.Fatal(err)
	}
	half.Close() // half-way through its payload
	got := make([]byte, 8)
	if _, err := honest.ReadAt(got, 0); err != nil || string(got) != "precious" {
		t.Errorf("the honest client reads %q, %v", got, err)
	}
	a.detach(disk)
	a.must("DELETE", versioned(disk), nil)
}

// TestClientDiesHalfWay leaves an upload and a download unfinished, and requires that the server goes on.
func TestClientDiesHalfWay(t *testing.T) {
	s := start(t, t.TempDir())
	a := newAPI(t, s)
	a.makeGroup("g")
	disk := a.id("g", "disks", "d")
	a.must("PUT", versioned(disk), emptyDisk(1))
	sas := a.grant(disk, "Read", 600)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, sas, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, answer.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	upload := a.id("g", "disks", "up")
	a.must("PUT", versioned(upload), map[string]any{"location": "westus2", "properties": map[string]any{
		"creationData": map[string]any{"createOption": "Upload", "uploadSizeBytes": 20*mib + 512},
	}})
	half := a.grant(upload, "Write", 600)
	body, in := io.Pipe()
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, half+"&comp=page", body)
	if err != nil {
		t.Fatal(err)
	}
	put.ContentLength = 1 << 20
	put.Header.Set("x-ms-page-write", "update")
	put.Header.Set("x-ms-range", "bytes=0-1048575")
	put.Header.Set("x-ms-version", "2019-12-12")
	go func() {
		_, _ = in.Write(make([]byte, 4096)) // the server may already have hung up
		in.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if answer, err := a.client.Do(put); err == nil {
		answer.Body.Close()
		if answer.StatusCode < 400 {
			t.Errorf("half a page write: %d", answer.StatusCode)
		}
	}
	if r := a.send("DELETE", versioned(disk), nil); r.status != http.StatusConflict {
		t.Errorf("deleting a disk that a signed URL reads: %d %s", r.status, r.body)
	}
	a.must("POST", versioned(disk+"/endGetAccess"), nil)
	a.finish(a.send("POST", versioned(upload+"/endGetAccess"), nil)) // says InvalidVhd, and gives the disk free
	a.must("DELETE", versioned(upload), nil)
	a.must("DELETE", versioned(disk), nil)
	if left := a.list("g", "disks"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
