package template

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

func encodingFunctions() map[string]function {
	return map[string]function{
		"base64":         textTo(func(s string) any { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		"base64tostring": plain(1, 1, func(_ *evaluator, args []any) (any, error) { return fromBase64(args) }),
		"base64tojson": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			s, err := fromBase64(args)
			if err != nil {
				return nil, err
			}
			return Decode([]byte(s))
		}),
		"uricomponent": textTo(func(s string) any { return uriComponent(s) }),
		"uricomponenttostring": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			s, err := textArg(args, 0)
			if err != nil {
				return nil, err
			}
			return url.PathUnescape(s)
		}),
		"uri": plain(2, 2, uriFunction),
		"datauri": textTo(func(s string) any {
			return "data:text/plain;charset=utf-8;base64," + base64.StdEncoding.EncodeToString([]byte(s))
		}),
		"datauritostring": plain(1, 1, dataURIToString),
		"uniquestring": plain(1, -1, func(e *evaluator, args []any) (any, error) {
			s, err := e.seed(args)
			return uniqueString(s), err
		}),
		"guid": plain(1, -1, func(e *evaluator, args []any) (any, error) {
			s, err := e.seed(args)
			return uuid.NewSHA1(guidSpace(), []byte(s)).String(), err
		}),
		"newguid": plain(0, 0, func(e *evaluator, _ []any) (any, error) {
			if e.mode != modeDefault || e.in.env.NewGUID == nil {
				return nil, errors.New("the function newGuid is only allowed in the default value of a parameter")
			}
			return e.in.env.NewGUID(), nil
		}),
	}
}

// guidSpace is the namespace of the function guid.
func guidSpace() uuid.UUID { return uuid.MustParse("11fb06fb-712d-4ddd-98c7-e71bbd588830") }

// seed joins the arguments of guid and uniqueString.
func (e *evaluator) seed(args []any) (string, error) {
	parts := make([]string, len(args))
	for i, v := range args {
		var err error
		if parts[i], err = e.textOf(v); err != nil {
			return "", err
		}
	}
	return strings.Join(parts, "-"), nil
}

func fromBase64(args []any) (string, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return "", err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || !utf8.Valid(b) {
		return "", errors.New("the text is not base64 of UTF-8")
	}
	return string(b), nil
}

// uriComponent escapes all but letters, digits and - _ . ~
func uriComponent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String()
}

func uriFunction(_ *evaluator, args []any) (any, error) {
	base, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	rest, err := textArg(args, 1)
	if err != nil {
		return nil, err
	}
	b, err := url.Parse(base)
	if err != nil || !b.IsAbs() {
		return nil, fmt.Errorf("'%.200s' is not an absolute URI", base)
	}
	if b.Path == "" {
		b.Path = "/"
	}
	r, err := url.Parse(rest)
	if err != nil {
		return nil, fmt.Errorf("'%.200s' is not a URI", rest)
	}
	return b.ResolveReference(r).String(), nil
}

func dataURIToString(_ *evaluator, args []any) (any, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(s, "data:")
	head, data, comma := strings.Cut(rest, ",")
	if !ok || !comma {
		return nil, errors.New("the text is not a data URI")
	}
	kind, packed := strings.CutSuffix(head, ";base64")
	if kind != "" {
		if _, _, err := mime.ParseMediaType(kind); err != nil && !strings.HasPrefix(kind, ";") {
			return nil, errors.New("the data URI has a bad media type")
		}
	}
	if packed {
		return fromBase64([]any{data})
	}
	return url.PathUnescape(data)
}

// uniqueString is Azure's: a 64-bit variant of MurmurHash 3 for 32-bit machines, as 13 characters of base 32. Azure does
// not document it; the constants are known from what others found, and the tests hold it to values that Azure gave.
func uniqueString(s string) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	h := murmur64([]byte(s))
	var out [13]byte
	for i := range out {
		out[i] = alphabet[h>>59]
		h <<= 5
	}
	return string(out[:])
}

// Hash is the number behind uniqueString; a template's hash is made of it.
func Hash(data []byte) uint64 { return murmur64(data) }

func murmur64(data []byte) uint64 {
	const c1, c2 = 0x239b961b, 0xab0e9789
	var h1, h2 uint32
	length := uint32(len(data))
	first := func(k uint32) uint32 { return bits.RotateLeft32(k*c1, 15) * c2 }
	second := func(k uint32) uint32 { return bits.RotateLeft32(k*c2, 17) * c1 }
	word := func(b []byte) (k uint32) {
		for i := min(len(b), 4) - 1; i >= 0; i-- {
			k = k<<8 | uint32(b[i])
		}
		return k
	}
	for ; len(data) >= 8; data = data[8:] {
		h1 = (bits.RotateLeft32(h1^first(word(data)), 19)+h2)*5 + 0x561ccd1b
		h2 = (bits.RotateLeft32(h2^second(word(data[4:])), 13)+h1)*5 + 0x0bcaa747
	}
	if len(data) > 0 {
		h1 ^= first(word(data))
	}
	if len(data) > 4 {
		h2 ^= second(word(data[4:]))
	}
	h1, h2 = h1^length, h2^length
	h1 += h2
	h2 += h1
	h1, h2 = mix(h1), mix(h2)
	h1 += h2
	h2 += h1
	return uint64(h2)<<32 | uint64(h1)
}

func mix(h uint32) uint32 {
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}
