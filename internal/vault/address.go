package vault

import (
	"net/url"
	"strings"
)

// domain is the label between a vault's name and the host.
const domain = ".vault."

// NameOf gives the name of the vault that a host, with or without a port, belongs to.
func NameOf(host string) (name string, ok bool) {
	name, rest, ok := strings.Cut(strings.ToLower(host), ".")
	return name, ok && name != "" && strings.HasPrefix("."+rest, domain)
}

// HostOf is where the vault with a name is reached by those who reach the server at host, which may have a port.
func HostOf(name, host string) string { return strings.ToLower(name) + domain + host }

// reference is a key's URL, taken apart. Without a version it means the newest.
type reference struct{ vault, name, version string }

// parseURL reads the URL of a key, https://NAME.vault.HOST/keys/KEY/VERSION.
func parseURL(text string) (r reference, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" {
		return r, false
	}
	part := strings.Split(strings.Trim(u.Path, "/"), "/")
	name, ok := NameOf(u.Host)
	if !ok || len(part) < 2 || len(part) > 3 || part[0] != "keys" {
		return r, false
	}
	r = reference{vault: name, name: part[1]}
	if len(part) == 3 {
		r.version = part[2]
	}
	return r, true
}

// WrapFor wraps a secret with the key at a URL, for a principal that may get, wrap and unwrap with it.
func (s *Service) WrapFor(object, keyURL string, secret []byte) ([]byte, error) {
	r, ok := parseURL(keyURL)
	if !ok {
		return nil, noKey(keyURL, "")
	}
	for _, permission := range []string{"get", "unwrapKey"} {
		if err := s.check(r.vault, object, permission); err != nil {
			return nil, err
		}
	}
	out, _, err := s.Encrypt(object, r.vault, r.name, r.version, "wrapKey", "RSA-OAEP-256", secret)
	return out, err
}

// UnwrapFor is the inverse of WrapFor.
func (s *Service) UnwrapFor(object, keyURL string, wrapped []byte) ([]byte, error) {
	r, ok := parseURL(keyURL)
	if !ok {
		return nil, noKey(keyURL, "")
	}
	out, _, err := s.Decrypt(object, r.vault, r.name, r.version, "unwrapKey", "RSA-OAEP-256", wrapped)
	return out, err
}

// Usable tells whether the key at a URL is there and enabled, and the URL of its newest version, if that is.
func (s *Service) Usable(keyURL string) (newest string, err error) {
	r, ok := parseURL(keyURL)
	if !ok {
		return "", noKey(keyURL, "")
	}
	k, err := s.find(r.vault, r.name, r.version)
	if err == nil && !k.Enabled {
		err = disabled("wrapKey")
	}
	if err != nil {
		return "", err
	}
	last, err := s.find(r.vault, r.name, "")
	if err != nil || !last.Enabled || last.Version == k.Version {
		return keyURL, nil
	}
	return keyURL[:strings.LastIndex(strings.TrimRight(keyURL, "/"), "/")+1] + last.Version, nil
}

// Seal wraps bytes once more, by the platform's key. Unseal is the inverse.
func (s *Service) Seal(p []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return seal(s.secret, p, "tintype double")
}

// Unseal opens what Seal has wrapped.
func (s *Service) Unseal(p []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return open(s.secret, p, "tintype double")
}
