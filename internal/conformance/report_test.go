package conformance

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var write = flag.Bool("conformance.write", false, "write docs/conformance.md instead of comparing with it")

const reportFile = "../../docs/conformance.md"

// tally counts the exchanges of one recording or subject.
type tally struct{ matched, differ, waiting, excluded, outside int }

func (n *tally) add(v verdict) {
	switch v {
	case matched:
		n.matched++
	case differs:
		n.differ++
	case waiting:
		n.waiting++
	case excluded:
		n.excluded++
	case outside:
		n.outside++
	}
}

// steps are what counts: polls before an operation's end are part of the step that sees the end.
func (n tally) steps() int { return n.matched + n.differ }

func (n tally) percent() float64 {
	if n.steps() == 0 {
		return 100
	}
	return 100 * float64(n.matched) / float64(n.steps())
}

// report gathers what the replay found.
type report struct {
	total    tally
	tests    map[string]*tally
	subjects map[string]*tally
	reasons  map[string]int // of excluded
	others   map[string]int // of outside, by subject
	rows     []int          // of knownDifferences: exchanges explained
}

func newReport() *report {
	return &report{
		tests: map[string]*tally{}, subjects: map[string]*tally{}, reasons: map[string]int{}, others: map[string]int{},
		rows: make([]int, len(knownDifferences)),
	}
}

// add counts one exchange and gives the differences that no row explains.
func (r *report) add(recording string, res result) (unexplained []string) {
	r.total.add(res.verdict)
	count(r.tests, recording).add(res.verdict)
	switch res.verdict {
	case outside:
		r.others[res.what.kind+": "+res.why]++
		return nil
	case excluded:
		r.reasons[res.why]++
	}
	count(r.subjects, res.what.kind).add(res.verdict)
	met := map[int]bool{}
	for _, d := range res.diffs {
		if i := explain(recording, d); i >= 0 {
			met[i] = true
		} else {
			unexplained = append(unexplained, d)
		}
	}
	for i := range met {
		r.rows[i]++
	}
	return unexplained
}

func count(m map[string]*tally, key string) *tally {
	if m[key] == nil {
		m[key] = &tally{}
	}
	return m[key]
}

func (r *report) String() string {
	var b strings.Builder
	n := r.total
	fmt.Fprintf(&b, "# What Azure answered, and what this server answers\n\n"+
		"Made by `go test ./internal/conformance -conformance.write` from recordings of `az` and Azure PowerShell against Azure.\n\n"+
		"**%d of %d exchanges match (%.1f %%)**: status, headers, keys and values. %d more polls came before an operation's end and count\n"+
		"with the poll that saw it. %d exchanges about our types need what is not part of the product, and %d are about other types.\n\n",
		n.matched, n.steps(), n.percent(), n.waiting, n.excluded, n.outside)
	b.WriteString("## By type\n\n| type | match | of | not to be had here |\n|---|---:|---:|---:|\n")
	for _, k := range slices.Sorted(maps.Keys(r.subjects)) {
		s := r.subjects[k]
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", k, s.matched, s.steps(), s.excluded)
	}
	b.WriteString("\n## By recorded test\n\n| test | match | of | not to be had here | other types |\n|---|---:|---:|---:|---:|\n")
	for _, k := range slices.Sorted(maps.Keys(r.tests)) {
		s := r.tests[k]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", k, s.matched, s.steps(), s.excluded, s.outside)
	}
	b.WriteString("\n## Known differences\n\n| why | recordings | exchanges |\n|---|---|---:|\n")
	for i, k := range knownDifferences {
		fmt.Fprintf(&b, "| %s | `%s` | %d |\n", k.why, strings.ReplaceAll(k.recording.String(), "|", "\\|"), r.rows[i])
	}
	list(&b, "Not to be had here", r.reasons)
	list(&b, "Other types", r.others)
	return b.String()
}

func list(b *strings.Builder, title string, m map[string]int) {
	fmt.Fprintf(b, "\n## %s\n\n| what | exchanges |\n|---|---:|\n", title)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(b, "| %s | %d |\n", k, m[k])
	}
}

// check compares the report with the one in the repository, or writes it there.
func (r *report) check(t *testing.T) {
	for i, k := range knownDifferences {
		if r.rows[i] == 0 {
			t.Errorf("the known difference %q in %q is no more: take it off the list", k.why, k.recording)
		}
	}
	if *write {
		if err := os.WriteFile(reportFile, []byte(r.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(reportFile)
	if err != nil || string(have) != r.String() {
		t.Errorf("%s is not what this run found (%v): go test ./internal/conformance -conformance.write", reportFile, err)
	}
}
