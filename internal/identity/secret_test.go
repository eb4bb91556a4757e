package identity

import (
	"regexp"
	"testing"
)

// A secret stands alone on command lines, in URLs and in shell files: nothing in it may mean something there.
func TestSecretsNeedNoQuoting(t *testing.T) {
	plain := regexp.MustCompile(`^[A-Z2-7]{52}$`)
	seen := map[string]bool{}
	for range 1000 {
		secret := newSecret()
		if !plain.MatchString(secret) || seen[secret] {
			t.Fatalf("the secret %q", secret)
		}
		seen[secret] = true
	}
}
