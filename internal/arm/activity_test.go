package arm

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype/internal/arm/wire"
	"tintype/internal/audit"
)

func newActivityRouter(t *testing.T) (*Router, *audit.Service) {
	t.Helper()
	plain, _ := newRoleRouter(t)
	opt := plain.opt
	log, err := audit.Open(t.Context(), filepath.Join(t.TempDir(), "activity.db"), opt.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	opt.Activity = log
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return rt, log
}

func activity(t *testing.T, rt *Router, who, filter string) []wire.Activity {
	t.Helper()
	w := activityAnswer(t, rt, who, filter)
	var list List[wire.Activity]
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 {
		t.Fatalf("%s: %d %s", filter, w.Code, w.Body)
	}
	return list.Value
}

func activityAnswer(t *testing.T, rt *Router, who, filter string) *httptest.ResponseRecorder {
	t.Helper()
	return as(t, rt, who, "GET", subPath+"/providers/microsoft.insights/eventtypes/management/values?api-version=2015-04-01&$filter="+url.QueryEscape(filter), "")
}

const always = "eventTimestamp ge 2020-01-01T00:00:00.123456 and eventTimestamp le '2030-01-01T00:00:00Z'"

func TestActivityLog(t *testing.T) {
	rt, log := newActivityRouter(t)
	const v = "?api-version=2021-04-01"
	as(t, rt, firstPrincipal, "PUT", groupPath+v, `{"location":"westus2"}`)
	as(t, rt, firstPrincipal, "PUT", groupPath+v, `{}`)
	as(t, rt, firstPrincipal, "GET", groupPath+v, "")
	as(t, rt, aliceID, "DELETE", groupPath+v, "")
	as(t, rt, firstPrincipal, "PUT", groupPath+assignPath+uuid.NewString()+roleV, assignment(readerRole, aliceID))
	w := as(t, rt, firstPrincipal, "DELETE", groupPath+v, "")
	log.Ended(asyncOf(w.Header()), audit.Succeeded, "", "")

	all := activity(t, rt, firstPrincipal, always)
	var got []string
	for i := len(all) - 1; i >= 0; i-- {
		e := all[i]
		got = append(got, e.OperationName.Value+" "+e.Status.Value+" "+e.SubStatus.Value)
	}
	const write, drop, role = "Microsoft.Resources/subscriptions/resourceGroups/write ", "Microsoft.Resources/subscriptions/resourceGroups/delete ", "Microsoft.Authorization/roleAssignments/write "
	want := []string{
		write + "Started ", write + "Succeeded Created", write + "Started ", write + "Failed BadRequest", drop + "Started ", drop + "Failed Forbidden",
		role + "Started ", role + "Succeeded Created", drop + "Started ", drop + "Accepted Accepted", drop + "Succeeded ",
	}
	if len(got) != len(want) {
		t.Fatalf("%d events: %q", len(got), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %q, want %q", i, got[i], want[i])
		}
	}
	refusal := all[5]
	if refusal.Caller != "app-"+aliceID || refusal.Claims["appid"] != "app-"+aliceID || refusal.HTTPRequest.Method != "DELETE" ||
		refusal.HTTPRequest.ClientIP == "" || refusal.ResourceGroup != "Gr-1" || refusal.Level != "Error" || refusal.Properties["statusMessage"] == "" {
		t.Errorf("%+v", refusal)
	}
	if all[4].Properties["requestbody"] == "" {
		t.Errorf("%+v", all[4])
	}
	for filter, want := range map[string]int{
		always + " and resourceGroupName eq 'gr-1'":                      11,
		always + " and resourceUri eq '" + groupPath + "' ":              9,
		always + " and correlationId eq '" + refusal.CorrelationID + "'": 2,
		always + " and status eq Failed":                                 2,
		always + " and caller eq 'app-" + aliceID + "'":                  2,
		always + " and resourceProvider eq Microsoft.Authorization":      2,
		"eventTimestamp ge 2029-01-01":                                   0,
	} {
		if got := activity(t, rt, firstPrincipal, filter); len(got) != want {
			t.Errorf("%s: %d, want %d", filter, len(got), want)
		}
	}
	for _, filter := range []string{"", "x", "eventTimestamp ge yesterday", always + " and x eq 'y'", "eventTimestamp eq 2020-01-01", always + " or status eq 'x'"} {
		if w := activityAnswer(t, rt, firstPrincipal, filter); w.Code != 400 {
			t.Errorf("%q: %d", filter, w.Code)
		}
	}
	// Alice reads the log of the group that she may read, and that alone.
	as(t, rt, firstPrincipal, "PUT", subPath+"/resourceGroups/other"+v, `{"location":"westus2"}`)
	if got := activity(t, rt, aliceID, always); len(got) != 11 {
		t.Errorf("alice sees %d", len(got))
	}
	if w := activityAnswer(t, rt, "stranger", always); w.Code != 403 {
		t.Errorf("a stranger: %d", w.Code)
	}
}

func TestActivityTime(t *testing.T) {
	want := time.Date(2026, 11, 22, 20, 1, 2, 0, time.UTC)
	for _, s := range []string{"2026-11-22T20:01:02Z", "2026-11-22T21:01:02+01:00", "2026-11-22T21:01:02 01:00", "2026-11-22T20:01:02.000000", "2026-11-22T20:01:02"} {
		if got, err := activityTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
}

// TestSelected keeps of an event what is asked for, names in any case.
func TestSelected(t *testing.T) {
	event := wire.Activity{Caller: "me", Level: "Error", OperationName: wire.Localized{Value: "a/b"}}
	for names, want := range map[string]string{
		"caller":                         `{"caller":"me"}`,
		" Level , operationname,nothing": `{"level":"Error","operationName":{"value":"a/b","localizedValue":""}}`,
		"nothing":                        `{}`,
	} {
		v, err := selected(event, names)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", names, got, err, want)
		}
	}
	if v, err := selected(event, " "); err != nil || v.(wire.Activity).Caller != "me" {
		t.Errorf("nothing selected: %v %v", v, err)
	}
}
