package identity

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"
)

// consent is what a client asked for and a user agrees to at the sign-in page.
type consent struct {
	client, audience, scope string
	// Of the code flow alone.
	redirect, challenge, nonce string
	// User who agreed, an object id; empty as long as nobody has.
	user     string
	declined bool
	expires  time.Time
	polled   time.Time
	userCode string // of a device
}

const (
	codeLife    = 5 * time.Minute  // of an authorization code
	deviceLife  = 15 * time.Minute // of a device code
	devicePause = 5 * time.Second  // between two polls
	// maxPending bounds what strangers can have us remember.
	maxPending = 5000
)

// pending are codes that were handed out: each is good for one use, soon. A restart forgets them.
type pending struct {
	now func() time.Time

	mu  sync.Mutex
	all map[string]consent // guarded by mu; by code
}

// add remembers a consent under a new code; ok is false when there is no room.
func (p *pending) add(c consent) (code string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if len(p.all) >= maxPending {
		for k, old := range p.all {
			if !now.Before(old.expires) {
				delete(p.all, k)
			}
		}
	}
	if len(p.all) >= maxPending {
		return "", false
	}
	code = rand.Text() + rand.Text()
	p.all[code] = c
	return code, true
}

// take gives the consent of a code and forgets it.
func (p *pending) take(code string) (consent, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.all[code]
	delete(p.all, code)
	return c, ok && p.now().Before(c.expires)
}

// poll looks at a device's code: wait tells that it polls too often. It is forgotten when it is decided.
func (p *pending) poll(code string) (c consent, ok, wait bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	c, ok = p.all[code]
	if !ok || !now.Before(c.expires) {
		delete(p.all, code)
		return c, false, false
	}
	if c.user != "" || c.declined {
		delete(p.all, code)
		return c, true, false
	}
	wait = now.Sub(c.polled) < devicePause-time.Second
	c.polled = now
	p.all[code] = c
	return c, true, wait
}

// byUserCode finds a device's consent that nobody has decided yet.
func (p *pending) byUserCode(text string) (consent, string, bool) {
	text = foldUserCode(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	for code, c := range p.all {
		if c.userCode != "" && foldUserCode(c.userCode) == text && c.user == "" && !c.declined && p.now().Before(c.expires) {
			return c, code, true
		}
	}
	return consent{}, "", false
}

// decide records what the user said to a device.
func (p *pending) decide(code, user string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.all[code]
	if !ok || c.user != "" || c.declined || !p.now().Before(c.expires) {
		return false
	}
	c.user, c.declined = user, user == ""
	p.all[code] = c
	return true
}

// newUserCode is what a user types: 40 random bits, good for 15 minutes.
func newUserCode() string {
	text := rand.Text()
	return text[:4] + "-" + text[4:8]
}

func foldUserCode(s string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(s))
}
