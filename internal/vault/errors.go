package vault

import "fmt"

// Reason tells errors apart by what is wrong.
type Reason uint8

// The reasons for which a vault refuses.
const (
	BadParameter Reason = iota + 1
	Forbidden
	NotFound
	Conflict
)

// Error is a refusal in Azure's words.
type Error struct {
	Reason  Reason
	Code    string
	Inner   string // the code of innererror, or nothing
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refuse(r Reason, code, format string, args ...any) *Error {
	return &Error{Reason: r, Code: code, Message: fmt.Sprintf(format, args...)}
}

func badParameter(format string, args ...any) *Error {
	return refuse(BadParameter, "BadParameter", format, args...)
}

func noKey(name, version string) *Error {
	if version != "" {
		name += "/" + version
	}
	return refuse(NotFound, "KeyNotFound", "A key with (name/id) %s was not found in this key vault. If you recently deleted this key you "+
		"may be able to recover it using the correct recovery command. For help resolving this issue, please see "+
		"https://go.microsoft.com/fwlink/?linkid=2125182", name)
}

func disabled(op string) *Error {
	return &Error{
		Reason: Forbidden, Code: "Forbidden", Inner: "KeyDisabled",
		Message: fmt.Sprintf("Operation %s is not allowed on a disabled key.", op),
	}
}
