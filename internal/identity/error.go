package identity

import "net/http"

// Error refuses a caller, in the words of Azure.
type Error struct {
	Status  int
	Code    string
	Message string
	// Challenge is the value of WWW-Authenticate; empty sends none.
	Challenge string
}

// Error is the code and the text; neither ever holds a token or a secret.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Header is what goes with the answer.
func (e *Error) Header() http.Header {
	h := http.Header{}
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	return h
}
