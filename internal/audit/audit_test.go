package audit

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tintype/internal/handclock"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func openLog(t testing.TB, file string, c *handclock.Clock) *Service {
	t.Helper()
	s, err := Open(t.Context(), file, c.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func find(t testing.TB, s *Service, q Query) []Event {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.To.IsZero() {
		q.To = s.now()
	}
	p, err := s.Events(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return p.Events
}

func TestLog(t *testing.T) {
	file, c := filepath.Join(t.TempDir(), "audit.db"), handclock.New(start)
	s := openLog(t, file, c)
	s.Record(Event{Correlation: "C1", Operation: "o1", Resource: "/S/G/d", Group: "G", Provider: "Microsoft.Compute", Caller: "Ann@x", Status: Started})
	s.Record(Event{Correlation: "C1", Operation: "o1", Async: "a1", Resource: "/S/G/d", Group: "G", Provider: "Microsoft.Compute", Caller: "Ann@x", Status: Accepted, HTTP: 202})
	c.Add(time.Minute)
	s.Ended("A1", Failed, "NoSpace", "full")
	s.Ended("unknown", Succeeded, "", "")
	s.Ended("a0", Succeeded, "", "") // over before its request was answered
	s.Record(Event{Async: "A0", Resource: "/early", Status: Accepted})
	if got := find(t, s, Query{Resource: "/early"}); len(got) != 2 || got[0].Status != Succeeded {
		t.Errorf("%+v", got)
	}
	s.Record(Event{Correlation: "c2", Resource: "/S/H", Group: "H", Caller: "bob", Status: Succeeded, Message: strings.Repeat("x", 2*maxText)})
	got := find(t, s, Query{})
	if len(got) != 6 || got[0].Correlation != "c2" || len(got[0].Message) != maxText {
		t.Fatalf("%+v", got)
	}
	if e := got[3]; e.Status != Failed || e.Code != "NoSpace" || e.Operation != "o1" || e.Caller != "Ann@x" || e.HTTP != 0 || !e.Time.Equal(start.Add(time.Minute)) || e.ID == got[4].ID {
		t.Errorf("%+v", e)
	}
	for want, q := range map[int]Query{
		3: {Correlation: "c1"}, 1: {Caller: "BOB"}, 4: {From: start.Add(time.Second)}, 0: {Group: "g", Status: "succeeded"},
	} {
		if got := find(t, s, q); len(got) != want {
			t.Errorf("%+v: %d", q, len(got))
		}
	}
	if got := find(t, s, Query{Resource: "/s/g/D", Provider: "microsoft.compute", Status: "accepted"}); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openLog(t, file, c)
	if got := find(t, s, Query{}); len(got) != 6 {
		t.Errorf("after a restart: %d", len(got))
	}
	c.Add(keep)
	s.Record(Event{Status: Succeeded})
	if got := find(t, s, Query{}); len(got) != 5 { // what is not older than 90 days, and the new one
		t.Errorf("after 90 days: %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPagesAndMany(t *testing.T) {
	s := openLog(t, filepath.Join(t.TempDir(), "audit.db"), handclock.New(start))
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 250 {
				s.Record(Event{Correlation: fmt.Sprint(w, " ", i), Status: Succeeded})
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	q := Query{To: start, Limit: 300}
	for pages := 0; ; pages++ {
		p, err := s.Events(t.Context(), q)
		if err != nil || pages > 10 {
			t.Fatal(pages, err)
		}
		for _, e := range p.Events {
			seen[e.Correlation] = true
		}
		if p.Next == 0 {
			break
		}
		q.Before = p.Next
	}
	if len(seen) != 2000 {
		t.Errorf("%d events", len(seen))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Record(Event{}) // does not hang
	if _, err := s.Events(t.Context(), q); err == nil {
		t.Error("a closed log is read")
	}
}
