package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// result is all that a run measured.
type result struct {
	Machine string   `json:"machine"`
	Size    int64    `json:"imageBytes"`
	Rounds  int      `json:"rounds"`
	Seconds int      `json:"seconds"`
	Took    string   `json:"took"`
	Peers   []string `json:"peers"`
	Rows    []scores `json:"rows"`
	Figures []figure `json:"figures"`
	Charts  []chart  `json:"charts,omitempty"`
}

// scores are one row's measurements, by peer, in the order of the rounds.
type scores struct {
	row
	By map[string][]measurement `json:"by"`
}

func newResult(c config) *result {
	return &result{Machine: machine(), Size: c.size, Rounds: c.rounds, Seconds: c.seconds}
}

// machine says what kind of machine this is, and nothing of whose.
func machine() string {
	model := "unknown processor"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		release = []byte("unknown")
	}
	return fmt.Sprintf("%d × %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(release)), runtime.Version())
}

func (r *result) add(w row, peer string, m measurement) {
	i := slices.IndexFunc(r.Rows, func(s scores) bool { return s.Name == w.Name })
	if i < 0 {
		i = len(r.Rows)
		r.Rows = append(r.Rows, scores{row: w, By: map[string][]measurement{}})
	}
	r.Rows[i].By[peer] = append(r.Rows[i].By[peer], m)
}

// spread is the least, the middle and the most of a row's values.
type spread struct{ least, middle, most float64 }

func (s scores) spread(peer string) (spread, bool) {
	var all []float64
	for _, m := range s.By[peer] {
		all = append(all, s.value(m))
	}
	if len(all) == 0 {
		return spread{}, false
	}
	slices.Sort(all)
	return spread{all[0], all[len(all)/2], all[len(all)-1]}, true
}

// best is the peer with the highest median, the ceiling not counted.
func (s scores) best(peers []string) (string, float64) {
	name, most := "", 0.0
	for _, p := range peers {
		if v, ok := s.spread(p); ok && p != ours && p != ceiling && v.middle > most {
			name, most = p, v.middle
		}
	}
	return name, most
}

// ratios are our median over the best peer's and over the ceiling's; 0 where there is none.
func (s scores) ratios(peers []string) (peer, roof float64) {
	us, _ := s.spread(ours)
	if _, best := s.best(peers); best > 0 {
		peer = us.middle / best
	}
	if top, ok := s.spread(ceiling); ok && top.middle > 0 {
		roof = us.middle / top.middle
	}
	return peer, roof
}

func (s scores) reached(peers []string) bool {
	peer, roof := s.ratios(peers)
	return peer >= s.Target && roof >= s.Roof
}

// report prints the table, and writes it with the numbers and a plot into a folder, if one is given.
func (r *result) report(w io.Writer, dir string) error {
	table := r.markdown()
	if _, err := io.WriteString(w, table); err != nil || dir == "" {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	doc, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	files := map[string]string{"results.json": string(doc) + "\n", "results.md": table}
	if len(r.Rows) > 0 {
		files["results.svg"] = r.plot()
	}
	for _, c := range r.Charts {
		files[c.File+".svg"] = c.plot()
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s in all.\n\n", r.Machine, r.Took)
	if len(r.Rows) > 0 {
		r.contestTable(&b)
	}
	if len(r.Figures) > 0 {
		b.WriteString("\n" + figuresTable(r.Figures))
	}
	return b.String()
}

// contestTable is what fio plays against everybody in turn.
func (r *result) contestTable(b *strings.Builder) {
	fmt.Fprintf(b, "Images of %d GiB; medians of %d rounds of %d s [least–most].\n\n", r.Size>>30, r.Rounds, r.Seconds)
	fmt.Fprintf(b, "| load | %s | of the best peer | of the ceiling | target |\n", strings.Join(r.Peers, " | "))
	fmt.Fprintf(b, "|---%s|---|---|---|\n", strings.Repeat("|---", len(r.Peers)))
	for _, s := range r.Rows {
		fmt.Fprintf(b, "| %s |", s.Name)
		for _, p := range r.Peers {
			text := ""
			if v, played := s.spread(p); played {
				text = s.formatSpread(v)
			}
			fmt.Fprintf(b, " %s |", text)
		}
		peer, roof := s.ratios(r.Peers)
		verdict := "missed"
		if s.reached(r.Peers) {
			verdict = "reached"
		}
		target := fmt.Sprintf("≥ %.1f", s.Target)
		if s.Roof > 0 {
			target += fmt.Sprintf(", ≥ %.1f of the ceiling", s.Roof)
		}
		ofRoof := ""
		if s.Roof > 0 {
			ofRoof = fmt.Sprintf("%.2f", roof)
		}
		fmt.Fprintf(b, " **%.2f** | %s | %s: %s |\n", peer, ofRoof, target, verdict)
	}
}
