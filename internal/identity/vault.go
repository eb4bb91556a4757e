package identity

import (
	"net/http"
	"net/url"
	"strings"
)

// publicVault is Azure's own name for key vaults.
const publicVault = "https://vault.azure.net"

// isVault tells whether a token for the audience is good for the keys of vaults: it names the domain below which they are.
func (s *Service) isVault(audience string) bool {
	if strings.TrimRight(audience, "/") == publicVault {
		return true
	}
	u, err := url.Parse(audience)
	if err != nil {
		return false
	}
	host, ok := strings.CutPrefix(strings.ToLower(u.Host), "vault.")
	u.Host = host
	return ok && s.opt.Origin.Ours(u.String())
}

// AuthenticateVault is Authenticate for requests on the keys of a vault.
func (s *Service) AuthenticateVault(r *http.Request) (Principal, error) {
	return s.authenticate(r, s.isVault)
}
