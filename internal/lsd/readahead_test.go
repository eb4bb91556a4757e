package lsd

import "testing"

func TestReadAround(t *testing.T) {
	var a readAhead
	stream := func(off int64, n int) {
		for range streamReads {
			a.note(off, n, true)
			off += int64(n)
		}
	}
	is := func(what string, first position, n int, from position, slots int) {
		t.Helper()
		if f, s := a.around(first, n); f != from && slots > 0 || s != slots {
			t.Errorf("%s: around(%d, %d) is %d, %d; want %d, %d", what, first, n, f, s, from, slots)
		}
	}
	is("no stream", 100, 3, 100, 3)
	stream(0, 1<<20)
	is("a stream", 100, 3, 96, 16)
	is("asked for", 97, 2, 0, 0)
	is("two windows, one asked for", 110, 4, 112, 16)
	is("two windows", at(7, 15), 2, at(7, 0), 32)
	a.note(1<<40, 1<<20, true)
	is("another place", 100, 3, 100, 3)
	stream(1<<40, 1<<20)
	is("another stream", 100, 3, 96, 16)
	a.note(1<<40, 1<<20, false)
	is("more than memory has", 100, 3, 100, 3)
	stream(0, 4096)
	is("short reads", 100, 3, 100, 3)
	var none *readAhead
	if from, n := none.around(5, 2); from != 5 || n != 2 {
		t.Errorf("nothing is known: %d, %d", from, n)
	}
}
