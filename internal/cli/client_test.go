package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

const (
	groupPath = "/resourceGroups/g"
	compute   = groupPath + "/providers/Microsoft.Compute"
)

func ok(body string) []reply { return []reply{{status: 200, body: body}} }

var accepted = []reply{{status: 202, header: map[string]string{
	"Azure-AsyncOperation": "SERVER/op/1?api-version=1&t=a", "Location": "SERVER/op/1/result?x=1", "Retry-After": "0",
}}}

func TestSnapshotCreateByName(t *testing.T) {
	id := "/subscriptions/" + testSub + compute
	s := newStandIn(t, map[string][]reply{
		"GET " + groupPath:                ok(`{"location":"westus2"}`),
		"GET " + compute + "/disks/d":     ok(`{"id":"` + id + `/disks/d","location":"westus2"}`),
		"PUT " + compute + "/snapshots/s": accepted,
		"GET /op/1": {
			{status: 200, header: map[string]string{"Retry-After": "0"}, body: `{"status":"InProgress"}`},
			{status: 503},
			{status: 200, body: `{"status":"Succeeded","properties":{"output":{"id":"` + id + `/snapshots/s","name":"s","properties":{"provisioningState":"Succeeded"}}}}`},
		},
	})
	stdout, stderr, code := s.run(t, "snapshot", "create", "-g", "g", "--name", "s", "--source", "d", "--incremental", "--tags", "a=1", "b", "--query", "[name, resourceGroup]", "-o", "tsv")
	if code != 0 || stdout != "s\ng\n" || stderr != "" {
		t.Fatalf("exit %d, %q, %q", code, stdout, stderr)
	}
	want := []exchange{
		{"GET", compute + "/snapshots/d", "api-version=2026-03-02", nil},
		{"GET", compute + "/disks/d", "api-version=2026-03-02", nil},
		{"GET", groupPath, "api-version=2021-04-01", nil},
		{"PUT", compute + "/snapshots/s", "api-version=2026-03-02", map[string]any{
			"location": "westus2", "sku": map[string]any{"name": "Standard_LRS"}, "tags": map[string]any{"a": "1", "b": ""},
			"properties": map[string]any{
				"hyperVGeneration": "V1", "incremental": true,
				"creationData": map[string]any{"createOption": "Copy", "sourceResourceId": id + "/disks/d"},
			},
		}},
		{"GET", "/op/1", "api-version=1&t=a", nil},
		{"GET", "/op/1", "api-version=1&t=a", nil},
		{"GET", "/op/1", "api-version=1&t=a", nil},
	}
	if diff := cmp.Diff(want, s.requests()); diff != "" {
		t.Error(diff)
	}
	if s.tokens != 1 {
		t.Errorf("%d tokens were asked for", s.tokens)
	}
}

