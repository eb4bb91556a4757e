package main

import (
	"fmt"
	"html"
	"strings"
)

// plot draws, for each row, everybody's median over the best peer's: a line at 1 is where we draw level.
func (r *result) plot() string {
	const left, unit, bar, gap, most = 330, 160, 9, 14, 4.0
	colours := []string{"#1b6ca8", "#c9c9c9", "#a9a9a9", "#8d8d8d", "#6f6f6f", "#e8c07d"}
	rowHeight := len(r.Peers)*bar + gap
	width, height := left+int(most*unit)+90, len(r.Rows)*rowHeight+60
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	x := left
	for i, p := range r.Peers {
		fmt.Fprintf(&b, `<rect x="%d" y="10" width="10" height="10" fill="%s"/><text x="%d" y="19">%s</text>`+"\n",
			x, colours[i%len(colours)], x+14, html.EscapeString(p))
		x += 110
	}
	for i, s := range r.Rows {
		y := 40 + i*rowHeight
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-8, y+rowHeight/2, html.EscapeString(s.Name))
		_, best := s.best(r.Peers)
		for j, p := range r.Peers {
			v, ok := s.spread(p)
			if !ok || best == 0 {
				continue
			}
			ratio := v.middle / best
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
				left, y+j*bar, min(ratio, most)*unit, bar-1, colours[j%len(colours)])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="8">%.2f</text>`+"\n", left+min(ratio, most)*unit+3, y+j*bar+8, ratio)
		}
	}
	fmt.Fprintf(&b, `<line x1="%d" y1="32" x2="%d" y2="%d" stroke="#c00" stroke-dasharray="4 3"/>`+"\n</svg>\n", left+unit, left+unit, height-10)
	return b.String()
}
