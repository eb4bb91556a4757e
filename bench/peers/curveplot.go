package main

import (
	"fmt"
	"math"
	"strings"
)

// plot draws the curves, both axes in powers of ten.
func (c *chart) plot() string {
	const width, height, left, right, top, bottom = 640, 360, 70, 170, 40, 50
	colours := []string{"#1b6ca8", "#c0504d", "#5b8c3e", "#8064a2", "#d08a2e"}
	var xs, ys []float64
	for _, l := range c.Lines {
		xs, ys = append(xs, l.Places...), append(ys, l.Values...)
	}
	x0, x1 := decades(xs)
	y0, y1 := decades(ys)
	x := func(v float64) float64 { return left + (math.Log10(v)-x0)/(x1-x0)*(width-left-right) }
	y := func(v float64) float64 { return height - bottom - (math.Log10(v)-y0)/(y1-y0)*(height-top-bottom) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/><text x="%d" y="20" font-size="13">%s</text>`+"\n", width, height, left, escape(c.Title))
	for e := x0; e <= x1; e++ {
		at := x(math.Pow(10, e))
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at, top, at, height-bottom, at, height-bottom+16, tick(e))
	}
	for e := y0; e <= y1; e++ {
		at := y(math.Pow(10, e))
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, at, width-right, at, left-6, at+4, tick(e))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text><text x="14" y="%d">%s</text>`+"\n",
		(left+width-right)/2, height-12, escape(c.Axis), top-8, escape(c.Unit))
	for i, l := range c.Lines {
		colour := colours[i%len(colours)]
		var points []string
		for k := range l.Places {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(l.Places[k]), y(max(l.Values[k], math.Pow(10, y0)))))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			width-right+12, top+18*i, colour, width-right+28, top+18*i+9, escape(l.Name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func tick(exponent float64) string { return number(math.Pow(10, exponent)) }

// decades are the powers of ten that hold all values.
func decades(all []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range all {
		if v > 0 {
			lo, hi = min(lo, math.Floor(math.Log10(v))), max(hi, math.Ceil(math.Log10(v)))
		}
	}
	if math.IsInf(lo, 0) {
		return 0, 1
	}
	return lo, max(hi, lo+1)
}
