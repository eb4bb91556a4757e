package meter

import (
	"encoding/json"
	"errors"
	"math/bits"
	"strconv"
	"strings"
)

// nano is how many units a Quantity and a Price count as one.
const nano = 1_000_000_000

// Quantity counts billionths of a meter's unit, such as GiB-months.
type Quantity int64

// String writes the quantity in full, without zeroes at its end.
func (q Quantity) String() string { return trim(uint64(q)/nano, uint64(q)%nano, 9) }

// MarshalJSON writes the quantity as a number with all its digits.
func (q Quantity) MarshalJSON() ([]byte, error) { return []byte(q.String()), nil }

// Price counts billionths of the currency for one unit of a meter.
type Price int64

// String writes the price in full, without zeroes at its end.
func (p Price) String() string { return trim(uint64(p)/nano, uint64(p)%nano, 9) }

// MarshalJSON writes the price as a number with all its digits.
func (p Price) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

// errNumber says that a text is no price.
var errNumber = errors.New("not a decimal number, or too large, or with more than 9 digits behind the point")

// maxPrice bounds a price, so that products and sums stay far below what Money holds.
const maxPrice = 1_000_000

// ParsePrice reads a decimal number exactly.
func ParsePrice(s string) (Price, error) { return parseDecimal(s, maxPrice) }

func parseDecimal(s string, most int64) (Price, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" || len(fraction) > 9 || strings.ContainsFunc(whole+fraction, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, errNumber
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > most {
		return 0, errNumber
	}
	f, err := strconv.ParseInt(fraction+"000000000"[len(fraction):], 10, 64)
	if err != nil {
		return 0, errNumber
	}
	return Price(n*nano + f), nil
}

// UnmarshalJSON reads a number without going through binary fractions.
func (p *Price) UnmarshalJSON(data []byte) error {
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	var err error
	*p, err = ParsePrice(n.String())
	return err
}

// Money counts billionths of billionths of the currency, so that a quantity times a price is exact. 128 bits hold sums of
// 10^20.
type Money struct{ hi, lo uint64 }

// Times is what q units cost at the price.
func (p Price) Times(q Quantity) Money {
	hi, lo := bits.Mul64(uint64(p), uint64(q))
	return Money{hi, lo}
}

// Plus adds two sums.
func (m Money) Plus(o Money) Money {
	lo, carry := bits.Add64(m.lo, o.lo, 0)
	hi, _ := bits.Add64(m.hi, o.hi, carry)
	return Money{hi, lo}
}

// Minus takes o off, which must not be larger.
func (m Money) Minus(o Money) Money {
	lo, borrow := bits.Sub64(m.lo, o.lo, 0)
	hi, _ := bits.Sub64(m.hi, o.hi, borrow)
	return Money{hi, lo}
}

// Less tells whether m is below o.
func (m Money) Less(o Money) bool { return m.hi < o.hi || m.hi == o.hi && m.lo < o.lo }

// IsZero tells that nothing is to be paid.
func (m Money) IsZero() bool { return m == Money{} }

// Share is the given percentage of the amount, rounded down.
func (p Price) Share(percent Price) Money {
	hi, lo := bits.Mul64(uint64(p), uint64(percent))
	m, _ := Money{hi, lo}.divide(100)
	return m
}

func (m Money) divide(by uint64) (Money, uint64) {
	hi, rest := m.hi/by, m.hi%by
	lo, rest := bits.Div64(rest, m.lo, by)
	return Money{hi, lo}, rest
}

// String writes the sum in full, without zeroes at its end.
func (m Money) String() string {
	whole, fraction := m.divide(nano * nano)
	return trim(whole.lo, fraction, 18)
}

// Rounded writes the sum with two digits behind the point, half a cent up.
func (m Money) Rounded() string {
	cents, _ := m.Plus(Money{0, nano * nano / 200}).divide(nano * nano / 100)
	text := strconv.FormatUint(cents.lo%100, 10)
	return strconv.FormatUint(cents.lo/100, 10) + "." + "00"[len(text):] + text
}

// Float is the sum as a fraction for where only an approximation will do.
func (m Money) Float() float64 {
	const two64 = 1 << 64
	return (float64(m.hi)*two64 + float64(m.lo)) / nano / nano
}

// MarshalJSON writes the sum as a number with all its digits.
func (m Money) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// trim writes whole.fraction, the fraction of the given number of digits.
func trim(whole, fraction uint64, digits int) string {
	text := strconv.FormatUint(whole, 10)
	if fraction == 0 {
		return text
	}
	behind := strconv.FormatUint(fraction, 10)
	behind = strings.Repeat("0", digits-len(behind)) + behind
	return text + "." + strings.TrimRight(behind, "0")
}
