package meter

import (
	"bytes"
	"encoding/csv"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"

	"tintype"
)

// TestCSVAddsUp reads the file as a spreadsheet does: every line has all columns, quantity times price is the cost, and the
// costs sum up to the bill.
func TestCSVAddsUp(t *testing.T) {
	w := newWorld(t, time.Date(2024, 2, 3, 4, 5, 6, 7e6, time.UTC))
	disk := w.disk("data", 64, tintype.StandardSSDLRS)
	w.volumes.write(disk.Store, 0, 12345)
	disk.Tags = map[string]string{"a \"quoted\", one": "=1+1\n"}
	w.put(disk)
	w.snapshot("one", disk, tintype.StandardZRS, uuid.New())
	w.snapshot("two", disk, tintype.PremiumLRS, uuid.Nil)
	w.clock = time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC)
	w.tick()
	q := Query{Scope: Scope{Subscription: testSub, Group: "LAB"}, From: day(2024, 2, 1), To: day(2024, 4, 1)}
	var out bytes.Buffer
	rows, err := w.meter.WriteCSV(t.Context(), q, CSVOptions{Subscription: "a, b"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(lines)) != rows+1 || rows != 3*(27+31) {
		t.Fatalf("%d lines for %d rows", len(lines), rows)
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	number := func(text string) *big.Rat {
		n, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		return n
	}
	sum := new(big.Rat)
	for _, line := range lines[1:] {
		cost := number(line[column["Cost"]])
		if product := new(big.Rat).Mul(number(line[column["Quantity"]]), number(line[column["UnitPrice"]])); product.Cmp(cost) != 0 {
			t.Errorf("%s × %s is not %s", line[column["Quantity"]], line[column["UnitPrice"]], line[column["Cost"]])
		}
		if line[column["CostInBillingCurrency"]] != line[column["Cost"]] || line[column["SubscriptionName"]] != "a, b" ||
			line[column["Provider"]] != "Tintype" || line[column["ChargeType"]] != "Usage" {
			t.Errorf("line %q", line)
		}
		sum.Add(sum, cost)
	}
	bill, err := w.meter.Bill(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if number(bill.Total.String()).Cmp(sum) != 0 {
		t.Errorf("the lines come to %s, the bill to %s", sum.FloatString(18), bill.Total)
	}
	if got := lines[1][column["Date"]]; got != "02/03/2024" {
		t.Errorf("the first date is %s", got)
	}
	if got := lines[1][column["Tags"]]; got != `{"a \"quoted\", one":"=1+1\n"}` {
		t.Errorf("tags are %s", got)
	}
}

// FuzzPrices: no text breaks the reader, and a price it took is written as it was read.
func FuzzPrices(f *testing.F) {
	f.Add(examplePrices)
	f.Add([]byte(`{"currencyCode":"EUR","items":[]}`))
	f.Add([]byte(`{"currencyCode":"EUR","items":[{"unitPrice":1e3}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParsePrices(text)
		if err != nil {
			return
		}
		for _, list := range s.prices {
			for _, p := range list {
				if again, err := ParsePrice(p.price.String()); err != nil || again != p.price {
					t.Errorf("%d is written %s and read as %d, %v", p.price, p.price, again, err)
				}
			}
		}
	})
}

func TestMoney(t *testing.T) {
	p, err := ParsePrice("0.132")
	if err != nil {
		t.Fatal(err)
	}
	m := p.Times(65536 * nano)
	if m.String() != "8650.752" || m.Rounded() != "8650.75" {
		t.Errorf("%s, %s", m, m.Rounded())
	}
	if got := (250 * nano * Price(1)).Share(80 * nano); got.String() != "200" {
		t.Errorf("80 %% of 250 is %s", got)
	}
	if got := m.Plus(m).Minus(m); got != m {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"", "-1", "1.0000000001", "1e3", "1000001", ".5", "0x1"} {
		if p, err := ParsePrice(bad); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}
