package meter

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// Budget is what somebody wants to spend at most in a scope, in each month, quarter or year.
type Budget struct {
	Scope
	Name          string
	Amount        Price
	Grain         string // Monthly, Quarterly or Annually
	From, To      Day    // of its life; To is not included
	Only          *Condition
	Notifications map[string]Notification
	ETag          string
}

// Notification says when somebody is to be told.
type Notification struct {
	Enabled   bool
	Operator  string // GreaterThan, GreaterThanOrEqualTo or EqualTo
	Threshold Price  // percent of the amount
	Forecast  bool   // compares what the period will come to, not what it has come to
	// Kept and shown; nobody is written to but the webhook.
	Emails, Roles, Groups []string
	Locale                string
}

// Bounds of a budget, as Azure has them where it has any.
const (
	maxBudgetName    = 63
	maxBudgetAmount  = 1_000_000_000
	maxNotifications = 5
	maxThreshold     = 1000
	maxContacts      = 50
)

// Implied is the notification of a budget that has none: at all of the amount.
const Implied = "Actual_GreaterThanOrEqualTo_100_Percent"

// ParseAmount reads the amount of a budget exactly.
func ParseAmount(s string) (Price, error) {
	p, err := parseDecimal(s, maxBudgetAmount)
	if err != nil || p == 0 {
		return 0, tintype.InvalidParameter("amount", "The amount '%.32s' is not a decimal number above 0 and up to %d.", s, maxBudgetAmount)
	}
	return p, nil
}

// Check says whether the budget can be kept.
func (b Budget) Check() error {
	for _, r := range b.Name {
		if !(r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return tintype.InvalidParameter("budgetName", "A budget's name has letters, digits, underscores and hyphens.")
		}
	}
	first, _ := b.From.Month()
	switch {
	case b.Name == "" || len(b.Name) > maxBudgetName:
		return tintype.InvalidParameter("budgetName", "A budget's name has 1 to %d characters.", maxBudgetName)
	case b.Grain != "Monthly" && b.Grain != "Quarterly" && b.Grain != "Annually":
		return tintype.InvalidParameter("timeGrain", "The value '%.32s' of parameter 'timeGrain' is invalid. Supported values are Monthly,Quarterly,Annually.", b.Grain)
	case b.From != first:
		return tintype.InvalidParameter("timePeriod.startDate", "A budget begins on the first day of a month.")
	case b.To <= b.From:
		return tintype.InvalidParameter("timePeriod.endDate", "A budget ends after it has begun.")
	case len(b.Notifications) > maxNotifications:
		return tintype.InvalidParameter("notifications", "A budget has at most %d notifications.", maxNotifications)
	}
	for name, n := range b.Notifications {
		if err := n.check(name); err != nil {
			return err
		}
	}
	return nil
}

func (n Notification) check(name string) error {
	switch {
	case len(name) > 128:
		return tintype.InvalidParameter("notifications", "A notification's name is longer than 128 characters.")
	case n.Operator != "GreaterThan" && n.Operator != "GreaterThanOrEqualTo" && n.Operator != "EqualTo":
		return tintype.InvalidParameter("operator", "The value '%.32s' of parameter 'operator' is invalid. "+
			"Supported values are EqualTo,GreaterThan,GreaterThanOrEqualTo.", n.Operator)
	case n.Threshold <= 0 || n.Threshold > maxThreshold*nano:
		return tintype.InvalidParameter("threshold", "A threshold lies between 0.01 and %d percent.", maxThreshold)
	case len(n.Emails) > maxContacts || len(n.Roles) > maxContacts || len(n.Groups) > maxContacts:
		return tintype.InvalidParameter("notifications", "A notification has more than %d contacts.", maxContacts)
	}
	return nil
}

// period is the part of the budget's life in which the day lies: a month, a quarter or a year from its beginning on.
func (b Budget) period(d Day) (from, to Day, ok bool) {
	if d < b.From || d >= b.To {
		return 0, 0, false
	}
	months := map[string]int{"Monthly": 1, "Quarterly": 3, "Annually": 12}[b.Grain]
	y, m, _ := b.From.Time().Date()
	for from = b.From; ; from = to {
		m += time.Month(months)
		to = DayOf(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC))
		if d < to {
			return from, to, true
		}
	}
}

// key is the scope as the store has it.
func (s Scope) key() string {
	if s.Group == "" {
		return strings.ToLower("/subscriptions/" + string(s.Subscription))
	}
	return tintype.GroupKey(s.Subscription, s.Group)
}

