package nbdclient_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/nbd/nbdclient"
)

func TestParseURI(t *testing.T) {
	for uri, want := range map[string]nbdclient.Target{
		"nbd+unix:///disk?socket=/run/x.sock":      {Network: "unix", Address: "/run/x.sock", Export: "disk"},
		"nbd+unix:///?socket=s":                    {Network: "unix", Address: "s"},
		"nbd+unix:///a%20b/c?socket=%2Ftmp%2Fa%3F": {Network: "unix", Address: "/tmp/a?", Export: "a b/c"},
		"nbd://host":     {Network: "tcp", Address: "host:10809"},
		"nbd://host:1/x": {Network: "tcp", Address: "host:1", Export: "x"},
		"nbd://[::1]/x":  {Network: "tcp", Address: "[::1]:10809", Export: "x"},
	} {
		got, err := nbdclient.ParseURI(uri)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-want +got)\n%s", uri, err, diff)
		}
	}
	for _, uri := range []string{"", "nbd:///x", "nbd+unix:///x", "nbd+unix://host/x?socket=s", "nbds://host/x", "http://host/", "%"} {
		if got, err := nbdclient.ParseURI(uri); err == nil {
			t.Errorf("%q: %+v, want an error", uri, got)
		}
	}
}
