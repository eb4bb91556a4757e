package nbd_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"tintype/internal/block/blocktest"
	"tintype/internal/nbd"
)

const (
	repErrUnsup   = 1<<31 + 1
	repErrInvalid = 1<<31 + 3
	repErrUnknown = 1<<31 + 6
	repErrTooBig  = 1<<31 + 9
)

// TestRefusedOptions sends options that must be refused, over one connection that must stay in step.
func TestRefusedOptions(t *testing.T) {
	w := greetRaw(t, serve(t, blocktest.NewMem(1<<20)), 3)
	long := strings.Repeat("n", 4097)
	for _, o := range []struct {
		name string
		opt  uint32
		data []byte
		want uint32
	}{
		{"unknown", 99, nil, repErrUnsup},
		{"unknown with data", 1 << 31, make([]byte, 60000), repErrUnsup},
		{"unknown with much data", 77, make([]byte, 1<<20), repErrUnsup},
		{"withdrawn", 4, nil, repErrUnsup},
		{"TLS", 5, nil, repErrUnsup},
		{"extended headers", 11, nil, repErrUnsup},
		{"list with data", 3, []byte{0}, repErrInvalid},
		{"list with much data", 3, make([]byte, 1<<17), repErrTooBig},
		{"structured with data", 8, []byte{0}, repErrInvalid},
		{"info, nothing", 6, nil, repErrInvalid},
		{"info, only a length", 6, []byte{0, 0, 0, 0}, repErrInvalid},
		{"info, name too long", 6, infoData(long), repErrInvalid},
		{"info, name beyond the data", 6, []byte{255, 255, 255, 255, 0, 0}, repErrInvalid},
		{"info, too few items", 6, []byte{0, 0, 0, 0, 0, 2, 0, 0}, repErrInvalid},
		{"info, too many items", 6, []byte{0, 0, 0, 0, 0, 0, 0, 0}, repErrInvalid},
		{"info, unknown name", 6, infoData("other"), repErrUnknown},
		{"go, unknown name", 7, infoData("Disk"), repErrUnknown},
		{"go, too much data", 7, make([]byte, 1<<18), repErrTooBig},
		{"contexts before structured replies", 10, contextData("disk", "base:allocation"), repErrInvalid},
		{"list of contexts before structured replies", 9, contextData("disk"), repErrInvalid},
	} {
		w.option(o.opt, o.data)
		if got, _ := w.optionReply(o.opt); got != o.want {
			t.Errorf("%s: answered with %#x, want %#x", o.name, got, o.want)
		}
	}
	w.option(8, nil)
	w.wantReply(8, 1)
	for _, o := range []struct {
		name string
		data []byte
		want uint32
	}{
		{"nothing", nil, repErrInvalid},
		{"no count", contextData("disk")[:8], repErrInvalid},
		{"queries beyond the data", append(contextData("disk")[:8], 255, 255, 255, 255), repErrInvalid},
		{"query too long", contextData("disk", long), repErrInvalid},
		{"data behind the queries", append(contextData("disk", "base:"), 0), repErrInvalid},
		{"unknown name", contextData("other", "base:"), repErrUnknown},
	} {
		for _, opt := range []uint32{9, 10} {
			w.option(opt, o.data)
			if got, _ := w.optionReply(opt); got != o.want {
				t.Errorf("contexts, %s: option %d answered with %#x, want %#x", o.name, opt, got, o.want)
			}
		}
	}
	w.enter("disk", true)
}

// TestMetaContexts checks which queries name a context, and that what counts is the last selection for the export that
// is entered.
func TestMetaContexts(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	_, socket := serveExports(t, nbd.Export{Name: "disk", Device: mem}, nbd.Export{Name: "other", Device: mem})
	const list, set = 9, 10
	for _, c := range []struct {
		name  string
		opt   uint32
		data  []byte
		found bool // in the reply
		want  uint32
	}{
		{"list all", list, contextData("disk"), true, einval},
		{"list base", list, contextData("disk", "base:"), true, einval},
		{"list unknown", list, contextData("disk", "x-y:z", "base:other", "nonsense"), false, einval},
		{"set nothing", set, contextData("disk"), false, einval},
		{"set base", set, contextData("disk", "base:"), false, einval},
		{"set", set, contextData("disk", "qemu:dirty-bitmap:x", "base:allocation"), true, 0},
		{"set for another", set, contextData("other", "base:allocation"), true, einval},
	} {
		w := greetRaw(t, socket, 3)
		w.option(8, nil)
		w.wantReply(8, 1)
		if c.found {
			w.option(c.opt, c.data)
			if got := w.wantReply(c.opt, 4); string(got[4:]) != "base:allocation" {
				t.Errorf("%s: context %q", c.name, got)
			}
			w.wantReply(c.opt, 1)
		} else {
			w.option(c.opt, c.data)
			w.wantReply(c.opt, 1)
		}
		w.option(7, infoData("disk"))
		w.wantReply(7, 3)
		w.wantReply(7, 1)
		w.request(0, 7, 1, 0, 4096)
		if got := w.result(1, true); got != c.want {
			t.Errorf("%s: block status fails with %d, want %d", c.name, got, c.want)
		}
	}
}

