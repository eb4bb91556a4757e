package identity

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
)

const (
	// lifetime of a token.
	lifetime = time.Hour
	// leeway for clocks that differ, on nbf and iat only: an expired token is expired.
	leeway = 5 * time.Minute
	// maxToken bounds a token before it is parsed; ours have some 900 characters.
	maxToken = 8192
)

// claims are those of Azure's version 1.0 tokens that mean something here.
type claims struct {
	Audience  string           `json:"aud"`
	Issuer    string           `json:"iss"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Expiry    *jwt.NumericDate `json:"exp"`
	AppID     string           `json:"appid"`
	AppIDACR  string           `json:"appidacr"`
	Provider  string           `json:"idp"`
	IDType    string           `json:"idtyp"`
	ObjectID  string           `json:"oid"`
	Subject   string           `json:"sub"`
	Tenant    string           `json:"tid"`
	TokenID   string           `json:"uti"`
	Version   string           `json:"ver"`
	Resource  string           `json:"xms_mirid,omitempty"` // of a user-assigned identity

	// Of users alone.
	UPN           string `json:"upn,omitempty"`
	PreferredName string `json:"preferred_username,omitempty"`
	Name          string `json:"name,omitempty"`
	Scope         string `json:"scp,omitempty"`
	Nonce         string `json:"nonce,omitempty"`
}

// issuer names who signs. It does not depend on host and port, like Azure's own: no client compares it.
func (s *Service) issuer() string { return "https://sts.tintype/" + s.Tenant().ID + "/" }

// issue signs a token for whom and what was granted.
func (s *Service) issue(g granted) (token string, expires time.Time, err error) {
	now := s.opt.Now().Truncate(time.Second)
	expires = now.Add(lifetime)
	c := claims{
		Audience: g.audience, Issuer: s.issuer(), IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
		Expiry: jwt.NewNumericDate(expires), AppID: g.client, Provider: s.issuer(), Tenant: s.Tenant().ID, TokenID: uuid.NewString(), Version: "1.0",
	}
	if u := g.user; u.ObjectID != "" {
		c.IDType, c.ObjectID, c.Subject, c.AppIDACR, c.Scope, c.UPN, c.Name = "user", u.ObjectID, u.ObjectID, "0", "user_impersonation", u.Name, u.Display
	} else {
		c.IDType, c.ObjectID, c.Subject, c.AppIDACR = "app", g.app.ObjectID, g.app.ObjectID, "1"
		if g.app.managed() {
			c.AppIDACR = "2"
		}
		if g.app.Assigned != nil {
			c.Resource = g.app.assignedIdentity().ID()
		}
	}
	token, err = s.sign(c)
	return token, expires, err
}

// issueID signs what tells a client who logged in. It opens nothing: its audience is the client.
func (s *Service) issueID(g granted, issuer string) (string, error) {
	now := s.opt.Now().Truncate(time.Second)
	return s.sign(claims{
		Audience: g.client, Issuer: issuer, IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
		Expiry: jwt.NewNumericDate(now.Add(lifetime)), ObjectID: g.user.ObjectID, Subject: g.user.ObjectID, Tenant: s.Tenant().ID,
		UPN: g.user.Name, PreferredName: g.user.Name, Name: g.user.Display, Nonce: g.nonce, TokenID: uuid.NewString(), Version: "1.0",
	})
}

func (s *Service) sign(c claims) (string, error) {
	key := (*s.keys.Load())[0]
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key.private, KeyID: key.id}},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(c).Serialize()
}

// Authenticate checks the request's bearer token in full: its signature by our key and algorithm, its times, its audience,
// which is Azure Resource Manager's, issuer and tenant, and that the principal still exists. Its error is an *[Error].
func (s *Service) Authenticate(r *http.Request) (Principal, error) {
	return s.authenticate(r, s.isManagement)
}

// AuthenticateGraph does the same with a token for Microsoft Graph.
func (s *Service) AuthenticateGraph(r *http.Request) (Principal, error) {
	return s.authenticate(r, s.isGraph)
}

// AuthenticateDisk does the same with a token for the bytes of disks.
func (s *Service) AuthenticateDisk(r *http.Request) (Principal, error) {
	return s.authenticate(r, isDisk)
}

// DiskResource is the resource of tokens for the bytes of disks.
const DiskResource = "https://disk.azure.com/"

// DiskChallenge tells a client without such a token where to get one.
func (s *Service) DiskChallenge() string {
	return "Bearer authorization_uri=" + s.opt.Origin.Default + "/" + s.Tenant().ID + "/oauth2/authorize resource_id=" + DiskResource
}

func isDisk(audience string) bool { return strings.TrimRight(audience, "/")+"/" == DiskResource }

func (s *Service) authenticate(r *http.Request, audience func(string) bool) (Principal, error) {
	header := r.Header.Values("Authorization")
	if len(header) == 0 || header[0] == "" {
		return Principal{}, s.refuse(r, "AuthenticationFailed",
			"Authentication failed. The 'Authorization' header is missing.")
	}
	scheme, token, ok := strings.Cut(header[0], " ")
	if len(header) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, s.refuse(r, "AuthenticationFailedInvalidHeader",
			"Authentication failed. The 'Authorization' header is provided in an invalid format.")
	}
	c, err := s.tokens.claimsOf(strings.TrimSpace(token), s.verify)
	if err != nil {
		return Principal{}, s.refuse(r, "InvalidAuthenticationToken", "The access token is invalid.")
	}
	return s.admit(r, c, audience)
}

// verify checks the signature, by the key that the token names. One that was replaced can have signed no token that outlives it by more
// than a lifetime: whoever has it by then gets nothing with it.
func (s *Service) verify(token string) (claims, error) {
	var c claims
	if len(token) > maxToken {
		return c, fmt.Errorf("a token of %d characters", len(token))
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return c, err
	}
	if len(parsed.Headers) != 1 {
		return c, fmt.Errorf("a token with %d signatures", len(parsed.Headers))
	}
	key, ok := s.keys.Load().named(parsed.Headers[0].KeyID)
	if !ok {
		return c, fmt.Errorf("no key has the id %.64q", parsed.Headers[0].KeyID)
	}
	if err := parsed.Claims(&key.private.PublicKey, &c); err != nil {
		return c, err
	}
	if !key.retired.IsZero() && (c.Expiry == nil || c.Expiry.Time().After(key.ends())) {
		return c, errors.New("the key signed no token that lives for so long")
	}
	return c, nil
}

// admit checks what a token with a good signature says.
func (s *Service) admit(r *http.Request, c claims, audience func(string) bool) (Principal, error) {
	const layout = "1/2/2006 3:04:05 PM"
	now := s.opt.Now()
	tenant := s.Tenant().ID
	switch {
	case c.Expiry == nil || c.NotBefore == nil:
		return Principal{}, s.refuse(r, "InvalidAuthenticationToken", "The access token is invalid.")
	case !now.Before(c.Expiry.Time()):
		return Principal{}, s.refuse(r, "ExpiredAuthenticationToken", fmt.Sprintf(
			"The access token expiry UTC time '%s' is earlier than current UTC time '%s'.",
			c.Expiry.Time().UTC().Format(layout), now.UTC().Format(layout)))
	case now.Add(leeway).Before(c.NotBefore.Time()):
		return Principal{}, s.refuse(r, "InvalidAuthenticationToken", "The access token is not valid yet.")
	case c.Issuer != s.issuer() || c.Tenant != tenant:
		return Principal{}, s.refuse(r, "InvalidAuthenticationTokenTenant", fmt.Sprintf(
			"The access token is from the wrong issuer. It must match the tenant '%s/%s' associated with this "+
				"subscription. Please use the authority (URL) '%s/%s' to get the token.",
			s.opt.Origin.BaseURL(r), tenant, s.opt.Origin.BaseURL(r), tenant))
	case !audience(c.Audience):
		return Principal{}, s.refuse(r, "InvalidAuthenticationTokenAudience", fmt.Sprintf(
			"The access token has been obtained for wrong audience or resource '%.200s'. It should exactly match with "+
				"one of the allowed audiences '%s/','%s'.", c.Audience, s.opt.Origin.BaseURL(r), publicManagement))
	}
	if c.IDType == "user" {
		if u, ok := s.enabledUser(c.ObjectID); ok && u.ObjectID == c.ObjectID && c.IssuedAt != nil && !c.IssuedAt.Time().Before(u.Since.Truncate(time.Second)) {
			return Principal{ObjectID: u.ObjectID, AppID: c.AppID, Tenant: tenant, Name: u.Name}, nil
		}
	} else if p, ok := s.principalByApp(c.AppID); ok && p.ObjectID == c.ObjectID && !s.endedLocal(p) {
		return Principal{ObjectID: p.ObjectID, AppID: p.AppID, Tenant: tenant}, nil
	}
	return Principal{}, s.refuse(r, "InvalidAuthenticationToken", "The access token is invalid: its principal does not exist.")
}

// refuse is a 401 whose challenge tells clients where to get a token.
func (s *Service) refuse(r *http.Request, code, message string) *Error {
	return &Error{
		Status: http.StatusUnauthorized, Code: code, Message: message,
		Challenge: fmt.Sprintf("Bearer authorization_uri=\"%s/%s\", error=\"invalid_token\", error_description=%q",
			s.opt.Origin.BaseURL(r), s.Tenant().ID, message),
	}
}

const (
	// publicManagement is Azure's own name for the API; clients with a fixed audience ask for it.
	publicManagement  = "https://management.azure.com/"
	publicManagement2 = "https://management.core.windows.net/"
)

// isManagement tells whether a token for the audience is good for the API.
func (s *Service) isManagement(audience string) bool {
	a := strings.TrimRight(audience, "/") + "/"
	return a == publicManagement || a == publicManagement2 || s.opt.Origin.Ours(audience)
}

// isGraph tells whether the audience is Microsoft Graph's, by its public names or by ours.
func (s *Service) isGraph(audience string) bool {
	a := strings.TrimRight(audience, "/")
	own, ok := strings.CutSuffix(a, "/graph")
	return a == "https://graph.microsoft.com" || a == "https://graph.windows.net" || ok && s.opt.Origin.Ours(own)
}
