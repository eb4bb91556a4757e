package keyvault

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tintype/internal/vault"
)

// keys answers what is below /keys.
func (c *call) keys(part []string) (any, error) {
	v, method := c.opt.Vaults, c.r.Method
	if len(part) == 0 {
		if method != http.MethodGet {
			return nil, errPath(c.r)
		}
		all, err := v.Keys(c.object, c.vault)
		return c.list(all, false, err)
	}
	name := part[0]
	if len(part) == 1 {
		return c.one(name, "")
	}
	if len(part) == 2 {
		if body, err, done := c.ofKey(name, part[1]); done {
			return body, err
		}
		if method == http.MethodPost && slices.Contains(cryptoOps, strings.ToLower(part[1])) {
			return c.crypto(name, "", strings.ToLower(part[1]))
		}
		return c.one(name, part[1])
	}
	if len(part) == 3 && method == http.MethodPost {
		return c.crypto(name, part[1], strings.ToLower(part[2]))
	}
	return nil, errPath(c.r)
}

// one answers for a key or one of its versions.
func (c *call) one(name, version string) (any, error) {
	v := c.opt.Vaults
	switch c.r.Method {
	case http.MethodGet:
		return c.show(v.Key(c.object, c.vault, name, version))
	case http.MethodPatch:
		return c.show(v.Update(c.object, c.vault, name, version, c.body.attributes()))
	case http.MethodPut:
		if version != "" {
			return nil, errPath(c.r)
		}
		if c.body.Key == nil || c.body.Key.Kty != "RSA" {
			return nil, onlyRSA()
		}
		private, ok := c.body.Key.private()
		if !ok {
			return nil, &vault.Error{Reason: vault.BadParameter, Code: "BadParameter", Message: "The JSON web key is no RSA private key with n, e, d, p and q."}
		}
		want := c.body.attributes()
		if c.body.Key.Ops != nil {
			want.Ops = c.body.Key.Ops
		}
		return c.show(v.Import(c.object, c.vault, name, private, want))
	case http.MethodDelete:
		if version != "" {
			return nil, errPath(c.r)
		}
		d, err := v.DeleteKey(c.object, c.vault, name)
		if err != nil {
			return nil, err
		}
		return deletedBody{c.deleted(d), c.key(d.Key)}, nil
	}
	return nil, errPath(c.r)
}

func onlyRSA() error {
	return &vault.Error{Reason: vault.BadParameter, Code: "BadParameter", Message: "Only keys of type RSA are supported on this server."}
}

func (c *call) show(k vault.Key, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return c.key(k), nil
}

// ofKey answers /keys/NAME/WORD for the words that are no version.
func (c *call) ofKey(name, word string) (body any, err error, done bool) {
	v := c.opt.Vaults
	switch c.r.Method + " " + strings.ToLower(word) {
	case "POST create":
		if c.body.Kty != "RSA" {
			return nil, onlyRSA(), true
		}
		body, err = c.show(v.Create(c.object, c.vault, name, c.body.Size, c.body.attributes()))
	case "POST rotate":
		body, err = c.show(v.Rotate(c.object, c.vault, name))
	case "GET versions":
		all, failed := v.Versions(c.object, c.vault, name)
		body, err = c.list(all, true, failed)
	case "GET rotationpolicy":
		r, failed := v.Policy(c.object, c.vault, name)
		body, err = c.policy(name, r), failed
	case "PUT rotationpolicy":
		var want policyBody
		if json.Unmarshal(c.raw, &want) != nil {
			return nil, badBody(), true
		}
		r, failed := v.SetPolicy(c.object, c.vault, name, want.rotation())
		body, err = c.policy(name, r), failed
	case "POST backup":
		return nil, &vault.Error{Reason: vault.BadParameter, Code: "BadParameter", Message: "Backups of single keys are not supported on this server."}, true
	default:
		return nil, nil, false
	}
	return body, err, true
}

var cryptoOps = []string{"encrypt", "decrypt", "wrapkey", "unwrapkey", "sign", "verify"}

