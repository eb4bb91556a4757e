package vault

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // RSA-OAEP is defined over it
	"crypto/sha256"
	_ "crypto/sha512" // for signatures
	"hash"
)

// Encrypt encrypts a short text, or with op wrapKey a key, with the public half of a version, or with "" of the newest. What
// comes back says which version that was.
func (s *Service) Encrypt(object, vaultName, name, id, op, algorithm string, plain []byte) ([]byte, Key, error) {
	private, k, err := s.private(object, vaultName, name, id, op)
	if err != nil {
		return nil, k, err
	}
	var out []byte
	h := oaep(algorithm)
	if h == nil {
		return nil, k, badAlgorithm(algorithm)
	}
	if out, err = rsa.EncryptOAEP(h, rand.Reader, &private.PublicKey, plain, nil); err != nil {
		err = badParameter("Invalid length of the value, or a value that the algorithm does not take.")
	}
	return out, k, err
}

// Decrypt is the inverse of Encrypt; op is decrypt or unwrapKey.
func (s *Service) Decrypt(object, vaultName, name, id, op, algorithm string, text []byte) ([]byte, Key, error) {
	private, k, err := s.private(object, vaultName, name, id, op)
	if err != nil {
		return nil, k, err
	}
	h := oaep(algorithm)
	if h == nil {
		return nil, k, badAlgorithm(algorithm)
	}
	out, err := rsa.DecryptOAEP(h, nil, private, text, nil)
	if err != nil {
		err = badParameter("The parameter is incorrect.\r\n")
	}
	return out, k, err
}

// oaep is the hash of an encryption. RSA1_5 is left out: who may have texts decrypted could decrypt those of others.
func oaep(algorithm string) hash.Hash {
	switch algorithm {
	case "RSA-OAEP":
		return sha1.New()
	case "RSA-OAEP-256":
		return sha256.New()
	}
	return nil
}

func badAlgorithm(name string) *Error {
	return badParameter("Key and signing/encryption algorithm are incompatible, or the algorithm '%.32s' is not known.", name)
}

// Sign signs a digest.
func (s *Service) Sign(object, vaultName, name, id, algorithm string, digest []byte) ([]byte, Key, error) {
	private, k, err := s.private(object, vaultName, name, id, "sign")
	if err != nil {
		return nil, k, err
	}
	h, pss, err := signature(algorithm, digest)
	if err != nil {
		return nil, k, err
	}
	var out []byte
	if pss {
		out, err = rsa.SignPSS(rand.Reader, private, h, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		out, err = rsa.SignPKCS1v15(nil, private, h, digest)
	}
	return out, k, err
}

// Verify tells whether a signature is that of a digest.
func (s *Service) Verify(object, vaultName, name, id, algorithm string, digest, signed []byte) (bool, error) {
	private, _, err := s.private(object, vaultName, name, id, "verify")
	if err != nil {
		return false, err
	}
	h, pss, err := signature(algorithm, digest)
	if err != nil {
		return false, err
	}
	if pss {
		return rsa.VerifyPSS(&private.PublicKey, h, digest, signed, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil, nil
	}
	return rsa.VerifyPKCS1v15(&private.PublicKey, h, digest, signed) == nil, nil
}

func signature(algorithm string, digest []byte) (h crypto.Hash, pss bool, err error) {
	switch algorithm {
	case "RS256", "PS256":
		h = crypto.SHA256
	case "RS384", "PS384":
		h = crypto.SHA384
	case "RS512", "PS512":
		h = crypto.SHA512
	default:
		return 0, false, badAlgorithm(algorithm)
	}
	if len(digest) != h.Size() {
		return 0, false, badParameter("Invalid length of 'value': %d bytes. Digest must be %d bytes.", len(digest), h.Size())
	}
	return h, algorithm[0] == 'P', nil
}
