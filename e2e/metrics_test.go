package e2e

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestMetrics does some work and asks for the metrics: all that the dashboard shows is there, and nothing that names anybody.
func TestMetrics(t *testing.T) {
	need(t, "nbdcopy")
	at := freeAddress(t)
	term := open(t, start(t, t.TempDir(), "--metrics-listen", at))
	term.must("tintype group create -n secretive -l westus2 -o none")
	term.must("tintype disk create -g secretive -n data --size-gb 1 -o none")
	uri := term.must("tintype disk attach -g secretive -n data")
	term.must("nbdcopy " + makeImage(t, 16*mib) + " " + uri)
	term.must("tintype snapshot create -g secretive -n snap --source data -o none")

	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := fetchText(t, "http://"+at+path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	status, text := fetchText(t, "http://"+at+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	dashboard, err := os.ReadFile("../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`tintype_[a-z_]+`).FindAllString(string(dashboard), -1)
	if len(names) < 15 {
		t.Errorf("the dashboard shows only %q", names)
	}
	for _, name := range names {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("the dashboard shows %s, which is not there", name)
		}
	}
	for _, want := range []string{
		`tintype_volumes{kind="disk"} 1`, `tintype_volumes{kind="snapshot"} 1`, `tintype_nbd_request_seconds_count{command="write"}`,
		`tintype_engine_call_seconds_count{call="snapshot",failed="false"} 1`, `tintype_http_request_seconds_count{code="202",door="arm",method="PUT"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "secretive") {
		t.Error("a metric names a group")
	}
}

func fetchText(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
