package main

import "testing"

func TestHostMatches(t *testing.T) {
	for _, c := range []struct {
		allowed, host string
		want          bool
	}{
		{"a.example", "a.example", true},
		{"a.example", "A.Example:443", true},
		{"a.example", "a.example:8443", false},
		{"a.example:8443", "a.example:8443", true},
		{"a.example", "b.a.example", false},
		{"*.a.example", "b.a.example", true},
		{"*.a.example", "a.example", false},
		{"*.a.example", "ba.example", false},
		{"*.a.example", "a.example.evil", false},
		{"[::1]:8443", "[::1]:8443", true},
		{"::1", "[::1]", true},
	} {
		if got := hostMatches(c.allowed, c.host); got != c.want {
			t.Errorf("%s in %s: %v", c.host, c.allowed, got)
		}
	}
}
