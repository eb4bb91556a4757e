package meter

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Alert says that a budget's threshold was crossed.
type Alert struct {
	Budget       Budget
	Notification string
	Threshold    Price // percent
	Forecast     bool
	Spend        Money // what crossed it
	Currency     string
	From, To     Day // the period
}

// resendEvery is how long an alert that could not be sent waits.
const resendEvery = 5 * time.Minute

// judge compares every budget with what was spent, once an hour and when one was changed. A threshold that was crossed is
// told once in a period; telling is tried again until it has worked.
func (s *Service) judge(ctx context.Context) error {
	s.mu.Lock()
	now := time.UnixMilli(s.now()).UTC()
	due := s.judged.IsZero() || !now.Before(s.judged.Truncate(roundEvery).Add(roundEvery)) || !s.resend.IsZero() && !now.Before(s.resend)
	if due {
		s.judged, s.resend = now, time.Time{}
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	all, err := s.budgets(ctx, Scope{}, "")
	for _, b := range all {
		err = errors.Join(err, s.judgeOne(ctx, b, now))
	}
	return err
}

func (s *Service) judgeOne(ctx context.Context, b Budget, now time.Time) error {
	spend, ok, err := s.Spend(ctx, b)
	if err != nil || !ok {
		return err
	}
	all := b.Notifications
	if len(all) == 0 {
		all = map[string]Notification{Implied: {Enabled: true, Operator: "GreaterThanOrEqualTo", Threshold: 100 * nano}}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n := all[name]
		a := Alert{
			Budget: b, Notification: name, Threshold: n.Threshold, Forecast: n.Forecast, Spend: spend.Actual,
			Currency: s.opt.Prices.Currency, From: spend.From, To: spend.To,
		}
		if n.Forecast {
			a.Spend = spend.Forecast
		}
		limit := b.Amount.Share(n.Threshold)
		crossed := limit.Less(a.Spend) || n.Operator != "GreaterThan" && limit == a.Spend
		if !n.Enabled || !crossed {
			continue
		}
		if err := s.tell(ctx, a, now); err != nil {
			return err
		}
	}
	return nil
}

// tell records the alert, logs it once, and hands it on until that works.
func (s *Service) tell(ctx context.Context, a Alert, now time.Time) error {
	key := []any{a.Budget.key(), a.Budget.Name, a.Notification, a.From}
	res, err := s.store.write.ExecContext(ctx, "INSERT INTO alerts (scope, name, notification, period, at, sent) VALUES (?, ?, ?, ?, ?, 0) "+
		"ON CONFLICT DO NOTHING", append(key, now.UnixMilli())...)
	if err != nil {
		return err
	}
	first, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if first > 0 {
		s.opt.Log.Warn("a budget's threshold was crossed", "budget", a.Budget.Name, "scope", a.Budget.key(), "notification", a.Notification,
			"percent", a.Threshold.String(), "forecast", a.Forecast, "spend", a.Spend.Rounded(), "amount", a.Budget.Amount.String(), "currency", a.Currency)
	}
	var sent bool
	err = s.store.write.QueryRowContext(ctx, "SELECT sent FROM alerts WHERE scope = ? AND name = ? AND notification = ? AND period = ?", key...).Scan(&sent)
	if err != nil || sent {
		return err
	}
	if s.opt.Alert != nil {
		if err := s.opt.Alert(ctx, a); err != nil {
			s.opt.Log.Error("an alert will be sent again", "budget", a.Budget.Name, "error", err)
			s.mu.Lock()
			s.resend = now.Add(resendEvery)
			s.mu.Unlock()
			return nil
		}
	}
	_, err = s.store.write.ExecContext(ctx, "UPDATE alerts SET sent = 1 WHERE scope = ? AND name = ? AND notification = ? AND period = ?", key...)
	return err
}
