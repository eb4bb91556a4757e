package cli

import (
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows how far a transfer is: a bar on a terminal, else a line now and
// then. Its methods must be called one at a time.
type progress struct {
	env   Env
	what  string
	start time.Time

	// On a terminal.
	bars *mpb.Progress
	bar  *mpb.Bar

	// Elsewhere.
	said time.Time

	total int64
}

// sayEvery is how often a line is written where no bar can move.
const sayEvery = 10 * time.Second

func newProgress(env Env, what string) *progress {
	now := env.Now()
	p := &progress{env: env, what: what, start: now, said: now}
	if env.StderrTTY {
		p.bars = mpb.New(mpb.WithOutput(env.Stderr), mpb.WithWidth(40))
		p.bar = p.bars.New(0, mpb.BarStyle(),
			mpb.PrependDecorators(decor.Name(what+" ")),
			mpb.AppendDecorators(
				decor.CountersKibiByte("% .1f / % .1f"),
				decor.Name("  "),
				decor.AverageSpeed(decor.SizeB1024(0), "% .1f"),
				decor.Name("  "),
				decor.AverageETA(decor.ET_STYLE_GO),
			))
	}
	return p
}

// moved says that done of the total bytes to be moved have been.
func (p *progress) moved(done, total int64) {
	p.total = total
	if p.bar != nil {
		p.bar.SetTotal(total, false)
		p.bar.SetCurrent(done)
		return
	}
	if now := p.env.Now(); now.Sub(p.said) >= sayEvery {
		p.said = now
		p.say(done, total)
	}
}

func (p *progress) say(done, total int64) {
	fmt.Fprintf(p.env.Stderr, "%s: %d %% of %s\n", p.what, done*100/max(total, 1), humanBytes(total))
}

// end stops the bar; after success it says what was moved and how long it took.
func (p *progress) end(err error) {
	if p.bar != nil {
		if err == nil {
			p.bar.SetTotal(p.total, true)
		} else {
			p.bar.Abort(false)
		}
		p.bars.Wait()
	}
	if err == nil {
		fmt.Fprintf(p.env.Stderr, "%s: %s in %s\n", p.what, humanBytes(p.total), p.env.Now().Sub(p.start).Round(100*time.Millisecond))
	}
}

// humanBytes is a size as a person reads it.
func humanBytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
