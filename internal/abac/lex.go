package abac

import (
	"fmt"
	"strings"
)

// kind of a token.
type kind uint8

const (
	end       kind = iota
	word           // a name, an operator, a number, a GUID
	text           // in single quotes, escapes as they were written
	attribute      // @Source[Name]
	sign           // one of ( ) { } , ! && ||
)

type token struct {
	kind kind
	text string
	at   int // offset in the condition
}

// lex cuts a condition into tokens; the last is the end.
func lex(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		t := token{at: i}
		n := 0
		switch c := s[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
			continue
		case strings.IndexByte("(){},!", c) >= 0:
			t.kind, n = sign, 1
		case strings.HasPrefix(s[i:], "&&"), strings.HasPrefix(s[i:], "||"):
			t.kind, n = sign, 2
		case c == '\'':
			t.kind, n = text, textLength(s[i:])
		case c == '@':
			t.kind, n = attribute, strings.IndexByte(s[i:], ']')+1
		case wordByte(c):
			t.kind = word
			for n < len(s)-i && wordByte(s[i+n]) {
				n++
			}
		}
		if n <= 0 {
			return nil, fmt.Errorf("at %d: nothing begins or ends like this", i)
		}
		t.text = s[i : i+n]
		if t.kind == text {
			t.text = t.text[1 : n-1]
		}
		out, i = append(out, t), i+n
	}
	return append(out, token{kind: end, at: len(s)}), nil
}

// textLength is the length of the quoted text with which s begins, 0 when it does not end.
func textLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return 0
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-+._:", c) >= 0
}

// plain is a quoted text without its escapes.
func plain(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
