package meter

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed prices.json
var examplePrices []byte

// Sheet is a price sheet: what the operator asks for each meter. It never changes.
type Sheet struct {
	Currency string // three letters
	prices   map[sheetKey][]pricedFrom
}

type sheetKey struct{ product, sku, meter, location string }

// pricedFrom is a price that holds from a day on, until the next one.
type pricedFrom struct {
	from  Day
	price Price
}

// sheetDoc is the file. Its words are those of Azure's Retail Prices API.
type sheetDoc struct {
	Currency string     `json:"currencyCode"`
	Items    []sheetRow `json:"items"`
}

type sheetRow struct {
	Product string `json:"productName"`
	SKU     string `json:"skuName"`
	Meter   string `json:"meterName"`
	Unit    string `json:"unitOfMeasure"`
	Price   Price  `json:"unitPrice"`
	Region  string `json:"armRegionName,omitempty"`
	From    string `json:"effectiveStartDate,omitempty"`
}

// maxPriceRows bounds a sheet: the products of every region, with room for a price a year.
const maxPriceRows = 100_000

// ExamplePrices are those that the program has with it: Azure's retail prices as once read, to begin with.
func ExamplePrices() (*Sheet, error) { return ParsePrices(examplePrices) }

// ParsePrices reads a price sheet. A row without a region holds for all that have none of their own; one without a date
// holds from the beginning. A product that is not in it costs nothing, see [Sheet.Missing].
func ParsePrices(text []byte) (*Sheet, error) {
	var doc sheetDoc
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("price sheet: %w", err)
	}
	if len(doc.Currency) != 3 || strings.ToUpper(doc.Currency) != doc.Currency {
		return nil, fmt.Errorf("price sheet: currencyCode %q is not three capital letters", doc.Currency)
	}
	if len(doc.Items) > maxPriceRows {
		return nil, fmt.Errorf("price sheet: %d rows, at most %d", len(doc.Items), maxPriceRows)
	}
	known := map[Product]bool{}
	for _, p := range products() {
		known[p] = true
	}
	s := &Sheet{Currency: doc.Currency, prices: map[sheetKey][]pricedFrom{}}
	for i, row := range doc.Items {
		if p := (Product{row.Product, row.SKU, row.Meter, row.Unit}); !known[p] {
			return nil, fmt.Errorf("price sheet, row %d: nothing is sold as %q, %q, %q per %q", i+1, row.Product, row.SKU, row.Meter, row.Unit)
		}
		if err := s.add(row); err != nil {
			return nil, fmt.Errorf("price sheet, row %d: %w", i+1, err)
		}
	}
	return s, nil
}

func (s *Sheet) add(row sheetRow) error {
	p := pricedFrom{from: -1 << 30, price: row.Price}
	if row.From != "" {
		var err error
		if p.from, err = ParseDay(row.From); err != nil {
			return err
		}
	}
	k := sheetKey{row.Product, row.SKU, row.Meter, strings.ToLower(row.Region)}
	for _, have := range s.prices[k] {
		if have.from == p.from {
			return fmt.Errorf("a second price for %q, %q from the same day", row.Product, row.SKU)
		}
	}
	s.prices[k] = append(s.prices[k], p)
	return nil
}

// Price is what a unit costs in the region on the day, and whether the sheet says so.
func (s *Sheet) Price(p Product, location string, d Day) (Price, bool) {
	for _, region := range []string{location, ""} {
		var best pricedFrom
		found := false
		for _, have := range s.prices[sheetKey{p.Name, p.SKU, p.Meter, region}] {
			if have.from <= d && (!found || have.from > best.from) {
				best, found = have, true
			}
		}
		if found {
			return best.price, true
		}
	}
	return 0, false
}

// Missing lists the products that have no price for every region.
func (s *Sheet) Missing() []string {
	var names []string
	for _, p := range products() {
		if len(s.prices[sheetKey{p.Name, p.SKU, p.Meter, ""}]) == 0 {
			names = append(names, p.Name+", "+p.SKU)
		}
	}
	return names
}
