package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tintype"
	"tintype/internal/meter"
)

// openMeter begins to meter. It comes before the domain, so that nothing changes between what usage.db knows and what the
// catalog says.
func (s *server) openMeter(ctx context.Context) error {
	sheet, err := s.prices()
	if err != nil {
		return err
	}
	s.meter, err = meter.Open(ctx, meter.Options{
		File: filepath.Join(s.opt.data, "usage.db"), Catalog: s.catalog, Volumes: s.engine, Prices: sheet, Now: s.now, Log: s.log,
		Alert: s.alert,
	})
	if err != nil {
		return err
	}
	s.onClose(s.meter.Close)
	return s.meter.Start(ctx)
}

// maxPriceSheet bounds the price sheet's file.
const maxPriceSheet = 32 << 20

// prices reads the operator's price sheet, or takes the one that comes with the program.
func (s *server) prices() (*meter.Sheet, error) {
	if s.opt.prices == "" {
		return meter.ExamplePrices()
	}
	info, err := os.Stat(s.opt.prices)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPriceSheet {
		return nil, fmt.Errorf("--prices %s has %d bytes, at most %d", s.opt.prices, info.Size(), maxPriceSheet)
	}
	text, err := os.ReadFile(s.opt.prices)
	if err != nil {
		return nil, err
	}
	sheet, err := meter.ParsePrices(text)
	if err != nil {
		return nil, fmt.Errorf("--prices %s: %w", s.opt.prices, err)
	}
	if missing := sheet.Missing(); len(missing) > 0 {
		s.log.Warn("the price sheet has no price for all regions of these; where it has none, they cost nothing",
			"products", strings.Join(missing, "; "))
	}
	return sheet, nil
}

// subscriptionName is how reports call a subscription.
func (s *server) subscriptionName(id tintype.SubscriptionID) string {
	for _, have := range s.identity.Subscriptions() {
		if have.ID == id {
			return have.Name
		}
	}
	return string(id)
}

// alertTimeout bounds a call of the webhook.
const alertTimeout = 10 * time.Second

// alert calls the operator's webhook with the body that Azure's budgets send.
func (s *server) alert(ctx context.Context, a meter.Alert) error {
	if s.opt.budgetWebhook == "" {
		return nil
	}
	kind := "Cost"
	if a.Forecast {
		kind = "ForecastedCost"
	}
	body, err := json.Marshal(map[string]any{
		"schemaId": "AIP Budget Notification",
		"data": map[string]string{
			"SubscriptionName": s.subscriptionName(a.Budget.Subscription), "SubscriptionId": string(a.Budget.Subscription),
			"ResourceGroup": a.Budget.Group, "BudgetName": a.Budget.Name, "BudgetType": kind, "Budget": a.Budget.Amount.String(),
			"BudgetStartDate": a.From.String(), "BudgetCreator": "", "Unit": a.Currency, "SpendingAmount": a.Spend.String(),
			"NotificationThresholdAmount": a.Budget.Amount.Share(a.Threshold).String(), "NotificationName": a.Notification,
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opt.budgetWebhook, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered %s", resp.Status)
	}
	return nil
}

// withoutURL drops the webhook's address from an error: many carry a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
