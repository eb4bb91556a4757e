package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"tintype/internal/arm"
)

// junkBodies are no requests, or nearly ones in which something is null.
const junkBodies = `
null
[]
5
"text"
{
{}
{"location":null,"tags":null,"sku":null,"zones":null,"identity":null,"properties":null}
{"location":"westus2"}
{"location":"westus2","properties":[]}
{"location":"westus2","properties":{"creationData":null,"source":null,"storageProfile":null,"accessPolicies":null,"tenantId":null,"sku":null}}
{"location":"westus2","properties":{"storageProfile":{"osDisk":null,"dataDisks":[null]},"sourceVirtualMachine":null}}
{"location":"westus2","identity":{"userAssignedIdentities":{"":null}},"properties":{"activeKey":{"sourceVault":null,"keyUrl":null}}}
{"properties":{"mode":"Incremental","template":null,"parameters":null,"templateLink":null}}
{"properties":{"mode":"Incremental","template":{"resources":[null]},"parameters":{"p":null}}}
{"properties":{"roleDefinitionId":null,"principalId":null,"permissions":[null],"assignableScopes":[null]}}
{"properties":{"excludeDisks":[null],"sourceRestorePoint":null,"privateLinkServiceConnectionState":null}}
{"properties":{"level":null,"amount":null,"notifications":{"n":null},"timePeriod":null,"filter":null}}
{"operation":"Merge","properties":{"tags":null}}
{"snapshots":[null],"ids":[null],"resources":[null],"targetResourceGroup":null}
{"access":null,"durationInSeconds":null,"host":null,"since":[null]}
{"type":"Usage","timeframe":"Custom","timePeriod":null,"dataset":{"filter":null,"grouping":[null],"aggregation":{"a":null}}}
{"name":null,"type":null}
`

// junkQueries are parameters of lists that say nothing.
var junkQueries = []string{"", "&$filter='", "&$top=x", "&$skiptoken=%2A", "&$expand=%27", "&%zz", "&$filter=a+eq+b+and"}

// leakRE finds words of the program in a message for callers.
var leakRE = regexp.MustCompile(`wire\.|json: |Go (value|struct)|invalid memory|interface \{|goroutine`)

// TestJunk sends every operation of the real server's table what is no request, as an owner: nothing is a failure of ours, every refusal
// is in Azure's form, and none speaks of the program.
func TestJunk(t *testing.T) {
	m := newMatrix(t)
	for _, r := range m.router.Routes() {
		if strings.HasPrefix(r.Path, "/subscriptions/{subscription}/providers/Tintype.Store/") && r.Method == http.MethodPost {
			continue // takes no body, and rotates keys
		}
		bodies, queries := []string{""}, junkQueries
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			bodies, queries = strings.Split(junkBodies, "\n"), []string{""}
		}
		for _, body := range bodies {
			for _, query := range queries {
				m.junk(t, r, query, body)
			}
		}
	}
}

func (m *matrix) junk(t *testing.T, r arm.Route, query, body string) {
	t.Helper()
	q := httptest.NewRequest(r.Method, "https://localhost"+m.target(r)+query, strings.NewReader(body))
	q.Header.Set("Authorization", "Bearer "+m.tokens[0])
	q.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	m.router.ServeHTTP(w, q)
	var answer struct {
		Error struct{ Code, Message string } `json:"error"`
	}
	text := w.Body.String()
	refused := w.Code >= http.StatusBadRequest && r.Method != http.MethodHead
	if refused && (json.Unmarshal([]byte(text), &answer) != nil || answer.Error.Code == "" || answer.Error.Message == "") {
		t.Errorf("%s %s%s %s: %d %s", r.Method, r.Path, query, body, w.Code, text)
	}
	if w.Code >= http.StatusInternalServerError || refused && leakRE.MatchString(text) {
		t.Errorf("%s %s%s %s: %d %s", r.Method, r.Path, query, body, w.Code, text)
	}
}
