package template

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

func timeFunctions() map[string]function {
	return map[string]function{
		"utcnow": plain(0, 1, func(e *evaluator, args []any) (any, error) {
			if e.mode != modeDefault {
				return nil, errors.New("the function utcNow is only allowed in the default value of a parameter")
			}
			form := "yyyyMMddTHHmmssZ"
			if len(args) == 1 {
				var err error
				if form, err = textArg(args, 0); err != nil {
					return nil, err
				}
			}
			return formatTime(e.in.env.Now.UTC(), form)
		}),
		"datetimeadd": plain(2, 3, dateTimeAdd),
		"datetimefromepoch": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			n, err := numberArg(args, 0)
			if err != nil || n < 0 || n > 253402300799 {
				return nil, errors.Join(err, errors.New("the number of seconds is out of range"))
			}
			return time.Unix(n, 0).UTC().Format("2006-01-02T15:04:05Z"), nil
		}),
		"datetimetoepoch": plain(1, 1, func(_ *evaluator, args []any) (any, error) {
			s, err := textArg(args, 0)
			if err != nil {
				return nil, err
			}
			t, err := parseTime(s)
			return t.Unix(), err
		}),
	}
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "20060102T150405Z", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("'%.60s' is not a time", s)
}

func dateTimeAdd(_ *evaluator, args []any) (any, error) {
	base, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	by, err := textArg(args, 1)
	if err != nil {
		return nil, err
	}
	t, err := parseTime(base)
	if err != nil {
		return nil, err
	}
	if t, err = addDuration(t, by); err != nil {
		return nil, err
	}
	form := "yyyy-MM-ddTHH:mm:ssZ"
	if len(args) == 3 {
		if form, err = textArg(args, 2); err != nil {
			return nil, err
		}
	}
	return formatTime(t, form)
}

// addDuration adds an ISO 8601 duration, such as P1Y2M3DT4H5M6S or -PT9H.
func addDuration(t time.Time, by string) (time.Time, error) {
	bad := fmt.Errorf("'%.60s' is not an ISO 8601 duration", by)
	rest, negative := strings.CutPrefix(by, "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok || rest == "" {
		return t, bad
	}
	var years, months, days int
	var clock time.Duration
	inTime := false
	for rest != "" {
		if !inTime && rest[0] == 'T' {
			inTime, rest = true, rest[1:]
			continue
		}
		at := strings.IndexAny(rest, "YMWDHS")
		if at < 1 || at > 6 {
			return t, bad
		}
		n, err := strconv.Atoi(rest[:at])
		if err != nil || n < 0 {
			return t, bad
		}
		switch unit := rest[at]; {
		case !inTime && unit == 'Y':
			years += n
		case !inTime && unit == 'M':
			months += n
		case !inTime && unit == 'W':
			days += 7 * n
		case !inTime && unit == 'D':
			days += n
		case inTime && unit == 'H':
			clock += time.Duration(n) * time.Hour
		case inTime && unit == 'M':
			clock += time.Duration(n) * time.Minute
		case inTime && unit == 'S':
			clock += time.Duration(n) * time.Second
		default:
			return t, bad
		}
		rest = rest[at+1:]
	}
	if negative {
		years, months, days, clock = -years, -months, -days, -clock
	}
	out := t.AddDate(years, months, days).Add(clock)
	if out.Year() < 1 || out.Year() > 9999 {
		return t, errors.New("the time is out of range")
	}
	return out, nil
}

// formatTime writes a time in one of .NET's standard forms (d, u, o, R, s) or in a custom one.
func formatTime(t time.Time, form string) (string, error) {
	switch form {
	case "d":
		return t.Format("01/02/2006"), nil
	case "u":
		return t.Format("2006-01-02 15:04:05Z"), nil
	case "o", "O":
		return t.Format("2006-01-02T15:04:05.0000000Z"), nil
	case "r", "R":
		return t.Format("Mon, 02 Jan 2006 15:04:05 GMT"), nil
	case "s":
		return t.Format("2006-01-02T15:04:05"), nil
	}
	if len(form) > 100 {
		return "", errors.New("the time format is too long")
	}
	var b strings.Builder
	for i := 0; i < len(form); {
		c := form[i]
		n := 1
		for i+n < len(form) && form[i+n] == c {
			n++
		}
		switch c {
		case '\'', '"':
			end := strings.IndexByte(form[i+1:], c)
			if end < 0 {
				return "", fmt.Errorf("the time format '%s' is not valid", form)
			}
			b.WriteString(form[i+1 : i+1+end])
			i += end + 2
			continue
		case '\\':
			if i+1 < len(form) {
				b.WriteByte(form[i+1])
			}
			i += 2
			continue
		}
		layout, ok := timeLayouts()[strings.Repeat(string(rune(c)), n)]
		switch {
		case ok:
			b.WriteString(t.Format(layout))
		case c == 'f' && n <= 7:
			b.WriteString(fmt.Sprintf("%09d", t.Nanosecond())[:n])
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' && c != 'T' && c != 'Z':
			return "", fmt.Errorf("the time format '%s' is not supported", form)
		default:
			b.WriteString(form[i : i+n])
		}
		i += n
	}
	return b.String(), nil
}

// timeLayouts are the parts of .NET's custom formats as Go's.
func timeLayouts() map[string]string {
	return map[string]string{
		"yyyy": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1", "dddd": "Monday", "ddd": "Mon",
		"dd": "02", "d": "2", "HH": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5", "tt": "PM",
		"K": "Z07:00", "zzz": "-07:00",
	}
}
