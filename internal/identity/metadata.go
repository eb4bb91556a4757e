package identity

import (
	"net/http"
	"strings"
)

// The three forms of cloud metadata. 2015-01-01 is what az 2.45 asks when a cloud is registered, and its login endpoint
// must end in /adfs: az then skips the discovery of instances, which would leave the building. 2019-05-01 is the array of
// ARM_CLOUD_METADATA_URL. 2022-09-01 is what azurerm and newer az read: another identity provider than AAD, or another
// tenant than common, is refused there as Azure Stack.

type metadata2015 struct {
	GalleryEndpoint string           `json:"galleryEndpoint"`
	GraphEndpoint   string           `json:"graphEndpoint"`
	PortalEndpoint  string           `json:"portalEndpoint"`
	Authentication  authentication15 `json:"authentication"`
}

type authentication15 struct {
	LoginEndpoint string   `json:"loginEndpoint"`
	Audiences     []string `json:"audiences"`
}

type cloudMetadata struct {
	Name                     string            `json:"name"`
	Portal                   string            `json:"portal"`
	Authentication           authentication    `json:"authentication"`
	Graph                    string            `json:"graph"`
	GraphAudience            string            `json:"graphAudience"`
	MicrosoftGraphResourceID string            `json:"microsoftGraphResourceId"`
	Gallery                  string            `json:"gallery"`
	ResourceManager          string            `json:"resourceManager"`
	Suffixes                 map[string]string `json:"suffixes"`
}

type authentication struct {
	LoginEndpoint    string   `json:"loginEndpoint"`
	Audiences        []string `json:"audiences"`
	Tenant           string   `json:"tenant"`
	IdentityProvider string   `json:"identityProvider"`
}

// cloudName is ours in metadata. It must not be AzureStackCloud.
const cloudName = "Tintype"

// graphPath is where Microsoft Graph is here: its clients put the version behind it.
const graphPath = "/graph/"

func (s *Service) serveMetadata(w http.ResponseWriter, r *http.Request) {
	base := s.opt.Origin.BaseURL(r)
	switch version := r.URL.Query().Get("api-version"); {
	case version == "":
		writeJSON(w, http.StatusBadRequest, plainError("MissingApiVersionParameter",
			"The api-version query parameter (?api-version=) is required for all requests."))
	case version < "2018":
		writeJSON(w, http.StatusOK, metadata2015{
			GalleryEndpoint: base + "/gallery", GraphEndpoint: base + graphPath, PortalEndpoint: base + "/",
			Authentication: authentication15{LoginEndpoint: base + "/" + adfs, Audiences: []string{base + "/"}},
		})
	case version < "2022-09-01":
		// az turns this into its list of clouds, whose login endpoint has to be the one of ADFS as above.
		writeJSON(w, http.StatusOK, []cloudMetadata{s.cloud(base, base+"/"+adfs)})
	default:
		writeJSON(w, http.StatusOK, s.cloud(base, base+"/"))
	}
}

func (s *Service) cloud(base, login string) cloudMetadata {
	_, host, _ := strings.Cut(base, "://")
	return cloudMetadata{
		Name: cloudName, Portal: base + "/", Graph: base + graphPath, GraphAudience: base + graphPath,
		MicrosoftGraphResourceID: base + graphPath, Gallery: base + "/gallery", ResourceManager: base + "/",
		Authentication: authentication{
			LoginEndpoint: login, Audiences: []string{base + "/"}, Tenant: "common", IdentityProvider: "AAD",
		},
		Suffixes: map[string]string{"storage": host, "keyVaultDns": "vault." + host},
	}
}

func plainError(code, message string) map[string]map[string]string {
	return map[string]map[string]string{"error": {"code": code, "message": message}}
}
