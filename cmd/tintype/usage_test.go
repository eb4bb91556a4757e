package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestBudgetWebhook creates a budget that is spent at once. The first call of the webhook fails, so it is called again after a
// restart, and then no more.
func TestBudgetWebhook(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	refuse := true
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, string(body))
		if refuse {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(hook.Close)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(calls)
	}
	wait := func(n int) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if count() >= n {
				return
			}
		}
		t.Fatalf("the webhook was called %d times, want %d", count(), n)
	}
	data := t.TempDir()
	s := start(t, data, "--budget-webhook", hook.URL+"/secret-path")
	token := s.token(t)
	s.makeDisk(t, token, "d")
	at := "/subscriptions/" + s.cred.SubscriptionID + "/providers/Microsoft.Consumption/budgets/tiny?api-version=2023-05-01"
	body := `{"properties":{"category":"Cost","amount":0.000000001,"timeGrain":"Monthly","timePeriod":{"startDate":"` +
		time.Now().UTC().Format("2006-01-") + `01T00:00:00Z"}}}`
	if status, text := s.call(t, token, http.MethodPut, at, body); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	wait(1)
	if log := s.log.String(); strings.Contains(log, "secret-path") {
		t.Errorf("the log tells the webhook's address:\n%s", log)
	}
	s.stop()
	mu.Lock()
	refuse = false
	mu.Unlock()
	start(t, data, "--budget-webhook", hook.URL+"/secret-path")
	wait(2)
	time.Sleep(3 * lookTwice)
	if n := count(); n != 2 {
		t.Errorf("the webhook was called %d times", n)
	}
	var sent struct {
		SchemaID string `json:"schemaId"`
		Data     struct{ BudgetName, Budget, Unit, SpendingAmount string }
	}
	if err := json.Unmarshal([]byte(calls[1]), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.SchemaID != "AIP Budget Notification" || sent.Data.BudgetName != "tiny" || sent.Data.Budget != "0.000000001" || sent.Data.Unit != "USD" {
		t.Errorf("sent %s", calls[1])
	}
}

// lookTwice is longer than the meter takes to look at its budgets.
const lookTwice = 2500 * time.Millisecond
