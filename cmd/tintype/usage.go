package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
