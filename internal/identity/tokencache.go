package identity

import (
	"crypto/sha256"
	"sync"
)

// tokenCache remembers tokens whose signature was found good, by their hashes, so that a client that sends the same one with each
// request costs one look at it. What a token says is checked each time.
type tokenCache struct {
	mu   sync.Mutex
	good map[[sha256.Size]byte]claims
	turn int // how often all was forgotten
}

// maxCachedTokens bounds the memory; when it is full everything is forgotten. Only who holds good tokens can fill it.
const maxCachedTokens = 4096

// forget has every token looked at again.
func (c *tokenCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = nil
	c.turn++
}

// claimsOf gives the claims of a token with a good signature, which verify looks at when it is not known.
func (c *tokenCache) claimsOf(token string, verify func(string) (claims, error)) (claims, error) {
	sum := sha256.Sum256([]byte(token))
	c.mu.Lock()
	found, ok := c.good[sum]
	turn := c.turn
	c.mu.Unlock()
	if ok {
		return found, nil
	}
	found, err := verify(token)
	if err != nil {
		return found, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn { // it was looked at with the keys of before
		return found, nil
	}
	if c.good == nil || len(c.good) >= maxCachedTokens {
		c.good = map[[sha256.Size]byte]claims{}
	}
	c.good[sum] = found
	return found, nil
}