func TestErrorsAreAz(t *testing.T) {
	s := newStandIn(t, map[string][]reply{
		"DELETE " + compute + "/snapshots/busy": {{status: 409, body: `{"error":{"code":"OperationNotAllowed","message":"No.","target":"snap"}}`}},
		"DELETE " + compute + "/snapshots/late": accepted,
		"DELETE " + compute + "/snapshots/odd":  {{status: 502, body: `<html>`}},
		"GET /op/1":                             ok(`{"status":"Failed","error":{"code":"InvalidVhd","message":"Bad."}}`),
	})
	for line, want := range map[string]struct {
		text string
		code int
	}{
		"snapshot show -g g -n nope": {"ERROR: (ResourceNotFound) The Resource '" + compute + "/snapshots/nope' was not found.\nCode: ResourceNotFound\n" +
			"Message: The Resource '" + compute + "/snapshots/nope' was not found.\n", 3},
		"snapshot delete -g g -n busy": {"ERROR: (OperationNotAllowed) No.\nCode: OperationNotAllowed\nMessage: No.\nTarget: snap\n", 1},
		"snapshot delete -g g -n late": {"ERROR: (InvalidVhd) Bad.\nCode: InvalidVhd\nMessage: Bad.\n", 1},
		"snapshot delete -g g -n odd":  {"ERROR: (BadGateway) Operation returned an invalid status 'Bad Gateway'\nCode: BadGateway\nMessage: Operation returned an invalid status 'Bad Gateway'\n", 1},
		"disk delete -g g -n d":        {"WARNING: Unable to prompt for confirmation as no tty available. Use --yes.\nERROR: Operation cancelled.\n", 1},
		"disk show":                    {"ERROR: (--resource-group --name | --ids) are required\n", 1},
		"disk show -g g":               {"ERROR: (--name | --ids) are required\n", 1},
		"disk show --ids foo":          {"ERROR: invalid resource ID: foo\n", 1},
		"disk foo":                     {"ERROR: 'foo' is misspelled or not recognized by the system.\n", 2},
		"disk list --query a|":         {"ERROR: argument --query: invalid jmespath_type value: 'a|'\n", 2},
		"disk create -g g -n d":        {"ERROR: usage error: --size-gb is required to create an empty disk\n", 1},
		"snapshot create -g g -n s":    {"ERROR: Please supply size for the snapshots\n", 1},
	} {
		stdout, stderr, code := s.run(t, strings.Fields(line)...)
		if stdout != "" || stderr != want.text || code != want.code {
			t.Errorf("%s: exit %d, %q\n got %q\nwant %q", line, code, stdout, stderr, want.text)
		}
	}
}

func TestListFollowsPages(t *testing.T) {
	s := newStandIn(t, map[string][]reply{
		"GET /providers/Microsoft.Compute/disks": ok(`{"value":[{"name":"a"}],"nextLink":"NEXT"}`),
	})
	next := s.URL + "/subscriptions/" + testSub + "/more?page=2"
	s.answers["GET /providers/Microsoft.Compute/disks"] = ok(`{"value":[{"name":"a"}],"nextLink":"` + next + `"}`)
	s.answers["GET /more"] = ok(`{"value":[{"name":"b","zones":["1"],"sku":{"name":"Premium_LRS"}}]}`)
	stdout, stderr, code := s.run(t, "disk", "list", "-o", "table")
	want := "Name    Zones    Sku\n------  -------  -----------\na\nb       1        Premium_LRS\n"
	if code != 0 || stdout != want {
		t.Errorf("exit %d, %q: -want +got\n%s", code, stderr, cmp.Diff(want, stdout))
	}
}

// What is finished at once must not wait as long as the server asks pollers of long operations to.
func TestQuickOperationsAreQuick(t *testing.T) {
	slow := map[string]string{"Retry-After": "60"}
	status := map[string]string{"Retry-After": "60", "Azure-AsyncOperation": "SERVER/op/1"}
	location := map[string]string{"Retry-After": "60", "Location": "SERVER/op/2"}
	s := newStandIn(t, map[string][]reply{
		"DELETE " + compute + "/snapshots/s": {{status: 202, header: status}},
		"DELETE " + groupPath:                {{status: 202, header: location}},
		"GET /op/1":                          {{status: 200, header: slow, body: `{"status":"InProgress"}`}, {status: 200, body: `{"status":"Succeeded"}`}},
		"GET /op/2":                          {{status: 202, header: slow}, {status: 204}},
	})
	for _, line := range []string{"snapshot delete -g g -n s", "group delete -n g -y"} {
		ctx, cancel := context.WithTimeout(t.Context(), 55*time.Second)
		_, stderr, code := runIn(ctx, func(string) string { return s.dir }, strings.Fields(line)...)
		cancel()
		if code != 0 {
			t.Errorf("%s: exit %d, %q", line, code, stderr)
		}
	}
}

