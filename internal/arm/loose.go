package arm

import (
	"bytes"
	"strings"
)

// strictJSON turns what Azure's parser takes beyond JSON into JSON: comments, names without quotes, strings in single
// quotes or over several lines, and commas before a closing bracket. az sends templates with all of these. What it does not
// understand stays as it is, for the real parser to refuse.
func strictJSON(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/16)
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == '"' || c == '\'':
			out, i = looseString(out, b, i)
		case c == '/' && i+1 < len(b) && (b[i+1] == '/' || b[i+1] == '*'):
			i = afterComment(b, i)
			out = append(out, ' ')
		case c == '}' || c == ']':
			out = append(dropComma(out), c)
			i++
		case wordByte(c) && c != '-' && (c < '0' || c > '9'):
			n := i
			for n < len(b) && wordByte(b[n]) {
				n++
			}
			if afterSpace(b, n) == ':' {
				out = append(append(append(out, '"'), b[i:n]...), '"')
			} else {
				out = append(out, b[i:n]...)
			}
			i = n
		default:
			out = append(out, c)
			i++
		}
	}
	return out
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// afterSpace is the next byte that is no space, 0 at the end.
func afterSpace(b []byte, i int) byte {
	for ; i < len(b); i++ {
		if strings.IndexByte(" \t\r\n", b[i]) < 0 {
			return b[i]
		}
	}
	return 0
}

func afterComment(b []byte, i int) int {
	mark, from := []byte("\n"), i+2
	if b[i+1] == '*' {
		mark = []byte("*/")
	}
	if n := bytes.Index(b[from:], mark); n >= 0 {
		return from + n + len(mark)
	}
	return len(b)
}

// dropComma removes a comma at the end, which nothing but space follows.
func dropComma(out []byte) []byte {
	n := len(out)
	for n > 0 && strings.IndexByte(" \t\r\n", out[n-1]) >= 0 {
		n--
	}
	if n > 0 && out[n-1] == ',' {
		return append(out[:n-1], out[n:]...)
	}
	return out
}

// looseString copies the string that begins at i, in double quotes, and says where it ends.
func looseString(out, b []byte, i int) ([]byte, int) {
	quote := b[i]
	out = append(out, '"')
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == quote:
			return append(out, '"'), i + 1
		case c == '\\' && i+1 < len(b):
			i++
			if b[i] == '\'' {
				out = append(out, '\'')
			} else {
				out = append(out, c, b[i])
			}
		case c == '"':
			out = append(out, '\\', '"')
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, c)
		}
	}
	return out, i
}