type resultBody struct {
	ID    string `json:"kid"`
	Value octets `json:"value"`
}

// crypto uses a key.
func (c *call) crypto(name, version, op string) (any, error) {
	v := c.opt.Vaults
	var out []byte
	var k vault.Key
	var err error
	switch op {
	case "encrypt":
		out, k, err = v.Encrypt(c.object, c.vault, name, version, "encrypt", c.body.Algorithm, c.body.Value)
	case "wrapkey":
		out, k, err = v.Encrypt(c.object, c.vault, name, version, "wrapKey", c.body.Algorithm, c.body.Value)
	case "decrypt":
		out, k, err = v.Decrypt(c.object, c.vault, name, version, "decrypt", c.body.Algorithm, c.body.Value)
	case "unwrapkey":
		out, k, err = v.Decrypt(c.object, c.vault, name, version, "unwrapKey", c.body.Algorithm, c.body.Value)
	case "sign":
		out, k, err = v.Sign(c.object, c.vault, name, version, c.body.Algorithm, c.body.Value)
	case "verify":
		ok, err := v.Verify(c.object, c.vault, name, version, c.body.Algorithm, c.body.Digest, c.body.Value)
		return map[string]bool{"value": ok}, err
	default:
		return nil, errPath(c.r)
	}
	if err != nil {
		return nil, err
	}
	return resultBody{ID: c.id(k, true), Value: out}, nil
}

// mostItems is how many keys a page of a list has.
const mostItems = 25

// list answers with a page of keys.
func (c *call) list(all []vault.Key, versions bool, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	var items []itemBody
	for _, k := range all {
		items = append(items, itemBody{ID: c.id(k, versions), Attributes: attributesOf(k), Tags: k.Tags})
	}
	return c.page(items)
}

func (c *call) page(items []itemBody) (any, error) {
	q := c.r.URL.Query()
	most, skip := mostItems, 0
	if text := q.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostItems {
			return nil, &vault.Error{Reason: vault.BadParameter, Code: "BadParameter", Message: "invalid maxresults"}
		}
		most = n
	}
	if text := q.Get("$skiptoken"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, &vault.Error{Reason: vault.BadParameter, Code: "BadParameter", Message: "invalid $skiptoken"}
		}
		skip = n
	}
	items = items[min(skip, len(items)):]
	b := listBody{Value: []itemBody{}}
	if len(items) > most {
		items = items[:most]
		next := url.Values{"api-version": {c.version}, "$skiptoken": {strconv.Itoa(skip + most)}, "maxresults": {strconv.Itoa(most)}}
		link := c.base + c.r.URL.Path + "?" + next.Encode()
		b.Next = &link
	}
	b.Value = append(b.Value, items...)
	return b, nil
}

// deletedKeys answers what is below /deletedkeys.
func (c *call) deletedKeys(part []string) (any, error) {
	v, method := c.opt.Vaults, c.r.Method
	switch {
	case len(part) == 0 && method == http.MethodGet:
		all, err := v.DeletedKeys(c.object, c.vault, "")
		if err != nil {
			return nil, err
		}
		var items []itemBody
		for _, d := range all {
			gone := c.deleted(d)
			items = append(items, itemBody{ID: c.id(d.Key, false), Attributes: attributesOf(d.Key), Tags: d.Tags, deletion: &gone})
		}
		return c.page(items)
	case len(part) == 1 && method == http.MethodGet:
		all, err := v.DeletedKeys(c.object, c.vault, part[0])
		if err != nil {
			return nil, err
		}
		return deletedBody{c.deleted(all[0]), c.key(all[0].Key)}, nil
	case len(part) == 1 && method == http.MethodDelete:
		return nil, v.PurgeKey(c.object, c.vault, part[0])
	case len(part) == 2 && method == http.MethodPost && part[1] == "recover":
		return c.show(v.RecoverKey(c.object, c.vault, part[0]))
	}
	return nil, errPath(c.r)
}
