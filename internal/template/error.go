package template

import "fmt"

// Error says what is wrong with a template or with what was given to it, in a sentence for its author.
type Error struct {
	// Path is where in the template, as dots and indexes; it may be empty.
	Path    string
	Message string
	// Cause, when set, is why the runtime refused.
	Cause error
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

func invalid(path, format string, args ...any) *Error {
	return &Error{Path: path, Message: fmt.Sprintf(format, args...)}
}
