package cli

import (
	"strings"
	"testing"
)

// TestStoreStats shows whatever the server tells, as it came and as a table for people.
func TestStoreStats(t *testing.T) {
	s := newStandIn(t, map[string][]reply{"GET /providers/Tintype.Store/stats": {{status: 200, body: `{"liveBytes":3221225472,"segments":7,
		"failures":[{"of":"checkpoint","error":"no space"}],"none":null,"reclaiming":"nothing"}`}}})
	for line, want := range map[string]string{
		"table": "Name               Value\n-----------------  --------------------\n" +
			"failures[0].error  no space\nfailures[0].of     checkpoint\nliveBytes          3221225472 (3.0 GiB)\n" +
			"reclaiming         nothing\nsegments           7\n",
		"tsv": "1\t3221225472\tNone\tnothing\t7\n",
	} {
		stdout, stderr, code := s.run(t, "store", "stats", "-o", line)
		if stdout != want || code != 0 {
			t.Errorf("-o %s: exit %d\n%s%s\nwant\n%s", line, code, stdout, stderr, want)
		}
	}
	if stdout, _, _ := s.run(t, "store", "stats", "-o", "table", "--query", "{live: liveBytes}"); stdout != "Live\n----------\n3221225472\n" {
		t.Errorf("a query shows %q", stdout)
	}
}

func TestStoreRotateKey(t *testing.T) {
	s := newStandIn(t, map[string][]reply{"POST /providers/Tintype.Store/rotateKey": {{status: 200, body: `{"key":"b","previousKey":"a"}`}}})
	if stdout, stderr, code := s.run(t, "store", "rotate-key", "-o", "tsv"); stdout != "b\ta\n" || code != 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestStoreDamage shows what is damaged by name, and what nothing has by volume.
func TestStoreDamage(t *testing.T) {
	const one = `{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/snapshots/monday","volume":"v","offset":4096,"length":8192,"cause":"checksum"}`
	const two = `{"volume":"w","offset":0,"length":4096,"cause":"segment is missing"}`
	s := newStandIn(t, map[string][]reply{
		"GET /providers/Tintype.Store/damage":                                       {{status: 200, body: `{"value":[` + one + `,` + two + `]}`}},
		"GET /resourceGroups/g/providers/Microsoft.Compute/snapshots/monday/damage": {{status: 200, body: `{"value":[` + one + `],"more":true}`}},
		"POST /providers/Tintype.Store/scrub":                                       {{status: 200, body: `{"running":true}`}},
	})
	stdout, stderr, code := s.run(t, "store", "damage", "-o", "table")
	want := "Kind      Name    ResourceGroup    Offset    Length    Cause\n--------  ------  ---------------  --------  --------  ------------------\n" +
		"snapshot  monday  g                4096      8192      checksum\n          w                        0         4096      segment is missing\n"
	if stdout != want || code != 0 {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, stdout, stderr, want)
	}
	if stdout, stderr, _ := s.run(t, "snapshot", "damage", "-g", "g", "-n", "monday", "--query", "[].offset", "-o", "tsv"); stdout != "4096\n" || !strings.Contains(stderr, "more damage") {
		t.Errorf("of one: %q", stdout)
	}
	if stdout, _, _ := s.run(t, "store", "scrub", "--start", "--query", "running"); stdout != "true\n" {
		t.Errorf("scrub: %q", stdout)
	}
}
