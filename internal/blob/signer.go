package blob

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
)

// MinKey is the shortest key that NewSigner takes, in bytes.
const MinKey = 32

// sasVersion is what sv says in the URLs of managed disks.
const sasVersion = "2018-03-28"

// Signer makes and checks signed URLs.
type Signer struct{ key []byte }

// NewSigner takes the server's secret key, random bytes of at least MinKey.
func NewSigner(key []byte) (*Signer, error) {
	if len(key) < MinKey {
		return nil, errors.New("blob: signing key is too short")
	}
	return &Signer{key: append([]byte(nil), key...)}, nil
}

// Endpoint is where the blobs are served, as clients reach it.
type Endpoint struct {
	Host   string // host:port for blobs by path: https://HOST/md-…/container/abcd
	Domain string // when set, blobs are served by host: https://md-….DOMAIN/container/abcd; it may end in :port
}

// URL is the address of the resource without its signature: fit for messages and logs.
func (e Endpoint) URL(r Resource) string {
	if e.Domain != "" {
		return "https://" + r.Account + "." + e.Domain + "/" + r.Container + "/" + Name
	}
	return "https://" + e.Host + "/" + r.Account + "/" + r.Container + "/" + Name
}

// SignURL gives the URL that opens the resource for whoever holds it. The same resource gives the same URL.
func (s *Signer) SignURL(e Endpoint, r Resource) string {
	sig := base64.StdEncoding.EncodeToString(s.mac(r))
	return e.URL(r) + "?sv=" + sasVersion + "&sr=b&si=" + url.QueryEscape(r.ID) + "&sig=" + url.QueryEscape(sig)
}

// verify checks the query of a request for account and container and gives the resource that it opens.
func (s *Signer) verify(account, container string, query url.Values) (Resource, bool) {
	for _, name := range []string{"sv", "sr", "si", "sig"} {
		if len(query[name]) != 1 {
			return Resource{}, false
		}
	}
	r := Resource{Account: account, Container: container, ID: query.Get("si")}
	sig, err := base64.StdEncoding.Strict().DecodeString(query.Get("sig"))
	if err != nil || query.Get("sv") != sasVersion || query.Get("sr") != "b" {
		return Resource{}, false
	}
	return r, hmac.Equal(sig, s.mac(r))
}

// mac signs the resource. Each part is preceded by its length, so two resources never sign alike.
func (s *Signer) mac(r Resource) []byte {
	m := hmac.New(sha256.New, s.key)
	for _, part := range []string{"tintype-blob-1", sasVersion, "b", r.Account, r.Container, Name, r.ID} {
		fmt.Fprintf(m, "%d:%s\n", len(part), part)
	}
	return m.Sum(nil)
}
