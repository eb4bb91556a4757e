package nbd

import "io"

// inputSize is the read buffer of a connection: a deep queue of 4 KiB writes fits into it whole.
const inputSize = 256 << 10

// input reads from a client through one large buffer, so that one system call brings many requests. Before it waits
// for the client it calls idle, which sends the replies that are ready.
type input struct {
	src  io.Reader
	idle func() error
	buf  []byte
	r, w int
	wary bool // the next fill is probably followed by a payload that has its own buffer
}

// waryRead is how much is read where a long payload is expected: what of it gets into the buffer is copied once more.
const waryRead = 4 << 10

// need returns the next n bytes, at most inputSize, which stay in the buffer and valid until the next call.
func (in *input) need(n int) ([]byte, error) {
	for in.w-in.r < n {
		if err := in.fill(n); err != nil {
			return nil, err
		}
	}
	return in.buf[in.r : in.r+n], nil
}

// fill reads once, making room for n bytes in a row.
func (in *input) fill(n int) error {
	if err := in.idle(); err != nil {
		return err
	}
	if in.r == in.w {
		in.r, in.w = 0, 0
	} else if in.r+n > len(in.buf) {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	room := in.buf[in.w:]
	if in.wary && n <= waryRead {
		room = room[:min(len(room), waryRead)]
	}
	in.wary = false
	got, err := in.src.Read(room)
	in.w += got
	if got > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (in *input) empty() bool { return in.r == in.w }

func (in *input) skip(n int) { in.r += n }

// read fills p, past the buffer where it is empty.
func (in *input) read(p []byte) error {
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	if n == len(p) {
		return nil
	}
	if err := in.idle(); err != nil {
		return err
	}
	in.wary = len(p) > inlineWrite
	_, err := io.ReadFull(in.src, p[n:])
	return err
}

// discard drops the next n bytes.
func (in *input) discard(n int64) error {
	for n > 0 {
		if in.r == in.w {
			if err := in.fill(1); err != nil {
				return err
			}
		}
		k := int(min(n, int64(in.w-in.r)))
		in.r += k
		n -= int64(k)
	}
	return nil
}
