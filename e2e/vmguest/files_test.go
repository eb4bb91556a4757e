//go:build linux

package main

import (
	"os"
	"testing"
)

// TestVerifyNoticesWhatIsLost writes files as the guest does, and harms them.
func TestVerifyNoticesWhatIsLost(t *testing.T) {
	dir := t.TempDir()
	for n := int64(0); n <= 2*slots+5; n++ {
		if n > 0 {
			if err := replace(dir, n); err != nil {
				t.Fatal(err)
			}
		}
		if last, err := verify(dir); err != nil || last != n {
			t.Fatalf("after %d: %d, %v", n, last, err)
		}
	}
	victim := slotName(dir, 2*slots)
	whole, err := os.ReadFile(victim)
	if err != nil {
		t.Fatal(err)
	}
	turned := append([]byte(nil), whole...)
	turned[len(turned)-1] ^= 1
	for what, harm := range map[string][]byte{
		"a file of zeroes": make([]byte, len(whole)), "an empty file": {}, "half a file": whole[:len(whole)/2],
		"one bit": turned, "the file before": content(slots), "the file after": content(3 * slots),
	} {
		if err := os.WriteFile(victim, harm, 0o600); err != nil {
			t.Fatal(err)
		}
		if last, err := verify(dir); err == nil {
			t.Errorf("%s: found %d", what, last)
		}
	}
	if err := os.Remove(victim); err != nil {
		t.Fatal(err)
	}
	if last, err := verify(dir); err == nil {
		t.Errorf("a file that is gone: found %d", last)
	}
}
