package conformance

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// verdict is what became of one exchange.
type verdict int

const (
	matched  verdict = iota
	differs          // ours is another answer
	waiting          // a poll before the operation's end: it and those that follow count as one step
	excluded         // about our types, and needs something that the product does not have
	outside          // about a type that is not ours
)

// result is one exchange's line in the report.
type result struct {
	exchange
	index   int
	verdict verdict
	why     string   // of excluded and outside
	diffs   []string // of differs
}

// player replays one recording against a fresh server.
type player struct {
	*rig
	name    string // of the recording
	matcher *matcher
	all     []exchange
	groups  map[string]bool   // made or met
	lost    map[string]string // resources that can't be had here, with the reason
	lostOps map[string]string // operations on them
	polls   map[string]string // end of the recorded poll URL's path → our poll URL
}

func replay(t *testing.T, r recording) []result {
	p := &player{
		rig: newRigWith(t, recorder{r.exchanges}), name: r.name, matcher: newMatcher(), all: r.exchanges,
		groups: map[string]bool{}, lost: map[string]string{}, lostOps: map[string]string{}, polls: map[string]string{},
	}
	p.matcher.bind(subscription, subscription)
	var out []result
	for i, e := range r.exchanges {
		res := p.play(i, e)
		res.index, res.exchange = i, e
		out = append(out, res)
	}
	return out
}

// play sends one exchange and judges the answer.
func (p *player) play(i int, e exchange) result {
	p.setClock(i, e)
	if ofOurs := e.what.kind == machineOperations && p.polls[pollKey(e.URI)] != ""; !isOurs(e.what.kind) && !ofOurs {
		why, known := otherReason(e.what.kind)
		if !known {
			p.t.Errorf("%d: %s %s: the type %s is in no list of scope_test.go", i, e.Method, e.URI, e.what.kind)
		}
		return result{verdict: outside, why: why}
	}
	p.haveGroup(e)
	if why := p.cannot(e); why != "" {
		p.lose(e, why)
		return result{verdict: excluded, why: why}
	}
	p.haveVault(e)
	target, last := p.target(i, e)
	if !last {
		return result{verdict: waiting}
	}
	a := p.do(e.Method, target, p.translateBody(e.RequestBody))
	diffs := p.matcher.compare(e, a)
	p.follow(e, a)
	if len(diffs) == 1 && strings.HasPrefix(diffs[0], "properties.consistencyMode: ") {
		return result{verdict: excluded, why: restGuest}
	}
	if len(diffs) > 0 {
		return result{verdict: differs, diffs: diffs}
	}
	return result{verdict: matched}
}

// setClock turns the server's clock to when the exchange was made, as far as its operation's polls tell.
func (p *player) setClock(i int, e exchange) {
	at, ok := e.when()
	if e.ResponseHeaders["azure-asyncoperation"] != "" {
		for _, later := range p.all[i+1:] {
			if later.what.op != "" && strings.Contains(e.ResponseHeaders["azure-asyncoperation"], later.what.op) {
				at, ok = later.when()
				break
			}
		}
	}
	if ok && at.UnixNano() > p.clock.Load() {
		p.clock.Store(at.Truncate(100).UnixNano())
	}
}

// haveGroup makes the exchange's group when the recording does not: az's tests had theirs before.
func (p *player) haveGroup(e exchange) {
	m := groupRE.FindStringSubmatch(e.path)
	if m == nil || p.groups[strings.ToLower(m[1])] {
		return
	}
	p.groups[strings.ToLower(m[1])] = true
	body := map[string]any{"location": "westus"}
	path := strings.ToLower("/subscriptions/" + subscription + "/resourcegroups/" + m[1])
	for _, other := range p.all {
		if other.what.kind != resourceGroups || other.what.name != path {
			continue
		}
		if other.Method == http.MethodPut || other.Method == http.MethodHead {
			return
		}
		if other.Status == http.StatusOK {
			seen := object(other.ResponseBody)
			body = map[string]any{"location": seen["location"], "tags": seen["tags"]}
			break
		}
	}
	if a := p.do("PUT", "/subscriptions/"+subscription+"/resourcegroups/"+m[1]+"?api-version=2021-04-01", body); a.status != 201 {
		p.t.Fatalf("group %s: %d %v", m[1], a.status, a.body)
	}
}

// target is where the exchange goes on our server. last is false for a poll that another one follows.
func (p *player) target(i int, e exchange) (target string, last bool) {
	if e.what.kind == publicVaults {
		return p.matcher.translate(e.URI), true
	}
	if e.what.op == "" && e.what.kind != "operationresults" {
		return strings.TrimPrefix(p.matcher.translate(e.URI), "https://"+armHost), true
	}
	running := e.Status == http.StatusAccepted || object(e.ResponseBody)["status"] == "InProgress"
	if running {
		for _, later := range p.all[i+1:] {
			if later.path == e.path && monitors(later.URI) == monitors(e.URI) {
				return "", false
			}
		}
	}
	target = p.polls[pollKey(e.URI)]
	if target == "" {
		return strings.TrimPrefix(p.matcher.translate(e.URI), "https://"+armHost), true
	}
	return target, true
}

func monitors(uri string) bool { return strings.Contains(uri, "monitor=true") }

// pollKey names a poll URL: the operation, and which of its two answers is asked for.
func pollKey(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	key := path[strings.LastIndex(path, "/")+1:]
	if monitors(uri) {
		key += " monitor"
	}
	return key
}

// follow notes where an accepted operation of ours is polled, and lets it end.
func (p *player) follow(e exchange, a answer) {
	for _, h := range []string{"azure-asyncoperation", "location"} {
		if rec, own := e.ResponseHeaders[h], a.header.Get(h); rec != "" && own != "" {
			p.polls[pollKey(rec)] = local(own)
		}
	}
	if e.Method == http.MethodGet {
		return
	}
	p.settle(a)
	if poll := a.header.Get("Location"); e.what.kind == resourceGroups && poll != "" {
		for p.do("GET", local(poll), nil).status == http.StatusAccepted {
			time.Sleep(time.Millisecond)
		}
	}
}

// translateBody puts our ids in place of recorded ones.
func (p *player) translateBody(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = p.translateBody(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = p.translateBody(v[i])
		}
		return out
	case string:
		return p.matcher.translate(v)
	}
	return v
}
