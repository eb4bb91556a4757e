package arm

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/vault"
)

// Vaults is what the handlers of key vaults ask of the domain; *vault.Service is the real one.
type Vaults interface {
	Put(want vault.Vault, by string) (v vault.Vault, made bool, err error)
	Get(id vault.ID) (vault.Vault, error)
	List(sub tintype.SubscriptionID, group string, deleted bool) []vault.Vault
	Delete(id vault.ID) (ok bool, err error)
	Deleted(sub tintype.SubscriptionID, location, name string) (vault.Vault, error)
	Recover(id vault.ID) (vault.Vault, error)
	Purge(id vault.ID) error
	ChangePolicies(id vault.ID, kind string, policies []vault.Policy) (vault.Vault, error)
	NameFree(name string) (free bool, reason, message string)
}

// VaultOptions are what the rows of key vaults need.
type VaultOptions struct {
	Vaults Vaults
	Groups Groups
	// Domain replaces "vault.HOST" as what follows a vault's name in its URL, for tests.
	Domain string
}

const vaultNamespace = "Microsoft.KeyVault"

// VaultTypes are the rows of key vaults.
func VaultTypes(opt VaultOptions) []Type {
	h := vaultHandler{opt}
	versions := []string{
		"2015-06-01", "2016-10-01", "2018-02-14-preview", "2018-02-14", "2019-09-01", "2020-04-01-preview", "2021-04-01-preview", "2021-06-01-preview",
		"2021-10-01", "2021-11-01-preview", "2022-02-01-preview", "2022-07-01", "2022-11-01", "2023-02-01", "2023-07-01", "2024-04-01-preview", "2024-11-01",
		"2025-05-01", rolesFirst,
	}
	one := InGroup(vault.Type + "/{name}")
	const deleted = vaultNamespace + "/deletedVaults"
	at := InSubscription(vaultNamespace + "/locations/{location}/deletedVaults/{vault}")
	return []Type{
		{
			Namespace: vaultNamespace, Name: "vaults", Versions: versions, Operations: []Operation{
				{Method: http.MethodGet, Path: one, Do: h.get},
				{Method: http.MethodPut, Path: one, Do: h.put},
				{Method: http.MethodPatch, Path: one, Do: h.patch},
				{Method: http.MethodDelete, Path: one, Do: h.delete},
				{Method: http.MethodPut, Path: one + "/accessPolicies/{change}", Permission: vault.Type + "/accessPolicies/write", Do: h.policies},
				{Method: http.MethodGet, Path: InGroup(vault.Type), Do: h.list},
				{Method: http.MethodGet, Path: InSubscription(vault.Type), Do: h.list},
			},
		},
		{Namespace: vaultNamespace, Name: "deletedVaults", Versions: versions, Operations: []Operation{
			{Method: http.MethodGet, Path: InSubscription(deleted), Do: h.listDeleted},
		}},
		{Namespace: vaultNamespace, Name: "locations/deletedVaults", Versions: versions, Operations: []Operation{
			{Method: http.MethodGet, Path: at, Do: h.getDeleted},
			{Method: http.MethodPost, Path: at + "/purge", Do: h.purge},
		}},
		{Namespace: vaultNamespace, Name: "locations/operationResults", Versions: versions, Operations: []Operation{
			{Method: http.MethodGet, Path: InSubscription(vaultNamespace + "/locations/{location}/operationResults/{vault}"), Do: h.purged},
		}},
		{Namespace: vaultNamespace, Name: "checkNameAvailability", Versions: versions, Operations: []Operation{
			{Method: http.MethodPost, Path: InSubscription(vaultNamespace + "/checkNameAvailability"), Permission: vaultNamespace + "/checkNameAvailability/read", Do: h.nameFree},
		}},
	}
}

type vaultHandler struct{ VaultOptions }

func (h vaultHandler) id(c *Call) vault.ID {
	return vault.ID{Subscription: c.subscription(), Group: c.ID.Group, Name: c.ID.Name}
}

