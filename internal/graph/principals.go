package graph

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/identity"
)

// servicePrincipal is the wire form, with the properties that clients read.
type servicePrincipal struct {
	Type          string         `json:"@odata.type,omitempty"`
	ID            string         `json:"id"`
	Enabled       bool           `json:"accountEnabled"`
	Alternatives  []string       `json:"alternativeNames"`
	AppName       string         `json:"appDisplayName"`
	AppID         string         `json:"appId"`
	Owner         string         `json:"appOwnerOrganizationId"`
	Created       string         `json:"createdDateTime"`
	Name          string         `json:"displayName"`
	Names         []string       `json:"servicePrincipalNames"`
	Kind          string         `json:"servicePrincipalType"`
	Audience      string         `json:"signInAudience"`
	Tags          []string       `json:"tags"`
	AppRoles      []struct{}     `json:"appRoles"`
	KeyCredential []keyBody      `json:"keyCredentials"`
	Passwords     []passwordBody `json:"passwordCredentials"`
}

// application is the wire form of what a service principal belongs to.
type application struct {
	ID            string         `json:"id"`
	AppID         string         `json:"appId"`
	Created       string         `json:"createdDateTime"`
	Name          string         `json:"displayName"`
	URIs          []string       `json:"identifierUris"`
	Audience      string         `json:"signInAudience"`
	Tags          []string       `json:"tags"`
	AppRoles      []struct{}     `json:"appRoles"`
	KeyCredential []keyBody      `json:"keyCredentials"`
	Passwords     []passwordBody `json:"passwordCredentials"`
}

type passwordBody struct {
	CustomKey *string `json:"customKeyIdentifier"`
	Name      *string `json:"displayName"`
	End       string  `json:"endDateTime"`
	Hint      string  `json:"hint"`
	KeyID     string  `json:"keyId"`
	Secret    *string `json:"secretText"`
	Start     string  `json:"startDateTime"`
}

type keyBody struct {
	CustomKey *string `json:"customKeyIdentifier"`
	Name      *string `json:"displayName"`
	End       string  `json:"endDateTime"`
	Key       *string `json:"key"`
	KeyID     string  `json:"keyId"`
	Start     string  `json:"startDateTime"`
	Type      string  `json:"type"`
	Usage     string  `json:"usage"`
}

// forever is shown where a password has no end.
const forever = "2299-12-31T00:00:00Z"

