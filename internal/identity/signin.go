package identity

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

//go:embed signin.html
var signInText string

// signInPage is what the template shows. It has no script.
type signInPage struct {
	Tenant, Client, Wrong, Done string
	User, Code                  string
	Device                      bool
	Hidden                      map[string]string
}

// show writes the page. Nothing may frame it, and it may send its form to us and on to programs on the user's own machine alone.
func (s *Service) show(w http.ResponseWriter, status int, p signInPage) {
	page, err := template.New("signin").Parse(signInText)
	var buf bytes.Buffer
	if err == nil {
		p.Tenant = s.Tenant().Name
		err = page.Execute(&buf, p)
	}
	if err != nil {
		s.opt.Log.Error("sign-in page", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; "+
		"form-action 'self' http://localhost:* http://127.0.0.1:*")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // fails only when the caller is gone
}

// signInCookie ties a page to the browser that it was sent to: a form that another site makes has no mark for it.
const signInCookie = "__Host-tintype-signin"

// mark gives the hidden field that belongs to the request's cookie and the values, and sets the cookie when there is none.
func (s *Service) mark(w http.ResponseWriter, r *http.Request, values string) string {
	cookie, err := r.Cookie(signInCookie)
	if err != nil || len(cookie.Value) != 52 {
		cookie = &http.Cookie{
			Name: signInCookie, Value: rand.Text() + rand.Text(), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		}
		http.SetCookie(w, cookie)
	}
	return s.markOf(cookie.Value, values)
}

func (s *Service) markOf(cookie, values string) string {
	mac := hmac.New(sha256.New, s.pages)
	mac.Write([]byte(cookie + "\n" + values))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// marked tells whether a form comes from a page of ours in the same browser.
func (s *Service) marked(r *http.Request, form url.Values, values string) bool {
	cookie, err := r.Cookie(signInCookie)
	return err == nil && hmac.Equal([]byte(s.markOf(cookie.Value, values)), []byte(form.Get("mark")))
}

// challengeOf is the S256 code challenge of a verifier (RFC 7636).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var challengeRE = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// authorization is what the query of the code flow asks for.
type authorization struct {
	consent
	name  string // of the client
	state string
}

// maxParameter bounds what we carry for the client.
const maxParameter = 4096

// readAuthorization checks the query. Only a program on the user's own machine can be answered, and it has to use PKCE.
func (s *Service) readAuthorization(q url.Values) (a authorization, err error) {
	a.client, a.state, a.nonce, a.challenge, a.redirect = q.Get("client_id"), q.Get("state"), q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")
	a.scope = q.Get("scope")
	if a.name, err = s.publicClient(a.client); err != nil {
		return a, err
	}
	u, err := url.Parse(a.redirect)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.RawQuery != "" ||
		u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
		return a, &oauthError{status: 400, name: "invalid_request", code: 50011, text: "The redirect URI specified in the request does not match the redirect URIs configured for the application."}
	}
	switch {
	case q.Get("response_type") != "code":
		return a, &oauthError{status: 400, name: "unsupported_response_type", code: 700054, text: "response_type 'code' alone is enabled for the application."}
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return a, &oauthError{status: 400, name: "invalid_request", code: 70007, text: "The response_mode is not supported: 'query' is."}
	case q.Get("code_challenge_method") != "S256" || !challengeRE.MatchString(a.challenge):
		return a, &oauthError{status: 400, name: "invalid_request", code: 501491, text: "A code_challenge with code_challenge_method S256 is required."}
	case len(a.state)+len(a.nonce)+len(a.scope)+len(a.redirect) > maxParameter:
		return a, &oauthError{status: 400, name: "invalid_request", code: 90015, text: "The request is too long."}
	}
	a.audience, err = s.audienceOf(q)
	return a, err
}

// authorize is the sign-in page of the code flow. GET shows it; POST checks the password and sends the browser back.
func (s *Service) authorize(w http.ResponseWriter, r *http.Request, tenant string) {
	q := r.URL.Query()
	a, err := s.readAuthorization(q)
	if err == nil && !s.isTenant(tenant) {
		err = errTenant(tenant)
	}
	if err != nil {
		s.showError(w, err)
		return
	}
	values := r.URL.Path + "?" + q.Encode()
	page := signInPage{Client: a.name, User: q.Get("login_hint")}
	if r.Method == http.MethodPost {
		form, err := readForm(w, r)
		if err != nil || !s.marked(r, form, values) {
			page.Wrong = "This page is too old. Please try again."
		} else if u, err := s.checkUser(r, form.Get("username"), form.Get("password"), a.client); err != nil {
			page.Wrong, page.User = wrongText(err), form.Get("username")
		} else {
			s.sendBack(w, r, a, u)
			return
		}
	}
	page.Hidden = map[string]string{"mark": s.mark(w, r, values)}
	s.show(w, http.StatusOK, page)
}

// sendBack gives the client a code, through the browser.
func (s *Service) sendBack(w http.ResponseWriter, r *http.Request, a authorization, u user) {
	c := a.consent
	c.user, c.expires = u.ObjectID, s.opt.Now().Add(codeLife)
	code, ok := s.codes.add(c)
	if !ok {
		s.showError(w, errBusy())
		return
	}
	back, err := url.Parse(a.redirect)
	if err != nil {
		s.showError(w, err)
		return
	}
	q := url.Values{"code": {code}}
	if a.state != "" {
		q.Set("state", a.state)
	}
	back.RawQuery = q.Encode()
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

func errBusy() error {
	return &oauthError{status: 503, name: "temporarily_unavailable", code: 90033, wait: 60, text: "Too many logins are under way. Please try again."}
}

// wrongText is what the page says of a refusal.
func wrongText(err error) string {
	var e *oauthError
	if errors.As(err, &e) && e.status == http.StatusTooManyRequests {
		return fmt.Sprintf("Too many attempts. Please try again in %d seconds.", e.wait)
	}
	return "The user or the password is wrong."
}

func (s *Service) showError(w http.ResponseWriter, err error) {
	var e *oauthError
	if !errors.As(err, &e) {
		s.opt.Log.Error("sign-in page", "error", err)
		e = &oauthError{status: 500, text: "A transient error has occurred. Please try again."}
	}
	s.show(w, e.status, signInPage{Done: e.Error()})
}

// deviceBody is the answer to a device that asks for a code (RFC 8628).
type deviceBody struct {
	UserCode   string `json:"user_code"`
	DeviceCode string `json:"device_code"`
	URI        string `json:"verification_uri"`
	URL        string `json:"verification_url"` // as ADFS and Azure AD's older endpoint name it
	ExpiresIn  int    `json:"expires_in"`
	Interval   int    `json:"interval"`
	Message    string `json:"message"`
}

// startDevice gives a device a code to poll with, and one for its user to type.
func (s *Service) startDevice(w http.ResponseWriter, r *http.Request, tenant string) {
	form, err := readForm(w, r)
	if err == nil && !s.isTenant(tenant) {
		err = errTenant(tenant)
	}
	if err == nil {
		_, err = s.publicClient(form.Get("client_id"))
	}
	c := consent{client: form.Get("client_id"), scope: form.Get("scope"), userCode: newUserCode(), expires: s.opt.Now().Add(deviceLife)}
	if err == nil {
		c.audience, err = s.audienceOf(form)
	}
	if err == nil && len(c.scope) > maxParameter {
		err = &oauthError{status: 400, name: "invalid_scope", code: 90015, text: "The scope is too long."}
	}
	if err != nil {
		s.refuseToken(w, err)
		return
	}
	code, ok := s.devices.add(c)
	if !ok {
		s.refuseToken(w, errBusy())
		return
	}
	at := s.opt.Origin.BaseURL(r) + devicePath
	writeJSON(w, http.StatusOK, deviceBody{
		UserCode: c.userCode, DeviceCode: code, URI: at, URL: at, ExpiresIn: int(deviceLife.Seconds()), Interval: int(devicePause.Seconds()),
		Message: "To sign in, use a web browser to open the page " + at + " and enter the code " + c.userCode + " to authenticate.",
	})
}

// devicePath is where users type a device's code.
const devicePath = "/device"

// device is the page on which a user lets a device in, or refuses it.
func (s *Service) device(w http.ResponseWriter, r *http.Request) {
	page := signInPage{Client: "A device", Device: true, Code: r.URL.Query().Get("user_code")}
	if r.Method == http.MethodPost {
		form, err := readForm(w, r)
		page.User, page.Code = form.Get("username"), form.Get("user_code")
		if err != nil || !s.marked(r, form, devicePath) {
			page.Wrong = "This page is too old. Please try again."
		} else if done, wrong := s.decideDevice(r, form); done != "" {
			s.show(w, http.StatusOK, signInPage{Done: done})
			return
		} else {
			page.Wrong = wrong
		}
	}
	page.Hidden = map[string]string{"mark": s.mark(w, r, devicePath)}
	s.show(w, http.StatusOK, page)
}

// decideDevice does what the form says. Codes are guessed no faster than passwords.
func (s *Service) decideDevice(r *http.Request, form url.Values) (done, wrong string) {
	who := remoteAddress(r) + " device"
	if wait := s.guesses.wait(who); wait > 0 {
		return "", wrongText(tooManyGuesses(wait))
	}
	c, code, ok := s.devices.byUserCode(form.Get("user_code"))
	if !ok {
		s.guesses.wrong(who)
		return "", "There is no such code, or it has expired."
	}
	if form.Get("answer") == "no" {
		s.devices.decide(code, "")
		return "The device was refused.", ""
	}
	u, err := s.checkUser(r, strings.TrimSpace(form.Get("username")), form.Get("password"), c.client)
	if err != nil {
		return "", wrongText(err)
	}
	if !s.devices.decide(code, u.ObjectID) {
		return "", "There is no such code, or it has expired."
	}
	name, err := s.publicClient(c.client)
	if err != nil {
		name = "The device"
	}
	return name + " is signed in as " + u.Name + ". You can close this page.", ""
}
