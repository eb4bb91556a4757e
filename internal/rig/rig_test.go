package rig

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseEnv(t *testing.T) {
	got, err := parseEnv("# a comment\nexport A=1\n\nexport B='two words'\nexport C=\"x,y\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=1", "B=two words", "C=x,y"}, got); diff != "" {
		t.Fatal(diff)
	}
	for _, bad := range []string{"export A=$HOME", "export A=`date`", "echo hello", "export A=\"$B\"", "export A='it'\\''s'"} {
		if got, err := parseEnv(bad); err == nil {
			t.Errorf("%s is taken as %q", bad, got)
		}
	}
}

func TestRunReportsFailure(t *testing.T) {
	_, err := Run(t.Context(), "ls", "/does/not/exist")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), "No such file") {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, "sleep", "60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
}

func TestStartReportsAServerThatEnds(t *testing.T) {
	_, err := Start(t.Context(), Options{Binary: "/bin/true", Data: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "before it was ready") {
		t.Fatalf("%v", err)
	}
}

func TestPrincipal(t *testing.T) {
	s := &Server{Data: t.TempDir()}
	if err := os.Mkdir(s.Client(), 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"tenant":"t","subscriptionId":"s","appId":"a","password":"p","resourceManager":"https://localhost:1"}`
	if err := os.WriteFile(filepath.Join(s.Client(), "principal.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Principal()
	want := Principal{AppID: "a", Password: "p", Tenant: "t", SubscriptionID: "s", ResourceManager: "https://localhost:1"}
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
}