// PutBudget keeps the budget, new or changed; created tells which. An ETag that is given must be that of what it replaces.
// Whoever has to be told is told anew.
func (s *Service) PutBudget(ctx context.Context, b Budget) (out Budget, created bool, err error) {
	if err := b.Check(); err != nil {
		return b, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.budgets(ctx, b.Scope, b.Name)
	if err != nil {
		return b, false, err
	}
	created = len(old) == 0
	if b.ETag != "" && (created || b.ETag != old[0].ETag) {
		return b, false, &tintype.Error{Kind: tintype.KindConflict, Code: "Conflict", Message: "The budget's eTag is not the latest one."}
	}
	b.ETag = `"` + uuid.NewString() + `"`
	doc, err := json.Marshal(b)
	if err != nil {
		return b, false, err
	}
	tx, err := s.store.write.BeginTx(ctx, nil)
	if err != nil {
		return b, false, err
	}
	for _, q := range []struct {
		text string
		args []any
	}{
		{"INSERT INTO budgets (scope, name, document) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET document = excluded.document", []any{b.key(), b.Name, string(doc)}},
		{"DELETE FROM alerts WHERE scope = ? AND name = ?", []any{b.key(), b.Name}},
	} {
		if _, err := tx.ExecContext(ctx, q.text, q.args...); err != nil {
			return b, false, fmt.Errorf("keep budget: %w, %w", err, tx.Rollback())
		}
	}
	s.judged = time.Time{}
	return b, created, tx.Commit()
}

// Budget gives a budget; NotFound when there is none.
func (s *Service) Budget(ctx context.Context, in Scope, name string) (Budget, error) {
	found, err := s.budgets(ctx, in, name)
	if err == nil && len(found) == 0 {
		err = budgetNotFound(name)
	}
	if err != nil {
		return Budget{}, err
	}
	return found[0], nil
}

func budgetNotFound(name string) error {
	return &tintype.Error{Kind: tintype.KindNotFound, Code: "NotFound", Message: fmt.Sprintf("The budget '%.64s' was not found.", name)}
}

// Budgets lists the budgets of exactly this scope.
func (s *Service) Budgets(ctx context.Context, in Scope) ([]Budget, error) {
	return s.budgets(ctx, in, "")
}

// budgets reads those of a scope, or of all when its subscription is "", and of the name unless that is "".
func (s *Service) budgets(ctx context.Context, in Scope, name string) ([]Budget, error) {
	key := ""
	if in.Subscription != "" {
		key = in.key()
	}
	rows, err := s.store.read.QueryContext(ctx, "SELECT document FROM budgets WHERE (?1 = '' OR scope = ?1) AND (?2 = '' OR name = ?2) "+
		"ORDER BY scope, name", key, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Budget
	for rows.Next() {
		var doc string
		var b Budget
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(doc), &b); err != nil {
			return nil, fmt.Errorf("usage.db holds a bad budget: %w", err)
		}
		all = append(all, b)
	}
	return all, rows.Err()
}

// DeleteBudget removes the budget; NotFound when there is none.
func (s *Service) DeleteBudget(ctx context.Context, in Scope, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	res, err := s.store.write.ExecContext(ctx, "DELETE FROM budgets WHERE scope = ? AND name = ?", in.key(), name)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return budgetNotFound(name)
	}
	_, err = s.store.write.ExecContext(ctx, "DELETE FROM alerts WHERE scope = ? AND name = ?", in.key(), name)
	return err
}

// Spend is where a budget stands in the period that runs.
type Spend struct {
	From, To Day // of the period
	Actual   Money
	Forecast Money // at the period's end, if nothing changes
}

// Spend tells where the budget stands; ok is false when no period of it runs.
func (s *Service) Spend(ctx context.Context, b Budget) (spend Spend, ok bool, err error) {
	now := s.now()
	if spend.From, spend.To, ok = b.period(dayOf(now)); !ok {
		return spend, false, nil
	}
	q := Query{Scope: b.Scope, From: spend.From, To: spend.To, Until: now}
	for _, to := range []*Money{&spend.Actual, &spend.Forecast} {
		sums, err := s.Aggregate(ctx, q, b.Only, nil, Whole)
		if err != nil {
			return spend, false, err
		}
		for _, sum := range sums {
			*to = to.Plus(sum.Cost)
		}
		q.Until = spend.To.start()
	}
	return spend, true, nil
}
