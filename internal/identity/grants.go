package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The grant types of RFC 6749 and RFC 8628; ADFS and Azure AD name the last one differently.
const (
	grantClient   = "client_credentials"
	grantPassword = "password"
	grantCode     = "authorization_code"
	grantRefresh  = "refresh_token"
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"
	grantDevice2  = "device_code"
)

// granted is whom a token is for, and what for.
type granted struct {
	app      app  // of the client credentials grant
	user     user // of all others
	client   string
	audience string
	scope    string
	nonce    string
	refresh  string
}

// SignIn is one login, or one that was refused.
type SignIn struct {
	Time     time.Time
	Address  string
	App      string // client id
	User     string // name; empty of a service principal
	ObjectID string
	Grant    string
	Failure  string // OAuth's name of it; empty when it worked
}

// signedIn tells whoever wants to know.
func (s *Service) signedIn(r *http.Request, e SignIn) {
	if s.opt.SignIn == nil {
		return
	}
	e.Time, e.Address = s.opt.Now().UTC(), remoteAddress(r)
	s.opt.SignIn(e)
}

// publicClients are programs of Azure that have no secret: whoever uses one logs in as a user. Source: their source code.
var publicClients = map[string]string{
	"04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Azure CLI",
	"1950a258-227b-4e31-a9cf-717495945fc2": "Azure PowerShell",
	"579a7132-0e58-4d80-b1e1-7a1e2d337859": "AzCopy",
}

// publicClient finds the name of a client that users may log in with.
func (s *Service) publicClient(id string) (string, error) {
	if id == "" {
		return "", missingParameter("client_id")
	}
	if name, ok := publicClients[strings.ToLower(id)]; ok {
		return name, nil
	}
	return "", s.noApp(id)
}

// serveToken answers all token endpoints; v1 is the older form of Azure AD's.
func (s *Service) serveToken(w http.ResponseWriter, r *http.Request, tenant string, v1 bool) {
	form, err := readForm(w, r)
	if err == nil && !s.isTenant(tenant) {
		err = errTenant(tenant)
	}
	var g granted
	if err == nil {
		g, err = s.grant(r, form)
	}
	if err != nil {
		s.refuseToken(w, err)
		return
	}
	if err := s.sendToken(w, r, tenant, form, g, v1); err != nil {
		s.refuseToken(w, err)
		return
	}
	s.signedIn(r, SignIn{App: g.client, User: g.user.Name, ObjectID: g.app.ObjectID + g.user.ObjectID, Grant: form.Get("grant_type")})
}

// grant carries out the request's grant type.
func (s *Service) grant(r *http.Request, form url.Values) (g granted, err error) {
	kind := form.Get("grant_type")
	switch kind {
	case "":
		return g, missingParameter("grant_type")
	case grantClient:
		if g.app, err = s.clientCredentials(r, form); err == nil {
			g.client = g.app.AppID
			g.audience, err = s.audienceOf(form)
		}
		return g, err
	case grantPassword, grantCode, grantRefresh, grantDevice, grantDevice2:
	default:
		return g, &oauthError{status: 400, name: "unsupported_grant_type", code: 70003, text: fmt.Sprintf(
			"The app requested an unsupported grant type '%.64s'.", kind)}
	}
	g.client = form.Get("client_id")
	if _, err := s.publicClient(g.client); err != nil {
		return g, err
	}
	switch kind {
	case grantPassword:
		if g.audience, err = s.audienceOf(form); err == nil {
			g.user, err = s.checkUser(r, form.Get("username"), form.Get("password"), g.client)
		}
	case grantRefresh:
		err = s.refreshed(form, &g)
	case grantCode:
		err = s.redeemed(form, &g)
	default:
		err = s.polled(form, &g)
	}
	g.scope = form.Get("scope")
	if err == nil && g.refresh == "" {
		g.refresh, err = s.sessions.begin(g.user.ObjectID, g.client)
	}
	return g, err
}

// checkUser checks a name and a password. Nobody learns which of them was wrong, neither from the answer nor from its time.
func (s *Service) checkUser(r *http.Request, name, secret, client string) (user, error) {
	wrong := &oauthError{status: 400, name: "invalid_grant", code: 50126, text: "Error validating credentials due to invalid username or password."}
	if name == "" || secret == "" {
		return user{}, missingParameter("username' and 'password")
	}
	who := remoteAddress(r) + " " + strings.ToLower(name[:min(len(name), 64)])
	if wait := s.guesses.wait(who); wait > 0 {
		return user{}, tooManyGuesses(wait)
	}
	u, ok := s.enabledUser(name)
	hash := u.Hash
	if !ok {
		hash = s.noHash
	}
	fits, wait := s.tryGuess(who, func() bool {
		good, err := checkSecret(hash, secret)
		if err != nil {
			s.opt.Log.Error("check a user's password", "user", u.Name, "error", err)
		}
		return good && ok
	})
	switch {
	case wait > 0:
		return user{}, tooManyGuesses(wait)
	case !fits && ok:
		s.opt.Log.Warn("wrong password", "user", u.Name, "from", remoteAddress(r))
		s.signedIn(r, SignIn{App: client, User: u.Name, ObjectID: u.ObjectID, Failure: wrong.name})
	}
	if !fits {
		return user{}, wrong
	}
	return u, nil
}

