package meter

import "time"

// Day is a day of the calendar in UTC, counted from 1970-01-01.
type Day int32

// dayMillis is how long a day is: the calendar of the bill has no leap seconds, as Unix time has none.
const dayMillis = 24 * 60 * 60 * 1000

// DayOf is the day in which the moment lies.
func DayOf(t time.Time) Day { return dayOf(t.UnixMilli()) }

func dayOf(millis int64) Day {
	d := millis / dayMillis
	if millis < d*dayMillis {
		d--
	}
	return Day(d)
}

// start is the day's first moment in milliseconds since 1970.
func (d Day) start() int64 { return int64(d) * dayMillis }

// Time is the day's first moment.
func (d Day) Time() time.Time { return time.UnixMilli(d.start()).UTC() }

// String writes the day as 2026-01-31.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// ParseDay reads 2026-01-31.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	return DayOf(t), err
}

// Month gives the first day of the day's month, and of the next one.
func (d Day) Month() (first, next Day) {
	y, m, _ := d.Time().Date()
	return DayOf(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)), DayOf(time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC))
}