// vaultError puts Azure's status on a refusal.
func vaultError(err error) error {
	var e *vault.Error
	if !errors.As(err, &e) {
		return err
	}
	status := map[vault.Reason]int{
		vault.BadParameter: http.StatusBadRequest, vault.Forbidden: http.StatusForbidden, vault.NotFound: http.StatusNotFound,
		vault.Conflict: http.StatusConflict,
	}[e.Reason]
	return &Error{Status: status, Code: e.Code, Message: e.Message, Gateway: e.Code == "ResourceNotFound"}
}

func (h vaultHandler) answer(c *Call, v vault.Vault, err error) (Response, error) {
	if err != nil {
		return Response{}, vaultError(err)
	}
	return JSON(http.StatusOK, h.encode(c, v)), nil
}

func (h vaultHandler) get(ctx context.Context, c *Call) (Response, error) {
	if _, err := h.Groups.GetGroup(ctx, c.subscription(), c.ID.Group); err != nil {
		return Response{}, err
	}
	v, err := h.Vaults.Get(h.id(c))
	return h.answer(c, v, err)
}

// put makes, changes, or with createMode recover brings a vault back. All has been done when it answers.
func (h vaultHandler) put(ctx context.Context, c *Call) (Response, error) {
	var body wire.Vault
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	g, err := openGroup(ctx, h.Groups, c)
	if err != nil {
		return Response{}, err
	}
	if strings.EqualFold(body.Properties.CreateMode, "recover") {
		v, err := h.Vaults.Recover(h.id(c))
		if err == nil {
			err = h.keepIfOpen(ctx, c, v)
		}
		return h.answer(c, v, err)
	}
	id := h.id(c)
	id.Group = g.Name
	if body.Properties.SKU == nil {
		return Response{}, invalidContent("The request content was invalid: properties.sku is needed.")
	}
	v := vault.Vault{ID: id, Location: body.Location, Tags: body.Tags}
	if c.APIVersion >= rolesFirst {
		v.Settings.RBAC = h.rolesUnlessTold(id)
	}
	decodeVault(&v.Settings, body.Properties)
	v, made, err := h.Vaults.Put(v, c.Principal.Display())
	if err == nil && made {
		err = h.keepIfOpen(ctx, c, v)
	}
	return h.answer(c, v, err)
}

// keepIfOpen deletes a vault, recoverably as the group's other vaults, whose group was closed while it was made.
func (h vaultHandler) keepIfOpen(ctx context.Context, c *Call, v vault.Vault) error {
	return keepIfOpen(ctx, h.Groups, c, func() error {
		_, err := h.Vaults.Delete(v.ID)
		return err
	})
}

// rolesFirst is the api-version from which on a new vault goes by roles unless it is told to go by access policies.
// https://learn.microsoft.com/azure/key-vault/general/access-control-default
const rolesFirst = "2026-02-01"

// rolesUnlessTold is what a request of such a version says when it says nothing: a vault that is there keeps what it has.
func (h vaultHandler) rolesUnlessTold(id vault.ID) *bool {
	if v, err := h.Vaults.Get(id); err == nil {
		return v.Settings.RBAC
	}
	roles := true
	return &roles
}

func (h vaultHandler) patch(_ context.Context, c *Call) (Response, error) {
	var body wire.Vault
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	v, err := h.Vaults.Get(h.id(c))
	if err != nil {
		return Response{}, vaultError(err)
	}
	if body.Tags != nil {
		v.Tags = body.Tags
	}
	decodeVault(&v.Settings, body.Properties)
	v, _, err = h.Vaults.Put(v, c.Principal.Display())
	return h.answer(c, v, err)
}

func (h vaultHandler) delete(_ context.Context, c *Call) (Response, error) {
	ok, err := h.Vaults.Delete(h.id(c))
	switch {
	case err != nil:
		return Response{}, vaultError(err)
	case !ok:
		return Empty(http.StatusNoContent), nil
	}
	return Empty(http.StatusOK), nil
}

func (h vaultHandler) policies(_ context.Context, c *Call) (Response, error) {
	var body wire.AccessPolicies
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	kind := strings.ToLower(c.Param("change"))
	if kind != "add" && kind != "replace" && kind != "remove" {
		return Response{}, invalidContent("The change of access policies is add, replace or remove.")
	}
	v, err := h.Vaults.ChangePolicies(h.id(c), kind, decodePolicies(body.Properties.AccessPolicies))
	if err != nil {
		return Response{}, vaultError(err)
	}
	body.ID, body.Type, body.Location = v.ID.String()+"/accessPolicies/", vault.Type+"/accessPolicies", v.Location
	body.Properties.AccessPolicies = encodePolicies(v.Settings.Policies)
	return JSON(http.StatusOK, body), nil
}

