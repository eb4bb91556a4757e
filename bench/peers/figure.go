package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
)

// figure is one number of a row that fio does not play alone.
type figure struct {
	Row    string    `json:"row"`
	Name   string    `json:"name"`
	Unit   string    `json:"unit"` // "ms", "×", "1/s" and such
	Values []float64 `json:"values,omitempty"`
	Target float64   `json:"target,omitempty"` // 0: none
	AtMost bool      `json:"atMost,omitempty"` // the target is not to be exceeded
	Note   string    `json:"note,omitempty"`   // what exactly was measured, or why it was not
}

func (f figure) middle() float64 {
	if len(f.Values) == 0 {
		return 0
	}
	all := slices.Sorted(slices.Values(f.Values))
	return all[len(all)/2]
}

func (f figure) reached() bool {
	if f.AtMost {
		return f.middle() <= f.Target
	}
	return f.middle() >= f.Target
}

// verdict is the last column.
func (f figure) verdict() string {
	if f.Target == 0 || len(f.Values) == 0 {
		return ""
	}
	sign, word := "≥", "missed"
	if f.AtMost {
		sign = "≤"
	}
	if f.reached() {
		word = "reached"
	}
	return fmt.Sprintf("%s %s: %s", sign, amount(f.Target, f.Unit), word)
}

func (f figure) text() string {
	if len(f.Values) == 0 {
		return "not run"
	}
	if len(f.Values) == 1 {
		return amount(f.Values[0], f.Unit)
	}
	return fmt.Sprintf("%s [%s–%s of %d]", amount(f.middle(), f.Unit), number(slices.Min(f.Values)), number(slices.Max(f.Values)), len(f.Values))
}

// number has three digits that mean something.
func number(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func amount(v float64, unit string) string {
	if unit == "×" {
		return number(v) + " ×"
	}
	return strings.TrimSpace(number(v) + " " + unit)
}

// figures is the table of what fio does not play alone.
func figuresTable(all []figure) string {
	var b strings.Builder
	b.WriteString("| load | figure | median [least–most of n] | target | how |\n|---|---|---|---|---|\n")
	row := ""
	for _, f := range all {
		name := f.Row
		if name == row {
			name = ""
		}
		row = f.Row
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, f.Name, f.text(), f.verdict(), f.Note)
	}
	return b.String()
}

// curve is how a cost grows: one line of a plot.
type curve struct {
	Name   string    `json:"name"`
	Places []float64 `json:"places"` // on the axis
	Values []float64 `json:"values"`
}

// chart is a plot of curves, both axes in powers of ten.
type chart struct {
	File  string  `json:"file"`
	Title string  `json:"title"`
	Axis  string  `json:"axis"`
	Unit  string  `json:"unit"`
	Lines []curve `json:"lines"`
}

func (c *chart) add(name string, place, value float64) {
	i := slices.IndexFunc(c.Lines, func(l curve) bool { return l.Name == name })
	if i < 0 {
		i = len(c.Lines)
		c.Lines = append(c.Lines, curve{Name: name})
	}
	c.Lines[i].Places = append(c.Lines[i].Places, place)
	c.Lines[i].Values = append(c.Lines[i].Values, value)
}

// results are what the trials of a run have found.
type results struct {
	figures []figure
	charts  []chart
}

func (r *results) add(f figure) { r.figures = append(r.figures, f) }

// skip says that a part of a trial cannot be played here.
func (r *results) skip(row, name, why string) {
	r.add(figure{Row: row, Name: name, Note: "not run: " + why})
}

// ratio is the middle of one figure of a row by that of another.
func (r *results) ratio(row, name, by string) (float64, bool) {
	var over, under float64
	for _, f := range r.figures {
		switch {
		case f.Row == row && f.Name == name:
			over = f.middle()
		case f.Row == row && f.Name == by:
			under = f.middle()
		}
	}
	return over / max(under, 1e-9), over > 0 && under > 0
}

func milliseconds(all []time.Duration) []float64 {
	out := make([]float64, len(all))
	for i, d := range all {
		out[i] = float64(d.Microseconds()) / 1000
	}
	return out
}

// quantile sorts all.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

func escape(s string) string { return html.EscapeString(s) }
