package identity

import (
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// adfs is the tenant's name in paths of clients that take us for Active Directory Federation Services.
const adfs = "adfs"

// maxForm bounds a token request.
const maxForm = 64 << 10

// oauthError refuses a token, in Azure AD's words.
type oauthError struct {
	status int
	name   string // of RFC 6749
	code   int    // AADSTS number
	text   string
	wait   int // seconds; 0 sends no Retry-After
}

func (e *oauthError) Error() string { return fmt.Sprintf("AADSTS%d: %s", e.code, e.text) }

// oauthErrorBody is its wire form.
type oauthErrorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
}

// tokenBody is the answer of the v2.0 and ADFS endpoints.
type tokenBody struct {
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	ExtExpiresIn int    `json:"ext_expires_in"`
	AccessToken  string `json:"access_token"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

// tokenBodyV1 is that of /{tenant}/oauth2/token, whose numbers are strings.
type tokenBodyV1 struct {
	TokenType    string `json:"token_type"`
	ExpiresIn    string `json:"expires_in"`
	ExtExpiresIn string `json:"ext_expires_in"`
	ExpiresOn    string `json:"expires_on"`
	NotBefore    string `json:"not_before"`
	Resource     string `json:"resource"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, missingParameter("grant_type")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, &oauthError{status: 400, name: "invalid_request", code: 90014, text: "The request body is malformed or too large."}
	}
	return r.PostForm, nil // never the query: secrets in URLs end in logs
}

func errTenant(name string) error {
	return &oauthError{status: 400, name: "invalid_request", code: 90002, text: fmt.Sprintf(
		"Tenant '%.64s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", name)}
}

func missingParameter(name string) error {
	return &oauthError{status: 400, name: "invalid_request", code: 900144, text: fmt.Sprintf(
		"The request body must contain the following parameter: '%s'.", name)}
}

// clientCredentials checks the client's id, and its password or its signed statement.
func (s *Service) clientCredentials(r *http.Request, form url.Values) (app, error) {
	if form.Get("client_assertion") != "" {
		return s.checkAssertion(r, form)
	}
	client, secret := clientOf(r, form)
	if client == "" {
		return app{}, missingParameter("client_id")
	}
	if secret == "" {
		return app{}, &oauthError{
			status: 401, name: "invalid_client", code: 7000218,
			text: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
		}
	}
	who := remoteAddress(r) + " " + strings.ToLower(client[:min(len(client), 64)])
	if wait := s.guesses.wait(who); wait > 0 {
		return app{}, tooManyGuesses(wait)
	}
	a, ok := s.principalByApp(client)
	if !ok {
		return app{}, s.noApp(client)
	}
	fits, wait := s.tryGuess(who, func() bool { return s.fits(a, secret) })
	if wait > 0 {
		return app{}, tooManyGuesses(wait)
	}
	if !fits {
		s.opt.Log.Warn("wrong client secret", "app", a.AppID, "from", remoteAddress(r))
		s.signedIn(r, SignIn{App: a.AppID, ObjectID: a.ObjectID, Failure: "invalid_client"})
		return app{}, &oauthError{status: 401, name: "invalid_client", code: 7000215, text: fmt.Sprintf(
			"Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "+
				"not the client secret ID, for a secret added to app '%s'.", a.AppID)}
	}
	return a, nil
}

func (s *Service) noApp(client string) error {
	return &oauthError{status: 400, name: "unauthorized_client", code: 700016, text: fmt.Sprintf(
		"Application with identifier '%.64s' was not found in the directory '%s'. This can happen if the application "+
			"has not been installed by the administrator of the tenant.", client, s.Tenant().Name)}
}

func tooManyGuesses(wait time.Duration) error {
	return &oauthError{
		status: 429, name: "temporarily_unavailable", code: 90033, wait: int(wait.Seconds()) + 1,
		text: "Too many wrong secrets. A transient error has occurred. Please try again.",
	}
}

func remoteAddress(r *http.Request) string {
	if address, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return address
	}
	return r.RemoteAddr
}

// tryGuess checks a password, unless who has sent too many wrong ones: then it says how long to wait. The count is looked
// at when the turn to hash has come, so that many guesses at once are not all let through.
func (s *Service) tryGuess(who string, try func() bool) (fits bool, wait time.Duration) {
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	if wait := s.guesses.wait(who); wait > 0 {
		return false, wait
	}
	if fits = try(); !fits {
		s.guesses.wrong(who)
	}
	return fits, 0
}

// clientOf reads the client's id and password from the form or, as RFC 6749 §2.3.1 has it, from HTTP Basic.
func clientOf(r *http.Request, form url.Values) (client, secret string) {
	if user, password, ok := r.BasicAuth(); ok {
		client, err1 := url.QueryUnescape(user)
		secret, err2 := url.QueryUnescape(password)
		if err1 == nil && err2 == nil {
			return client, secret
		}
	}
	return form.Get("client_id"), form.Get("client_secret")
}

// audienceOf is what the token will be good for: the v2.0 scope without "/.default", or the v1 resource.
func (s *Service) audienceOf(form url.Values) (string, error) {
	audience := form.Get("resource")
	if scope := form.Get("scope"); scope != "" {
		var ok bool
		for _, one := range strings.Fields(scope) {
			if a, found := strings.CutSuffix(one, "/.default"); found {
				audience, ok = a, true
			}
		}
		if !ok {
			return "", &oauthError{status: 400, name: "invalid_scope", code: 1002012, text: fmt.Sprintf(
				"The provided value for scope %.200s is not valid. Client credential flows must have a scope value with "+
					"/.default suffixed to the resource identifier (application ID URI).", scope)}
		}
	}
	switch {
	case audience == "":
		return "", missingParameter("scope")
	case s.issuesFor(audience):
		return audience, nil
	default:
		return "", &oauthError{status: 400, name: "invalid_resource", code: 500011, text: fmt.Sprintf(
			"The resource principal named %.200s was not found in the tenant named %s.", audience, s.Tenant().Name)}
	}
}

// issuesFor tells whether there is anything here that a token for the audience is good for.
func (s *Service) issuesFor(audience string) bool {
	return s.isManagement(audience) || s.isGraph(audience) || isDisk(audience) || s.isVault(audience)
}

// refuseToken writes the error; one that is ours stays in the log.
func (s *Service) refuseToken(w http.ResponseWriter, err error) {
	var e *oauthError
	if !errors.As(err, &e) {
		s.opt.Log.Error("token not issued", "error", err)
		e = &oauthError{status: 500, name: "server_error", code: 90033, text: "A transient error has occurred. Please try again."}
	}
	if e.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.wait))
	}
	trace, correlation := uuid.NewString(), uuid.NewString()
	stamp := s.opt.Now().UTC().Format("2006-01-02 15:04:05Z")
	writeJSON(w, e.status, oauthErrorBody{
		Error: e.name, Codes: []int{e.code}, Timestamp: stamp, TraceID: trace, CorrelationID: correlation,
		Description: fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", e.Error(), trace, correlation, stamp),
	})
}
