package sim

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "play only this seed")
	firstFlag = flag.Uint64("sim.first", 1, "first seed")
	countFlag = flag.Uint64("sim.count", 60, "how many seeds")
	stepsFlag = flag.Int("sim.steps", 150, "operations a seed")
	traceFlag = flag.Bool("sim.trace", false, "print every step")
	timeFlag  = flag.Duration("sim.time", 0, "stop beginning new seeds after this time")
)

// TestSeeds plays histories. A failure prints the command that repeats it.
func TestSeeds(t *testing.T) { play(t, *countFlag, *stepsFlag, Run) }

// TestRot flips bits behind a third as many, which are shorter.
func TestRot(t *testing.T) { play(t, (*countFlag+2)/3, *stepsFlag/2, RunRot) }

func play(t *testing.T, count uint64, steps int, run func(uint64, Config) error) {
	first := *firstFlag
	if *seedFlag != 0 {
		first, count = *seedFlag, 1
	}
	cfg := Config{Steps: steps}
	if *traceFlag {
		cfg.Trace = func(step int, what string) { fmt.Println(step, what) }
	}
	begin := time.Now()
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				if err := run(seed, cfg); err != nil {
					t.Errorf("seed %d: %v\nrepeat with: go test ./internal/sim -run %s -sim.seed=%d -sim.steps=%d", seed, err, t.Name(), seed, *stepsFlag)
				}
			}
		})
	}
	played := uint64(0)
	for ; played < count && !t.Failed(); played++ {
		if *timeFlag > 0 && time.Since(begin) > *timeFlag {
			break
		}
		seeds <- first + played
	}
	close(seeds)
	wg.Wait()
	fmt.Printf("%s: %d seeds from %d on, %d steps each, in %v\n", t.Name(), played, first, steps, time.Since(begin).Round(time.Second))
}
