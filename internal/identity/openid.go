package identity

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// openidBody is the discovery document.
type openidBody struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKS                  string   `json:"jwks_uri"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	AssertionAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Scopes                []string `json:"scopes_supported"`
	Claims                []string `json:"claims_supported"`
}

// routes lists every path of this door. Names of tenants are checked by the handlers.
func (s *Service) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata/endpoints", s.serveMetadata)
	tenant := func(r *http.Request) string { return r.PathValue("tenant") }
	mux.HandleFunc("GET /{tenant}/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		s.serveOpenID(w, r, tenant(r), "")
	})
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		s.serveOpenID(w, r, tenant(r), "v2.0/")
	})
	mux.HandleFunc("POST /{tenant}/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		s.serveToken(w, r, tenant(r), tenant(r) != adfs)
	})
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		s.serveToken(w, r, tenant(r), false)
	})
	for _, version := range []string{"", "v2.0/"} {
		for _, method := range []string{"GET", "POST"} {
			mux.HandleFunc(method+" /{tenant}/oauth2/"+version+"authorize", func(w http.ResponseWriter, r *http.Request) { s.authorize(w, r, tenant(r)) })
		}
		mux.HandleFunc("POST /{tenant}/oauth2/"+version+"devicecode", func(w http.ResponseWriter, r *http.Request) { s.startDevice(w, r, tenant(r)) })
	}
	mux.HandleFunc("GET "+devicePath, s.device)
	mux.HandleFunc("POST "+devicePath, s.device)
	for _, path := range []string{"/{tenant}/discovery/keys", "/{tenant}/discovery/v2.0/keys"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if !s.isTenant(tenant(r)) {
				s.refuseToken(w, errTenant(tenant(r)))
				return
			}
			writeJSON(w, http.StatusOK, s.keys.Load().public(s.opt.Now()))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, plainError("NotFound", "The requested path was not found."))
	})
	return mux
}

// ServeHTTP answers the login endpoints and the cloud metadata; they need no token.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mux.ServeHTTP(w, r)
}

// serveOpenID writes the discovery document; version is "v2.0/" or nothing.
func (s *Service) serveOpenID(w http.ResponseWriter, r *http.Request, tenant, version string) {
	if !s.isTenant(tenant) {
		s.refuseToken(w, errTenant(tenant))
		return
	}
	at := s.opt.Origin.BaseURL(r) + "/" + tenant
	writeJSON(w, http.StatusOK, openidBody{
		Issuer: at + "/" + version, AuthorizationEndpoint: at + "/oauth2/" + version + "authorize",
		TokenEndpoint: at + "/oauth2/" + version + "token", JWKS: at + "/discovery/" + version + "keys",
		DeviceEndpoint: at + "/oauth2/" + version + "devicecode",
		AuthMethods:    []string{"client_secret_post", "client_secret_basic", "private_key_jwt", "none"},
		GrantTypes:     []string{grantClient, grantPassword, grantCode, grantRefresh, grantDevice}, ResponseTypes: []string{"code"},
		ResponseModes: []string{"query"}, ChallengeMethods: []string{"S256"}, AssertionAlgorithms: []string{"RS256", "PS256"},
		Scopes: []string{"openid", "profile", "offline_access"}, Claims: []string{"sub", "iss", "aud", "exp", "iat", "oid", "tid", "upn", "name", "preferred_username", "nonce"},
		SubjectTypes: []string{"public"}, SigningAlgorithms: []string{string(algorithm)},
	})
}

// writeJSON answers with a body that no cache may keep: it may hold a token.
func writeJSON(w http.ResponseWriter, status int, body any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // fails only when the caller is gone
}