func (h vaultHandler) list(ctx context.Context, c *Call) (Response, error) {
	if c.ID.Group != "" {
		if _, err := h.Groups.GetGroup(ctx, c.subscription(), c.ID.Group); err != nil {
			return Response{}, err
		}
	}
	var all []wire.Vault
	for _, v := range h.Vaults.List(c.subscription(), c.ID.Group, false) {
		all = append(all, h.encode(c, v))
	}
	return JSON(http.StatusOK, ListOf(all)), nil
}

func (h vaultHandler) listDeleted(_ context.Context, c *Call) (Response, error) {
	var all []wire.DeletedVault
	for _, v := range h.Vaults.List(c.subscription(), "", true) {
		all = append(all, encodeDeleted(v))
	}
	return JSON(http.StatusOK, ListOf(all)), nil
}

func (h vaultHandler) getDeleted(_ context.Context, c *Call) (Response, error) {
	v, err := h.Vaults.Deleted(c.subscription(), c.ID.Location, c.Param("vault"))
	if err != nil {
		return Response{}, vaultError(err)
	}
	return JSON(http.StatusOK, encodeDeleted(v)), nil
}

func (h vaultHandler) purge(_ context.Context, c *Call) (Response, error) {
	v, err := h.Vaults.Deleted(c.subscription(), c.ID.Location, c.Param("vault"))
	if err == nil {
		err = h.Vaults.Purge(v.ID)
	}
	if err != nil {
		return Response{}, vaultError(err)
	}
	header := http.Header{}
	header.Set("Location", c.BaseURL+"/subscriptions/"+url.PathEscape(c.ID.Subscription)+"/providers/"+vaultNamespace+"/locations/"+
		url.PathEscape(v.Location)+"/operationResults/"+url.PathEscape(v.ID.Name)+"?api-version="+url.QueryEscape(c.APIVersion))
	header.Set("Retry-After", strconv.Itoa(retryAfter))
	return Response{Status: http.StatusAccepted, Header: header}, nil
}

// purged answers who asks how a purge went. It is done before it is accepted; Azure's clients poll all the same.
func (h vaultHandler) purged(_ context.Context, c *Call) (Response, error) {
	if _, err := h.Vaults.Deleted(c.subscription(), c.ID.Location, c.Param("vault")); err == nil {
		return Empty(http.StatusAccepted), nil
	}
	return Empty(http.StatusOK), nil
}

func (h vaultHandler) nameFree(_ context.Context, c *Call) (Response, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := c.Decode(&body); err != nil {
		return Response{}, err
	}
	free, reason, message := h.Vaults.NameFree(clip(body.Name))
	return JSON(http.StatusOK, wire.NameAvailability{Available: free, Reason: reason, Message: message}), nil
}

// decodeVault takes over what a body says; what it does not say stays.
func decodeVault(s *vault.Settings, p wire.VaultProperties) {
	if p.SKU != nil {
		s.SKU = strings.ToLower(p.SKU.Name)
	}
	if p.TenantID != "" {
		s.Tenant = p.TenantID
	}
	if p.AccessPolicies != nil {
		s.Policies = decodePolicies(*p.AccessPolicies)
	}
	if p.NetworkACLs != nil {
		s.NetworkAction = p.NetworkACLs.DefaultAction // Allow is not shown
		if len(p.NetworkACLs.IPRules)+len(p.NetworkACLs.NetworkRules) > 0 {
			s.NetworkAction = "Deny"
		}
	}
	if p.SoftDeleteRetentionDays != nil {
		s.RetentionDays = *p.SoftDeleteRetentionDays
	}
	if p.PublicNetworkAccess != "" {
		s.PublicAccess = p.PublicNetworkAccess
	}
	for _, set := range []struct{ to, from **bool }{
		{&s.ForDeployment, &p.EnabledForDeployment},
		{&s.ForDiskEncryption, &p.EnabledForEncryption},
		{&s.ForTemplates, &p.EnabledForTemplates},
		{&s.RBAC, &p.EnableRBAC},
		{&s.PurgeProtection, &p.EnablePurgeProtection},
	} {
		if *set.from != nil {
			*set.to = *set.from
		}
	}
}

