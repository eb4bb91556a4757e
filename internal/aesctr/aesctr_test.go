package aesctr

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

func fill(r *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}

// TestAsStandard compares with the standard library: any length, alignment and place in the key stream, in place and not.
func TestAsStandard(t *testing.T) {
	if !hasWide() {
		t.Skip("this processor has no wide instructions: there is only the standard library")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var key [32]byte
		fill(r, key[:])
		c, err := New(&key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := aes.NewCipher(key[:])
		if err != nil {
			t.Fatal(err)
		}
		n, from := r.IntN(3*Step), r.IntN(64)
		if r.IntN(2) == 0 {
			n = r.IntN(20) * Step
		}
		src := make([]byte, from+n+64)
		fill(r, src)
		high, low := r.Uint64(), r.Uint64()>>r.IntN(64)&^(1<<63)
		if r.IntN(8) == 0 {
			low = 1<<32 - uint64(r.IntN(64))
		}
		var counter [16]byte
		binary.BigEndian.PutUint64(counter[:], high)
		binary.BigEndian.PutUint64(counter[8:], low)
		want := bytes.Clone(src)
		cipher.NewCTR(b, counter[:]).XORKeyStream(want[from:from+n], src[from:from+n])
		got := bytes.Clone(src)
		c.XOR(got[from:from+n], src[from:from+n], high, low)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes at %d from %x: not what the standard library makes", n, from, counter)
		}
		c.XOR(src[from:from+n], src[from:from+n], high, low)
		if !bytes.Equal(src, want) {
			t.Fatalf("%d bytes at %d from %x: in place, not what the standard library makes", n, from, counter)
		}
	}
}

// TestVector is F.5.5 of NIST SP 800-38A, its plaintext behind counters up to the step's end.
func TestVector(t *testing.T) {
	unhex := func(s string) []byte {
		p, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	c, err := New((*[32]byte)(unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, Step)
	copy(p, unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"))
	c.XOR(p, p, 0xf0f1f2f3f4f5f6f7, 0xf8f9fafbfcfdfeff)
	want := unhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6")
	if !bytes.Equal(p[:len(want)], want) {
		t.Errorf("%x, want %x", p[:len(want)], want)
	}
}

// TestShort: nothing is written behind the end of dst, which panics as with the standard library.
func TestShort(t *testing.T) {
	c, err := New(new([32]byte))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("more was written than there is room for")
		}
	}()
	c.XOR(make([]byte, Step, 2*Step), make([]byte, 2*Step), 0, 0)
}

func BenchmarkXOR(b *testing.B) {
	c, err := New(new([32]byte))
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 64<<10)
	for _, narrow := range []bool{false, true} {
		name := "wide"
		if c.wide = hasWide() && !narrow; narrow {
			name = "standard"
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				c.XOR(p, p, 0, 0)
			}
		})
	}
}
