package cli

import (
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