// The token must stay with the server that it is for.
func TestTokenStaysHome(t *testing.T) {
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	for _, address := range []string{other.URL + "/op", "http://example.org/op", "//example.org/op", "ftp://x"} {
		s := newStandIn(t, map[string][]reply{
			"DELETE " + compute + "/snapshots/s":     {{status: 202, header: map[string]string{"Azure-AsyncOperation": address, "Retry-After": "0"}}},
			"GET /providers/Microsoft.Compute/disks": ok(`{"value":[],"nextLink":"` + address + `"}`),
		})
		for _, line := range []string{"snapshot delete -g g -n s", "disk list"} {
			_, stderr, code := runIn(t.Context(), func(string) string { return s.dir }, strings.Fields(line)...)
			if code != 1 || !strings.Contains(stderr, "not on itself") {
				t.Errorf("%s to %s: exit %d, %q", line, address, code, stderr)
			}
		}
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	s := newStandIn(t, nil)
	stranger := newStandIn(t, nil)
	try := func(name, want string) {
		t.Helper()
		stdout, stderr, code := s.run(t, "disk", "list", "--debug")
		if code != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %q", name, code, stderr)
		}
		if strings.Contains(stderr, testSecret) {
			t.Errorf("%s: the password was printed", name)
		}
	}
	s.writePrincipal(t, strings.Replace(s.URL, "https:", "http:", 1))
	try("plain http", "https://")
	s.writePrincipal(t, stranger.URL)
	s.writeClient(t, "ca.pem", "rubbish")
	try("no certificate", "no certificate")
	s.writeClient(t, "principal.json", `{"password":"`+testSecret+`",}`)
	try("broken", "not a principal")
	s.writeClient(t, "principal.json", `{"password":"`+testSecret+`"}`)
	try("incomplete", "is missing")
	_, stderr, code := runIn(t.Context(), func(string) string { return "" }, "disk", "list")
	if code != 1 || !strings.Contains(stderr, ClientVariable) {
		t.Errorf("no folder: exit %d, %q", code, stderr)
	}
}

// A server whose certificate comes from another authority is not spoken to.
func TestOnlyOneAuthorityIsTrusted(t *testing.T) {
	s := newStandIn(t, nil)
	s.writeClient(t, "ca.pem", otherAuthority)
	_, stderr, code := s.run(t, "disk", "list")
	if code != 1 || !strings.Contains(stderr, "certificate") || s.tokens != 0 {
		t.Errorf("exit %d, %q, %d tokens", code, stderr, s.tokens)
	}
}

func TestDebugShowsNoSecret(t *testing.T) {
	s := newStandIn(t, map[string][]reply{
		"POST " + compute + "/snapshots/s/beginGetAccess": accepted,
		"GET /op/1":        ok(`{"status":"Succeeded"}`),
		"GET /op/1/result": ok(`{"accessSAS":"https://md-x/y?sig=signature"}`),
	})
	stdout, stderr, code := s.run(t, "snapshot", "grant-access", "-g", "g", "-n", "s", "--duration-in-seconds", "60", "--debug")
	var shown map[string]any
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || code != 0 {
		t.Fatalf("exit %d, %q, %v", code, stderr, err)
	}
	if diff := cmp.Diff(map[string]any{"accessSas": "https://md-x/y?sig=signature", "securityDataAccessSas": nil}, shown); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(stderr, "beginGetAccess -> 202") || strings.Contains(stderr, "sig") || strings.Contains(stderr, testSecret) || strings.Contains(stderr, "token\"") {
		t.Errorf("debug output: %q", stderr)
	}
}

