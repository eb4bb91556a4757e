package identity

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestClientFolder(t *testing.T) {
	s, _ := newService(t)
	// A folder whose name would run a command if it were not quoted.
	dir := filepath.Join(t.TempDir(), "it's $(touch owned) `touch owned`", "client")
	if err := s.WriteClient(dir, []byte("CA"), ""); err != nil {
		t.Fatal(err)
	}
	first := readCredentials(t, dir)
	if first.ResourceManager != "https://localhost:8443" || !s.SecretFits(first.AppID, first.Password) {
		t.Errorf("%+v", first)
	}
	for name, mode := range map[string]os.FileMode{".": 0o700, "ca.pem": 0o600, "env.sh": 0o600, "principal.json": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	// Another port keeps the password; a lost or foreign file gets a new one.
	s.opt.Origin.Default = "https://localhost:9000"
	if err := s.WriteClient(dir, []byte("CA"), ""); err != nil {
		t.Fatal(err)
	}
	second := readCredentials(t, dir)
	if second.Password != first.Password || second.ResourceManager != "https://localhost:9000" {
		t.Errorf("%+v", second)
	}
	if err := os.Remove(filepath.Join(dir, "principal.json")); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteClient(dir, []byte("CA"), ""); err != nil {
		t.Fatal(err)
	}
	third := readCredentials(t, dir)
	if third.Password == first.Password || s.SecretFits(first.AppID, first.Password) || !s.SecretFits(third.AppID, third.Password) {
		t.Error("a lost password was not replaced")
	}
	sourceIt(t, dir, third)
}

func readCredentials(t *testing.T, dir string) Credentials {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "principal.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]string
	if err := json.Unmarshal(b, &keys); err != nil || len(keys) != 5 {
		t.Fatalf("%v %v", keys, err)
	}
	return Credentials{
		Tenant: keys["tenant"], SubscriptionID: keys["subscriptionId"], AppID: keys["appId"],
		Password: keys["password"], ResourceManager: keys["resourceManager"],
	}
}

// sourceIt has a real shell read env.sh and print what it set.
func sourceIt(t *testing.T, dir string, c Credentials) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "print.sh")
	const text = `set -eu
. "$1/env.sh"
printf '%s\n' "$TINTYPE_CLIENT" "$SSL_CERT_FILE" "$AZURE_CLIENT_SECRET" "$ARM_METADATA_HOSTNAME" "$AZURE_CONFIG_DIR"
`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", script, dir)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	want := strings.Join([]string{dir, filepath.Join(dir, "ca.pem"), c.Password, "localhost:9000", filepath.Join(dir, "az")}, "\n") + "\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if left, _ := os.ReadDir(cmd.Dir); len(left) > 0 {
		t.Error("sourcing env.sh ran a command that its folder's name holds")
	}
}
