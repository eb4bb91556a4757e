package sim

import (
	"testing"

	"tintype/internal/vfs/crashfs"
)

// TestHistoriesFillTheDisk sees to it that writes are refused in some histories, and that there is room again after it.
func TestHistoriesFillTheDisk(t *testing.T) {
	refusals := 0
	for seed := uint64(1); seed <= 30 && refusals == 0; seed++ {
		s := newSim(seed, Config{})
		if !s.fills {
			continue
		}
		if err := s.start(crashfs.New(seed)); err != nil {
			t.Fatal(err)
		}
		if err := s.turnFull(); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			if err := s.write(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		refusals += s.refusals
		if err := s.turnFull(); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if err := s.write(); err != nil {
				t.Fatalf("seed %d, after there is room again: %v", seed, err)
			}
		}
		if err := s.verify(); err != nil {
			t.Fatal(err)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if refusals == 0 {
		t.Error("no write was refused")
	}
}