func stamp(t time.Time) string {
	if t.IsZero() {
		return forever
	}
	return t.UTC().Format(time.RFC3339)
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func credentials(a identity.App) (keys []keyBody, passwords []passwordBody) {
	keys, passwords = []keyBody{}, []passwordBody{}
	for _, c := range a.Passwords {
		passwords = append(passwords, passwordToWire(c))
	}
	for _, c := range a.Certificates {
		keys = append(keys, keyBody{
			CustomKey: orNull(identity.Thumbprint(c.DER)), Name: orNull(c.Name), End: stamp(c.End), KeyID: c.KeyID, Start: stamp(c.Start),
			Type: "AsymmetricX509Cert", Usage: "Verify",
		})
	}
	return keys, passwords
}

func passwordToWire(c identity.Credential) passwordBody {
	return passwordBody{Name: orNull(c.Name), End: stamp(c.End), Hint: c.Hint, KeyID: c.KeyID, Start: stamp(c.Start)}
}

func (h *Handler) principal(a identity.App) servicePrincipal {
	w := servicePrincipal{
		ID: a.ObjectID, Enabled: true, Alternatives: []string{}, AppName: a.Name, AppID: a.AppID, Owner: h.Identity.Tenant().ID,
		Created: stamp(a.Created), Name: a.Name, Names: []string{a.AppID}, Kind: "Application", Audience: "AzureADMyOrg",
		Tags: []string{}, AppRoles: []struct{}{},
	}
	if a.Managed {
		w.Kind = managedIdentity
	}
	w.Alternatives = append(w.Alternatives, a.Alternatives...)
	w.KeyCredential, w.Passwords = credentials(a)
	return w
}

// managedIdentity is the type of a service principal without an application.
const managedIdentity = "ManagedIdentity"

func toApplication(a identity.App) application {
	w := application{
		ID: a.ID, AppID: a.AppID, Created: stamp(a.Created), Name: a.Name, URIs: []string{}, Audience: "AzureADMyOrg",
		Tags: []string{}, AppRoles: []struct{}{},
	}
	w.KeyCredential, w.Passwords = credentials(a)
	return w
}

func appFacts(a identity.App, id string) facts {
	kind := "Application"
	if a.Managed {
		kind = managedIdentity
	}
	return facts{
		"displayname": {a.Name}, "appid": {a.AppID}, "id": {id}, "serviceprincipalnames": {a.AppID}, "identifieruris": nil,
		"serviceprincipaltype": {kind},
	}
}

func (h *Handler) listPrincipals(c *call) (answer, error) {
	keep, err := parseFilter(c.r)
	if err != nil {
		return answer{}, err
	}
	var out []any
	for _, a := range h.Identity.Apps() {
		if a.ObjectID != "" && keep(appFacts(a, a.ObjectID)) {
			out = append(out, h.principal(a))
		}
	}
	return c.list("servicePrincipals", out), nil
}

func (h *Handler) listApps(c *call) (answer, error) {
	keep, err := parseFilter(c.r)
	if err != nil {
		return answer{}, err
	}
	var out []any
	for _, a := range h.Identity.Apps() {
		if !a.Managed && keep(appFacts(a, a.ID)) {
			out = append(out, toApplication(a))
		}
	}
	return c.list("applications", out), nil
}

func missing(id string) error {
	return &tintype.Error{
		Kind: tintype.KindNotFound, Code: "Request_ResourceNotFound",
		Message: "Resource '" + strings.ToValidUTF8(id[:min(len(id), 100)], "") + "' does not exist or one of its queried reference-property objects are not present.",
	}
}

// app finds the application whose own id, or whose service principal's, the path names.
func (h *Handler) app(c *call, principal bool) (identity.App, error) {
	a, ok := h.Identity.FindApp(c.id)
	if !ok || principal != strings.EqualFold(a.ObjectID, c.id) {
		return a, missing(c.id)
	}
	return a, nil
}

func (h *Handler) getApp(c *call) (answer, error) {
	a, err := h.app(c, false)
	return answer{http.StatusOK, toApplication(a)}, err
}

func (h *Handler) getPrincipal(c *call) (answer, error) {
	a, err := h.app(c, true)
	return answer{http.StatusOK, h.principal(a)}, err
}

// appChange is what the body of a POST or PATCH asks for.
type appChange struct {
	Name *string    `json:"displayName"`
	Keys *[]keyBody `json:"keyCredentials"`
}

func (h *Handler) addApp(c *call) (answer, error) {
	var body appChange
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if body.Name == nil {
		return answer{}, bad("Property displayName is required.")
	}
	a, err := h.Identity.AddApp(*body.Name)
	if err != nil {
		return answer{}, err
	}
	body.Name = nil
	if err := h.apply(a.ID, body); err != nil {
		_, undo := h.Identity.DeleteApp(a.ID, false)
		if undo != nil {
			h.Log.Error("an application stays without its certificate", "application", a.AppID, "error", undo)
		}
		return answer{}, err
	}
	a, _ = h.Identity.FindApp(a.ID)
	return answer{http.StatusCreated, toApplication(a)}, nil
}

func (h *Handler) changeApp(c *call) (answer, error) {
	var body appChange
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, h.apply(c.id, body)
}

func (h *Handler) apply(id string, body appChange) error {
	if body.Name != nil {
		if err := h.Identity.RenameApp(id, *body.Name); err != nil {
			return err
		}
	}
	if body.Keys == nil {
		return nil
	}
	var all []identity.Credential
	for _, k := range *body.Keys {
		c := identity.Credential{KeyID: k.KeyID}
		if k.Name != nil {
			c.Name = *k.Name
		}
		if k.Key != nil {
			var err error
			if c.DER, err = base64.StdEncoding.DecodeString(*k.Key); err != nil {
				return bad("Key credential is not base64.")
			}
		}
		c.Start, _ = time.Parse(time.RFC3339, k.Start) // what is no time leaves the certificate's own
		c.End, _ = time.Parse(time.RFC3339, k.End)
		all = append(all, c)
	}
	return h.Identity.SetCertificates(id, all)
}

func (h *Handler) deleteApp(c *call) (answer, error) {
	if _, err := h.app(c, false); err != nil {
		return answer{}, err
	}
	gone, err := h.Identity.DeleteApp(c.id, false)
	if err == nil && gone.ObjectID != "" {
		err = h.Gone(gone.ObjectID)
	}
	return answer{status: http.StatusNoContent}, err
}

func (h *Handler) addPrincipal(c *call) (answer, error) {
	var body struct {
		AppID string `json:"appId"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	a, err := h.Identity.AddServicePrincipal(body.AppID)
	return answer{http.StatusCreated, h.principal(a)}, err
}

func (h *Handler) deletePrincipal(c *call) (answer, error) {
	if _, err := h.app(c, true); err != nil {
		return answer{}, err
	}
	gone, err := h.Identity.DeleteApp(c.id, true)
	if err == nil {
		err = h.Gone(gone.ObjectID)
	}
	return answer{status: http.StatusNoContent}, err
}

// addPassword makes a password and shows it, once.
func (h *Handler) addPassword(c *call) (answer, error) {
	var body struct {
		Password struct {
			Name  string    `json:"displayName"`
			Start time.Time `json:"startDateTime"`
			End   time.Time `json:"endDateTime"`
		} `json:"passwordCredential"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&body); err != nil {
			return answer{}, err
		}
	}
	made, secret, err := h.Identity.AddPassword(c.id, body.Password.Name, body.Password.Start, body.Password.End)
	w := passwordToWire(made)
	w.Secret = &secret
	return answer{http.StatusOK, w}, err
}

func (h *Handler) removePassword(c *call) (answer, error) {
	var body struct {
		KeyID string `json:"keyId"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, h.Identity.RemovePassword(c.id, body.KeyID)
}

// maxIDs is Graph's own bound.
const maxIDs = 1000

// byIDs finds objects of any kind; ids that are nobody's are left out.
func (h *Handler) byIDs(c *call) (answer, error) {
	var body struct {
		IDs []string `json:"ids"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if len(body.IDs) > maxIDs {
		return answer{}, bad("Too many ids.")
	}
	for _, id := range body.IDs {
		if uuid.Validate(id) != nil {
			return answer{}, bad("Invalid GUID:" + strings.ToValidUTF8(id[:min(len(id), 100)], ""))
		}
	}
	return c.list("directoryObjects", h.objects(body.IDs)), nil
}