func decodePolicies(all []wire.AccessPolicy) (out []vault.Policy) {
	for _, p := range all {
		out = append(out, vault.Policy{
			Tenant: p.TenantID, Object: p.ObjectID, Application: p.ApplicationID, Keys: p.Permissions.Keys, Secrets: p.Permissions.Secrets,
			Certificates: p.Permissions.Certificates, Storage: p.Permissions.Storage,
		})
	}
	return out
}

func encodePolicies(all []vault.Policy) []wire.AccessPolicy {
	out := []wire.AccessPolicy{}
	for _, p := range all {
		out = append(out, wire.AccessPolicy{
			TenantID: p.Tenant, ObjectID: p.Object, ApplicationID: p.Application,
			Permissions: wire.PolicyPermissions{Keys: p.Keys, Secrets: p.Secrets, Certificates: p.Certificates, Storage: p.Storage},
		})
	}
	return out
}

func (h vaultHandler) encode(c *Call, v vault.Vault) wire.Vault {
	yes, policies := true, encodePolicies(v.Settings.Policies)
	w := wire.Vault{
		ID: v.ID.String(), Name: v.ID.Name, Type: vault.Type, Location: v.Location, Tags: v.Tags,
		SystemData: &wire.SystemData{
			CreatedBy: v.CreatedBy, CreatedByType: creator(v.CreatedBy), CreatedAt: milliseconds(v.Created),
			LastModifiedBy: v.ModifiedBy, LastModifiedByType: creator(v.ModifiedBy), LastModifiedAt: milliseconds(v.Modified),
		},
		Properties: wire.VaultProperties{
			SKU: &wire.VaultSKU{Family: "A", Name: v.Settings.SKU}, TenantID: v.Settings.Tenant, AccessPolicies: &policies,
			EnabledForDeployment: v.Settings.ForDeployment, EnabledForEncryption: v.Settings.ForDiskEncryption,
			EnabledForTemplates: v.Settings.ForTemplates, EnableSoftDelete: &yes, SoftDeleteRetentionDays: &v.Settings.RetentionDays,
			EnableRBAC: v.Settings.RBAC, EnablePurgeProtection: v.Settings.PurgeProtection, VaultURI: h.uri(c, v.ID.Name),
			ProvisioningState: "Succeeded", PublicNetworkAccess: v.Settings.PublicAccess,
		},
	}
	if w.Properties.PublicNetworkAccess == "" {
		w.Properties.PublicNetworkAccess = "Enabled"
	}
	if w.Properties.EnabledForDeployment == nil {
		no := false
		w.Properties.EnabledForDeployment = &no
	}
	if w.Tags == nil {
		w.Tags = map[string]string{}
	}
	return w
}

// uri is where the keys of a vault are for the caller.
func (h vaultHandler) uri(c *Call, name string) string {
	if h.Domain != "" {
		return "https://" + strings.ToLower(name) + "." + h.Domain + "/"
	}
	_, host, _ := strings.Cut(c.BaseURL, "://")
	return "https://" + vault.HostOf(name, host) + "/"
}

// creator tells people from programs by their names.
func creator(name string) string {
	if strings.Contains(name, "@") {
		return "User"
	}
	return "Application"
}

func milliseconds(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z") }

func encodeDeleted(v vault.Vault) wire.DeletedVault {
	return wire.DeletedVault{
		ID:   "/subscriptions/" + string(v.ID.Subscription) + "/providers/" + vaultNamespace + "/locations/" + v.Location + "/deletedVaults/" + v.ID.Name,
		Name: v.ID.Name, Type: vaultNamespace + "/deletedVaults",
		Properties: wire.DeletedVaultProperties{
			VaultID: v.ID.String(), Location: v.Location, Tags: v.Tags, Deleted: v.Deleted.UTC().Format(time.RFC3339),
			Purges: v.Purges().UTC().Format(time.RFC3339), PurgeProtection: v.Settings.PurgeProtection,
		},
	}
}
