package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Problem is an error that the server answered, or that an operation ended with.
// Its text is az's.
type Problem struct {
	Status  int // HTTP status; 0 for a failed operation
	Code    string
	Message string
	Target  string
	Inner   any // innererror, as decoded
}

func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "(%s) %s\nCode: %s\nMessage: %s", p.Code, p.Message, p.Code, p.Message)
	if p.Target != "" {
		fmt.Fprintf(&b, "\nTarget: %s", p.Target)
	}
	if inner, ok := p.Inner.(map[string]any); ok && len(inner) > 0 {
		if text, err := json.MarshalIndent(inner, "", "    "); err == nil {
			fmt.Fprintf(&b, "\nInner error: %s", text)
		}
	}
	return b.String()
}

// notFound says whether err is the server's 404.
func notFound(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}

// problemOf turns an answer of 400 and above into its error.
func problemOf(a answer) error {
	if fields, ok := a.body.(map[string]any); ok {
		inside, nested := fields["error"].(map[string]any)
		if !nested {
			inside = fields
		}
		if p := problemFrom(inside, a.status); p != nil {
			return p
		}
	}
	text := http.StatusText(a.status)
	return &Problem{
		Status: a.status, Code: strings.ReplaceAll(text, " ", ""),
		Message: fmt.Sprintf("Operation returned an invalid status '%s'", text),
	}
}

func problemFrom(fields map[string]any, status int) *Problem {
	p := &Problem{Status: status, Inner: fields["innererror"]}
	p.Code, _ = fields["code"].(string)
	p.Message, _ = fields["message"].(string)
	p.Target, _ = fields["target"].(string)
	if p.Code == "" && p.Message == "" {
		return nil
	}
	return p
}

// loginProblem is the error of a token request, in OAuth's own fields.
func loginProblem(a answer) error {
	fields, _ := a.body.(map[string]any)
	text, _ := fields["error_description"].(string)
	if text == "" {
		text = fmt.Sprintf("the server refused the credentials (HTTP %d)", a.status)
	}
	return &Problem{Status: http.StatusUnauthorized, Code: "AuthenticationFailed", Message: text}
}