func TestUpdateEdits(t *testing.T) {
	disk := `{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d","name":"d","location":"w","tags":{"a":"1"},"zones":["1","2"],
		"sku":{"name":"Premium_LRS","tier":"Premium"},"properties":{"diskSizeGB":4,"uniqueId":"u","provisioningState":"Succeeded","creationData":{"createOption":"Empty"}}}`
	s := newStandIn(t, map[string][]reply{
		"GET " + compute + "/disks/d": ok(disk),
		"PUT " + compute + "/disks/d": ok(disk),
	})
	_, stderr, code := s.run(t, "disk", "update", "-g", "g", "-n", "d", "--size-gb", "8", "--sku", "standard_lrs",
		"--set", "tags.b=x y", "tags.n=2", "networkAccessPolicy=DenyAll", "maxShares=2", "--remove", "tags.a", "--remove", "zones", "0", "--add", "zones", "3", "--set", "encryption.type=T")
	if code != 0 {
		t.Fatalf("exit %d, %q", code, stderr)
	}
	want := map[string]any{
		"location": "w", "tags": map[string]any{"b": "x y", "n": "2"}, "zones": []any{"2", json.Number("3")}, "sku": map[string]any{"name": "Standard_LRS"},
		"properties": map[string]any{
			"diskSizeGB": json.Number("8"), "networkAccessPolicy": "DenyAll", "maxShares": json.Number("2"),
			"creationData": map[string]any{"createOption": "Empty"}, "encryption": map[string]any{"type": "T"},
		},
	}
	if diff := cmp.Diff(want, s.requests()[1].Body); diff != "" {
		t.Error(diff)
	}
	for edit, text := range map[string]string{
		"bogus=1":    "Couldn't find 'bogus' in ''. Available options: [",
		"name.x=1":   "Couldn't find 'x' in 'name'.",
		"zones[9]=1": "index 9 doesn't exist on [9]",
	} {
		if _, stderr, code := s.run(t, "disk", "update", "-g", "g", "-n", "d", "--set", edit); code != 1 || !strings.Contains(stderr, text) {
			t.Errorf("--set %s: exit %d, %q", edit, code, stderr)
		}
	}
}

func TestAttachPrintsOneLine(t *testing.T) {
	const uri = "nbd+unix:///volume?socket=/run/x.sock"
	s := newStandIn(t, map[string][]reply{"POST " + compute + "/disks/d/attach": ok(`{"uri":"` + uri + `","host":"h","readOnly":true}`)})
	stdout, stderr, code := s.run(t, "disk", "attach", "-g", "g", "-n", "d", "--host", "h", "--read-only", "-o", "json")
	if stdout != uri+"\n" || stderr != "" || code != 0 {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	if diff := cmp.Diff(any(map[string]any{"host": "h", "readOnly": true}), s.requests()[0].Body); diff != "" {
		t.Error(diff)
	}
}

func TestAttachPrintsTheSocket(t *testing.T) {
	for answer, want := range map[string]string{
		`{"uri":"nbd+unix:///v?socket=/s","vhostUser":"/run/v/d.sock"}`: "/run/v/d.sock\n",
		`{"uri":"nbd+unix:///v?socket=/s"}`:                             "",
	} {
		s := newStandIn(t, map[string][]reply{"POST " + compute + "/disks/d/attach": ok(answer)})
		stdout, stderr, code := s.run(t, "disk", "attach", "-g", "g", "-n", "d", "--host", "h", "--vhost-user")
		if stdout != want || (code == 0) != (want != "") || (want == "") != strings.Contains(stderr, "--vhost-user") {
			t.Errorf("exit %d, %q, %q", code, stdout, stderr)
		}
	}
}

func TestConfirmation(t *testing.T) {
	for word, want := range map[string]int{"y\n": 0, "YES\n": 0, "n\n": 1, "\n": 1, "": 1, "yup\n": 1} {
		s := newStandIn(t, map[string][]reply{"DELETE " + compute + "/disks/d": {{status: 204}}})
		var errs bytes.Buffer
		env := Env{Stdin: strings.NewReader(word), Stdout: io.Discard, Stderr: &errs, Getenv: func(string) string { return s.dir }, Now: time.Now, StdinTTY: true}
		root := &cobra.Command{Use: "tintype", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(Commands(env)...)
		root.SetArgs(strings.Fields("disk delete -g g -n d"))
		if got := ExitCode(root.ExecuteContext(t.Context())); got != want {
			t.Errorf("%q: exit %d, want %d: %s", word, got, want, errs.String())
		}
		if deleted := len(s.requests()) > 0; deleted != (want == 0) {
			t.Errorf("%q: deleted is %v", word, deleted)
		}
	}
}
