package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// story prints what the demonstration does, for a person who watches it.
type story struct {
	out     io.Writer
	began   time.Time
	chapter int
	err     error // the first failure to print
}

func newStory(out io.Writer) *story { return &story{out: out, began: time.Now()} }

func (s *story) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(s.out, format, args...); err != nil && s.err == nil {
		s.err = err
	}
}

// title begins a numbered part.
func (s *story) title(text string) {
	s.chapter++
	s.printf("\n%d. %s  [%s]\n", s.chapter, text, seconds(time.Since(s.began).Round(time.Second)))
}

// command shows a command as one would type it.
func (s *story) command(words ...string) {
	line := strings.Join(words, " ")
	s.printf("   $ %s\n", line)
}

// say tells what happened.
func (s *story) say(format string, args ...any) { s.printf("   "+format+"\n", args...) }

// proved tells what was checked.
func (s *story) proved(format string, args ...any) { s.printf("   ✓ "+format+"\n", args...) }

// size is a number of bytes for people.
func size(n int64) string {
	const units = "KMGTP"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, i := float64(n)/1024, 0
	for x >= 1024 && i < len(units)-1 {
		x, i = x/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", x, units[i])
}

// seconds is a duration for people.
func seconds(d time.Duration) string {
	switch {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}

// count is a whole number with its thousands apart.
func count(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
