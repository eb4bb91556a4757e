package identity

import (
	"crypto/sha1" // names certificates, and protects nothing
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionType is how a client says that it proves itself with a signed statement (RFC 7523).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAssertion is how far ahead an assertion may end.
const maxAssertion = 24 * time.Hour

func badAssertion(why string) error {
	return &oauthError{status: 401, name: "invalid_client", code: 700027, text: "Client assertion failed signature validation. " + why}
}

// checkAssertion finds the application that signed the statement with the key of one of its certificates. The statement names
// the certificate (x5t or x5t#S256), the application (iss and sub) and our token endpoint (aud), and ends soon.
func (s *Service) checkAssertion(r *http.Request, form url.Values) (app, error) {
	text := form.Get("client_assertion")
	if form.Get("client_assertion_type") != assertionType || len(text) > maxToken {
		return app{}, badAssertion("It is of another type, or too long.")
	}
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256, jose.PS256})
	if err != nil || len(parsed.Headers) != 1 {
		return app{}, badAssertion("It is not a statement signed with RS256 or PS256.")
	}
	var c jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
		return app{}, badAssertion("Its claims cannot be read.")
	}
	a, ok := s.principalByApp(c.Issuer)
	if !ok {
		return app{}, s.noApp(c.Issuer)
	}
	if id := form.Get("client_id"); c.Subject != c.Issuer || id != "" && !strings.EqualFold(id, a.AppID) {
		return app{}, badAssertion("Its subject, its issuer and the client_id are not the same.")
	}
	cert, ok := a.certificate(parsed.Headers[0], s.opt.Now())
	if !ok {
		return app{}, badAssertion("The key was not found: no certificate of the application that holds now has the thumbprint.")
	}
	key, err := verifyKey(cert)
	if err != nil {
		return app{}, badAssertion("The certificate's key is of a kind that is not supported.")
	}
	if err := parsed.Claims(key, &c); err != nil {
		return app{}, badAssertion("The signature is wrong.")
	}
	now := s.opt.Now()
	switch {
	case c.Expiry == nil || !now.Before(c.Expiry.Time()) || c.Expiry.Time().After(now.Add(maxAssertion)):
		return app{}, badAssertion("It has ended, or has no end within a day.")
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()):
		return app{}, badAssertion("It is not valid yet.")
	case len(c.Audience) != 1 || !s.isTokenEndpoint(c.Audience[0]):
		return app{}, badAssertion("Its audience is not the token endpoint.")
	case c.ID != "" && !s.once.first(a.AppID+" "+c.ID, c.Expiry.Time()):
		return app{}, badAssertion("It was used before.")
	}
	return a, nil
}

// certificate finds the application's certificate that the header names, if it holds now.
func (a app) certificate(h jose.Header, now time.Time) (*x509.Certificate, bool) {
	// MSAL for Python leaves the padding on, which RFC 7515 takes off.
	named := func(header string, sum []byte) bool {
		text, _ := h.ExtraHeaders[jose.HeaderKey(header)].(string)
		return text != "" && strings.TrimRight(text, "=") == base64.RawURLEncoding.EncodeToString(sum)
	}
	for _, c := range a.Certificates {
		one, two := sha1.Sum(c.DER), sha256.Sum256(c.DER)
		known := named("x5t", one[:]) || named("x5t#S256", two[:]) || h.KeyID != "" && strings.EqualFold(h.KeyID, hex.EncodeToString(one[:]))
		if !known || now.Add(leeway).Before(c.Start) || !now.Before(c.End) {
			continue
		}
		parsed, err := x509.ParseCertificate(c.DER)
		return parsed, err == nil
	}
	return nil, false
}

// isTokenEndpoint tells whether s is one of our token endpoints, or the tenant, under a name of ours.
func (s *Service) isTokenEndpoint(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	path := strings.Trim(u.Path, "/")
	u.Path = ""
	first, rest, _ := strings.Cut(path, "/")
	return s.opt.Origin.Ours(u.String()) && s.isTenant(first) && (rest == "" || rest == "oauth2/token" || rest == "oauth2/v2.0/token" || rest == "v2.0")
}
