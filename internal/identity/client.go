package identity

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"tintype/internal/smallfile"
)

// Credentials is DIR/client/principal.json: all that a client has to know.
type Credentials struct {
	Tenant          string `json:"tenant"`
	SubscriptionID  string `json:"subscriptionId"`
	AppID           string `json:"appId"`
	Password        string `json:"password"`
	ResourceManager string `json:"resourceManager"` // no slash at the end
	// BlobDomain is below which the server gives out blobs, on the port of ResourceManager; "" when it does so by path.
	BlobDomain string `json:"blobDomain,omitempty"`
}

// WriteClient makes the client folder, mode 0700, with ca.pem, env.sh, az-login.sh and principal.json,
// mode 0600. A principal.json
// whose password still fits keeps it; otherwise the principal gets a new one. What depends on the origin is written anew
// at every start.
func (s *Service) WriteClient(dir string, ca []byte, blobDomain string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	c := Credentials{
		Tenant: s.Tenant().ID, SubscriptionID: string(s.Subscriptions()[0].ID), AppID: s.First().AppID,
		ResourceManager: s.opt.Origin.Default, BlobDomain: blobDomain,
	}
	file := filepath.Join(dir, "principal.json")
	if c.Password = s.oldPassword(file, c.AppID); c.Password == "" {
		if c.Password, err = s.ResetSecret(c.AppID); err != nil {
			return fmt.Errorf("give the first principal a password: %w", err)
		}
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := smallfile.Write(file, append(b, '\n')); err != nil {
		return err
	}
	if err := smallfile.Write(filepath.Join(dir, "ca.pem"), ca); err != nil {
		return err
	}
	if err := smallfile.Write(filepath.Join(dir, "az-login.sh"), []byte(loginScript(dir, c))); err != nil {
		return err
	}
	return smallfile.Write(filepath.Join(dir, "env.sh"), []byte(envScript(dir, c)))
}

// oldPassword is the one in the file, when it is still the principal's.
func (s *Service) oldPassword(file, app string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "" // not there, or not to be read: then a new one is made
	}
	var c Credentials
	if json.Unmarshal(b, &c) != nil || !s.SecretFits(app, c.Password) {
		return ""
	}
	return c.Password
}

// envScript is env.sh: assignments and comments, nothing else, so that sourcing it can only set variables. Every value is
// quoted, so that no folder's name can become a command.
func envScript(dir string, c Credentials) string {
	host := c.ResourceManager
	if u, err := url.Parse(host); err == nil {
		host = u.Host
	}
	var b strings.Builder
	comment := func(text string) { b.WriteString("# " + text + "\n") }
	set := func(name, value string) { fmt.Fprintf(&b, "export %s=%s\n", name, quote(value)) }
	comment("Source this file to work with this Tintype server. The tintype commands, the Go SDK and Terraform work at once;")
	comment("az after running once: sh \"$TINTYPE_CLIENT/az-login.sh\"")
	ca := filepath.Join(dir, "ca.pem")
	set("TINTYPE_CLIENT", dir)
	set("REQUESTS_CA_BUNDLE", ca)
	set("SSL_CERT_FILE", ca)
	set("CURL_CA_BUNDLE", ca) // where a machine sets it, curl looks nowhere else
	set("NODE_EXTRA_CA_CERTS", ca)
	set("NO_PROXY", "localhost,127.0.0.1,::1")
	set("no_proxy", "localhost,127.0.0.1,::1")
	comment("az, with a configuration of its own: no other login is disturbed.")
	set("AZURE_CONFIG_DIR", filepath.Join(dir, "az"))
	set("AZURE_CORE_COLLECT_TELEMETRY", "no")
	set("AZURE_CORE_SURVEY_MESSAGE", "no")
	set("AZURE_CORE_INSTANCE_DISCOVERY", "false")
	comment("Azure's SDKs.")
	set("AZURE_TENANT_ID", c.Tenant)
	set("AZURE_CLIENT_ID", c.AppID)
	set("AZURE_CLIENT_SECRET", c.Password)
	set("AZURE_SUBSCRIPTION_ID", c.SubscriptionID)
	set("AZURE_AUTHORITY_HOST", c.ResourceManager+"/")
	comment("Terraform's azurerm.")
	set("ARM_TENANT_ID", c.Tenant)
	set("ARM_CLIENT_ID", c.AppID)
	set("ARM_CLIENT_SECRET", c.Password)
	set("ARM_SUBSCRIPTION_ID", c.SubscriptionID)
	set("ARM_METADATA_HOSTNAME", host)
	set("ARM_METADATA_HOST", host)
	set("ARM_RESOURCE_PROVIDER_REGISTRATIONS", "none")
	return b.String()
}

// loginScript is az-login.sh: it registers the cloud, anew because the server's port may have changed, and logs in.
func loginScript(dir string, c Credentials) string {
	return "set -eu\n. " + quote(filepath.Join(dir, "env.sh")) + "\n" + `mkdir -p "$AZURE_CONFIG_DIR"
rm -f "$AZURE_CONFIG_DIR/msal_http_cache.bin"
export AZURE_CORE_ONLY_SHOW_ERRORS=yes AZURE_CORE_OUTPUT=none
if az cloud show -n Tintype >/dev/null 2>&1; then
	az cloud set -n AzureCloud
	az cloud unregister -n Tintype
fi
az cloud register -n Tintype --cloud-config ` + quote(cloudConfig(c)) + `
az cloud set -n Tintype
az login --service-principal -u "$AZURE_CLIENT_ID" -p "$AZURE_CLIENT_SECRET" --tenant "$AZURE_TENANT_ID"
`
}

// cloudConfig is what az has to be told of the cloud; the rest it asks the server for. Of Microsoft Graph, with which it finds
// principals by name, the metadata that az reads says nothing.
func cloudConfig(c Credentials) string {
	_, host, _ := strings.Cut(c.ResourceManager, "://")
	return fmt.Sprintf(`{"endpoints":{"resourceManager":%q,"microsoftGraphResourceId":%q},"suffixes":{"keyvaultDns":%q}}`,
		c.ResourceManager, c.ResourceManager+graphPath, ".vault."+host)
}

// quote makes one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