// refreshed carries a login on.
func (s *Service) refreshed(form url.Values, g *granted) (err error) {
	if g.audience, err = s.audienceOf(form); err != nil {
		return err
	}
	id, next, err := s.sessions.renew(form.Get("refresh_token"), g.client)
	if err != nil {
		return err
	}
	var ok bool
	if g.user, ok = s.enabledUser(id); !ok {
		return errSession
	}
	g.refresh = next
	return nil
}

// redeemed takes the code that the sign-in page gave to the client, which proves with its verifier that it is the one that
// asked (RFC 7636).
func (s *Service) redeemed(form url.Values, g *granted) error {
	c, ok := s.codes.take(form.Get("code"))
	if !ok || !strings.EqualFold(c.client, g.client) || c.redirect != form.Get("redirect_uri") {
		return errSession
	}
	if challengeOf(form.Get("code_verifier")) != c.challenge {
		return &oauthError{status: 400, name: "invalid_grant", code: 501481, text: "The Code_Verifier does not match the code_challenge supplied in the authorization request."}
	}
	return s.consented(c, g)
}

// polled answers a device that waits for its user.
func (s *Service) polled(form url.Values, g *granted) error {
	code := form.Get("device_code")
	if code == "" {
		code = form.Get("code")
	}
	c, ok, wait := s.devices.poll(code)
	switch {
	case !ok || !strings.EqualFold(c.client, g.client):
		return &oauthError{status: 400, name: "expired_token", code: 70020, text: "The provided value for the input parameter 'device_code' is not valid. This device code has expired."}
	case c.declined:
		return &oauthError{status: 400, name: "authorization_declined", code: 70017, text: "Authorization was declined."}
	case c.user == "" && wait:
		return &oauthError{status: 400, name: "slow_down", code: 70018, text: "The device polls too often."}
	case c.user == "":
		return &oauthError{status: 400, name: "authorization_pending", code: 70016, text: "OAuth 2.0 device flow error. Authorization is pending. Continue polling."}
	}
	return s.consented(c, g)
}

// consented takes over what a user agreed to.
func (s *Service) consented(c consent, g *granted) error {
	u, ok := s.enabledUser(c.user)
	if !ok {
		return errSession
	}
	g.user, g.audience, g.scope, g.nonce = u, c.audience, c.scope, c.nonce
	return nil
}

// sendToken signs and sends what was granted.
func (s *Service) sendToken(w http.ResponseWriter, r *http.Request, tenant string, form url.Values, g granted, v1 bool) error {
	token, expires, err := s.issue(g)
	if err != nil {
		return err
	}
	seconds := int(lifetime.Seconds())
	idToken, info := "", ""
	if g.user.ObjectID != "" {
		version := "v2.0/"
		if v1 || tenant == adfs {
			version = ""
		}
		if idToken, err = s.issueID(g, s.opt.Origin.BaseURL(r)+"/"+tenant+"/"+version); err != nil {
			return err
		}
		if form.Get("client_info") == "1" {
			b, err := json.Marshal(map[string]string{"uid": g.user.ObjectID, "utid": s.Tenant().ID})
			if err != nil {
				return err
			}
			info = base64.RawURLEncoding.EncodeToString(b)
		}
	}
	if !v1 {
		writeJSON(w, http.StatusOK, tokenBody{
			TokenType: "Bearer", ExpiresIn: seconds, ExtExpiresIn: seconds, AccessToken: token, Scope: g.scope, RefreshToken: g.refresh,
			IDToken: idToken, ClientInfo: info,
		})
		return nil
	}
	writeJSON(w, http.StatusOK, tokenBodyV1{
		TokenType: "Bearer", ExpiresIn: strconv.Itoa(seconds), ExtExpiresIn: strconv.Itoa(seconds),
		ExpiresOn: strconv.FormatInt(expires.Unix(), 10), NotBefore: strconv.FormatInt(expires.Add(-lifetime).Unix(), 10),
		Resource: g.audience, AccessToken: token, RefreshToken: g.refresh, IDToken: idToken, ClientInfo: info,
	})
	return nil
}