// TestForgottenContext selects a context, then fails to select again: nothing is selected.
func TestForgottenContext(t *testing.T) {
	for name, data := range map[string][]byte{
		"malformed": {1}, "too long": make([]byte, 1<<17), "none": contextData("disk"),
	} {
		w := greetRaw(t, serve(t, blocktest.NewMem(1<<20)), 3)
		w.option(8, nil)
		w.wantReply(8, 1)
		w.option(10, contextData("disk", "base:allocation"))
		w.wantReply(10, 4)
		w.wantReply(10, 1)
		w.option(10, data)
		w.optionReply(10)
		w.option(7, infoData("disk"))
		w.wantReply(7, 3)
		w.wantReply(7, 1)
		w.request(0, 7, 1, 0, 4096)
		if got := w.result(1, true); got != einval {
			t.Errorf("%s: block status answers %d, want EINVAL", name, got)
		}
	}
}

func TestInfo(t *testing.T) {
	mem := blocktest.NewMem(1<<20 + 512)
	w := greetRaw(t, serve(t, mem), 3)
	w.option(6, infoData("", 3, 1, 2, 2, 1, 77))
	want := []string{
		"\x00\x00" + "\x00\x00\x00\x00\x00\x10\x02\x00" + "\x0d\x6d",
		"\x00\x03" + "\x00\x00\x00\x01" + "\x00\x00\x10\x00" + "\x02\x00\x00\x00",
		"\x00\x01disk",
		"\x00\x02the only one",
	}
	for _, item := range want {
		if got := w.wantReply(6, 3); string(got) != item {
			t.Errorf("item %q, want %q", got, item)
		}
	}
	w.wantReply(6, 1)
	w.option(2, []byte("bye"))
	w.wantReply(2, 1)
	w.wantEnd()
}

func TestList(t *testing.T) {
	mem := blocktest.NewMem(4096)
	_, socket := serveExports(t, nbd.Export{Name: "b", Device: mem, Description: "second"}, nbd.Export{Name: "a", Device: mem})
	w := greetRaw(t, socket, 1)
	w.option(3, nil)
	for _, want := range []string{"\x00\x00\x00\x01a", "\x00\x00\x00\x01bsecond"} {
		if got := w.wantReply(3, 2); string(got) != want {
			t.Errorf("export %q, want %q", got, want)
		}
	}
	w.wantReply(3, 1)
	w.option(7, infoData("")) // there are two: none is the default
	w.wantReply(7, repErrUnknown)
}

// TestExportName enters by the oldest option, with and without the padding.
func TestExportName(t *testing.T) {
	mem := blocktest.NewMem(1 << 20)
	socket := serve(t, mem)
	for flags, padding := range map[uint32]int{0: 124, 1: 124, 2: 0, 3: 0} {
		for _, name := range []string{"disk", ""} {
			w := greetRaw(t, socket, flags)
			w.option(1, []byte(name))
			got := w.read(10 + padding)
			if binary.BigEndian.Uint64(got) != 1<<20 || len(bytes.Trim(got[10:], "\x00")) > 0 {
				t.Errorf("flags %d: % x", flags, got)
			}
			w.request(0, 3, 5, 0, 0)
			if e := w.simple(5); e != 0 {
				t.Errorf("flush: %d", e)
			}
		}
	}
}

// TestHangUp breaks the rules where there is no answer but to close the connection.
func TestHangUp(t *testing.T) {
	socket := serve(t, blocktest.NewMem(1<<20))
	for name, c := range map[string]struct {
		flags uint32
		bytes []byte
	}{
		"unknown client flag":         {4, nil},
		"export name unknown":         {3, optionBytes(1, []byte("nope"))},
		"export name too long":        {3, optionBytes(1, make([]byte, 4097))},
		"export name much too long":   {3, optionBytes(1, make([]byte, 100000))},
		"go without fixed newstyle":   {2, optionBytes(7, infoData("disk"))},
		"option without magic":        {3, make([]byte, 16)},
		"option of 4 GiB":             {3, append(optionBytes(6, nil)[:12], 255, 255, 255, 255)},
		"endless options":             {3, bytes.Repeat(optionBytes(4242, nil), 1024)},
		"abort though much too long":  {3, optionBytes(2, make([]byte, 100000))},
		"abort, and then go on alone": {3, append(optionBytes(2, nil), optionBytes(7, infoData("disk"))...)},
	} {
		t.Run(name, func(t *testing.T) {
			w := greetRaw(t, socket, c.flags)
			go w.nc.Write(c.bytes)
			for range 1100 {
				b := make([]byte, 20)
				if n, err := w.nc.Read(b); n == 0 && err != nil {
					w.wantEnd()
					return
				}
			}
			t.Error("the connection goes on")
		})
	}
}
