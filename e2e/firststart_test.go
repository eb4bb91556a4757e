package e2e

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestFirstStartIsKilled kills the server at random moments of its first start, in which keys, tenant and client folder
// are made: whatever is left, the next start must finish it, and the credentials in the client folder must work.
func TestFirstStartIsKilled(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	for range 3 {
		data := filepath.Join(t.TempDir(), "data")
		for range 8 {
			cmd := exec.Command(program(t), "serve", "--data", data, "--listen", "127.0.0.1:0")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
		}
		s := launch(t, data)
		newAPI(t, s).makeGroup("works")
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		check(t, data)
	}
}
