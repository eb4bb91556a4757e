package bench

import (
	"fmt"
	"strings"
	"time"
)

// fullTables writes the rows of BenchmarkNearlyFull in Markdown: one table of all, and one of how each went on.
func fullTables(rows []fullRow) string {
	var b strings.Builder
	if len(rows) == 0 {
		return ""
	}
	fmt.Fprintf(&b, "An ext4 of %d MiB, random overwrites of 4 KiB, %d at a time, a flush every 100 ms, %s for each row.\n\n",
		*fullSize, *fullDepth, fullLength())
	b.WriteString("| live data | k writes/s | device bytes per byte | p50 | p99 | p99.9 | longest | waited for room | refused |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		t := r.all.times
		fmt.Fprintf(&b, "| %d %% | %.1f | %.1f | %v | %v | %v | %v | %d | %d |\n", r.percent, r.all.perSecond()/1000, r.all.amplified(),
			short(t.quantile(0.5)), short(t.quantile(0.99)), short(t.quantile(0.999)), short(t.most()), r.waited, r.refused)
	}
	fmt.Fprintf(&b, "\nEach part of %d, one after the other:\n\n| live data | |%s\n|---|---|%s\n", *fullSlices,
		numbers(*fullSlices), strings.Repeat("---|", *fullSlices))
	for _, r := range rows {
		line := func(what string, of func(stretch) string) {
			fmt.Fprintf(&b, "| %d %% | %s |", r.percent, what)
			for _, p := range r.parts {
				fmt.Fprintf(&b, " %s |", of(p))
			}
			b.WriteString("\n")
		}
		line("k writes/s", func(s stretch) string { return fmt.Sprintf("%.1f", s.perSecond()/1000) })
		line("device bytes per byte", func(s stretch) string { return fmt.Sprintf("%.1f", s.amplified()) })
		line("p99.9", func(s stretch) string { return short(s.times.quantile(0.999)).String() })
		line("longest", func(s stretch) string { return short(s.times.most()).String() })
	}
	return b.String()
}

func fullLength() string {
	if *fullTime > 0 {
		return (time.Duration(*fullTime) * time.Second).String()
	}
	return fmt.Sprintf("%d writes", *fullWrites)
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " %d |", i+1)
	}
	return b.String()
}

// short leaves out digits that say nothing.
func short(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	case d > time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

// fullPlot draws, for each row, the throughput of its parts (bars) and the longest write of each
// (dots, with a line at 100 ms).
func fullPlot(rows []fullRow) string {
	const left, width, height, gap = 90, 700, 150, 50
	var b strings.Builder
	total := len(rows)*(height+gap) + 30
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", left+width+70, total)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", left+width+70, total)
	const longest = 200 * time.Millisecond // at the top
	for i, r := range rows {
		base := float64((i+1)*(height+gap) - 10)
		best := 1.0
		for _, p := range r.parts {
			best = max(best, p.perSecond())
		}
		fmt.Fprintf(&b, `<text x="%d" y="%.0f">%d %% full: writes a second, up to %.0f (bars); the longest write, 100 ms at the line (dots)</text>`+"\n",
			left, base-height-8, r.percent, best)
		step := float64(width) / float64(len(r.parts))
		for j, p := range r.parts {
			h := height * p.perSecond() / best
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#9cc3e0"/>`+"\n", left+float64(j)*step, base-h, step-2, h)
			dot := height * min(float64(p.times.most())/float64(longest), 1)
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#c0392b"/>`+"\n", left+(float64(j)+0.5)*step, base-dot)
		}
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#c0392b" stroke-dasharray="4 3"/>`+"\n", left, base-height/2, left+width, base-height/2)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
